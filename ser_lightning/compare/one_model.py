"""Tell which runs are one model's: those that differ in fold and seed alone, by settings and by result.json."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_lightning.runs.finished import FinishedRun
from ser_lightning.runs.label_sources import INTENDED
from ser_lightning.utils.safe_instantiate import with_current_names

_PLACES = ("root", "roots", "test_root", "manifest", "votes")  # settings of the data that say where they lie
# Settings, by dotted name, that make no other model. All the rest do: trainer.precision and trainer.devices, for
# example, since formats round differently, and every device adds a batch to a step.
NOT_OF_THE_MODEL = (
    *("seed", "data.seed", "data.fold"),  # what the runs of a group vary
    *("data.split", "data.splits"),  # the protocol says it, and the hash of the split
    *("resume", "logger"),  # how a run was started, and who was told of it
    *(f"data.{name}" for name in _PLACES),
    *("data.download", "data.on_bad"),  # what is there in the end is in the hash of the split
    *("data.num_workers", "data.eval_batch_size"),  # padding changes no answer
    *("trainer.accelerator", "trainer.strategy", "trainer.deterministic", "trainer.benchmark"),  # rounding at most
    "trainer.threads",
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.log_every_n_steps"),  # what is shown
    *("trainer.profiler", "trainer.detect_anomaly", "trainer.default_root_dir"),
    "trainer.num_sanity_val_steps",
    "model.net.gradient_checkpointing",  # memory against time
)
_TESTED_BY = ("max_clip_seconds", "on_long")  # settings of the data that change what is answered to a clip
# What result.json says of a model beyond its settings, by dotted name: what lies at a place that they name may have
# changed in between.
_OF_ALL = ("model.parameters", "model.pretrained.parameters", "model.pretrained.digest")
_OF_A_FOLD = (
    *("teacher.sha256", "checkpoint.training.split_hash", "annotators.single.uar", "annotators.majority.uar"),
)
RECORDED = (*_OF_ALL, *_OF_A_FOLD)
_DIGITS = 12  # of a digest


def settings(run: FinishedRun) -> dict[str, Any]:
    """Return the config without what makes no other model, nor what is off, which older configs may lack.

    In place of a teacher's directory, of which every fold has its own, stands the teacher's name. The data of a
    checkpoint that was tested apart are those of its training.
    """
    kept = _pruned(run.config, "")
    if run.result.teacher is not None and kept.get("model", {}).get("teacher"):
        kept["model"]["teacher"] = run.result.teacher.name
    training = run.training
    if training is not None:
        tested = kept.get("data", {})
        kept["data"] = _pruned(with_current_names(training.data), "data")
        changed = [name for name in _TESTED_BY if tested.get(name) != kept["data"].get(name)]
        kept |= {f"test.{name}": tested.get(name) for name in changed}
        if run.tests_others:  # whose protocol does not say how the training clips were split
            kept["data"]["split"] = training.data.get("split")
    return kept


def recorded(run: FinishedRun) -> dict[str, Any]:
    """Return what result.json says of the model, by the names in `RECORDED`, as far as it is known."""
    result = run.result
    plain = {"model": result.model.plain(), "teacher": result.teacher and result.teacher.plain()}
    if run.training is not None:
        plain["checkpoint"] = {"training": run.training.plain()}
    if result.annotators is not None and run.label_source != INTENDED:  # their votes are what was learnt
        plain["annotators"] = result.annotators.plain()
    values: dict[str, Any] = {}
    for name in RECORDED:
        value: Any = plain
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, float):
            values[name] = round(value, 4)
        elif value is not None:
            values[name] = value[:_DIGITS] if isinstance(value, str) else value
    return values


def contradiction(runs: Sequence[FinishedRun]) -> tuple[FinishedRun, FinishedRun, str] | None:
    """Return two runs and what their records differ in, though one model's could not; None where there is nothing.

    Folds may have a teacher each, but all seeds of a fold the same.
    """
    first: dict[tuple[str, str], tuple[Any, FinishedRun]] = {}
    for run in runs:
        for name, value in recorded(run).items():
            known, other = first.setdefault((name, run.fold if name in _OF_A_FOLD else ""), (value, run))
            if known != value:
                return other, run, name
    return None


def of_one_model(runs: Sequence[FinishedRun]) -> list[list[FinishedRun]]:
    """Return runs with the same settings by model.

    Folds of which the record says different things belong together if data and teachers lie in one place;
    where that does not say either, none is taken for another's.
    """
    if contradiction(runs) is None:
        return [list(runs)]
    for key in (_of_all, _places, recorded):
        parts = defaultdict[str, list[FinishedRun]](list)
        for run in runs:
            parts[json.dumps(key(run), sort_keys=True, default=str)].append(run)
        if len(parts) > 1:
            return [model for part in parts.values() for model in of_one_model(part)]
    raise AssertionError("records that contradict each other are not the same")


def _of_all(run: FinishedRun) -> dict[str, Any]:
    return {name: value for name, value in recorded(run).items() if name in _OF_ALL}


def _places(run: FinishedRun) -> list[Any]:
    """Return where the data lie, and the directory that holds the teacher's run."""
    data = run.training.data if run.training is not None else run.config.get("data") or {}
    teacher = run.result.teacher
    runs_of_teachers = str(Path(teacher.path).parent.parent.parent) if teacher is not None else None
    return [{name: data.get(name) for name in _PLACES}, runs_of_teachers]


def _pruned(config: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
    """Return a section of a config, named ``prefix``, without what makes no other model and what is off."""
    kept: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}.{key}".lstrip(".")
        value = _pruned(value, name) if isinstance(value, Mapping) else _whole_numbers(value)
        if name not in NOT_OF_THE_MODEL and value not in (None, {}):
            kept[str(key)] = value
    return kept


def _whole_numbers(value: Any) -> Any:
    """Return a value such that 1 and 1.0 are one setting."""
    if isinstance(value, list):
        return [_whole_numbers(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
