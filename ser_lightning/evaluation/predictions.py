"""What a model said about each of N clips, and what is true of them.

N: clips.  K: classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGITS = 6  # of a probability, as it is written


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Class probabilities of N clips and what is true of them.

    ``ids`` and ``speakers`` are N strings, ``labels`` (N,) true class indices, ``probabilities`` (N, K) and
    ``names`` the K class names.

    Raises:
        ValueError: if the lengths disagree, a label is out of range or a probability is not finite.
    """

    ids: Sequence[str]
    speakers: Sequence[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    names: Sequence[str]

    def __post_init__(self) -> None:
        expected = (len(self.ids), len(self.names))
        if self.probabilities.shape != expected:
            raise ValueError(f"probabilities are {self.probabilities.shape}, ids and names make it {expected}")
        if len(self.speakers) != len(self.ids) or self.labels.shape != (len(self.ids),):
            raise ValueError(
                f"{len(self.ids)} ids, {len(self.speakers)} speakers and labels of shape {self.labels.shape}"
            )
        if self.labels.size and not 0 <= self.labels.min() <= self.labels.max() < len(self.names):
            raise ValueError(f"labels lie outside 0 to {len(self.names) - 1}")
        bad = np.flatnonzero(~np.isfinite(self.probabilities).all(axis=1))
        if bad.size:
            raise ValueError(f"{bad.size} clips have a probability that is not finite, first {self.ids[bad[0]]!r}")

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) most probable class, by the probabilities as written: file and memory never disagree."""
        return self.probabilities.round(DIGITS).argmax(axis=1).astype(np.int64)
