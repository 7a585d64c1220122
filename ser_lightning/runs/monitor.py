"""``monitor``: the one metric that selects the best epoch, stops early, steers schedules and a search."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from ser_lightning.utils.errors import UserError

if TYPE_CHECKING:
    from ser_lightning.runs.result import Metrics

_FOLLOWERS = ("early_stopping", "best_checkpoint")


def direction(metric: str, mode: str) -> str:
    """Return what a search is to do with the metric: "maximize" or "minimize".

    Raises: UserError for a metric that is not measured on the validation set, or a mode that is not the metric's.
    """
    from ser_lightning.tasks.classification import Classification  # help is to answer without what it imports

    better = Classification.metrics
    subset, _, name = metric.partition("/")
    kind, _, label = name.partition(".")
    if subset != "val" or kind not in better or bool(label) != (kind == "recall"):
        known = ", ".join(f"val/{name}" for name in better if name != "recall")
        raise UserError(
            f"monitor.metric={metric} cannot be monitored: the validation set selects, by {known} or "
            "val/recall.LABEL"
        )
    if mode != better[kind]:
        raise UserError(
            f"monitor.mode={mode} does not fit monitor.metric={metric}: set monitor.mode={better[kind]}"
        )
    return "minimize" if mode == "min" else "maximize"


def check_monitor(config: DictConfig) -> None:
    """Refuse, before anything is prepared, a monitor that could not work, and callbacks that follow another.

    Raises: UserError.
    """
    direction(config.monitor.metric, config.monitor.mode)
    for name in _FOLLOWERS:
        callback = config.callbacks.get(name) or {}
        for key, value in (("monitor", config.monitor.metric), ("mode", config.monitor.mode)):
            if callback.get(key, value) != value:
                setting = "monitor.metric" if key == "monitor" else "monitor.mode"
                raise UserError(
                    f"callbacks.{name}.{key}={callback[key]} is not {setting}={value}: set {setting} alone, "
                    "which every callback follows"
                )


def check_validation(config: DictConfig, clips: Mapping[str, int]) -> None:
    """Refuse a monitor that this run's validation set, if it has one, does not measure.

    Args:
        clips: validation clips by label, of each label that the model can give; all 0 without a validation set.

    Raises: UserError.
    """
    label = config.monitor.metric.partition("/recall.")[2]
    absent = config.trainer.get("limit_val_batches") == 0 or not any(clips.values())
    if absent and not config.trainer.get("fast_dev_run"):
        followers = needing_validation(config)
        if followers:
            without = " ".join(f"{name}=null" for name in followers)
            raise UserError(
                f"there is no validation set to measure {config.monitor.metric} on in this fold: choose a "
                f"data.fold or data.split that has one, or test the last epoch with {without}"
            )
    elif label and label not in clips:
        raise UserError(f"monitor.metric=val/recall.{label}: no label is called so, there are {', '.join(clips)}")
    elif label and not clips[label]:
        raise UserError(
            f"monitor.metric=val/recall.{label}: no validation clip of this fold is {label}; monitor another metric"
        )


def needing_validation(config: DictConfig) -> list[str]:
    """Return the settings of a config that cannot do without a validation set."""
    followers = [f"callbacks.{name}" for name in _FOLLOWERS if config.callbacks.get(name) is not None]
    if str((config.model.get("scheduler") or {}).get("_target_")).endswith(".ReduceLROnPlateau"):
        followers.append("model.scheduler")
    return followers


def monitored(metrics: "Metrics", metric: str) -> float | None:
    """Return the metric that ``monitor.metric`` names; None where it was not measured."""
    subset, _, name = metric.partition("/")
    kind, _, label = name.partition(".")
    value = getattr(getattr(metrics, subset, None), kind, None)
    return value.get(label) if isinstance(value, Mapping) else value
