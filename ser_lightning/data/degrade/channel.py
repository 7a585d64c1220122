"""Send speech over a telephone line.

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
    """A fixed telephone line: it passes 300 to 3,400 Hz, in 8,000 samples a second of 8 bits each.

    The codec is that of ITU-T G.711, μ-law.
    """

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the clip as it leaves the line, (T,); what is beyond full scale is clipped."""
        band = sosfilt(_BAND, _resampled(samples, sample_rate_hz, _LINE_HZ))
        with io.BytesIO() as line:  # libsndfile's codec is that of G.711
            soundfile.write(line, np.clip(band, -1, 1), _LINE_HZ, format="RAW", subtype="ULAW")
            line.seek(0)
            decoded, _ = soundfile.read(line, samplerate=_LINE_HZ, channels=1, format="RAW", subtype="ULAW")
        return _resampled(decoded, _LINE_HZ, sample_rate_hz)[: len(samples)]


def _resampled(samples: Floats, from_hz: int, to_hz: int) -> Floats:
    shared = gcd(from_hz, to_hz)
    return resample_poly(samples, to_hz // shared, from_hz // shared)
