"""Write checkpoints completely or not at all, and choose the one that a run resumes from."""

import logging
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.utils import signals
from ser_lightning.utils.files import replacing

log = logging.getLogger(__name__)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside the one that it replaces, then renames it.

    Lightning writes to the folder for temporary files and moves from there. Where that is another file system,
    moving is copying over the old checkpoint, and a process that is killed meanwhile leaves neither of them.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write the checkpoint. Raises: NoRoom where there is no room; the old one stays then."""
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with signals.held(), replacing(place) as partial, partial.open("wb") as file:
            torch.save(checkpoint, file)


def resumable_checkpoint(run: RunDirectory) -> Path | None:
    """Return the checkpoint that a run resumes from, or None where it begins. Damaged ones are named, and removed.

    After best.ckpt the epochs that followed it are trained again, with the same seeds and the same result. After
    last.ckpt alone, where there was a best one, another epoch would be tested than in an unbroken run.
    """
    damaged = {path: reason for path in (run.last, run.best) if path.is_file() and (reason := _damage(path))}
    for path, reason in damaged.items():
        log.warning("%s is damaged and is left out: %s", path, reason)
        path.unlink()
    if run.last.is_file() and not run.best.is_file() and _kept_best(run.last, run.best.name):
        log.warning(
            "%s, the best epoch so far, is lost, and no other can be tested: training begins anew", run.best
        )
        return None
    if run.last.is_file():
        return run.last
    if run.best.is_file() and _is_of_finished_epoch(run.best):
        log.warning("the epochs after the best one are trained once more")
        return run.best
    if damaged:
        log.warning("training begins anew")
    return None


def _damage(path: Path) -> str:
    """Return what is wrong with a checkpoint's file; nothing where it is intact."""
    if not path.stat().st_size:
        return "it is empty"
    try:
        with zipfile.ZipFile(path) as archive:
            torn = archive.testzip()  # compares checksums: what was never written to the disk reads as zeros
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        return str(error)
    return f"{torn} in it differs from its checksum" if torn else ""


def _kept_best(path: Path, name: str) -> bool:
    """Return whether, as a checkpoint says, another one was kept for being the best, under that name."""
    callbacks = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("callbacks") or {}
    return any(Path(state.get("best_model_path") or "").name == name for state in callbacks.values())


def _is_of_finished_epoch(path: Path) -> bool:
    """Return whether a checkpoint's epoch was finished; before validation ends, its metrics are not in it."""
    loops = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("loops") or {}
    epochs = loops.get("fit_loop", {}).get("epoch_progress", {}).get("current", {})
    return epochs.get("processed", 0) > 0 and epochs.get("processed") == epochs.get("ready")


class StayStopped(Callback):
    """Trains no further after a signal, or where early stopping ended one that was killed before its test."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once: Lightning keeps that a training was stopped in its checkpoint, but does not look there."""
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        states = [callback.state_dict() for callback in callbacks if isinstance(callback, EarlyStopping)]
        # the number of the first epoch is 0; Lightning before 2.6 gives no reason
        if any(state["stopped_epoch"] or state.get("stopping_reason") for state in states):
            trainer.should_stop = True

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop where a signal's exception was lost."""
        signals.check()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let the first process of several end in order after a signal, which the others end by too.

        Lightning looks every five seconds whether one of them has ended, and then kills this one.
        """
        launcher = trainer.strategy.launcher
        if isinstance(exception, KeyboardInterrupt) and isinstance(launcher, _SubprocessScriptLauncher):
            watched, launcher.procs = launcher.procs, list(launcher.procs)
            watched.clear()
