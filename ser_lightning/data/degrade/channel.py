"""A telephone line as a condition.

T: samples.
"""

import io
from dataclasses import dataclass
from math import gcd

import numpy as np
import soundfile
from scipy.signal import butter, resample_poly, sosfilt

from ser_lightning.data.degrade.condition import Floats

_LINE_HZ = 8_000
_BAND_HZ = (300, 3_400)
_BAND = butter(6, _BAND_HZ, "bandpass", fs=_LINE_HZ, output="sos")


@dataclass(frozen=True, kw_only=True)
class Telephone:
    """What a fixed line lets through: 300 to 3,400 Hz, in 8,000 samples a second of 8 bits each.

    The codec is that of ITU-T G.711, μ-law.
    """

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """(T,) -> (T,)"""
        on_the_line = sosfilt(_BAND, _resampled(samples, sample_rate_hz, _LINE_HZ))
        return _resampled(_through_mu_law(on_the_line), _LINE_HZ, sample_rate_hz)[: len(samples)]


def _resampled(samples: Floats, from_hz: int, to_hz: int) -> Floats:
    shared = gcd(from_hz, to_hz)
    return resample_poly(samples, to_hz // shared, from_hz // shared)


def _through_mu_law(samples: Floats) -> Floats:
    """Encoded and decoded by libsndfile, whose codec is that of G.711; what is beyond full scale is clipped."""
    with io.BytesIO() as line:
        soundfile.write(line, np.clip(samples, -1, 1), _LINE_HZ, format="RAW", subtype="ULAW")
        line.seek(0)
        return soundfile.read(line, samplerate=_LINE_HZ, channels=1, format="RAW", subtype="ULAW")[0]
