"""Join front-end, augmentation, network, loss, optimiser and metrics in one LightningModule.

B: clips.  N: clips of the set.  P: pieces of them.  T: samples.  M: mel bins.  F: frames.  K: classes.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ser_lightning.data.batches import Batch, LengthBuckets
from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.long_clips import joined
from ser_lightning.models.augment import Augmentation
from ser_lightning.models.frontend import LogMel
from ser_lightning.models.gathered_outputs import Outputs
from ser_lightning.models.layers.single_column import correct_single_columns
from ser_lightning.models.nets.arguments import check_arguments, check_memory
from ser_lightning.models.nets.network import cached_forward, hook
from ser_lightning.models.raw_waveform import RawWaveform
from ser_lightning.models.schedule import scheduled
from ser_lightning.models.speaker_statistics import SpeakerStatistics, normaliser, protocol_entry
from ser_lightning.tasks.task import Task
from ser_lightning.utils.errors import check

log = logging.getLogger(__name__)


class EmotionModule(LightningModule):
    """Train a network: batches of int16 waveforms come in, logits go out.

    Args:
        name: what the model is called in results.
        task: what is predicted; it provides the network's K, the loss and the metrics.
        sample_rate_hz: of the waveforms.
        frontend: makes a `LogMel` or a `RawWaveform`, given the sample rate.
        net: makes the network, given ``n_mels`` and ``n_classes``; see `models.nets.network`.
        optimizer: makes an optimiser, given parameters.
        scheduler: makes a schedule, given the optimiser, and ``total_steps`` if it takes that: then it goes on at
            every step, else at every epoch.
        augment: used while training.
        class_weights: "balanced" weighs each clip by the inverse of its class's share of the training clips; one
            whose target is shares of several classes, by the mean of their weights.
        training_targets: (N, K), what the training clips are trained as: class weights are taken from them, and the
            scale of numbers.
        label_smoothing: share of the target spread over all classes.
        loss: of numbers; see `tasks.regression_modules.RegressionLoss`.
        teacher: a run whose answers for the training clips are learnt beside the labels; training reads them and
            calls `learn_from`.
        teacher_weight: share of the loss that these have; None is 0.5.
        teacher_temperature: what its logits, and the network's, are divided by for that; None is 2.
        speaker_clips: where the front-end normalises by speaker: how many clips, without labels, the statistics of
            a validation or test speaker come from, the clip itself among them; None for all.
        speaker_alone: share of training clips that are normalised by the typical speaker and themselves alone, as
            at a first recording.
        monitor: the metric that selects the epoch, which a schedule such as ReduceLROnPlateau follows too.
        monitor_mode: "max" or "min", what is better.

    Raises: UserError for a number outside its domain.
    """

    def __init__(
        self,
        *,
        name: str,
        task: Task,
        sample_rate_hz: int,
        frontend: Callable[..., LogMel | RawWaveform],
        net: Callable[..., nn.Module],
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., LRScheduler | ReduceLROnPlateau] | None = None,
        augment: Augmentation | None = None,
        class_weights: str | None = None,
        training_targets: Tensor | None = None,
        label_smoothing: float = 0.0,
        loss: str | None = None,
        teacher: str | None = None,
        teacher_weight: float | None = None,
        teacher_temperature: float | None = None,
        speaker_clips: int | None = 1,
        speaker_alone: float = 0.5,
        monitor: str = "val/uar",
        monitor_mode: str = "max",
    ):
        super().__init__()
        check("model.", at_least=0, at_most=1, speaker_alone=speaker_alone)
        if speaker_clips is not None:
            check("model.", integer=True, at_least=1, speaker_clips=speaker_clips)
        check_arguments(net)
        self.name = name
        self.task = task
        self.frontend = frontend(sample_rate_hz=sample_rate_hz)
        self.augment = augment or Augmentation()
        shape = {"n_mels": self.frontend.n_mels, "n_classes": task.n_outputs}
        check_memory(net, **shape)
        network = net(**shape)
        correct_single_columns(network)
        self.net: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = optimizer
        self._scheduler = scheduler
        self.speaker_clips = speaker_clips
        if self.speaker_statistics is not None:
            self.speaker_statistics.alone_share = speaker_alone
        elif speaker_clips != 1 or speaker_alone != 0.5:
            log.warning("no effect: model.speaker_clips and speaker_alone, without normalise=speaker")
        if teacher is None and (teacher_weight is not None or teacher_temperature is not None):
            log.warning("no effect: model.teacher_weight and teacher_temperature, without model.teacher")
        self._monitor, self._monitor_mode = monitor, monitor_mode
        self.loss: Any = task.make_loss(
            class_weights=class_weights,
            training_targets=training_targets,
            loss=loss,
            label_smoothing=label_smoothing,
            teacher_weight=teacher_weight,
            teacher_temperature=teacher_temperature,
        )
        self._soft_targets: Tensor | None  # (N, K), of a teacher
        self.register_buffer("_soft_targets", None, persistent=False)
        self.readout: nn.Module = task.make_readout(training_targets)
        self.validation: Any = task.make_metrics(self.loss)
        self.outputs = Outputs()
        self._forward_cached: Callable[[Tensor], Tensor] | None = None
        self._clip_of_piece: Tensor | None  # (P,)
        self._label_of_clip: Tensor | None  # (N,)
        self.register_buffer("_clip_of_piece", None, persistent=False)
        self.register_buffer("_label_of_clip", None, persistent=False)

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Map waveforms (B, T), int16 or float in [-1, 1], and lengths (B,) in samples to outputs (B, K)."""
        return self.readout(self.net(*self.frontend(waveform, lengths)))

    def on_train_start(self) -> None:
        """Check that batches hold enough to learn from. Raises: UserError where no loss could fall."""
        batches = getattr(self.trainer.train_dataloader, "sampler", None)
        if isinstance(batches, LengthBuckets) and batches.largest == 1:
            self.loss.check_single_clips()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss of an augmented batch."""
        targets = batch.target  # (B, K), or (B, 2K) with the teacher's, so that mixup blends these as well
        if self._soft_targets is not None:
            targets = torch.cat([targets, self._soft_targets[batch.index]], dim=1)
        if self._forward_cached is None:
            features, frames = self._features(self.augment.on_waveform(batch.waveform), batch)
            features, frames, targets = self.augment.on_features(features, frames, targets)
            outputs = self.readout(self.net(features, frames))
        else:
            outputs = self.readout(self._forward_cached(batch.index))
        loss = self.loss(outputs, *targets.split(self.task.n_outputs, dim=1))
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.label), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collect what the epoch's metrics are computed from."""
        if self._clip_of_piece is None:
            self.validation.update(self.logits(batch), batch.label)
        else:
            self.outputs.update(batch.index, self.logits(batch))

    def on_validation_epoch_end(self) -> None:
        """Log the task's metrics."""
        if self._clip_of_piece is not None and self._label_of_clip is not None:
            pieces, logits = self.outputs.gathered()  # each process counts all clips
            self.outputs.reset()
            clips, logits = joined(self._clip_of_piece[pieces], logits, self.task)
            self.validation.update(logits, self._label_of_clip[clips])
        for name, value in self.validation.compute().items():
            self.log(f"val/{name}", value, prog_bar=name in self.task.metrics and name != "loss")
        self.validation.reset()

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Collect logits. `outputs` holds them, from all processes, once testing is over."""
        self.outputs.update(batch.index, self.logits(batch))

    def logits(self, batch: Batch) -> Tensor:
        """Return outputs (B, K), logits of labels, from cached features where there are any."""
        if self._forward_cached is not None:
            return self.readout(self._forward_cached(batch.index))
        return self.readout(self.net(*self._features(batch.waveform, batch)))

    def _features(self, waveform: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Map (B, T) to (B, M, F), (B,), normalised by the speakers' statistics where these were fitted."""
        statistics = self.frontend.speaker_statistics
        if statistics is None:
            return self.frontend(waveform, batch.lengths)
        return self.frontend(waveform, batch.lengths, statistics.look_up(batch.index))

    @property
    def speaker_statistics(self) -> SpeakerStatistics | None:
        """Return the speaker statistics of front-end or network, to be fitted before training; None without."""
        part = normaliser(self.frontend, self.net)
        return part.speaker_statistics if part is not None else None

    def cache_features(self, clips: LabelledClips, rows: Sequence[int], *, training_rows: Sequence[int]) -> None:
        """Let the network cache features of clips, or of their pieces, where it does that; see `Network`.

        It then fits what it standardises them by to the training clips.
        """
        self._forward_cached = cached_forward(self.net, self.frontend, clips, rows, device=self.device)
        if self._forward_cached is not None:
            hook(self.net, "fit_cached")(training_rows)
            if self.augment.waveform or self.augment.features or self.augment.mixup is not None:
                log.info("cached features are of clips as they are: augmentation needs model.net.store=false")

    @property
    def is_cached(self) -> bool:
        """Return whether the network computes from cached features."""
        return self._forward_cached is not None

    def join_pieces(self, clip_of_piece: np.ndarray, label_of_clip: np.ndarray) -> None:
        """Validate clips (N,) by the joined answers for their pieces (P,), where they are cut into any."""
        self._clip_of_piece = torch.from_numpy(clip_of_piece).to(self.device)
        self._label_of_clip = torch.from_numpy(label_of_clip).to(self.device)

    def learn_from(self, logits: Tensor) -> None:
        """Learn a teacher's logits (N, K), by row, beside the labels from now on."""
        self._soft_targets = self.loss.soften(logits)

    def configure_optimizers(self) -> Any:
        """Return optimiser and schedule in Lightning's form. Raises: UserError where these two do not fit."""
        optimizer = self.make_optimizer()
        if self._scheduler is None:
            return optimizer
        monitor = (self._monitor, self._monitor_mode)
        return [optimizer], [scheduled(self._scheduler, optimizer, self.trainer, monitor=monitor)]

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Make the optimiser, each group of parameters at its own share of the learning rate."""
        settings = getattr(self._optimizer, "keywords", {})
        check("model.optimizer.", above=0, lr=settings.get("lr", 1.0))
        check("model.optimizer.", at_least=0, weight_decay=settings.get("weight_decay", 0.0))
        groups = hook(self.net, "parameter_groups")()
        optimizer = self._optimizer(self.parameters() if groups is None else groups)
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_scale", 1.0)
        return optimizer

    def n_parameters(self) -> int:
        """Return the number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def description(self) -> dict[str, Any]:
        """Return what result.json says of the model, as plain values."""
        return {"name": self.name, "parameters": self.n_parameters(), **hook(self.net, "description")()}

    @property
    def protocol(self) -> dict[str, Any]:
        """Return the part of a result's protocol that says how many clips speaker statistics come from."""
        return protocol_entry(self.speaker_clips) if self.speaker_statistics is not None else {}

    @property
    def contamination(self) -> str | None:
        """See `Network.contamination`."""
        return hook(self.net, "contamination")

    @property
    def can_be_averaged(self) -> bool:
        """See `Network.can_be_averaged`."""
        return hook(self.net, "can_be_averaged")

    def checkpoint_arguments(self) -> dict[str, Any]:
        """See `Network.checkpoint_arguments`."""
        return hook(self.net, "checkpoint_arguments")()
