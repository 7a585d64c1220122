"""A learning-rate schedule that scales each parameter group's own rate."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(optimizer: Optimizer, *, total_steps: int, warmup_share: float = 0.1) -> LambdaLR:
    """Rise in a line over the first share of the steps, then fall along half a cosine to zero.

    Unlike one-cycle, it leaves groups with rates of their own (layer-wise decay) in proportion.
    """
    n_warmup = max(1, round(warmup_share * total_steps))
    n_fall = max(1, total_steps - n_warmup)

    def scale(step: int) -> float:
        if step < n_warmup:
            return (step + 1) / n_warmup
        return (1 + math.cos(math.pi * min(1.0, (step - n_warmup) / n_fall))) / 2

    return LambdaLR(optimizer, scale)
