"""A finished run, read from its directory and checked against its own record."""

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.label_sources import current_name
from ser_lightning.runs.predictions import read_predictions
from ser_lightning.runs.result import Failure, Result, read_record
from ser_lightning.runs.result_parts import ALL, Training
from ser_lightning.utils.errors import first_line
from ser_lightning.utils.files import has_content, read_settings
from ser_lightning.utils.safe_instantiate import with_current_names

_CUTS = ("fast_dev_run", "limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches")


class CutRun(ValueError):
    """A run that was kept from training or testing on everything, on purpose."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FinishedRun:
    """One run: its directory, result.json, config.yaml, and its predictions for N test clips, sorted by their ids.

    ``speakers``: N names. ``truth``, ``predicted``: (N,) class indices or (N, K) numbers. ``finished_s``: seconds
    since 1970. ``reference``: the name of the reference that it was read from, where it was.
    """

    path: Path
    result: Result
    config: Mapping[str, Any]
    ids: tuple[str, ...]
    speakers: tuple[str, ...]
    truth: NDArray
    predicted: NDArray
    finished_s: float
    reference: str | None = None

    @property
    def seed(self) -> int:
        """Return the seed of the run."""
        return self.result.seed

    @property
    def training(self) -> Training | None:
        """Return what a checkpoint that was tested apart was trained on, where that is recorded."""
        return self.result.checkpoint.training if self.result.checkpoint is not None else None

    @property
    def tests_others(self) -> bool:
        """Return whether a checkpoint was tested on other clips than those of its own split's test."""
        return self.result.protocol.trained_on is not None

    @property
    def fold(self) -> str:
        """Return the fold that it was tested on; of a checkpoint that was tested on others, whose training it is.

        Models of several folds that are tested on the same clips are then as many trainings of one model.
        """
        tested = str(self.result.protocol.fold)
        if self.training is None or not self.tests_others:
            return tested
        trained = str(self.training.fold)
        return trained if tested == ALL else f"{tested} (trained on {trained})"

    @property
    def label_source(self) -> str:
        """Return whose labels it was trained on."""
        data = self.training.data if self.training is not None else {}
        return current_name(str(data.get("labels") or self.result.protocol.label_source))

    @property
    def model(self) -> str:
        """Return the model's name."""
        return self.result.model.name

    @cached_property
    def truths(self) -> list[Hashable]:
        """Return the truth of each clip as a value that can be compared."""
        return [tuple(truth) if isinstance(truth, list) else truth for truth in self.truth.tolist()]


def read_run(run: RunDirectory, result: Result | Failure | None = None) -> FinishedRun:
    """Read a finished run, or one of which ``result`` is all that is not written yet.

    Raises: ValueError or OSError, of which `why_not` says why the run cannot be used.
    """
    if result is None:
        if not has_content(run.result):
            raise ValueError("there is no result.json: it is still going, or was killed")
        result = read_record(run.result)
    if isinstance(result, Failure):
        raise ValueError(result.reason or "no reason recorded")
    config = with_current_names(read_settings(run.path / result.config))
    if cuts := _cuts(config, result):
        raise CutRun(f"this run was cut, and says nothing of its model: {', '.join(cuts)}")
    predictions = read_predictions(run.predictions, result.predicts.predictions_from_rows)
    if len(set(predictions.ids)) < len(predictions.ids):
        raise ValueError("predictions.csv has a clip twice")
    result.check_predictions(predictions)
    order = sorted(range(len(predictions.ids)), key=predictions.ids.__getitem__)
    return FinishedRun(
        path=run.path,
        result=result,
        config=config,
        ids=tuple(predictions.ids[row] for row in order),
        speakers=tuple(predictions.speakers[row] for row in order),
        truth=predictions.truth[order],
        predicted=predictions.predicted[order],
        finished_s=run.result.stat().st_mtime if run.result.is_file() else time.time(),
    )


def _cuts(config: Mapping[str, Any], result: Result) -> list[str]:
    """Return what kept a run from training, validating or testing on all clips of its split."""
    trainer = config.get("trainer") or {}
    limits = {name: trainer[name] for name in _CUTS if trainer.get(name)}
    # 1.0 is all batches, and 1 is one of them
    cuts = [f"trainer.{name}={value}" for name, value in limits.items() if value != 1 or isinstance(value, int)]
    n_untested = result.warnings.get("untested")
    return cuts + ([f"{n_untested:,} test clips were not tested"] if n_untested else [])


def why_not(error: Exception) -> str:
    """Return in a line why a run cannot be used."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {Path(error.filename).name}" if error.filename else error.strerror
    if isinstance(error, ValueError):
        return " ".join(str(error).split())
    return f"its record is none of ours ({type(error).__name__}: {first_line(error)})"
