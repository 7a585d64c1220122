"""`ser eval`: evaluate a checkpoint on clips it was not trained on, and leave a run directory.

N: clips.  K: classes.
"""

import os
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser_lightning.commands.options import checkpoint_argument, device_option, overrides_argument, trust_option
from ser_lightning.commands.output import new_console
from ser_lightning.utils.cores import settle
from ser_lightning.utils.errors import UserError, some
from ser_lightning.utils.files import sha256_of
from ser_lightning.utils.text import as_file_name

if TYPE_CHECKING:
    import numpy as np

    from ser_lightning.commands.checkpoint_data import Test
    from ser_lightning.data.batches import Change
    from ser_lightning.data.degrade import Condition as AcousticCondition
    from ser_lightning.data.leakage import Leakage, TrainingRecord
    from ser_lightning.data.manifest import Manifest
    from ser_lightning.evaluation.records import Condition
    from ser_lightning.inference.checkpoint import Checkpoint
    from ser_lightning.inference.recognizer import EmotionRecognizer
    from ser_lightning.runs.directory import RunDirectory
    from ser_lightning.tasks.task import Task


@click.command("eval")
@checkpoint_argument
@overrides_argument
@click.option("--all", "all_clips", is_flag=True, help="Test on all clips of the corpus, whatever its split.")
@click.option("--robustness", "with_robustness", is_flag=True, help="Test in noise, rooms, over the telephone too.")
@click.option("--to", metavar="DIR", help="Where the result goes; outputs/eval/... by default.")
@click.option(
    "--allow-leakage",
    "--allow-seen",
    "allow_leakage",
    is_flag=True,
    help="Test on training speakers too; the result is marked.",
)
@click.option(
    "--speaker-clips",
    "speaker_clips_text",
    metavar="N|all",
    help="How many unlabelled clips of a speaker normalisation may use, where the model normalises by speaker.",
)
@device_option
@trust_option
def evaluate(
    checkpoint: str,
    overrides: tuple[str, ...],
    all_clips: bool,
    with_robustness: bool,
    to: str | None,
    allow_leakage: bool,
    speaker_clips_text: str | None,
    device: str,
    trust: bool,
) -> None:
    """Evaluate a trained model on speakers it was not trained on.

    CKPT is the checkpoint of a run, or the run's directory. OVERRIDES say on which clips: without any, on its own
    test; data.fold=1 is another fold's; data=ravdess data.root=DIR is another corpus, and all of it unless a split
    or fold is named. Labels of another corpus need a map: data/label_map=six.

    For example: ser eval best.ckpt data=emodb data.root=DIR data/label_map=six
    """
    settle()
    from ser_lightning.commands.checkpoint_data import choose_test
    from ser_lightning.commands.leakage import check_leakage
    from ser_lightning.data.leakage import TrainingRecord
    from ser_lightning.data.prepare.preparation_report import write_excluded_csv
    from ser_lightning.inference.checkpoint import read_checkpoint
    from ser_lightning.inference.over_collection import logits_of
    from ser_lightning.inference.recognizer import recognizer
    from ser_lightning.report.console import finish, print_summary
    from ser_lightning.runs.directory import write_config
    from ser_lightning.runs.environment import describe
    from ser_lightning.runs.predictions import write_predictions
    from ser_lightning.runs.result import make_result, write_record

    started = time.perf_counter()
    saved = read_checkpoint(checkpoint)
    test = choose_test(saved, overrides, all_clips=all_clips, trust=trust)
    if with_robustness and test.clips.pieces.several:
        raise UserError("--robustness changes whole clips, and data.on_long=split cuts them: add data.on_long=crop")
    record = TrainingRecord.from_stamp(saved.stamp)
    leakage = _leakage(record, test) if record is not None else None
    is_unseen = check_leakage(leakage, allow=allow_leakage, is_student=bool(saved.stamp.get("teacher")))
    run = _directory(to, test, saved)
    model = recognizer(saved, device=device, trust=trust)
    if speaker_clips_text is not None:
        model.speaker_clips = _speaker_clips(speaker_clips_text, model)
    logits = logits_of(model, test.clips, test.rows, what="test clips", batch_seconds=test.batch_seconds)
    evaluation = saved.task.evaluate(test.clips.test_clips(test.rows, saved.task), logits)
    robustness = _robustness(model, test, saved.task, evaluation.predictions) if with_robustness else []
    run.path.mkdir(parents=True, exist_ok=True)
    write_config(run.config, test.config)
    write_predictions(run.predictions, evaluation.predictions)
    write_excluded_csv(run.excluded, test.clips.reports)
    result = make_result(
        **evaluation.result_fields(),
        metrics={"test": evaluation.scores},
        robustness=robustness,
        **test.clips.result_facts(test.rows),
        **_about(saved, model, test, record, is_unseen=is_unseen),
        leakage=dict(leakage) if leakage is not None else None,
        seconds=round(time.perf_counter() - started, 1),
        environment=describe(model.device, model.precision),
    )
    finish(run.path, result)
    write_record(run.result, result)  # the last: a directory that says finished is complete
    print_summary(run.path, new_console())


