"""What `ser predict` does: hear recordings one after the other, and put the answers where they are wanted."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table

from ser_lightning.commands.places import STDOUT, check_places
from ser_lightning.data.prepare.preparation_report import CLIPPED_SHARE, SQUARE_SHARE, SQUARE_WAVES
from ser_lightning.inference.predict import Outcome, known_voice, predict_all
from ser_lightning.inference.recognizer import EmotionRecognizer, Prediction, load_model
from ser_lightning.inference.recordings import RawFormat, Recording, find_recordings
from ser_lightning.inference.windows import Windows
from ser_lightning.report.numbers import clock, percent
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.files import shared_folder, written_whole
from ser_lightning.utils.progress import progress
from ser_lightning.utils.text import printable

SCHEMA = 1  # of the JSON


def predict_and_deliver(
    checkpoint: str,
    inputs: Sequence[str],
    places: Mapping[str, str],
    *,
    windows: Windows,
    one_speaker: bool,
    raw: RawFormat | None,
    device: str,
    trust: bool,
    console: Console,
) -> int:
    """Recognise what ``inputs`` name. Returns: the exit status, 1 where any of it could not be read.

    ``one_speaker``: hear all of them twice, first to know who speaks.
    ``places``: file names, or ``-``, by kind: csv, json, jsonl. Stopped by a signal, it delivers what
    it has.
    """
    check_places(places)
    recordings = find_recordings(inputs, raw=raw)
    model = load_model(checkpoint, device=device, trust=trust)
    voice = known_voice(model, recordings, windows=windows) if one_speaker else None
    lines = places.get("jsonl")
    outcomes: list[Outcome] = []
    try:
        with _lines(lines) as out:
            for outcome in _watched(predict_all(model, recordings, windows=windows, voice=voice), recordings):
                outcomes.append(outcome)
                if out is not None:
                    out.write(json.dumps(outcome.to_json(), allow_nan=False) + "\n")
                    out.flush()
    finally:
        _deliver(model, outcomes, places, console)
        if len(outcomes) < len(recordings):
            click.echo(f"{len(outcomes)} of {counted(recordings, 'recording')} read", err=True)
    return int(any(outcome.error is not None for outcome in outcomes))


def _watched(outcomes: Iterator[Outcome], recordings: Sequence[Recording]) -> Iterator[Outcome]:
    """Errors, and what is clipped, are told as they come, and on a terminal how far it is."""
    duration_s = 0.0
    with progress("recognising", len(recordings), lasting=False) as bar:
        for outcome in outcomes:
            remark = outcome.error
            if outcome.prediction is not None:
                duration_s += outcome.prediction.duration_s
                remark = _clipped(outcome.prediction.clipped)
            if remark:
                bar.say(f"{outcome.name}: {remark}")
            bar.advance(note=f"{clock(duration_s)} of sound")
            yield outcome


def _clipped(share: float) -> str:
    """What to say of a recording of which this share stands at full scale; nothing where that is little."""
    if share > SQUARE_SHARE:
        return SQUARE_WAVES
    return f"clipped, {share:.1%} of the samples at full scale" if share > CLIPPED_SHARE else ""


@contextmanager
def _lines(place: str | None) -> Iterator[TextIO | None]:
    """Where a line an outcome goes at once: what was written stays, should it be stopped."""
    if place is None or place == STDOUT:
        yield None if place is None else sys.stdout
        return
    try:
        with Path(place).open("w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise UserError(f"--jsonl {place} cannot be written: {error.strerror}") from error


def _deliver(
    model: EmotionRecognizer, outcomes: Sequence[Outcome], places: Mapping[str, str], console: Console
) -> None:
    if not outcomes:
        return
    for kind, place in places.items():
        if kind != "jsonl":
            text = _to_csv(model.labels, outcomes) if kind == "csv" else _to_json(model, outcomes)
            if place == STDOUT:
                click.echo(text, nl=False)
                continue
            with written_whole(Path(place)) as file:
                file.write(text)
        if place != STDOUT:
            click.echo(f"written: {printable(place)}", err=True)
    if STDOUT not in places.values():
        _print(model, outcomes, console)


def _to_json(model: EmotionRecognizer, outcomes: Sequence[Outcome]) -> str:
    whole = {
        "schema": SCHEMA,
        "model": model.name,
        "labels": list(model.labels),
        "protocol": dict(model.stamp["protocol"]),
        "temperature": model.temperature,
        "recordings": [outcome.to_json() for outcome in outcomes],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def _to_csv(labels: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["path", "duration_s", "label", *(f"p_{name}" for name in labels), "silent", "clipped", "error"]
    )
    for outcome in outcomes:
        found = outcome.prediction
        if found is None:
            writer.writerow([outcome.name, "", "", *("" for _ in labels), "", "", outcome.error])
        else:
            shares = [f"{found.probabilities[name]:.6f}" for name in labels]
            about = (found.silent, f"{found.clipped:.6f}", "")
            writer.writerow([outcome.name, f"{found.duration_s:.3f}", found.label, *shares, *about])
    return text.getvalue()


def _print(model: EmotionRecognizer, outcomes: Sequence[Outcome], console: Console) -> None:
    found = [outcome for outcome in outcomes if outcome.prediction is not None]
    if not found:
        return
    if len(found) == 1 and len(_prediction(found[0]).segments) > 1:
        segments = partial(_segment_table, prediction=_prediction(found[0]))
        console.print(_fitting(segments, model.labels, console))
        console.print()
    console.print(_fitting(partial(_table, outcomes=found), model.labels, console))
    synthetic = model.stamp["protocol"].get("corpus") == "toy"
    if synthetic:
        console.print("a model of synthetic speech: says nothing about emotion", style="bold yellow")


def _fitting(make: Callable[[Sequence[str]], Table], labels: Sequence[str], console: Console) -> Table:
    """A column for every label, where there is room for all of them."""
    table = make(labels)
    endless = console.options.update(max_width=10_000)
    return table if console.measure(table, options=endless).maximum <= console.width else make(())


def _table(shown: Sequence[str], outcomes: Sequence[Outcome]) -> Table:
    table = _grid("recording", "emotion", "", "length", *shown)
    folder = shared_folder([outcome.name for outcome in outcomes])
    for outcome in outcomes:
        found, name = _prediction(outcome), outcome.name.removeprefix(folder)
        if found.silent:
            table.add_row(name, found.label, "", clock(found.duration_s), style="dim")
            continue
        shares = [percent(found.probabilities[label]) for label in shown]
        table.add_row(name, found.label, percent(found.confidence), clock(found.duration_s), *shares)
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
