"""predictions.csv: what a model said about every test clip.

N clips, K classes.
"""

import csv
import io
from pathlib import Path

import numpy as np

from ser_lightning.evaluation.predictions import DIGITS, Predictions
from ser_lightning.utils.files import read_text, written_whole

_COLUMNS = ("id", "speaker", "label", "predicted")
_PREFIX = "p_"


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
        predictions.probabilities.round(DIGITS),
    )
    return [
        [clip, speaker, names[label], names[guess], *(f"{value:.{DIGITS}f}" for value in row)]
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
