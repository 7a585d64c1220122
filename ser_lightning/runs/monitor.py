"""``monitor``: the one metric that selects the best epoch, stops early, steers schedules and a search."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from ser_lightning.tasks.registry import HEADLINES, task_for, task_name
from ser_lightning.utils.errors import UserError

if TYPE_CHECKING:
    from ser_lightning.runs.result import Metrics, RegressionMetrics

_FOLLOWERS = ("early_stopping", "best_checkpoint")


def headline_metric(targets: Sequence[str] | None) -> str:
    """Return what is monitored unless something else is asked for: the headline of the task on validation clips."""
    return f"val/{HEADLINES[task_name(targets)]}"


def direction(metric: str, mode: str, targets: Sequence[str] | None = None) -> str:
    """Return what a search is to do with the metric: "maximize" or "minimize"; ``targets`` are those of the data.

    Raises: UserError for a metric that is not measured on the validation set, or a mode that is not the metric's.
    """
    task = task_for(targets)
    subset, _, name = metric.partition("/")
    kind, _, output = name.partition(".")
    if subset != "val" or (kind != task.by_output if output else kind not in task.metrics):
        known = ", ".join(f"val/{name}" for name in task.metrics)
        raise UserError(
            f"monitor.metric={metric} cannot be monitored: the validation set selects, by {known} or "
            f"val/{task.by_output}.{task.output_word}"
        )
    better = task.metrics[kind].better if kind in task.metrics else "max"
    if mode != better:
        raise UserError(f"monitor.mode={mode} does not fit monitor.metric={metric}: set monitor.mode={better}")
    return "minimize" if mode == "min" else "maximize"


def check_monitor(config: DictConfig) -> None:
    """Refuse, before anything is prepared, a monitor that could not work, and callbacks that follow another.

    Raises: UserError.
    """
    direction(config.monitor.metric, config.monitor.mode, config.data.get("targets"))
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
        clips: validation clips by label or target, of each that the model can give; all 0 without a validation set.

    Raises: UserError.
    """
    metric = config.monitor.metric
    label = metric.partition(".")[2]
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
        raise UserError(f"monitor.metric={metric}: nothing predicted is called so, there are {', '.join(clips)}")
    elif label and not clips[label]:
        raise UserError(
            f"monitor.metric={metric}: no validation clip of this fold is {label}; monitor another metric"
        )


def needing_validation(config: DictConfig) -> list[str]:
    """Return the settings of a config that cannot do without a validation set."""
    followers = [f"callbacks.{name}" for name in _FOLLOWERS if config.callbacks.get(name) is not None]
    if str((config.model.get("scheduler") or {}).get("_target_")).endswith(".ReduceLROnPlateau"):
        followers.append("model.scheduler")
    return followers


def monitored(metrics: "Metrics | RegressionMetrics", metric: str) -> float | None:
    """Return the metric that ``monitor.metric`` names; None where it was not measured."""
    subset, _, name = metric.partition("/")
    kind, _, output = name.partition(".")
    scores = getattr(metrics, subset, None)
    if scores is None:
        return None
    return scores.by_output.get(output) if output else getattr(scores, kind, None)
