"""What `ser eval` does: judge a checkpoint on clips that it has not heard, and leave a run directory about it.

N: clips.  K: classes.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from ser_lightning.commands.checkpoint_data import data_config
from ser_lightning.commands.leakage import Seen, seen
from ser_lightning.data.clip_batches import Change
from ser_lightning.data.labelled_clips import Collection
from ser_lightning.data.leakage import Leakage, TrainingRecord, leakage_to_json
from ser_lightning.data.manifest import Manifest
from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ
from ser_lightning.data.prepare.preparation_report import write_excluded_csv
from ser_lightning.data.splits.split import Split
from ser_lightning.evaluation import evaluate as evaluation
from ser_lightning.evaluation.predictions import Predictions
from ser_lightning.evaluation.robustness import Heard, robustness
from ser_lightning.inference.checkpoint import Checkpoint, read_checkpoint
from ser_lightning.inference.over_collection import logits_of
from ser_lightning.inference.recognizer import EmotionRecognizer, recognizer
from ser_lightning.models.nets.network import hook
from ser_lightning.models.speaker_statistics import protocol_entry
from ser_lightning.report.console import finish, print_summary
from ser_lightning.runs.directory import SCHEMA, RunDirectory, write_config, write_json
from ser_lightning.runs.environment import describe
from ser_lightning.runs.predictions import write_predictions
from ser_lightning.training.experiment import unsplit_data
from ser_lightning.training.test_checkpoint import BEST, LAST
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.text import as_file_name

if TYPE_CHECKING:
    from ser_lightning.data.degrade import Condition

ALL = "all"  # in place of a split's name
_NAMING_CORPORA = ("_target_", "corpus", "corpora", "manifest", "test_corpus")  # settings of the data


@dataclass(frozen=True, kw_only=True, eq=False)
class Test:
    """What a checkpoint is judged on: rows of a collection, and what result.json says of how they were chosen."""

    __test__ = False  # no test class

    config: DictConfig
    collection: Collection
    rows: Sequence[int]
    protocol: Mapping[str, Any]


def evaluate(
    checkpoint: str,
    overrides: Sequence[str],
    *,
    to: str | None,
    whole: bool,
    under_conditions: bool,
    allow_seen: bool,
    speaker_clips: str | None,
    device: str,
    trust: bool,
    console: Console,
) -> None:
    """Judge a checkpoint on its own test, or on what ``overrides`` name.

    Args:
        to: the directory that is left; None for one under outputs/.
        whole: on all clips of a corpus, whatever its split.
        under_conditions: in noise, over the telephone and so on, too.
        allow_seen: even where it has heard the speakers before.
        speaker_clips: a number or "all", where not as many of a speaker's clips are to be known as in its own test.
        device, trust: see `load_model`.
    """
    started = time.perf_counter()
    saved = read_checkpoint(checkpoint)
    test = choose_test(saved, overrides, whole=whole, trust=trust)
    record = TrainingRecord.from_stamp(saved.stamp)
    leakage = _leakage(record, test) if record is not None else None
    known = seen(leakage, allow=allow_seen)
    run = _directory(to, test, saved)
    model = recognizer(saved, device=device, trust=trust)
    if speaker_clips is not None:
        model.speaker_clips = _speaker_clips(speaker_clips, model)
    logits = logits_of(model, test.collection, test.rows, what="inference")
    found = evaluation.evaluate(test.collection.test_clips(test.rows), logits, model.labels)
    more = {"robustness": _under_conditions(model, test, found.predictions)} if under_conditions else {}
    run.path.mkdir(parents=True, exist_ok=True)
    write_config(run.config, test.config)
    write_predictions(run.predictions, found.predictions)
    write_excluded_csv(run.excluded, test.collection.reports)
    result = {
        "metrics": {"val": None, "test": found.scores},
        **found.facts,
        **test.collection.result_facts(test.rows),
        **_about(saved, model, test, known),
        "leakage": leakage_to_json(leakage) if leakage is not None else None,
        **more,
        "seconds": round(time.perf_counter() - started, 1),
        "environment": describe(model.device, "32-true"),
    }
    result = {"schema": SCHEMA, "status": "finished", **result}
    finish(run.path, result)
    write_json(run.result, result)  # the last: what says finished lacks nothing
    print_summary(run.path, console)


def _leakage(record: TrainingRecord, test: Test) -> Leakage:
    return record.leakage(test.collection, test.rows, same_speakers=test.collection.same_speakers)


def _speaker_clips(text: str, model: EmotionRecognizer) -> int | None:
    if model.speaker_statistics is None:
        raise UserError(
            "--speaker-clips: this model normalises each clip by itself (model.frontend.normalise=speaker)"
        )
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--speaker-clips {text}: say all, or a number; 1 is the clip itself")
    return int(text)


def choose_test(saved: Checkpoint, overrides: Sequence[str], *, whole: bool, trust: bool = False) -> Test:
    """The clips that overrides ask for: a fold's test, or all clips of a corpus that the checkpoint has not heard.

    Raises: UserError for overrides that nothing can be made of, and labels that the model does not know.
    """
    config = data_config(saved, overrides, trust=trust)
    data = unsplit_data(config)
    _check_labels(data.labels, saved.labels)
    split_was_named = any(text.partition("=")[0].lstrip("+") in ("data.split", "data.fold") for text in overrides)
    if whole or (not split_was_named and not _trained_here(saved, config, data.collection)):
        return _all_of(config, data.collection, saved)
    data.setup()
    protocol = data.protocol() | {"selection": _selection(saved)}
    return Test(config=config, collection=data.collection, rows=data.split.test, protocol=_named(protocol, saved))


def _check_labels(corpus: Sequence[str], model: Sequence[str]) -> None:
    unknown = sorted(set(corpus) - set(model))
    if unknown:
        raise UserError(
            f"the model does not know {', '.join(unknown)} (it knows {', '.join(model)}): map the labels of the "
            f"corpus, with data/label_map=six, or with +data.label_map.{unknown[0]}=drop and a rule for each other"
        )


def _trained_here(saved: Checkpoint, config: DictConfig, collection: Collection) -> bool:
    """Whether any of these corpora was trained on; without a record, whether it is called the same."""
    own = saved.config["data"]
    if all(config.data.get(key) == own.get(key) for key in _NAMING_CORPORA):
        return True  # what is in the list now may be something else, and it is split all the same
    record = TrainingRecord.from_stamp(saved.stamp)
    if record is None:
        names = {part.corpus.name for part in collection.parts}
        return bool(names & set(str(saved.protocol["corpus"]).split("+")))
    return record.knows(collection)


def _all_of(config: DictConfig, collection: Collection, saved: Checkpoint) -> Test:
    rows = [row for row, label in enumerate(collection.reference) if label >= 0]
    nobody = Split(train=(), val=(), test=tuple(rows), speaker_independent=True)
    protocol = {
        "corpus": collection.name,
        "split": ALL,
        "fold": ALL,
        "split_hash": nobody.hash(collection.manifest),
        "speaker_independent": True,
        **collection.facts,
        "n_train": saved.protocol["n_train"],
        "n_val": saved.protocol["n_val"],
        "n_test": len(rows),
        "selection": _selection(saved),
        "trained_on": saved.protocol["corpus"],
    }
    return Test(config=config, collection=collection, rows=rows, protocol=protocol)


def _named(protocol: Mapping[str, Any], saved: Checkpoint) -> dict[str, Any]:
    """With what the model was trained on, where the result is not that of its own training's test."""
    if protocol["split_hash"] == saved.protocol["split_hash"]:
        return dict(protocol)
    trained = {"n_train": saved.protocol["n_train"], "n_val": saved.protocol["n_val"]}
    fold = f"{saved.protocol['corpus']}, {saved.protocol['split']}, fold {saved.protocol['fold']}"
    return {**protocol, **trained, "trained_on": fold}


