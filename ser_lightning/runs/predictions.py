"""predictions.csv: what a model said about every test clip.

N clips, K classes.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ser_lightning.utils.files import read_text, written_whole

_DIGITS = 6
_COLUMNS = ("id", "speaker", "label", "predicted")
_PREFIX = "p_"


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
        return self.probabilities.round(_DIGITS).argmax(axis=1).astype(np.int64)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write one line a clip: id, speaker, label, predicted, then a probability per class.

    The file appears whole or not at all.
    """
    with written_whole(path) as file:
        writer = csv.writer(file)
        writer.writerow([*_COLUMNS, *(_PREFIX + name for name in predictions.names)])
        writer.writerows(_rows(predictions))


def _rows(predictions: Predictions) -> list[list[str]]:
    names = predictions.names
    columns = (
        predictions.ids,
        predictions.speakers,
        predictions.labels,
        predictions.predicted,
        predictions.probabilities.round(_DIGITS),
    )
    return [
        [clip, speaker, names[label], names[guess], *(f"{value:.{_DIGITS}f}" for value in row)]
        for clip, speaker, label, guess, row in zip(*columns, strict=True)
    ]


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        ValueError: if it is no file or lacks a column, or a line has an unknown label or no number.
    """
    header, *rows = list(csv.reader(io.StringIO(read_text(path), newline=""))) or [[]]
    names = tuple(column.removeprefix(_PREFIX) for column in header[len(_COLUMNS) :])
    if header != [*_COLUMNS, *(_PREFIX + name for name in names)] or not names:
        raise ValueError(f"{path} has columns {header}, expected {', '.join(_COLUMNS)} and {_PREFIX}<label> each")
    index = {name: number for number, name in enumerate(names)}
    labels = np.zeros(len(rows), dtype=np.int64)
    probabilities = np.zeros((len(rows), len(names)))
    for number, row in enumerate(rows):
        try:
            _, _, label, _, *shares = row
            labels[number] = index[label]
            probabilities[number] = [float(text) for text, _ in zip(shares, names, strict=True)]
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path} line {number + 2} is not a prediction over {names}: {row}") from error
    return Predictions(
        ids=tuple(row[0] for row in rows),
        speakers=tuple(row[1] for row in rows),
        labels=labels,
        probabilities=probabilities,
        names=names,
    )