def _leakage(record: "TrainingRecord", test: "Test") -> "Leakage":
    """Compare a test with what the model was trained on, and ask about speakers that are called alike."""
    clips, rows = test.clips, test.rows
    leakage = record.leakage(clips, rows, same_speakers=clips.same_speakers)
    if clips.same_speakers is None and (namesakes := record.namesakes(clips, rows)):
        called = f"{some(namesakes)}: the model was trained on speakers called so, of another corpus"
        click.echo(f"{called}. If they are the same people, add data.same_speakers=yes", err=True)
    return leakage


def _speaker_clips(text: str, model: "EmotionRecognizer") -> int | None:
    """Return how many clips of a speaker may be used, None for all. Raises: UserError, see the option."""
    if model.speaker_statistics is None:
        raise UserError(
            "--speaker-clips: this model takes nothing from other clips: it is not trained with "
            "experiment=by_speaker, or, on a frozen encoder, model.net.normalise=speaker"
        )
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--speaker-clips {text}: say all, or a number; 1 is the clip itself")
    return int(text)


def _robustness(model: "EmotionRecognizer", test: "Test", task: "Task", clean: Any) -> "list[Condition]":
    """Test the same clips under every condition. Return a row for each; ``clean`` are the usual predictions."""
    from ser_lightning.data.degrade import CONDITIONS
    from ser_lightning.evaluation.robustness import ConditionAnswers
    from ser_lightning.inference.over_collection import logits_of

    manifest, tested = test.clips.manifest, []
    for name, condition in CONDITIONS.items():
        if condition.change is None:
            predicted = clean.predicted
        else:
            logits = logits_of(
                model,
                test.clips,
                test.rows,
                what=condition.title,
                batch_seconds=test.batch_seconds,
                change=_change(manifest, condition),
            )
            predicted = task.predicted(logits)
        tested.append(
            ConditionAnswers(condition=name, title=condition.title, group=condition.group, predicted=predicted)
        )
    return task.robustness(tested, clean.truth, clean.speakers)


def _change(manifest: "Manifest", condition: "AcousticCondition") -> "Change":
    """Return a function that puts a clip, by row and samples (T,), into the condition."""
    from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ

    def change(row: int, samples: "np.ndarray") -> "np.ndarray":
        return condition.apply_to_clip(manifest[row].id, samples, sample_rate_hz=SAMPLE_RATE_HZ)

    return change


def _directory(to: str | None, test: "Test", saved: "Checkpoint") -> "RunDirectory":
    """Return the directory of the result. Raises: UserError for one that holds something already."""
    from ser_lightning.runs.directory import RunDirectory

    corpus, model = test.protocol["corpus"], saved.config["model"]["name"]
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")
    names = [as_file_name(str(name))[:100] for name in (corpus, model)]
    path = Path(to).expanduser() if to is not None else Path("outputs", "eval", *names, now)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--to {path} is there already, and not empty: name a new directory")
    above = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    if not os.access(above, os.W_OK):
        raise UserError(f"--to {path} may not be written by you: name a directory elsewhere")
    return RunDirectory(path)


def _about(
    saved: "Checkpoint",
    model: "EmotionRecognizer",
    test: "Test",
    record: "TrainingRecord | None",
    *,
    is_unseen: bool,
) -> dict[str, Any]:
    """Return what result.json says of the test, the model and its checkpoint."""
    from ser_lightning.models.nets.network import hook
    from ser_lightning.models.speaker_statistics import protocol_entry
    from ser_lightning.runs.directory import RunDirectory
    from ser_lightning.runs.result_parts import Epochs, Model, Protocol, TestedCheckpoint, Training

    protocol = {**test.protocol, **protocol_entry(model.speaker_clips)}
    warnings = test.clips.warnings()
    n_unknown = record.n_unknown_of_others if record is not None else 0
    if "trained_on" in protocol:
        protocol["speaker_independent"] = is_unseen
        n_unknown += record.n_unknown if record is not None else 0
    else:  # its own test: where speakers are not known, how it was split decides
        protocol["speaker_independent"] &= is_unseen
    if n_unknown:
        warnings["unknown_trained"] = n_unknown
    folder = saved.path.absolute().parent
    if folder.name == RunDirectory.checkpoints.name and RunDirectory(folder.parent).is_unfinished:
        warnings["training_unfinished"] = 1
    return {
        "protocol": Protocol(**protocol),
        "contamination": hook(model.net, "contamination") or saved.stamp.get("contamination"),
        "model": Model(name=model.name, parameters=model.n_parameters, **hook(model.net, "description")()),
        "teacher": saved.stamp.get("teacher"),
        "seed": saved.config["seed"],
        "epochs": Epochs(trained=saved.epoch, best=saved.epoch),
        "config": RunDirectory.config.name,
        "warnings": warnings,
        "checkpoint": TestedCheckpoint(
            path=str(saved.path.absolute()),
            sha256=sha256_of(saved.path),
            temperature=saved.temperature,
            training=Training(  # in config.yaml stand the data of the test
                data=dict(saved.config["data"]),
                fold=saved.protocol["fold"],
                split_hash=saved.protocol["split_hash"],
            ),
        ),
    }
