"""Read a checkpoint of this package: weights, and what is needed to use and to evaluate them."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ser_lightning.inference.stamp import NOT_OURS, check_stamp
from ser_lightning.runs.directory import STAMP, RunDirectory
from ser_lightning.tasks.registry import task_of
from ser_lightning.tasks.task import Task
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import replacing
from ser_lightning.utils.safe_instantiate import with_current_names

_IS_BEST = "is_best"  # in the stamp of a copy, which has no learning curves


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A checkpoint that was read: ``weights`` by name, after so many epochs, and the ``stamp``.

    The stamp is plain data: config, what is predicted, sample rate, protocol, training speakers and clips, and
    ``temperature`` where `ser calibrate` found one. ``is_best`` is false for one whose run had a better epoch, by
    the validation set, before.
    """

    path: Path
    weights: Mapping[str, Tensor]
    epoch: int
    stamp: Mapping[str, Any]
    is_best: bool = True

    @property
    def task(self) -> Task:
        """Return the task that it was trained for."""
        return task_of(self.stamp)

    @property
    def sample_rate_hz(self) -> int:
        """Return the sample rate of the waveforms that the network takes."""
        return int(self.stamp["sample_rate_hz"])

    @property
    def config(self) -> Mapping[str, Any]:
        """Return the config of the run."""
        return self.stamp["config"]

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Return the protocol that it was trained, and meant to be tested, under."""
        return self.stamp["protocol"]

    @property
    def temperature(self) -> float:
        """Return the number that logits are divided by."""
        return float(self.stamp.get("temperature", 1.0))

    def write(self, path: Path, **changes: Any) -> None:
        """Write weights and stamp, with such changes to the stamp, atomically."""
        stamp = {**self.stamp, _IS_BEST: self.is_best, **changes}
        content = {"state_dict": dict(self.weights), "epoch": self.epoch - 1, STAMP: stamp}
        with replacing(path) as partial:
            torch.save(content, partial)


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint, or the best one in a run's directory. Nothing in the file is executed.

    Raises: UserError where there is none, and for a file that is something else, or claims more than it holds.
    """
    place = _file(Path(path).expanduser())
    try:
        with zipfile.ZipFile(place) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > place.stat().st_size:
                raise ValueError("it is compressed")  # and may swell without end: torch.save compresses nothing
        content = torch.load(place, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{place} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # unpickling a file that is something else may raise anything
        raise UserError(f"{place} is no checkpoint, or a damaged one: name the best.ckpt of a run") from error
    if not isinstance(content, dict) or not {STAMP, "state_dict"} <= set(content):
        raise UserError(f"{place} is a checkpoint of another program: name the best.ckpt of a run")
    stamp = content[STAMP]
    check_stamp(stamp, source=str(place))
    stamp = {**stamp, "config": with_current_names(stamp["config"])}
    _check_weights(content["state_dict"], source=str(place), most_bytes=place.stat().st_size)
    epoch = content.get("epoch", -1)
    if not isinstance(epoch, int):
        raise UserError(f"{place} {NOT_OURS}: its epoch is no number")
    is_best = stamp.get(_IS_BEST) is not False and _is_best(content.get("callbacks"), stamp["config"])
    return Checkpoint(path=place, weights=content["state_dict"], epoch=epoch + 1, stamp=stamp, is_best=is_best)


def _is_best(callbacks: Any, config: Mapping[str, Any]) -> bool:
    """Return whether no epoch before had a better score on the validation set, as far as the checkpoint knows."""
    states = callbacks.values() if isinstance(callbacks, dict) else ()
    curves = [state["rows"] for state in states if isinstance(state, dict) and isinstance(state.get("rows"), list)]
    monitor = config.get("monitor")
    if not curves or not isinstance(monitor, Mapping):
        return True
    rows = [row for row in curves[0] if isinstance(row, dict)]
    scores = [score for row in rows if isinstance(score := row.get(monitor.get("metric")), float)]
    if not scores:
        return True
    best = min(scores) if monitor.get("mode") == "min" else max(scores)
    return rows[-1].get(monitor.get("metric")) == best  # of the last epoch, which may not have been validated


def _check_weights(weights: Any, *, source: str, most_bytes: int) -> None:
    """Raise UserError for anything but tensors that are wholly there, each alone, and extra states of ours."""
    changed, n_bytes = f"{source} {NOT_OURS}", 0
    for name, value in weights.items() if isinstance(weights, dict) else [("state_dict", weights)]:
        if isinstance(value, dict) and str(name).endswith("_extra_state"):
            continue
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
            raise UserError(f"{changed}: {name} is no tensor")
        n_bytes += value.numel() * value.element_size()
        tied = 2 * most_bytes  # some weights of a network may be the same ones
        if value.numel() * value.element_size() > value.untyped_storage().nbytes() or n_bytes > tied:
            raise UserError(f"{changed}: {name} claims more than it holds")


def _file(path: Path) -> Path:
    """Return the file of a checkpoint that is named by itself or by its run. Raises: UserError for no such file."""
    if not path.is_dir():
        if not path.exists():
            raise UserError(f"there is no checkpoint {path}: name the best.ckpt of a run, or the run's directory")
        if not path.is_file():  # a pipe would be waited for, a device read without end
            raise UserError(f"{path} is a pipe or a device: name the best.ckpt of a run, or the run's directory")
        return path
    run = RunDirectory(path)
    for checkpoint in (run.best, run.last, path / run.best.name, path / run.last.name):
        if checkpoint.is_file():
            return checkpoint
    raise UserError(f"{path} holds no checkpoint: a run's directory has checkpoints/{run.best.name}")
