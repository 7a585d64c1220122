"""What `ser predict` writes and prints: JSON, CSV, tables."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from ser_lightning.data.corpora.corpus import SYNTHETIC
from ser_lightning.inference.predict import Outcome
from ser_lightning.inference.recognizer import EmotionRecognizer, Prediction
from ser_lightning.report.numbers import clock, percent
from ser_lightning.utils.files import shared_folder

SCHEMA = 1  # of the JSON


def to_json(model: EmotionRecognizer, outcomes: Sequence[Outcome]) -> str:
    """Return everything as JSON, every segment included."""
    content = {
        "schema": SCHEMA,
        "model": model.name,
        "labels": list(model.labels),
        "protocol": dict(model.stamp["protocol"]),
        "temperature": model.temperature,
        "recordings": [outcome.to_json() for outcome in outcomes],
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def to_csv(labels: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """Return a row for each recording as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["path", "duration_s", "label", *(f"p_{name}" for name in labels), "silent", "clipped", "error"]
    )
    for outcome in outcomes:
        prediction = outcome.prediction
        if prediction is None:
            writer.writerow([outcome.name, "", "", *("" for _ in labels), "", "", outcome.error])
        else:
            shares = [f"{prediction.probabilities[name]:.6f}" for name in labels]
            about = (prediction.silent, f"{prediction.clipped:.6f}", "")
            writer.writerow([outcome.name, f"{prediction.duration_s:.3f}", prediction.label, *shares, *about])
    return text.getvalue()


def print_tables(model: EmotionRecognizer, outcomes: Sequence[Outcome], console: Console) -> None:
    """Print a row for each recording that was read, and the segments of a single one."""
    read = [outcome for outcome in outcomes if outcome.prediction is not None]
    if not read:
        return
    if len(read) == 1 and len(_prediction(read[0]).segments) > 1:
        segments = partial(_segment_table, prediction=_prediction(read[0]))
        console.print(_fitting(segments, model.labels, console))
        console.print()
    console.print(_fitting(partial(_table, outcomes=read), model.labels, console))
    if model.stamp["protocol"].get("corpus") == "toy":
        console.print(f"a model of {SYNTHETIC}", style="bold yellow")


def _fitting(make: Callable[[Sequence[str]], Table], labels: Sequence[str], console: Console) -> Table:
    """Return the table with a column for every label, where the console has room for all of them, else without."""
    table = make(labels)
    endless = console.options.update(max_width=10_000)
    return table if console.measure(table, options=endless).maximum <= console.width else make(())


def _table(shown: Sequence[str], outcomes: Sequence[Outcome]) -> Table:
    table = _grid("recording", "emotion", "", "length", *shown)
    folder = shared_folder([outcome.name for outcome in outcomes])
    for outcome in outcomes:
        prediction, name = _prediction(outcome), outcome.name.removeprefix(folder)
        if prediction.silent:
            table.add_row(name, prediction.label, "", clock(prediction.duration_s), style="dim")
            continue
        shares = [percent(prediction.probabilities[label]) for label in shown]
        table.add_row(name, prediction.label, percent(prediction.confidence), clock(prediction.duration_s), *shares)
    return table


def _segment_table(shown: Sequence[str], prediction: Prediction) -> Table:
    table = _grid("from", "to", "emotion", "", *shown)
    for segment in prediction.segments:
        times = clock(segment.start_s), clock(segment.end_s)
        if segment.silent:
            table.add_row(*times, segment.label, "", style="dim")
        else:
            shares = [percent(segment.probabilities[name]) for name in shown]
            table.add_row(*times, segment.label, percent(segment.confidence), *shares)
    return table


def _grid(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, name in enumerate(headings):
        words = name in ("recording", "emotion", "from", "to")
        table.add_column(name, justify="left" if words else "right", overflow="fold", no_wrap=number > 0)
    return table


def _prediction(outcome: Outcome) -> Prediction:
    assert outcome.prediction is not None
    return outcome.prediction
