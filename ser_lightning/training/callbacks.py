"""The callbacks of a training: seeds, throughput, history, averaged weights, checkpoints, progress."""

import csv
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from ser_lightning.data.batches import Batch
from ser_lightning.runs.directory import STAMP
from ser_lightning.tasks.registry import all_tasks
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import written_whole
from ser_lightning.utils.malloc import trim

_SCORES = [f"val/{name}" for kind in all_tasks().values() for name in kind.curves]  # of any task
_CURVES = ("epoch", "lr", "train/loss", "val/loss", *_SCORES)
_TRIMMED_EVERY_S = 30.0

log = logging.getLogger(__name__)


class SeedEpochs(Callback):
    """Start every epoch from generators seeded by (seed, epoch, process).

    An epoch then depends on nothing drawn before it, and a resumed run draws what the unbroken one drew.
    """

    def __init__(self, seed: int):
        self._seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Seed torch's generators, on the CPU and the device, before an epoch's first batch.

        Not in `on_train_epoch_start`: Lightning leaves that out for the epoch after a resumption.
        """
        if batch_idx == 0:
            torch.manual_seed((self._seed * 100_003 + trainer.current_epoch) * 1_009 + trainer.global_rank)


class TrimMemory(Callback):
    """Give back every half minute what `utils.malloc.kept_memory` kept and nobody took again.

    Batches of other lengths leave holes that fit none of the next: adapters in a Whisper, which need 4 GB for a
    step, held 15 GB after some hundred.
    """

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def on_train_batch_end(self, *args: Any) -> None:
        """Look at the clock after every step."""
        if time.perf_counter() - self._last > _TRIMMED_EVERY_S:
            trim()
            self._last = time.perf_counter()


class Clock(Callback):
    """Measures how long the training steps took, and their throughput once the first of an epoch is done.

    Validation and checkpoints after an epoch are in neither. Its state goes with the checkpoints: what is resumed
    counts on.
    """

    def __init__(self) -> None:
        self._clips = self._epoch_clips = 0
        self._clips_s = self.train_s = 0.0  # of all epochs so far, without their first steps, and with them
        self._started, self._before_s = time.perf_counter(), 0.0
        self._epoch_start = self._first_step = self._last_step = 0.0

    @property
    def elapsed_s(self) -> float:
        """Return the time since this was made, and before the checkpoint that a run resumed from."""
        return self._before_s + time.perf_counter() - self._started

    @property
    def clips_per_s(self) -> float | None:
        """Return the clips a second over all epochs so far."""
        return round(self._clips / self._clips_s, 1) if self._clips_s else None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self._epoch_start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Note when the first batch was done, and count the clips of the others."""
        if (batch_idx == 0 or trainer.is_last_batch) and pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self._last_step = time.perf_counter()
        if batch_idx == 0:
            self._epoch_clips, self._first_step = 0, self._last_step
        else:
            self._epoch_clips += len(batch.label) * trainer.world_size

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch's clips a second."""
        clips_s = self._last_step - self._first_step
        self._clips += self._epoch_clips
        self._clips_s += clips_s
        self.train_s += self._last_step - self._epoch_start
        if clips_s:  # unknown with a single batch
            pl_module.log("train/clips_per_s", self._epoch_clips / clips_s)

    def state_dict(self) -> dict[str, Any]:
        """Return what has been counted."""
        counted = {"clips": self._clips, "clips_s": self._clips_s}
        return counted | {"train_s": self.train_s, "elapsed_s": self.elapsed_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from these counts."""
        self._clips, self.train_s = state_dict["clips"], state_dict["train_s"]
        self._clips_s = state_dict.get("clips_s", self.train_s)  # one in older checkpoints
        self._before_s = state_dict.get("elapsed_s", self.train_s)


class _EpochMetrics(Callback):
    """A callback that knows what was measured in this epoch: Lightning keeps values of earlier ones, too."""

    _validated_epoch = -1

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this epoch has scores of the validation set."""
        super().on_validation_end(trainer, pl_module)
        if not trainer.sanity_checking:
            self._validated_epoch = trainer.current_epoch

    def measured(self, trainer: Trainer) -> dict[str, float]:
        """Return what was measured in the present epoch."""
        values = {name: value.item() for name, value in trainer.callback_metrics.items()}
        validated = self._validated_epoch == trainer.current_epoch
        return {name: value for name, value in values.items() if validated or not name.startswith("val/")}


class History(_EpochMetrics):
    """Writes metrics.csv, a row an epoch, and stops a training whose loss is no number.

    The rows go with the checkpoints: a resumed run's file is that of an unbroken one.

    Raises: UserError when the loss of training or validation is infinite or NaN.
    """

    def __init__(self, path: Path):
        self._path = path
        self.rows: list[dict[str, float]] = []
        self.validated: dict[int, dict[str, float]] = {}  # by the number of steps, in this process

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the scores of the validation set: they need not be measured again if these weights are the best."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.validated[trainer.global_step] = validation_scores(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row, and log the learning rate."""
        values = self.measured(trainer)
        for name, loss in (("training", values["train/loss"]), ("validation", values.get("val/loss", 0.0))):
            if not math.isfinite(loss):
                raise UserError(
                    f"the {name} loss became {loss} in epoch {trainer.current_epoch + 1}: "
                    "lower model.optimizer.lr, or set trainer.precision=32-true"
                )
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        pl_module.log("lr", rate)  # for the logger: the row has it in full precision
        values.pop("lr", None)  # of the epoch before
        self.rows.append({"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "lr": rate, **values})
        if trainer.is_global_zero:
            columns = list(dict.fromkeys(name for row in self.rows for name in row))
            with written_whole(self._path) as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(self.rows)

    def columns(self) -> dict[str, list[float | None]]:
        """Return the learning curves, an entry for each epoch; None where there is no number."""
        names = [name for name in _CURVES if any(name in row for row in self.rows)]
        finite = [{name: value for name, value in row.items() if math.isfinite(value)} for row in self.rows]
        return {name: [row.get(name) for row in finite] for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from these rows."""
        self.rows = list(state_dict["rows"])


class AverageWeights(WeightAveraging):
    """Validates, keeps and tests a running average of the weights; training itself does not see it.

    The average forgets exponentially, over about the last ``epochs`` epochs (as the teacher's weights of Tarvainen
    and Valpola, "Mean teachers are better role models", NeurIPS 2017, arXiv 1703.01780), and over less than that in
    the beginning, as TensorFlow's ExponentialMovingAverage does: its decay is at most (1 + steps) / (10 + steps).

    Raises: UserError where ``epochs`` is not above 0.
    """

    def __init__(self, *, epochs: float):
        if not epochs > 0:
            raise UserError(f"callbacks.average_weights.epochs={epochs}: it must be above 0, or null")
        super().__init__(use_buffers=True, avg_fn=self._average)
        self._epochs = epochs
        self._weight = 1.0  # of the newest weights in the average, at each step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Take some of the newest weights into the average."""
        steps = self._epochs * trainer.num_training_batches / trainer.accumulate_grad_batches
        self._weight = max(1 / max(1.0, steps), 9 / (10 + trainer.global_step))
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in place while training; afterwards the best checkpoint, which holds one, is tested."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights back."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_validation_epoch_end(trainer, pl_module)

    def _average(self, average: Tensor, current: Tensor, n_averaged: Tensor) -> Tensor:
        if not average.is_floating_point():  # a batch norm's count of batches
            return current
        moved = average + (current - average) * self._weight
        return torch.where(current == average, average, moved)  # an infinite one stays as it is, too


class FirstCheckpoint(Callback):
    """Saves a checkpoint before the first step, so that a run can be resumed whenever it is stopped."""

    def __init__(self, path: Path):
        self._path = path

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, unless this run goes on from a checkpoint."""
        if trainer.global_step == 0:
            trainer.save_checkpoint(self._path)


class StampCheckpoints(Callback):
    """Puts what a checkpoint needs to be understood alone into it, as plain data under `STAMP`."""

    def __init__(self, stamp: dict[str, Any]):
        self._stamp = stamp

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the stamp."""
        checkpoint[STAMP] = self._stamp


class MoveCheckpoints(Callback):
    """Lets a run resume after its directory was moved.

    Lightning forgets which checkpoint was the best one when it finds another directory than it wrote down.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write today's directory into what the checkpoint says of checkpoints."""
        for state in checkpoint["callbacks"].values():
            if "best_k_models" in state:
                state["dirpath"] = str(self._folder)
                state["best_k_models"] = {self._here(path): score for path, score in state["best_k_models"].items()}
                for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
                    state[name] = self._here(state[name])

    def _here(self, path: str) -> str:
        # Lightning removes some of these files, so that only a checkpoint may be named
        return str(self._folder / Path(path).name) if path.endswith(".ckpt") else ""


class _EpochLines(_EpochMetrics, ProgressBar):
    """A progress bar that writes a line an epoch; subclasses say where it is shown."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's losses, scores and speed."""
        super().on_train_epoch_end(trainer, pl_module)
        values = self.measured(trainer)
        names = ("train/loss", "val/loss", *_SCORES)
        numbers = "  ".join(f"{name} {values[name]:.3f}" for name in names if name in values)
        rate = values.get("train/clips_per_s")
        speed = f"  {rate:.0f} clips/s" if rate else ""
        self._write(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}  {numbers}{speed}")

    def _write(self, line: str) -> None:
        raise NotImplementedError


class PlainProgress(_EpochLines):
    """Logs the lines alone, for logs and pipes."""

    def disable(self) -> None:
        """Do nothing: there is no bar."""

    def enable(self) -> None:
        """Do nothing: there is no bar."""

    def _write(self, line: str) -> None:
        log.info(line)


class RichProgress(_EpochLines, RichProgressBar):
    """Lightning's bar below the lines, which counts epochs from 1, as everything else here does."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return nothing: the lines have them."""
        return {}

    def _write(self, line: str) -> None:
        if self.progress is not None:
            self.progress.console.print(line, markup=False, highlight=False)
        logging.getLogger("epochs").info(line)  # to the file alone: the screen has it

    def _get_train_description(self, current_epoch: int) -> str:
        text = f"Epoch {current_epoch + 1}" + (f" of {most}" if (most := self.trainer.max_epochs) else "")
        return text.ljust(len(self.validation_description))


def validation_scores(trainer: Trainer) -> dict[str, float]:
    """Return what was measured on the validation set last."""
    values = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    return {name.removeprefix("val/"): value for name, value in values.items()}


def progress() -> ProgressBar:
    """Return a progress bar on a terminal, plain lines elsewhere."""
    return RichProgress() if sys.stdout is not None and sys.stdout.isatty() else PlainProgress()
