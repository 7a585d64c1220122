"""Predicted numbers of clips, and the lines of predictions.csv that hold them.

N: clips.  K: targets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_COLUMNS = ("id", "speaker")
_TRUE, _PREDICTED = "true.", "predicted."


def as_written(numbers: ArrayLike) -> NDArray[np.float64]:
    """Return numbers rounded to the seven digits that a file has of them: file and memory never disagree."""
    exact = np.asarray(numbers, dtype=np.float64)
    return np.array([float(_text(number)) for number in exact.ravel().tolist()]).reshape(exact.shape)


def _text(number: float) -> str:
    return f"{number:.7g}"


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberPredictions:
    """Numbers that were predicted for N clips, and the true ones: ``truth`` and ``predicted`` (N, K).

    Raises:
        ValueError: if the lengths disagree, or a number is not finite.
    """

    ids: Sequence[str]
    speakers: Sequence[str]
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    names: Sequence[str]

    def __post_init__(self) -> None:
        expected = (len(self.ids), len(self.names))
        if self.truth.shape != expected or self.predicted.shape != expected or len(self.speakers) != expected[0]:
            raise ValueError(
                f"ids and names make it {expected}, and there are {len(self.speakers)} speakers and numbers of "
                f"shapes {self.truth.shape} and {self.predicted.shape}"
            )
        bad = np.flatnonzero(~np.isfinite(self.predicted).all(axis=1) | ~np.isfinite(self.truth).all(axis=1))
        if bad.size:
            raise ValueError(f"{bad.size} clips have a number that is not finite, first {self.ids[bad[0]]!r}")

    @property
    def n_words(self) -> int:
        """Return how many columns hold words; the columns of numbers follow them."""
        return len(_COLUMNS)

    @property
    def columns(self) -> list[str]:
        """Return the column names of predictions.csv."""
        return [*_COLUMNS, *(prefix + name for name in self.names for prefix in (_TRUE, _PREDICTED))]

    def rows(self) -> Iterator[list[str]]:
        """Yield a line for each clip: id, speaker, then of each target the true and the predicted number."""
        pairs = np.stack([self.truth, self.predicted], axis=-1).reshape(len(self.ids), -1)
        for clip, speaker, numbers in zip(self.ids, self.speakers, pairs.tolist(), strict=True):
            yield [clip, speaker, *map(_text, numbers)]

    @classmethod
    def from_rows(cls, header: Sequence[str], rows: Sequence[Sequence[str]]) -> "NumberPredictions":
        """Return what `columns` and `rows` wrote.

        Raises: ValueError for other columns, and for a line without its numbers.
        """
        names = tuple(column.removeprefix(_TRUE) for column in header[len(_COLUMNS) :: 2])
        if not names or list(header) != [
            *_COLUMNS,
            *(prefix + name for name in names for prefix in (_TRUE, _PREDICTED)),
        ]:
            expected = f"{', '.join(_COLUMNS)}, and {_TRUE}<target> and {_PREDICTED}<target> of each"
            raise ValueError(f"it has columns {list(header)}, expected {expected}")
        table = np.zeros((len(rows), len(names), 2))
        for number, row in enumerate(rows):
            try:
                _, _, *numbers = row
                pairs = [float(text) for text, _ in zip(numbers, header[len(_COLUMNS) :], strict=True)]
            except ValueError as error:
                raise ValueError(f"line {number + 2} is no prediction of {names}: {list(row)}") from error
            table[number] = np.reshape(pairs, (len(names), 2))
        return cls(
            ids=tuple(row[0] for row in rows),
            speakers=tuple(row[1] for row in rows),
            truth=table[..., 0],
            predicted=table[..., 1],
            names=names,
        )
