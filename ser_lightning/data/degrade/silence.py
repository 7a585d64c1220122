"""Change the silence before and after the speech, which differs between recordings and tells nothing of an emotion.

T: samples.
"""

from dataclasses import dataclass

import numpy as np

from ser_lightning.data.degrade.condition import Floats
from ser_lightning.data.degrade.speech_level import MARGIN_DB, active_power

_FRAME_S, _STEP_S = 0.025, 0.010


@dataclass(frozen=True, kw_only=True)
class CutSilence:
    """A cut of all before the first and after the last frame of speech; a clip without any stays as it is.

    Frames of 25 ms, every 10 ms, are speech if their mean square is at most 15.9 dB below the clip's active speech
    level: the margin that separates speech from pauses in ITU-T P.56. Room noise can lie little below speech, so a
    level far below the loudest frame would find no silence.
    """

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the clip from its first to its last frame of speech, (T',)."""
        n_frame, step = round(_FRAME_S * sample_rate_hz), round(_STEP_S * sample_rate_hz)
        least = active_power(samples, sample_rate_hz) * 10 ** (-MARGIN_DB / 10)
        starts = np.arange(0, max(1, len(samples) - n_frame + step), step)  # the last frame reaches the end
        energy = np.concatenate([[0.0], np.cumsum(samples**2)])
        ends = np.minimum(starts + n_frame, len(samples))
        speech = np.flatnonzero((energy[ends] - energy[starts]) / (ends - starts) >= least)
        return samples[starts[speech[0]] : ends[speech[-1]]] if least and speech.size else samples


@dataclass(frozen=True, kw_only=True)
class AddedSilence:
    """Silence added before a clip and as much after it: digital zeros, or white noise at a level.

    ``noise_dbfs`` is the noise's mean square in dB re full scale, as of a square wave between -1 and 1.
    """

    duration_s: float
    noise_dbfs: float | None = None

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the clip between two stretches of silence, (T',)."""
        n_added = round(self.duration_s * sample_rate_hz)
        added = np.zeros((2, n_added))
        if self.noise_dbfs is not None:
            added = random.standard_normal((2, n_added)) * 10 ** (self.noise_dbfs / 20)
        return np.concatenate([added[0], samples, added[1]])
