"""Class probabilities of clips, and the lines of predictions.csv that hold them.

N: clips.  K: classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGITS = 6  # of a probability, as it is written
_COLUMNS = ("id", "speaker", "label", "predicted")
_PREFIX = "p_"
_MOST_OFF = 0.01  # of a sum of rounded probabilities from 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Class probabilities of N clips, and their true labels.

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
    def truth(self) -> NDArray[np.int64]:
        """Return the true classes (N,)."""
        return self.labels

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Return the most probable class (N,), by the probabilities as written: file and memory never disagree."""
        return self.probabilities.round(DIGITS).argmax(axis=1).astype(np.int64)

    @property
    def n_words(self) -> int:
        """Return how many columns hold words; the columns of numbers follow them."""
        return len(_COLUMNS)

    @property
    def columns(self) -> list[str]:
        """Return the column names of predictions.csv."""
        return [*_COLUMNS, *(_PREFIX + name for name in self.names)]

    def rows(self) -> Iterator[list[str]]:
        """Yield a line for each clip: id, speaker, label, predicted, then a probability of each class."""
        columns = (self.ids, self.speakers, self.labels, self.predicted, self.probabilities.round(DIGITS))
        for clip, speaker, label, guess, shares in zip(*columns, strict=True):
            written = [f"{share:.{DIGITS}f}" for share in shares]
            yield [clip, speaker, self.names[label], self.names[guess], *written]

    @classmethod
    def from_rows(cls, header: Sequence[str], rows: Sequence[Sequence[str]]) -> "Predictions":
        """Return what `columns` and `rows` wrote.

        Raises: ValueError for other columns, and for a line with an unknown label, or without probabilities.
        """
        names = tuple(column.removeprefix(_PREFIX) for column in header[len(_COLUMNS) :])
        if list(header) != [*_COLUMNS, *(_PREFIX + name for name in names)] or not names:
            expected = f"{', '.join(_COLUMNS)} and {_PREFIX}<label> each"
            raise ValueError(f"it has columns {list(header)}, expected {expected}")
        index = {name: number for number, name in enumerate(names)}
        labels = np.zeros(len(rows), dtype=np.int64)
        probabilities = np.zeros((len(rows), len(names)))
        for number, row in enumerate(rows):
            try:
                _, _, label, _, *shares = row
                labels[number] = index[label]
                probabilities[number] = [float(text) for text, _ in zip(shares, names, strict=True)]
            except (KeyError, ValueError) as error:
                raise ValueError(f"line {number + 2} is not a prediction over {names}: {list(row)}") from error
        is_share = ((probabilities >= 0) & (probabilities <= 1)).all(axis=1)
        wrong = np.flatnonzero(~is_share | (np.abs(probabilities.sum(axis=1) - 1) > _MOST_OFF))
        if wrong.size:
            numbers = ", ".join(map(str, rows[wrong[0]][len(_COLUMNS) :]))
            raise ValueError(f"line {wrong[0] + 2} has no probabilities that add up to 1: {numbers}")
        return cls(
            ids=tuple(row[0] for row in rows),
            speakers=tuple(row[1] for row in rows),
            labels=labels,
            probabilities=probabilities,
            names=names,
        )