def _selection(saved: Checkpoint) -> str:
    return BEST if saved.protocol["n_val"] else LAST


def _under_conditions(model: EmotionRecognizer, test: Test, clean: Predictions) -> list[dict[str, Any]]:
    """The same clips under every condition: a row each."""
    from ser_lightning.data.degrade import CONDITIONS  # which takes a second

    manifest, heard = test.collection.manifest, []
    for name, condition in CONDITIONS.items():
        if condition.change is None:
            predicted = clean.predicted
        else:
            logits = logits_of(
                model, test.collection, test.rows, what=condition.title, change=_change(manifest, condition)
            )
            predicted = logits.argmax(axis=1).astype(np.int64)
        heard.append(Heard(condition=name, title=condition.title, group=condition.group, predicted=predicted))
    return robustness(heard, labels=clean.labels, speakers=clean.speakers, names=clean.names)


def _change(manifest: Manifest, condition: "Condition") -> Change:
    def change(row: int, samples: np.ndarray) -> np.ndarray:
        return condition.apply_to_clip(manifest[row].id, samples, sample_rate_hz=SAMPLE_RATE_HZ)

    return change


def _directory(to: str | None, test: Test, saved: Checkpoint) -> RunDirectory:
    """Raises: UserError for a directory that holds a result already."""
    corpus, model = test.protocol["corpus"], saved.config["model"]["name"]
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")
    names = [as_file_name(str(each))[:100] for each in (corpus, model)]
    path = Path(to).expanduser() if to is not None else Path("outputs", "eval", *names, now)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--to {path} is there already, and not empty: name a new directory")
    return RunDirectory(path)


def _about(saved: Checkpoint, model: EmotionRecognizer, test: Test, known: Seen | None) -> dict[str, Any]:
    protocol = {**test.protocol, **protocol_entry(model.speaker_clips)}
    protocol["speaker_independent"] = known is None
    return {
        "protocol": protocol,
        "contamination": hook(model.net, "contamination"),
        "model": {"name": model.name, "parameters": model.n_parameters, **hook(model.net, "description")()},
        "seed": saved.config["seed"],
        "epochs": {"trained": saved.epoch, "chosen": saved.epoch},
        "config": RunDirectory(Path()).config.name,
        "warnings": test.collection.warnings(),
        "checkpoint": {
            "path": str(saved.path.absolute()),
            "sha256": hashlib.sha256(saved.path.read_bytes()).hexdigest(),
            "temperature": saved.temperature,
        },
        "seen": known.to_json() if known is not None else None,
    }
