"""`ser predict`: recognise emotions in recordings."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from ser_lightning.commands.options import (
    STDOUT,
    check_places,
    checkpoint_argument,
    device_option,
    trust_option,
)
from ser_lightning.commands.output import new_console
from ser_lightning.utils.cores import settle
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.files import written_whole
from ser_lightning.utils.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from ser_lightning.inference.predict import Outcome
    from ser_lightning.inference.prediction import Prediction
    from ser_lightning.inference.recognizer import EmotionRecognizer
    from ser_lightning.inference.recordings import Recording


@click.command()
@checkpoint_argument
@click.argument("inputs", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("--csv", metavar="FILE", help="A row for each recording.")
@click.option("--json", metavar="FILE", help="Everything, with every segment.")
@click.option("--jsonl", metavar="FILE", help="The same, a line for each recording, written at once.")
@click.option("--window", default=4.0, show_default=True, help="Seconds of a segment of a long recording.")
@click.option("--hop", default=2.0, show_default=True, help="Seconds from one segment to the next.")
@click.option(
    "--one-speaker", is_flag=True, help="All recordings are of one speaker: fit speaker statistics on all of them."
)
@click.option("--raw-rate", metavar="HZ", type=int, help="Standard input is 16-bit samples without a header.")
@click.option("--raw-channels", default=1, show_default=True, help="Channels of these samples.")
@device_option
@trust_option
def predict(
    checkpoint: str,
    inputs: tuple[str, ...],
    window: float,
    hop: float,
    one_speaker: bool,
    raw_rate: int | None,
    raw_channels: int,
    device: str,
    trust: bool,
    **files: str | None,
) -> int:
    """Recognise emotions in audio files, in folders of them, or in what is piped in.

    CKPT is the checkpoint of a run, or the run's directory. Recordings longer than one and a half windows are
    cut into segments. A file that cannot be read is named, the others are recognised, and the exit status is 1.
    The FILE of --csv, --json and --jsonl may be - for stdout.

    For example: ser predict best.ckpt recordings/ --csv answers.csv
    """
    settle()
    from ser_lightning.inference.predict import fit_speaker, predict_all
    from ser_lightning.inference.recognizer import load_model
    from ser_lightning.inference.recordings import RawFormat, find_recordings
    from ser_lightning.inference.windows import Windows

    places = {kind: place for kind, place in files.items() if place is not None}
    windows = Windows(window_s=window, hop_s=hop)
    raw = RawFormat(sample_rate_hz=raw_rate, channels=raw_channels) if raw_rate is not None else None
    check_places(places)
    recordings = find_recordings(inputs, raw=raw)
    model = load_model(checkpoint, device=device, trust=trust)
    speaker = fit_speaker(model, recordings, windows=windows) if one_speaker else None
    outcomes: list[Outcome] = []
    try:
        with _lines(places.get("jsonl")) as out:
            for outcome in _watched(predict_all(model, recordings, windows=windows, speaker=speaker), recordings):
                outcomes.append(outcome)
                if out is not None:
                    out.write(json.dumps(outcome.to_json(), allow_nan=False) + "\n")
                    out.flush()
    finally:  # after a signal, what there is
        _deliver(model, outcomes, places, new_console())
        if len(outcomes) < len(recordings):
            click.echo(f"{len(outcomes)} of {counted(recordings, 'recording')} read", err=True)
    return int(any(outcome.error is not None for outcome in outcomes))


def _watched(outcomes: "Iterator[Outcome]", recordings: "Sequence[Recording]") -> "Iterator[Outcome]":
    """Pass outcomes on, printing errors and warnings as they come, and progress on a terminal."""
    from ser_lightning.report.numbers import clock
    from ser_lightning.utils.progress import progress

    duration_s = 0.0
    with progress("recognising", len(recordings), lasting=False) as bar:
        for outcome in outcomes:
            remark = outcome.error
            if outcome.prediction is not None:
                duration_s += outcome.prediction.duration_s
                remark = _oddity(outcome.prediction)
            if remark:
                bar.say(f"{outcome.name}: {remark}")
            bar.advance(note=f"{clock(duration_s)} of audio")
            yield outcome


def _oddity(prediction: "Prediction") -> str:
    """Return a warning for a recording that is clipped or very short; empty for another."""
    from ser_lightning.data.prepare.preparation_report import CLIPPED_SHARE, SHORT_S, SQUARE_SHARE, SQUARE_WAVES

    if prediction.clipped > SQUARE_SHARE:
        return SQUARE_WAVES
    if prediction.duration_s < SHORT_S:
        return f"short, {prediction.duration_s:.3g} s: less than {SHORT_S} s is hardly a word"
    if prediction.clipped > CLIPPED_SHARE:
        return f"clipped, {prediction.clipped:.1%} of the samples at full scale"
    return ""


@contextmanager
def _lines(place: str | None) -> Iterator[TextIO | None]:
    """Open the file that takes a line for each outcome at once, so that an interrupted command leaves them."""
    if place is None or place == STDOUT:
        yield None if place is None else sys.stdout
        return
    try:
        file = Path(place).open("w", encoding="utf-8")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise UserError(f"--jsonl {place} cannot be written: {error.strerror}") from error
    with file:
        yield file


def _deliver(
    model: "EmotionRecognizer", outcomes: "Sequence[Outcome]", places: Mapping[str, str], console: "Console"
) -> None:
    """Write outcomes to their files, or to stdout; print tables where stdout is free."""
    if not outcomes:
        return
    from ser_lightning.commands.prediction_tables import print_tables, to_csv, to_json

    try:
        for kind, place in places.items():
            if kind != "jsonl":
                text = to_csv(model.task, outcomes) if kind == "csv" else to_json(model, outcomes)
                if place == STDOUT:
                    click.echo(text, nl=False)
                    continue
                with written_whole(Path(place)) as file:
                    file.write(text)
            if place != STDOUT:
                click.echo(f"written: {printable(place)}", err=True)
    finally:  # where one of them cannot be written, the answers are shown at least
        if STDOUT not in places.values():
            print_tables(model, outcomes, console)
