"""The run directory: what lies where in it, which config it is of, and who may write there."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ser_lightning.utils.errors import UserError, first_line
from ser_lightning.utils.files import (
    has_content,
    read_json,
    read_settings,
    remove_partials,
    write_json,
    written_whole,
)
from ser_lightning.utils.nested import differing
from ser_lightning.utils.safe_instantiate import check_description, with_current_names

if TYPE_CHECKING:
    from ser_lightning.runs.result import Failure, Result

_PARTS = ("monitor", "model", "data", "callbacks", "logger", "trainer")  # of a config
_NEEDED = {
    "monitor": ("metric", "mode"),
    "model": ("_target_", "name", "frontend", "net"),
    "data": ("_target_",),
    "trainer": ("_target_", "accelerator", "devices", "precision", "max_epochs"),
}
_RESERVED_BYTES = 64 * 1024
STAMP = "ser_lightning"  # the key in a checkpoint under which lies what makes it understood alone
PLAN = "sweep.json"  # in the directory of a sweep, above those of its runs

log = logging.getLogger(__name__)


class InUse(UserError):
    """A run directory that another process works on."""


class RunFile:
    """A file or folder of a run: of a `RunDirectory` it is the full path, of the class the path within any run."""

    def __init__(self, relative: str):
        self._relative = Path(relative)

    def __get__(self, run: "RunDirectory | None", owner: type) -> Path:
        return self._relative if run is None else run.path / self._relative


@dataclass(frozen=True)
class RunDirectory:
    """The directory of a run, with the one list of its files; everything anyone later needs is among them."""

    path: Path

    config = RunFile("config.yaml")  # resolved
    overrides = RunFile("overrides.json")  # that started the run; resuming takes the directory alone
    result = RunFile("result.json")  # the one record other tools read
    refused = RunFile("refused.json")  # why a job could not be run, beside the result of another run
    predictions = RunFile("predictions.csv")  # a row a test clip
    metrics = RunFile("metrics.csv")  # a row an epoch
    excluded = RunFile("excluded.csv")  # files that were left out and why; there only if some were
    environment = RunFile("environment.json")  # versions, device and commit
    log = RunFile("train.log")  # with the traceback of what failed
    console = RunFile("console.log")  # what a job of a sweep printed
    checkpoints = RunFile("checkpoints")  # the folder of the three that follow
    best = RunFile("checkpoints/best.ckpt")  # of the best epoch, as selected on the validation set
    last = RunFile("checkpoints/last.ckpt")  # of the last complete epoch; a resumed run continues from it
    card = RunFile("checkpoints/model_card.md")  # which goes with the checkpoints
    reserve = RunFile(".reserve")  # keeps room for the result on a full disk; see `release_reserve`
    lock = RunFile(".lock")  # held by the process that works on the run

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the directory as this process's own.

        Raises: InUse where another running process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise InUse(
                f"{self.path} belongs to a run that is still going: wait for its end, or give a new run its own "
                "hydra.run.dir"
            ) from None
        try:
            for folder in (self.path, self.checkpoints):
                remove_partials(folder)
            self.reserve.write_bytes(bytes(_RESERVED_BYTES))
            yield
        finally:
            self.release_reserve()
            lock.release()

    def release_reserve(self) -> None:
        """Make room for a result that says why the run failed, where the disk is full."""
        self.reserve.unlink(missing_ok=True)

    def agree_on(self, cfg: DictConfig, overrides: Sequence[str] = ()) -> DictConfig:
        """Return the config of this directory's run, resolved: ``cfg``, written here, or the one written before.

        A run that failed before anything was trained is none: its config is replaced.
        What was written before may be a stranger's: see `utils.safe_instantiate`.
        Raises: UserError where the directory holds a run of another config, or ``cfg.resume`` is given together
            with other overrides or without a run to go on with.
        """
        planned = self.planned(cfg, overrides)
        if cfg.resume:
            return planned
        if has_content(self.config):
            # a setting that is new since, and null, is none
            names = differing([_settings(self.config), OmegaConf.to_container(planned)])
            if not names:
                return planned
            result, checkpoints = self.read_result(), (self.best, self.last)
            if result is None or result.status != "failed" or any(map(has_content, checkpoints)):
                differs = f"differs in {', '.join(names)}"
                raise UserError(f"{self.path} holds a run that {differs}: give this one its own hydra.run.dir")
        write_json(self.overrides, {"overrides": list(overrides)})
        write_config(self.config, planned)
        return planned

    def planned(self, cfg: DictConfig, overrides: Sequence[str] = ()) -> DictConfig:
        """Return what `agree_on` would if the directory held no other run, and write nothing. Raises: as there."""
        if cfg.resume is None:
            resolved = _resolved(cfg)
            if fault := _fault(OmegaConf.to_container(resolved)):  # type: ignore[arg-type]
                raise UserError(fault)
            return resolved
        check_resumed_alone(overrides, resume=cfg.resume)
        if not has_content(self.config):
            raise UserError(no_run(self.path))
        saved = _settings(self.config)
        check_description(saved, source=str(self.config), trust=cfg.trust)
        if fault := _fault(saved):
            raise UserError(f"{self.config} is no config of a run, or a changed one: {fault}")
        return OmegaConf.create(saved)

    def read_result(self) -> "Result | Failure | None":
        """Return the result; None where there is none yet, or an incomplete one, which is logged."""
        return read_complete_record(self.result)

    @property
    def is_unfinished(self) -> bool:
        """Return whether a run was begun here that is still going, was killed, or failed."""
        result = self.read_result()
        return has_content(self.config) and (result is None or result.status != "finished")

    def read_overrides(self) -> list[str]:
        """Return the overrides that started the run; none for runs that are older than the file."""
        overrides = (read_json(self.overrides) or {}).get("overrides")
        return [str(text) for text in overrides] if isinstance(overrides, list) else []


def check_resumed_alone(overrides: Sequence[str], resume: str | None = None) -> None:
    """Refuse overrides of a command that resumes a run, whose config cannot be changed.

    Args:
        overrides: of the command line.
        resume: the directory, if it is not among the overrides.

    Raises: UserError that names the overrides.
    """
    resumed = [text.partition("=")[2] for text in overrides if text.startswith("resume=")]
    others = [text for text in overrides if not text.startswith(("resume=", "trust=", "hydra.", "hydra/"))]
    if others and (resume or (resumed and resumed[-1] != "null")):
        raise UserError(
            f"resume=DIR goes on with the config saved in DIR, of which nothing can be changed: leave out "
            f"{' '.join(others)}, or start a new run with its own hydra.run.dir"
        )


def is_record(path: Path) -> bool:
    """Return whether a file is one of those that a run or a sweep consists of, as its name and its folder say."""
    path = path.resolve()
    if path.name == PLAN:
        return is_plan(read_json(path))
    run = RunDirectory(path.parent.parent if path.parent.name == RunDirectory.checkpoints.name else path.parent)
    records = (run.config, run.overrides, run.result, run.refused, run.predictions, run.metrics, run.excluded)
    others = (run.environment, run.log, run.best, run.last, run.card)
    return path in (*records, *others) and (run.config.is_file() or (run.path.parent / PLAN).is_file())


def is_plan(content: Any) -> bool:
    """Return whether this is what the file of a sweep holds: the command, and the names of its jobs."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("command", "jobs"))


