"""Define a condition that a clip is tested under, as a value.

T: samples.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ser_lightning.data.prepare.decoding import FULL_SCALE, to_int16
from ser_lightning.utils.seeding import stable_rng

Floats = NDArray[np.float64]
Samples = NDArray[np.int16]


class Change(Protocol):
    """A function of samples, (T,) -> (T',). Full scale is 1; what exceeds it is clipped afterwards."""

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator, /) -> Floats: ...


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A ``change`` with a name for files, a title for people, and the group that it is shown in.

    Without a change, clips stay as they are.
    """

    name: str
    title: str
    group: str
    change: Change | None = None

    def apply(self, samples: Samples, *, sample_rate_hz: int, random: np.random.Generator) -> Samples:
        """Return int16 samples (T,) changed into int16 samples (T',); what goes beyond full scale is clipped."""
        if self.change is None:
            return samples
        changed = self.change(samples / FULL_SCALE, sample_rate_hz, random)
        return to_int16(changed)

    def apply_to_clip(self, id: str, samples: Samples, *, sample_rate_hz: int) -> Samples:
        """Return the clip ``id`` changed: random numbers depend on clip and condition, not on order or batch."""
        return self.apply(samples, sample_rate_hz=sample_rate_hz, random=stable_rng(0, f"{self.name}/{id}"))


def within_full_scale(samples: Floats) -> Floats:
    """Return the same sound, quieter where it would clip otherwise."""
    top = (FULL_SCALE - 1) / FULL_SCALE
    return samples / max(1.0, float(np.abs(samples).max()) / top)
