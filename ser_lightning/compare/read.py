"""Find runs under directories and read what they left. What cannot be compared is named, with the reason."""

import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser_lightning.data.splits.rules import SpeakerFolds
from ser_lightning.utils.errors import UserError, counted, first_line, some
from ser_lightning.runs.predictions import Predictions, read_predictions
from ser_lightning.utils.files import has_content, read_settings
from ser_lightning.evaluation.metrics import confusion
from ser_lightning.runs.result import check_record, read_record
from ser_lightning.runs.directory import RunDirectory

log = logging.getLogger(__name__)
_INSIDE_RUNS = {"checkpoints", "wandb"}  # hold no runs
_CUTS = ("fast_dev_run", "limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches")


@dataclass(frozen=True, kw_only=True, eq=False)
class FinishedRun:
    """One run: its directory, result.json, config.yaml, and what it said of N test clips, sorted by their ids.

    ``speakers``: N names. ``labels``, ``predicted``: (N,) class indices. ``finished_s``: seconds since 1970.
    """

    path: Path
    result: Mapping[str, Any]
    config: Mapping[str, Any]
    ids: tuple[str, ...]
    speakers: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    finished_s: float

    @property
    def seed(self) -> int:
        """What it was seeded with."""
        return self.result["seed"]

    @property
    def fold(self) -> str:
        """Which fold it was tested on."""
        return str(self.result["protocol"]["fold"])

    @property
    def model(self) -> str:
        """The model's name."""
        return self.result["model"]["name"]

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(N,) which clips were recognised."""
        return self.labels == self.predicted


@dataclass
class Found:
    """Runs that can be compared; directory and reason of those that cannot."""

    runs: list[FinishedRun] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def collect(folders: Sequence[Path]) -> Found:
    """Read every run that lies in ``folders``, at any depth; one that is reached twice counts once.

    Raises: UserError where a folder is not there, or there is nothing to compare.
    """
    found = Found()
    for folder in _run_directories(folders):
        try:
            found.runs.append(read_run(RunDirectory(folder)))
        except Exception as error:  # whatever a record of another kind leads to: the others are compared
            found.failed.append((str(folder), why_not(error)))
    _refuse_contradictions(found)
    places = ", ".join(map(str, folders))
    if not found.runs and not found.failed:
        raise UserError(f"no run lies in {places}: name a directory that holds a result.json, or that holds such")
    if not found.runs:
        first, reason = found.failed[0]
        n = len(found.failed)
        none = f"none of {n:,} runs in {places} can" if n > 1 else f"the one run in {places} cannot"
        raise UserError(f"{none} be compared. {first}: {reason}")
    return found


def _run_directories(folders: Sequence[Path]) -> list[Path]:
    """Each once, in the order they are named and by their names."""
    known: dict[Path, Path] = {}
    for folder in folders:
        if not folder.exists():
            raise UserError(f"{folder} is not there: name the directory of a run, of a sweep, or outputs")
        if not folder.is_dir():
            raise UserError(f"{folder} is a file: name the directory that it lies in")
        for run in _walk(folder):
            known.setdefault(run.resolve(), run)
    return list(known.values())


def _walk(folder: Path) -> Iterator[Path]:
    """The runs under a folder, links followed, none twice."""
    seen: set[Path] = set()
    for place, inside, files in os.walk(folder, followlinks=True, onerror=_remark):
        real = Path(place).resolve()
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        inside[:] = sorted(name for name in inside if name not in _INSIDE_RUNS and not name.startswith("."))
        if "result.json" in files or {"config.yaml", "train.log"} <= set(files):
            yield Path(place)


def _remark(error: OSError) -> None:
    log.warning("%s cannot be looked into: %s", error.filename, error.strerror)


def read_run(run: RunDirectory, result: Mapping[str, Any] | None = None) -> FinishedRun:
    """Read a finished run, or one of which ``result`` is all that is not written yet.

    Raises: ValueError or OSError, of which `why_not` says why the run cannot be used.
    """
    result = _finished(_read_record(run) if result is None else result)
    config = read_settings(run.path / result["config"])
    if cuts := _cuts(config, result):
        raise ValueError(f"this run was cut, and says nothing of its model: {', '.join(cuts)}")
    predictions = read_predictions(run.predictions)
    _check(predictions, result)
    _check_speakers(predictions, config, result["protocol"])
    order = sorted(range(len(predictions.ids)), key=predictions.ids.__getitem__)
    return FinishedRun(
        path=run.path,
        result=result,
        config=config,
        ids=tuple(predictions.ids[row] for row in order),
        speakers=tuple(predictions.speakers[row] for row in order),
        labels=predictions.labels[order],
        predicted=predictions.predicted[order],
        finished_s=run.result.stat().st_mtime if run.result.is_file() else time.time(),
    )


def _read_record(run: RunDirectory) -> Mapping[str, Any]:
    if not has_content(run.result):
        raise ValueError("there is no result.json: it is still going, or was killed")
    return read_record(run.result)


def _finished(result: Mapping[str, Any]) -> Mapping[str, Any]:
    check_record(result)
    if result["status"] != "finished":
        raise ValueError(result.get("reason") or "no reason recorded")
    return result


def _cuts(config: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """What kept a run from training, validating or testing on all clips of its split."""
    asked = config.get("trainer") or {}
    given = {name: asked[name] for name in _CUTS if asked.get(name)}
    found = [f"trainer.{name}={value}" for name, value in given.items() if not _is_everything(value)]
    n_untested = (result.get("warnings") or {}).get("untested")
    return found + ([f"{n_untested:,} test clips were not tested"] if n_untested else [])


def _is_everything(limit: Any) -> bool:
    """Whether a limit of Lightning's is none: 1.0 is all batches, and 1 is one of them."""
    return isinstance(limit, float) and limit == 1


