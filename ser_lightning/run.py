"""The run directory: what lies where in it, and who may write there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from ser_lightning.errors import UserError
from ser_lightning.files import written_whole

SCHEMA = 1  # of result.json


@dataclass(frozen=True)
class RunDirectory:
    """Names of a run's files; everything anyone later needs is among them."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config, YAML."""
        return self.path / "config.yaml"

    @property
    def result(self) -> Path:
        """The one record other tools read, JSON."""
        return self.path / "result.json"

    @property
    def predictions(self) -> Path:
        """A row a test clip, CSV."""
        return self.path / "predictions.csv"

    @property
    def metrics(self) -> Path:
        """A row an epoch, CSV."""
        return self.path / "metrics.csv"

    @property
    def excluded(self) -> Path:
        """Files that were left out and why, CSV; there only if some were."""
        return self.path / "excluded.csv"

    @property
    def environment(self) -> Path:
        """Versions, device, commit, JSON."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """What was said, and the traceback of what failed."""
        return self.path / "train.log"

    @property
    def checkpoints(self) -> Path:
        """Holds best.ckpt and last.ckpt."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint the validation set chose."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last whole epoch; a resumed run goes on from it."""
        return self.checkpoints / "last.ckpt"

    @property
    def lock(self) -> Path:
        """Held by the process that works on the run."""
        return self.path / ".lock"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the directory as this process's own.

        Raises: UserError where another running process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(
                f"{self.path} belongs to a run that is still going: give this one its own hydra.run.dir"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def agree_on(self, cfg: DictConfig, overrides: Sequence[str] = ()) -> DictConfig:
        """The config of this directory's run, resolved: ``cfg``, written here, or the one that was written before.

        Raises: UserError where the directory holds a run of another config, or ``cfg.resume`` is given together
            with other overrides or without a run to go on with.
        """
        if cfg.resume is None:
            return self._same_as_before(_resolved(cfg))
        others = [text for text in overrides if not text.startswith(("resume=", "hydra."))]
        if others:
            raise UserError(f"resume=DIR goes on with the config saved in DIR: leave out {' '.join(others)}")
        if not self.config.is_file():
            raise UserError(f"resume={cfg.resume} holds no run: {self.config.name} is not there")
        return _load(self.config)

    def _same_as_before(self, cfg: DictConfig) -> DictConfig:
        if not self.config.is_file():
            OmegaConf.save(cfg, self.config)
        elif names := _differing(
            _load(self.config), cfg
        ):  # a setting that is new since, and null, is no difference
            raise UserError(
                f"{self.path} holds a run that differs in {', '.join(names)}: give this one its own hydra.run.dir"
            )
        return cfg

    def read_result(self) -> dict[str, Any] | None:
        """The result, or None where there is none yet."""
        return json.loads(self.result.read_text(encoding="utf-8")) if self.result.is_file() else None


def monitored(result: Mapping[str, Any], config: DictConfig) -> float | None:
    """Of a finished run, the metric that ``config.monitor`` names; None without a validation set."""
    subset, metric = config.monitor.metric.split("/")
    values = result["metrics"][subset]
    return values[metric] if values else None


def _resolved(cfg: DictConfig) -> DictConfig:
    plain = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(plain, DictConfig)
    return plain


def _load(path: Path) -> DictConfig:
    cfg = OmegaConf.load(path)
    assert isinstance(cfg, DictConfig)
    return cfg


def _differing(one: Any, other: Any, prefix: str = "") -> list[str]:
    """Dotted names at which two configs disagree."""
    if not (isinstance(one, DictConfig) and isinstance(other, DictConfig)):
        return [] if one == other else [prefix]
    names = dict.fromkeys([*one, *other])
    return [
        key for name in names for key in _differing(one.get(name), other.get(name), f"{prefix}.{name}".lstrip("."))
    ]


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, whole or not at all. NaN is refused: JSON has none."""
    text = json.dumps(value, indent=2, allow_nan=False)
    with written_whole(path) as file:
        file.write(text + "\n")
