"""Measure how loud speech is while somebody speaks: the active speech level of ITU-T P.56 (2011), method B.

Pauses, of which clips have more or less, would lower a mean over everything, and noise set by it with them.
T: samples.  J: thresholds.
"""

import math

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.signal import lfilter

from ser_lightning.data.degrade.condition import Floats

_TIME_CONSTANT_S = 0.03
_HANGOVER_S = 0.2  # speech goes on for so long after the envelope has fallen below a threshold
MARGIN_DB = 15.9  # of the active level over the threshold that separates speech from pauses
_THRESHOLDS = 2.0 ** np.arange(-15, 0)  # (J,), full scale being 1


def active_power(samples: Floats, sample_rate_hz: int) -> float:
    """Return the mean square of (T,) samples while there is speech, or of all if below all thresholds."""
    g = math.exp(-1 / (sample_rate_hz * _TIME_CONSTANT_S))
    envelope = lfilter([(1 - g) ** 2], [1, -2 * g, g**2], np.abs(samples))  # (T,), smoothed twice
    window = math.ceil(_HANGOVER_S * sample_rate_hz) + 1
    up_to_here = (window - 1) // 2  # where the window ends at each sample, in place of lying about it
    recent = maximum_filter1d(envelope, window, mode="constant", origin=up_to_here)  # (T,)
    n_active = np.count_nonzero(recent >= _THRESHOLDS[:, None], axis=1)  # (J,), samples that are speech
    n_active = n_active[n_active > 0]  # nothing reaches the highest thresholds
    energy = float(samples @ samples)
    if not energy or not n_active.size:
        return energy / len(samples)
    levels_db = 10 * np.log10(energy / n_active)
    margins_db = levels_db - 20 * np.log10(_THRESHOLDS[: len(n_active)])
    # The margin falls from threshold to threshold: the level is where it passes MARGIN_DB, between two of them.
    below = np.flatnonzero(margins_db <= MARGIN_DB)
    after = int(below[0]) if below.size else len(margins_db) - 1
    bracket = [after, max(after - 1, 0)]
    level_db = float(np.interp(MARGIN_DB, margins_db[bracket], levels_db[bracket]))
    return 10 ** (level_db / 10)
