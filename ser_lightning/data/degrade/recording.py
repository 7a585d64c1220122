"""Degrade a clip as a recorder may: too quiet, too loud, overdriven, too short.

T: samples.
"""

from dataclasses import dataclass

import numpy as np

from ser_lightning.data.degrade.condition import Floats, within_full_scale


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A gain in dB: a clip gets louder or quieter, and what no longer fits into 16 bits is lost, at either end.

    With ``may_clip=False`` a clip becomes only as loud as fits, so that nothing is lost at the top.
    """

    gain_db: float
    may_clip: bool = True

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the clip at its new level, (T,)."""
        changed = samples * 10 ** (self.gain_db / 20)
        return changed if self.may_clip else within_full_scale(changed)


@dataclass(frozen=True, kw_only=True)
class Clipping:
    """An overdriven clip: of the samples that are not zero, the loudest ``share`` is cut to one level."""

    share: float

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the clip with its peaks cut off, (T,)."""
        loudness = np.abs(samples[samples != 0])
        if not loudness.size:
            return samples
        top = float(np.quantile(loudness, 1 - self.share))
        return np.clip(samples, -top, top)


@dataclass(frozen=True, kw_only=True)
class Middle:
    """The middle ``duration_s`` of a clip; one that is no longer stays as it is."""

    duration_s: float

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the middle of the clip, (T',)."""
        n_kept = round(self.duration_s * sample_rate_hz)
        first = max(0, (len(samples) - n_kept) // 2)
        return samples[first : first + n_kept]
