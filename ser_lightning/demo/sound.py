"""Reduce a recording of any length to the envelope and spectrogram of a picture some hundred columns wide.

T: samples.  X: columns, evenly spaced in time.  Y: frequencies, evenly spaced from 0 to half the sample rate.
"""

import numpy as np
from numpy.typing import NDArray

_FULL_SCALE = 32_768
_WINDOW_S = 0.025
_N_FFT = 512  # at least
_FINEST_S = 0.005  # between two columns: a short clip has fewer of them
_LOOKS = 4  # windows a column is the mean of, where it stands for more than one
_FLOOR = 1e-10  # of power: -100 dB


def envelope(samples: NDArray[np.int16], n_columns: int = 1200) -> NDArray[np.float64]:
    """Return the lowest and the highest sample of each column, full scale being 1: (T,) -> (2, X)."""
    first = np.unique(np.linspace(0, len(samples), n_columns, endpoint=False).astype(np.int64))
    return np.stack([np.minimum.reduceat(samples, first), np.maximum.reduceat(samples, first)]) / _FULL_SCALE


def spectrogram(samples: NDArray[np.int16], sample_rate_hz: int, n_columns: int = 900) -> NDArray[np.float64]:
    """Return the power of windows in dB, 0 for a sine of full scale: (T,) -> (Y, X).

    Columns of long recordings are the mean of a few windows in them, so that an hour takes no longer than a minute.
    """
    window = round(_WINDOW_S * sample_rate_hz)
    columns = int(np.clip(len(samples) / (_FINEST_S * sample_rate_hz), 1, n_columns))
    looks = _LOOKS if len(samples) / columns > window else 1
    centres = (np.arange(columns * looks) + 0.5) * len(samples) / (columns * looks)
    padded = np.pad(samples, window)  # a window may reach over either end
    first = centres.astype(np.int64) + window - window // 2
    shape = np.hanning(window)
    frames = padded[first[:, None] + np.arange(window)] / _FULL_SCALE * shape  # (X · looks, window)
    spectrum = np.fft.rfft(frames, n=max(_N_FFT, 1 << (window - 1).bit_length()))
    power = np.square(np.abs(spectrum) * 2 / shape.sum()).reshape(columns, looks, -1).mean(axis=1)
    return 10 * np.log10(np.maximum(power, _FLOOR)).T
