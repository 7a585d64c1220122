"""`ser calibrate`: fit the temperature at which a model's probabilities match how often it is right.

N: clips.  K: classes.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_lightning.commands.options import (
    check_places,
    checkpoint_argument,
    device_option,
    overrides_argument,
    trust_option,
)
from ser_lightning.commands.output import new_console
from ser_lightning.utils.cores import settle
from ser_lightning.utils.errors import UserError, counted, some

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from ser_lightning.data.datamodule import EmotionDataModule
    from ser_lightning.evaluation.records import Calibration
    from ser_lightning.inference.checkpoint import Checkpoint

_N_GROUPS = 5  # of speakers: the temperature of four is tested on the fifth
_REMEDY = "leave data.split and data.fold as they were, or take a corpus of other speakers"

log = logging.getLogger(__name__)


@click.command()
@checkpoint_argument
@overrides_argument
@click.option("--output", metavar="FILE", help="The new checkpoint; CKPT.calibrated.ckpt by default.")
@device_option
@trust_option
def calibrate(checkpoint: str, overrides: tuple[str, ...], output: str | None, device: str, trust: bool) -> None:
    """Calibrate probabilities: fit a temperature on the validation speakers.

    No prediction changes, only its confidence. Nothing is written where the temperature makes the probabilities of
    speakers who were left out of its fit worse. OVERRIDES are of the data, such as data.root=DIR.

    For example: ser calibrate best.ckpt
    """
    settle()
    from ser_lightning.evaluation.calibration import calibration, fit_temperature, left_out, probabilities_at
    from ser_lightning.inference.checkpoint import read_checkpoint
    from ser_lightning.report.reliability import draw_reliability

    saved = read_checkpoint(checkpoint)
    if not saved.task.labels:
        raise UserError(
            f"this model predicts {saved.task.summary}, no probabilities: there is nothing to calibrate"
        )
    place = Path(output).expanduser() if output is not None else saved.path.with_suffix(".calibrated.ckpt")
    check_places({"output": str(place)}, endings=(".ckpt",))
    data = _data(saved, overrides, trust=trust)
    logits, labels, speakers = _validation_logits(saved, data, device=device, trust=trust)
    temperature = fit_temperature(logits, labels)
    before = calibration(probabilities_at(logits, saved.temperature), labels)
    after = calibration(left_out(logits, labels, _groups(speakers)), labels)
    n_speakers = len(set(speakers))
    facts = {
        "n_clips": len(labels),
        "n_speakers": n_speakers,
        "ece_before": before.ece,
        "ece_after": after.ece,
        "record": _record(data),
    }
    _print_report(new_console(), temperature, before, after)
    if after.nll > before.nll:
        raise UserError(
            f"a temperature does not help on speakers who were left out of its fit: NLL {before.nll:.4f} "
            f"before, {after.nll:.4f} after. Nothing is written: take the checkpoint as it is, or validate on "
            "more speakers"
        )
    saved.write(place, temperature=temperature, calibrated=facts)
    picture = place.with_suffix(".png")
    draw_reliability(
        picture,
        curves={"before": before, "after": after},
        title=f"{saved.config['model']['name']} on {saved.protocol['corpus']}: temperature {temperature:.2f}",
        subtitle=f"{counted(labels, 'clip')} of {counted(n_speakers, 'validation speaker')}, "
        "each left out of its own fit",
    )
    click.echo(f"written: {place}\nwritten: {picture}", err=True)


def _data(saved: "Checkpoint", overrides: Sequence[str], *, trust: bool) -> "EmotionDataModule":
    """Return the data on whose validation clips the temperature is fitted.

    Raises: UserError where there are none; where the checkpoint was trained, or is to be tested, on them, beyond
        what its own validation shares; and for another split where the checkpoint does not say who they are.
    """
    from ser_lightning.commands.checkpoint_data import data_config
    from ser_lightning.data.leakage import TrainingRecord
    from ser_lightning.training.experiment import make_data

    data = make_data(data_config(saved, overrides, trust=trust))
    if not data.split.val:
        raise UserError("this protocol has no validation set, and on its test nothing may be fitted")
    record, test = TrainingRecord.from_stamp(saved.stamp), TrainingRecord.test_of_stamp(saved.stamp)
    is_other = data.protocol()["split_hash"] != saved.protocol["split_hash"]
    if is_other and (record is None or test is None):
        raise UserError(
            "this checkpoint does not say who is in its training and its test: leave data.split and data.fold as "
            "they were, or train it again"
        )
    if record is None:
        return data
    clips, rows = data.clips, data.split.val
    own_speakers, own_sounds = record.itself.used_by("val", clips, rows)
    trained = record.used_by("train", clips, rows)
    tested = test.used_by("test", clips, rows) if test is not None else (set(), set())
    for used, (speakers, sounds) in (("was trained on", trained), ("is to be tested on", tested)):
        if others := sorted(speakers - own_speakers):
            raise UserError(f"this checkpoint {used} these validation speakers ({some(others)}): {_REMEDY}")
        if sounds - own_sounds:
            raise UserError(f"this checkpoint {used} these validation clips: {_REMEDY}")
    if any(trained):
        log.warning("speakers are shared with training: on new ones it will be over-confident")
    return data


def _record(data: "EmotionDataModule") -> dict[str, Any]:
    """Return whom and what the temperature is fitted on, as `TrainingRecord` reads it."""
    record = data.training_record()
    return {
        "heard": {"calibration": record["heard"]["val"]},
        "lists": record["lists"],
        "same_speakers": record["same_speakers"],
    }


def _validation_logits(
    saved: "Checkpoint", data: "EmotionDataModule", *, device: str, trust: bool
) -> "tuple[NDArray[np.float64], NDArray[np.int64], list[str]]":
    """Return logits (N, K) before any temperature, true classes (N,) and speakers of the validation clips."""
    import numpy as np

    from ser_lightning.inference.over_collection import logits_of
    from ser_lightning.inference.recognizer import recognizer

    rows = data.split.val
    model = recognizer(saved, device=device, trust=trust)
    logits = logits_of(model, data.clips, rows, what="validation clips", batch_seconds=data.batch_seconds)
    logits = logits.astype(np.float64) * model.temperature
    clips = [data.manifest[row] for row in rows]
    labels = np.array([model.labels.index(clip.emotion) for clip in clips], dtype=np.int64)
    return logits, labels, [clip.speaker for clip in clips]


def _groups(speakers: Sequence[str]) -> "NDArray[np.int64]":
    """Return which of up to five groups of speakers each clip belongs to (N,)."""
    import numpy as np

    group = {name: number % _N_GROUPS for number, name in enumerate(sorted(set(speakers)))}
    if len(group) < 2:
        raise UserError(
            "one validation speaker is too few to fit and to test a temperature: train on a split that validates "
            "on several, as data.split=kfold does where there are ten speakers or more"
        )
    return np.array([group[name] for name in speakers], dtype=np.int64)


def _print_report(console: "Console", temperature: float, before: "Calibration", after: "Calibration") -> None:
    """Print the calibration before and after, and whether the temperature is kept."""
    from ser_lightning.utils.terminal import number_table

    table = number_table("validation", numbers=("ECE", "NLL", "Brier", "confidence", "accuracy"), gap=3)
    for name, values in (("before", before), ("after", after)):
        accuracy = values.selective[-1].accuracy
        shares = [f"{share:.1%}" for share in (values.confidence, accuracy)]
        table.add_row(name, f"{values.ece:.1%}", f"{values.nll:.3f}", f"{values.brier:.3f}", *shares)
    console.print(table)
    outcome = "tried and not kept" if after.nll > before.nll else "predictions stay as they were"
    console.print(f"temperature {temperature:.3f}: {_how_confident(before)}; {outcome}")
    if after.ece > before.ece and after.nll <= before.nll:
        console.print(
            "the NLL, which the temperature is fitted to, fell, but the ECE rose: one factor is not enough"
        )
    console.print("after: each speaker is tested at a temperature that was fitted to others")


def _how_confident(values: "Calibration") -> str:
    """Say how mean confidence compares with accuracy, in whole per mille as they are shown."""
    confidence, accuracy = values.confidence, values.selective[-1].accuracy
    difference = round(confidence, 3) - round(accuracy, 3)
    how = "over-confident" if difference > 0 else "under-confident" if difference < 0 else "as confident as right"
    return f"it was {how}, {confidence:.1%} confident on average and right in {accuracy:.1%}"
