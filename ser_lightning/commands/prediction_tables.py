"""Write and print what `ser predict` found: JSON, CSV, tables."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from ser_lightning.data.corpora.corpus import SYNTHETIC
from ser_lightning.inference.predict import Outcome
from ser_lightning.inference.prediction import SILENT, Answer, Prediction
from ser_lightning.inference.recognizer import EmotionRecognizer
from ser_lightning.report.numbers import clock, decimal, percent
from ser_lightning.tasks.task import Task
from ser_lightning.utils.files import shared_folder

SCHEMA = 1  # of the JSON


def to_json(model: EmotionRecognizer, outcomes: Sequence[Outcome]) -> str:
    """Return everything as JSON, every segment included."""
    content = {
        "schema": SCHEMA,
        "model": model.name,
        **model.task.entry(),
        "protocol": dict(model.stamp["protocol"]),
        "temperature": model.temperature,
        "recordings": [outcome.to_json() for outcome in outcomes],
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def to_csv(task: Task, outcomes: Sequence[Outcome]) -> str:
    """Return a row for each recording as CSV: its label and probabilities, or its numbers."""
    names = [f"p_{name}" for name in task.labels] or list(task.outputs)
    label = ["label"] * bool(task.labels)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "duration_s", *label, *names, "silent", "clipped", "error"])
    for outcome in outcomes:
        prediction = outcome.prediction
        if prediction is None:
            writer.writerow([outcome.name, "", *("" for _ in (*label, *names)), "", "", outcome.error])
        else:
            shares = [f"{prediction.values[name]:{'.6f' if label else '.7g'}}" for name in task.outputs]
            about = (prediction.silent, f"{prediction.clipped:.6f}", "")
            predicted = [prediction.label for _ in label]
            writer.writerow([outcome.name, f"{prediction.duration_s:.3f}", *predicted, *shares, *about])
    return text.getvalue()


def print_tables(model: EmotionRecognizer, outcomes: Sequence[Outcome], console: Console) -> None:
    """Print a row for each recording that was read, and the segments of a single one."""
    read = [outcome for outcome in outcomes if outcome.prediction is not None]
    if not read:
        return
    if len(read) == 1 and len(_prediction(read[0]).segments) > 1:
        segments = partial(_segment_table, prediction=_prediction(read[0]))
        console.print(_fitting(segments, model, console))
        console.print()
    console.print(_fitting(partial(_table, outcomes=read), model, console))
    if model.stamp["protocol"].get("corpus") == "toy":
        console.print(f"a model of {SYNTHETIC}", style="bold yellow")


def _fitting(make: Callable[[Sequence[str]], Table], model: EmotionRecognizer, console: Console) -> Table:
    """Return the table with a column for every label, where the console has room for all of them, else without.

    Numbers have a column each in any case.
    """
    table = make(model.task.outputs)
    if not model.labels:
        return table
    endless = console.options.update(max_width=10_000)
    return table if console.measure(table, options=endless).maximum <= console.width else make(())


def _table(shown: Sequence[str], outcomes: Sequence[Outcome]) -> Table:
    labelled = _prediction(outcomes[0]).labelled
    table = _grid("recording", *["emotion", "confidence"] * labelled, "length", *shown)
    folder = shared_folder([outcome.name for outcome in outcomes])
    for outcome in outcomes:
        prediction, name = _prediction(outcome), outcome.name.removeprefix(folder)
        if prediction.silent:
            silent = [SILENT, ""] if labelled else []
            table.add_row(name, *silent, clock(prediction.duration_s), *[SILENT] * (not labelled), style="dim")
            continue
        table.add_row(name, *_most(prediction), clock(prediction.duration_s), *_values(prediction, shown))
    return table


def _segment_table(shown: Sequence[str], prediction: Prediction) -> Table:
    table = _grid("from", "to", *["emotion", "confidence"] * prediction.labelled, *shown)
    for segment in prediction.segments:
        times = clock(segment.start_s), clock(segment.end_s)
        if segment.silent:
            table.add_row(*times, SILENT, style="dim")
        else:
            table.add_row(*times, *_most(segment), *_values(segment, shown))
    return table


def _most(answer: Answer) -> list[str]:
    """Return the most probable label and its probability; nothing of numbers."""
    return [answer.label, percent(answer.confidence)] if answer.labelled else []


def _values(answer: Answer, shown: Sequence[str]) -> list[str]:
    return [percent(answer.values[name]) if answer.labelled else decimal(answer.values[name], 2) for name in shown]


def _grid(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, name in enumerate(headings):
        words = name in ("recording", "emotion", "from", "to")
        table.add_column(name, justify="left" if words else "right", overflow="fold", no_wrap=number > 0)
    return table


def _prediction(outcome: Outcome) -> Prediction:
    assert outcome.prediction is not None
    return outcome.prediction