def no_run(path: Path) -> str:
    """Say that ``resume=path`` cannot be, and why."""
    if path.is_file():
        return f"resume={path} is a file: name the directory of the run"
    if not path.is_dir():
        return f"resume={path} is not there"
    if path.name == RunDirectory.checkpoints.name:
        return f"resume={path} holds no run: name the directory above it"
    return f"resume={path} holds no run: there is no {RunDirectory.config} in it, or an empty one"


def _resolved(cfg: DictConfig) -> DictConfig:
    try:
        plain = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise UserError(
            f"{error.full_key} takes its value from a setting that is null or not there: {first_line(error)}"
        ) from error
    assert isinstance(plain, DictConfig)
    plain.pop("trust", None)  # is said anew each time
    return plain


def _settings(path: Path) -> dict[str, Any]:
    try:
        return with_current_names(read_settings(path))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): remove its folder, and run anew") from error


def _fault(settings: Mapping[str, Any]) -> str:
    """Return what is wrong with a run's config, by key; nothing where it has its form."""
    for name in _PARTS:
        if not isinstance(settings.get(name), dict):
            return f"{name} must be settings of its own"
    for part, names in _NEEDED.items():
        for name in names:
            if name not in settings[part]:
                return f"{part}.{name} is not there"
    for part in ("callbacks", "logger"):
        for name, value in settings[part].items():
            if value is not None and not isinstance(value, dict):
                return f"{part}.{name}={value} cannot be used: {part}.{name} must be settings of its own, or null"
    if "seed" not in settings:
        return "seed is not there"
    if isinstance(settings["seed"], list):
        return f"seed={settings['seed']} cannot be used: several are for a sweep, as in -m seed=0,1"
    if not isinstance(settings["data"].get("split", ""), str):
        return f"data.split={settings['data']['split']} must be the name of one split"
    waiting: list[tuple[str, Any]] = list(settings.items())
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict):
            if no_texts := [key for key in value if not isinstance(key, str)]:
                return f"{place} has the key {no_texts[0]}, which is no text"
            waiting += [(f"{place}.{key}", item) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}[{number}]", item) for number, item in enumerate(value)]
        elif not isinstance(value, str | int | float | None):
            return f"{place}={value} is a {type(value).__name__}, and must be a text or a number"
    return ""


def write_config(path: Path, cfg: DictConfig) -> None:
    """Write a config as YAML, atomically: all of it, or nothing."""
    with written_whole(path) as file:
        file.write(OmegaConf.to_yaml(cfg))


def read_complete_record(path: Path) -> "Result | Failure | None":
    """Return the record of a finished or failed run; None where there is none. An incomplete one is logged.

    Raises: UserError for one that a later version wrote, which nothing here may count as not there.
    """
    if not has_content(path):
        return None
    from ser_lightning.runs.result import read_record  # help is to answer without what it imports

    try:
        return read_record(path)
    except UserError as error:
        raise UserError(f"{path.parent}: {error}") from error
    except ValueError as error:
        log.warning(
            "%s is damaged and ignored, as if the run had not ended: %s", path, " ".join(str(error).split())
        )
        return None
