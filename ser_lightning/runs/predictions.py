"""predictions.csv: what a model predicted for every test clip, a line each."""

import csv
import io
from pathlib import Path

from ser_lightning.tasks.predictions import Predictions
from ser_lightning.utils.files import read_text, written_whole


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions atomically: all of them, or nothing."""
    with written_whole(path) as file:
        writer = csv.writer(file)
        writer.writerow(predictions.columns)
        writer.writerows(predictions.rows())


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises: OSError; ValueError that says where the file is wrong.
    """
    header, *rows = list(csv.reader(io.StringIO(read_text(path), newline=""))) or [[]]
    try:
        return Predictions.from_rows(header, rows)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