def _check(predictions: Predictions, result: Mapping[str, Any]) -> None:
    """Raises: ValueError where predictions.csv is not what result.json was made from."""
    if list(predictions.names) != result["labels"]:
        raise ValueError(f"predictions.csv has the labels {', '.join(predictions.names)}, result.json has others")
    if len(set(predictions.ids)) < len(predictions.ids):
        raise ValueError("predictions.csv has a clip twice")
    matrix = confusion(predictions.labels, predictions.predicted, len(predictions.names))
    if matrix.tolist() != result["confusion_matrix"]:
        raise ValueError("predictions.csv does not give the confusion matrix of result.json")


def _check_speakers(predictions: Predictions, config: Mapping[str, Any], protocol: Mapping[str, Any]) -> None:
    """Raises: ValueError for speakers whom the split, where it names its speakers, does not test on."""
    rule = ((config.get("data") or {}).get("splits") or {}).get(protocol["split"]) or {}
    if protocol.get("test_corpus") or not str(rule.get("_target_")).endswith(".SpeakerFolds"):
        return
    tested = SpeakerFolds(folds=rule["folds"]).speakers(protocol["fold"])
    others = sorted({who.rpartition(":")[2] for who in predictions.speakers} - tested)
    if others:
        raise ValueError(f"predictions.csv has speakers whom this split does not test on: {some(others)}")


def _refuse_contradictions(found: Found) -> None:
    """Move a run to the failed ones where as many others have other speakers or labels for its clips, or more."""
    said: dict[tuple[str, ...], Counter[tuple[str, str]]] = defaultdict(Counter)
    for run in found.runs:
        for clip, facts in _clips(run).items():
            said[clip][facts] += 1
    for run in list(found.runs):
        wrong = [clip for clip, facts in _clips(run).items() if not _is_agreed(facts, said[clip])]
        if wrong:
            found.runs.remove(run)
            reason = f"predictions.csv gives {counted(wrong, 'clip')} other speakers or labels than other runs do"
            found.failed.append((str(run.path), f"{reason}: {some([clip[-1] for clip in wrong])}"))


def _is_agreed(facts: tuple[str, str], said: Counter[tuple[str, str]]) -> bool:
    """Whether more runs say so than say anything else: of two that contradict each other, either may be wrong."""
    return all(said[facts] > count for other, count in said.items() if other != facts)


def _clips(run: FinishedRun) -> dict[tuple[str, ...], tuple[str, str]]:
    """Speaker and label of each clip, by labels, corpora, split hash and id."""
    protocol, names = run.result["protocol"], run.result["labels"]
    split = (*names, protocol["corpus"], protocol["split_hash"])
    facts = zip(run.ids, run.speakers, run.labels.tolist(), strict=True)
    return {(*split, id): (who, names[label]) for id, who, label in facts}


def why_not(error: Exception) -> str:
    """In a line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {Path(error.filename).name}"
    if isinstance(error, ValueError):
        return " ".join(str(error).split())
    return f"its record is none of ours ({type(error).__name__}: {first_line(error)})"
