"""Add noise to speech.

T: samples.  Q: bins of a spectrum.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import fft

from ser_lightning.data.degrade.condition import Floats, within_full_scale
from ser_lightning.data.degrade.speech_level import active_power

# Long-term average of speech, men and women of 12 languages, in dB by third-octave band from 63 Hz to 8 kHz: Byrne
# et al., An international comparison of long-term average speech spectra, J. Acoust. Soc. Am. 96(4), 1994.
_BANDS_HZ = 1000 * 10 ** (np.arange(-12, 10) / 10)
_LOW_DB = (38.6, 43.5, 54.4, 57.7, 56.8, 60.2, 60.3, 59.0, 62.1, 62.1, 60.5)
_HIGH_DB = (56.8, 53.7, 53.0, 52.0, 48.7, 48.1, 46.8, 45.6, 44.5, 44.3, 43.7)  # from 800 Hz
_DENSITY_DB = np.array([*_LOW_DB, *_HIGH_DB]) - 10 * np.log10(_BANDS_HZ)  # its width grows with its frequency


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Steady noise added ``snr_db`` below the speech; both are quieter where the sum would clip.

    The ratio is to the active speech level (ITU-T P.56), so that a clip's pauses make no difference; in digital
    silence there is no speech, and so no noise. ``speech`` noise has the average spectrum of speech (Byrne et al.,
    1994), as in audiometry; it is the same for all clips, since noise shaped by a clip's own spectrum would
    tell its emotion.
    """

    snr_db: float
    spectrum: Literal["white", "speech"] = "white"

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the clip with noise, (T,)."""
        if self.spectrum == "white":
            noise = random.standard_normal(len(samples))
        else:  # whole seconds are few lengths, and fast ones
            n_made = math.ceil(len(samples) / sample_rate_hz) * sample_rate_hz
            spectrum = fft.rfft(random.standard_normal(n_made)) * _speech_amplitudes(n_made, sample_rate_hz)  # (Q,)
            noise = fft.irfft(spectrum, n_made)[: len(samples)]
        power = active_power(samples, sample_rate_hz) * 10 ** (-self.snr_db / 10)
        return within_full_scale(samples + noise * np.sqrt(power / np.mean(noise**2)))


@lru_cache(maxsize=8)
def _speech_amplitudes(n_samples: int, sample_rate_hz: int) -> Floats:
    """Return the factors (Q,) that make white noise like speech: 0 at 0 Hz, and flat below the lowest band."""
    bins_hz = fft.rfftfreq(n_samples, 1 / sample_rate_hz)
    density_db = np.interp(np.log(np.maximum(bins_hz, 1)), np.log(_BANDS_HZ), _DENSITY_DB)
    return np.where(bins_hz > 0, 10 ** (density_db / 20), 0)
