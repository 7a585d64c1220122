"""Faults of a recorder as conditions: too quiet, too loud, overdriven, too short.

T: samples.
"""

from dataclasses import dataclass

import numpy as np

from ser_lightning.data.degrade.condition import Floats


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Louder or quieter. What no longer fits into 16 bits is lost, at the top and at the bottom."""

    gain_db: float

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """(T,) -> (T,)"""
        return samples * 10 ** (self.gain_db / 20)


@dataclass(frozen=True, kw_only=True)
class Clipping:
    """Overdriven: of the samples that are not zero, the loudest ``share`` is cut to one level."""

    share: float

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """(T,) -> (T,)"""
        loudness = np.abs(samples[samples != 0])
        if not loudness.size:
            return samples
        top = float(np.quantile(loudness, 1 - self.share))
        return np.clip(samples, -top, top)


@dataclass(frozen=True, kw_only=True)
class Middle:
    """Nothing but the middle; a clip that is no longer stays as it is."""

    duration_s: float

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """(T,) -> (T',)"""
        n_kept = round(self.duration_s * sample_rate_hz)
        first = max(0, (len(samples) - n_kept) // 2)
        return samples[first : first + n_kept]
