"""The one LightningModule: front-end, augmentation, network, loss, optimiser, metrics.

B: clips.  T: samples.  M: mel bins.  F: frames.  K: classes.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from ser_lightning.data.batch import Batch
from ser_lightning.errors import UserError
from ser_lightning.metrics import scores
from ser_lightning.models.augment import Augmentation
from ser_lightning.models.frontend import LogMel
from ser_lightning.models.outputs import Outputs


class EmotionModule(LightningModule):
    """A network in training: it is given batches of int16 waveforms and answers with logits.

    Args:
        name: what the model is called in results.
        labels: class names; their number is the network's K.
        sample_rate_hz: of the waveforms.
        frontend: makes a `LogMel`, given the sample rate.
        net: makes the network, given ``n_mels`` and ``n_classes``; see ARCHITECTURE for its `forward`.
        optimizer: makes an optimiser, given parameters.
        scheduler: makes a schedule, given the optimiser, and ``total_steps`` if it takes that: then it goes on at
            every step, else at every epoch.
        augment: used while training.
        class_weights: "balanced" weighs each class by the inverse of its share of the training clips.
        class_counts: (K,) training clips a class, needed for that.
        label_smoothing: share of the target spread over all classes.
    """

    def __init__(
        self,
        *,
        name: str,
        labels: Sequence[str],
        sample_rate_hz: int,
        frontend: Callable[..., LogMel],
        net: Callable[..., nn.Module],
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., LRScheduler | ReduceLROnPlateau] | None = None,
        augment: Augmentation | None = None,
        class_weights: str | None = None,
        class_counts: Tensor | None = None,
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        self.name = name
        self.labels = tuple(labels)
        self.frontend = frontend(sample_rate_hz=sample_rate_hz)
        self.augment = augment or Augmentation()
        network = net(n_mels=self.frontend.n_mels, n_classes=len(self.labels))
        self.net: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._label_smoothing = label_smoothing
        self.class_weight: Tensor | None
        self.register_buffer("class_weight", _class_weight(class_weights, class_counts), persistent=False)
        self.val_loss = MeanMetric()
        self.val_confusion = MulticlassConfusionMatrix(len(self.labels))
        self.outputs = Outputs()

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Waveforms (B, T), int16 or float in [-1, 1], and lengths (B,) in samples -> logits (B, K)."""
        return self.net(*self.frontend(waveform, lengths))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The loss of an augmented batch."""
        features, frames = self.frontend(self.augment.on_waveform(batch.waveform), batch.lengths)
        features, frames, target = self.augment.on_features(features, frames, batch.target)
        loss = self._loss(self.net(features, frames), target, smoothing=self._label_smoothing)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.label))
        return loss

    def _loss(self, logits: Tensor, target: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return functional.cross_entropy(logits.float(), target, self.class_weight, label_smoothing=smoothing)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collect what the epoch's metrics are made of."""
        logits = self(batch.waveform, batch.lengths).float()
        self.val_loss.update(functional.cross_entropy(logits, batch.label), len(batch.label))
        self.val_confusion.update(logits, batch.label)

    def on_validation_epoch_end(self) -> None:
        """Log loss, UAR, accuracy, macro-F1 and recall by label."""
        values = scores(self.val_confusion.compute().cpu().numpy(), self.labels)
        self.log_dict({f"val/{key}": values[key] for key in ("uar", "accuracy", "macro_f1")}, prog_bar=True)
        self.log("val/loss", self.val_loss.compute())
        self.log_dict(
            {f"val/recall.{label}": recall for label, recall in values["recall"].items() if recall is not None}
        )
        self.val_loss.reset()
        self.val_confusion.reset()

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Collect logits; `outputs` holds them, from all processes, once testing is over."""
        self.outputs.update(batch.index, self(batch.waveform, batch.lengths))

    def configure_optimizers(self) -> Any:
        """Lightning's form of optimiser and schedule."""
        optimizer = self._optimizer(self.parameters())
        if self._scheduler is None:
            return optimizer
        if "total_steps" in inspect.signature(self._scheduler).parameters:
            scheduler = self._scheduler(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]
        return [optimizer], [{"scheduler": self._scheduler(optimizer), "interval": "epoch", "monitor": "val/uar"}]

    def n_parameters(self) -> int:
        """Trained numbers in the network."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


def _class_weight(mode: str | None, counts: Tensor | None) -> Tensor | None:
    if mode is None:
        return None
    if mode != "balanced" or counts is None:
        raise UserError(f"model.class_weights={mode} is not known: use balanced or null")
    return counts.sum() / (len(counts) * counts.clamp_min(1))
