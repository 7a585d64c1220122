"""Make the model of a config, and compute what is computed once before training."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from omegaconf import DictConfig
from torch import Tensor

from ser_lightning.data.batches import clip_batches
from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.data.labels import check_labels
from ser_lightning.models.frontend import LogMel
from ser_lightning.models.module import EmotionModule
from ser_lightning.tasks.task import Task
from ser_lightning.utils.errors import cause


def make_module(
    config: DictConfig, *, task: Task, sample_rate_hz: int, training_targets: Tensor | None = None
) -> EmotionModule:
    """Make the model of a config for a task: the one place where the number of outputs enters."""
    make = made(config.model)
    check_labels(task.outputs, fewest=task.fewest_outputs)
    return make(
        task=task,
        sample_rate_hz=sample_rate_hz,
        training_targets=training_targets,
        monitor=config.monitor.metric,
        monitor_mode=config.monitor.mode,
    )


def cache_features(trainer: Trainer, module: EmotionModule, data: EmotionDataModule) -> None:
    """Let a network whose features never change compute those of this split's clips once."""
    module.to(trainer.strategy.root_device)
    rows = data.clips.pieces_of(sorted({*data.split.train, *data.split.val, *data.split.test}))
    module.cache_features(data.clips, rows, training_rows=data.clips.pieces_of(data.split.train))


def fit_speaker_statistics(module: EmotionModule, data: EmotionDataModule) -> None:
    """Estimate the statistics that a module normalises clips by, from the clips of each speaker in each part."""
    if module.speaker_statistics is None:
        return
    assert isinstance(module.frontend, LogMel), "no other front-end has statistics"
    split, clips = data.split, data.clips
    pieces = clips.pieces_of(sorted({*split.train, *split.val, *split.test}))
    batches = clip_batches(clips, pieces, what="speaker statistics", change=None, batch_seconds=data.batch_seconds)
    module.speaker_statistics.fit(
        module.frontend.moments_of_set(batches, n_clips=len(clips.pieces.clip)),
        training=clips.pieces_by_speaker(split.train),
        evaluated=[*clips.pieces_by_speaker(split.val), *clips.pieces_by_speaker(split.test)],
        n_clips=module.speaker_clips,
    )


def made(config: DictConfig) -> Any:
    """Make what a config describes. Raises: what its constructor raised, out of Hydra's wrapping."""
    try:
        return instantiate(config)
    except InstantiationException as error:
        raise cause(error) from None
