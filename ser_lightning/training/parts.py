"""Make the model of a config, and compute what is computed once before training."""

from collections.abc import Iterable
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from omegaconf import DictConfig
from torch import Tensor

from ser_lightning.data.batches import clip_batches
from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.data.labels import check_labels
from ser_lightning.models.module import EmotionModule
from ser_lightning.models.speaker_statistics import ClipMoments, moments_of_set, pooled
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
    with trainer.precision_plugin.forward_context():
        module.cache_features(data.clips, rows, training_rows=data.clips.pieces_of(data.split.train))


def fit_statistics(module: EmotionModule, data: EmotionDataModule, *, is_loaded: bool = False) -> None:
    """Estimate what a module normalises clips by, from the training clips or those of each speaker in a part.

    What comes from the training clips stays as it is where ``is_loaded``, from a checkpoint.

    A network that normalises by speaker does so by its cached features: `cache_features` comes first, else all
    statistics come from the clip alone.
    """
    frontend: Any = module.frontend
    net: Any = module.net
    split, clips = data.split, data.clips

    def moments(rows: Iterable[int], what: str) -> ClipMoments:
        pieces = clips.pieces_of(sorted(rows))
        batches = clip_batches(clips, pieces, what=what, change=None, batch_seconds=data.batch_seconds)
        return moments_of_set(frontend.moments, batches, n_clips=len(clips.pieces.clip), device=module.device)

    if getattr(frontend, "training_statistics", None) is not None and not is_loaded:
        of_training = moments(split.train, "training statistics")
        frontend.training_statistics.copy_(pooled(of_training, [clips.pieces_of(split.train)])[0])
    if module.speaker_statistics is not None and (frontend.speaker_statistics is not None or module.is_cached):
        of_front = frontend.speaker_statistics is not None
        everyone = {*split.train, *split.val, *split.test}
        # a training clip of an unknown speaker tells nothing of how a typical one usually speaks
        is_known = {row: clips.manifest[row].speaker_is_known for row in split.train}
        known, unknown = (
            clips.pieces_by_speaker([row for row in split.train if is_known[row] is those])
            for those in (True, False)
        )
        module.speaker_statistics.fit(
            moments(everyone, "speaker statistics") if of_front else net,
            training=known or unknown,
            evaluated=[*unknown, *clips.pieces_by_speaker(split.val), *clips.pieces_by_speaker(split.test)],
            n_clips=module.speaker_clips,
            is_loaded=is_loaded,
        )


def made(config: DictConfig, **arguments: Any) -> Any:
    """Make what a config describes, the one place that does. Raises: what its constructor raised, not Hydra's."""
    try:
        return instantiate(config, **arguments)
    except InstantiationException as error:
        raise cause(error) from None
