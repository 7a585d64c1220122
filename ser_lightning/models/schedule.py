"""Make learning-rate schedules in Lightning's form, and one that scales each parameter group's own rate."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from ser_lightning.utils.errors import UserError, check


def scheduled(
    make: Callable[..., LRScheduler | ReduceLROnPlateau],
    optimizer: Optimizer,
    trainer: Trainer,
    *,
    monitor: tuple[str, str],
) -> dict[str, Any]:
    """Make a schedule, in the form that Lightning takes.

    It goes on at every step if it takes ``total_steps``, else at every epoch; one that waits for a plateau follows
    ``monitor``, a metric and its mode.

    Raises: UserError for a schedule that would give all parameter groups one rate, or that has a setting of its own
        where the optimiser or ``monitor`` has one.
    """
    settings, (metric, mode) = getattr(make, "keywords", {}), monitor
    rate = optimizer.defaults.get("lr")
    if settings.get("max_lr", rate) != rate:
        raise UserError(
            f"model.scheduler.max_lr={settings['max_lr']} and model.optimizer.lr={rate} differ, and the schedule "
            "reads the first alone: set model.optimizer.lr, and leave max_lr=${model.optimizer.lr}"
        )
    if settings.get("mode") in ("min", "max") and settings["mode"] != mode:
        raise UserError(f"model.scheduler.mode={settings['mode']} is not that of monitor.mode={mode}: leave it out")
    if settings.get("total_steps") is not None:
        raise UserError(
            f"model.scheduler.total_steps={settings['total_steps']} has no effect: the steps of the training are "
            "counted, so set trainer.max_epochs"
        )
    options: dict[str, Any] = {}
    waits = getattr(make, "func", make) is ReduceLROnPlateau
    by_step = "total_steps" in inspect.signature(make).parameters
    if waits:
        options["mode"] = mode
    if by_step:
        options["total_steps"] = int(trainer.estimated_stepping_batches)
    scheduler = make(optimizer, **options)
    groups = optimizer.param_groups
    rates = [group.get("initial_lr", group["lr"]) / group.get("lr_scale", 1.0) for group in groups]
    if max(rates) > 1.001 * min(rates):
        raise UserError(
            "model.scheduler sets one learning rate for all layers, and these have rates of their own: "
            "take ser_lightning.models.schedule.warmup_cosine, or another that scales"
        )
    scheduled_by = {"scheduler": scheduler, "interval": "step" if by_step else "epoch"}
    return scheduled_by | ({"monitor": metric} if waits else {})


def warmup_cosine(optimizer: Optimizer, *, total_steps: int, warmup_share: float = 0.1) -> LambdaLR:
    """Return a schedule that rises in a line for ``warmup_share`` of the steps, then falls along half a cosine.

    Unlike one-cycle, it leaves groups with rates of their own (layer-wise decay) in proportion.
    """
    check("model.scheduler.", at_least=0, below=1, warmup_share=warmup_share)
    n_warmup = max(1, round(warmup_share * total_steps))
    n_fall = max(1, total_steps - n_warmup)

    def scale(step: int) -> float:
        if step < n_warmup:
            return (step + 1) / n_warmup
        return (1 + math.cos(math.pi * min(1.0, (step - n_warmup) / n_fall))) / 2

    return LambdaLR(optimizer, scale)
