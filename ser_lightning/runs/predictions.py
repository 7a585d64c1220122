"""predictions.csv: what a model predicted for every test clip, a line each."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ser_lightning.tasks.predictions import Predictions
from ser_lightning.utils.files import read_text, written_whole


class Rows(Protocol):
    """Predictions of any task, as lines of text."""

    @property
    def columns(self) -> Sequence[str]:
        """Return the heads."""

    def rows(self) -> Iterable[Sequence[str]]:
        """Return a line for each clip."""


def write_predictions(path: Path, predictions: Rows) -> None:
    """Write predictions atomically: all of them, or nothing."""
    with written_whole(path) as file:
        writer = csv.writer(file)
        writer.writerow(predictions.columns)
        writer.writerows(predictions.rows())


def read_predictions(
    path: Path, from_rows: Callable[[Sequence[str], Sequence[Sequence[str]]], Any] = Predictions.from_rows
) -> Any:
    """Read what `write_predictions` wrote; ``from_rows`` is that of the task.

    Raises: OSError; ValueError that says where the file is wrong.
    """
    header, *rows = list(csv.reader(io.StringIO(read_text(path), newline=""))) or [[]]
    try:
        return from_rows(header, rows)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
