"""The loss, the readout and the validation metrics of regression.

B: clips of a batch.  N: training clips.  K: targets.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ser_lightning.evaluation import regression
from ser_lightning.utils.errors import UserError, check, check_choice

LOSSES = ("ccc", "mse", "ccc+mse")
_EPSILON = 1e-8  # of a variance, in units of the training clips' own


class Readout(nn.Module):
    """Gives what a network predicts, in units of the standard deviation, back in the unit of each target.

    Mean and standard deviation are of the training clips, and kept with the weights.

    Args:
        targets: the K names.
        training_targets: (N, K); None where weights are loaded.

    Raises: UserError for a target that is the same for all training clips.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, targets: Sequence[str], training_targets: Tensor | None = None):
        super().__init__()
        k = len(targets)
        mean, std = torch.zeros(k), torch.ones(k)
        if training_targets is not None:
            mean, std = training_targets.mean(0), training_targets.std(0, correction=0)
            constant = [name for name, spread in zip(targets, std.tolist(), strict=True) if spread == 0]
            if constant:
                raise UserError(
                    f"{', '.join(constant)} is the same for every training clip of this fold: nothing can be learnt"
                )
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, outputs: Tensor) -> Tensor:
        """Map what a network gives (B, K) to numbers (B, K)."""
        return outputs.float() * self.std + self.mean


class RegressionLoss(nn.Module):
    """1 - CCC over the batch (Lin, 1989), the mean square error in units of the training clips' variance, or both.

    Each is a mean over targets. Where there is a teacher, its share of the loss is that of its numbers as targets.

    Args:
        loss: one of `LOSSES`; None is "ccc".
        training_targets: (N, K), by whose standard deviation errors are divided.
        teacher_weight: share of the teacher's numbers; None is 0.5.

    Raises: UserError for a value outside its domain.
    """

    std: Tensor

    def __init__(self, *, loss: str | None, training_targets: Tensor | None, teacher_weight: float | None):
        super().__init__()
        chosen = "ccc" if loss is None else loss
        check_choice("model.", LOSSES, loss=chosen)
        self._terms = chosen.split("+")
        self._teacher_weight = 0.5 if teacher_weight is None else teacher_weight
        check("model.", at_least=0, at_most=1, teacher_weight=self._teacher_weight)
        std = torch.ones(1) if training_targets is None else training_targets.std(0, correction=0)
        self.register_buffer("std", std, persistent=False)

    def forward(self, outputs: Tensor, target: Tensor, teacher: Tensor | None = None) -> Tensor:
        """Map numbers (B, K), the true ones (B, K), and a teacher's (B, K), to the loss."""
        loss = self._of(outputs, target)
        if teacher is None:
            return loss
        return (1 - self._teacher_weight) * loss + self._teacher_weight * self._of(outputs, teacher)

    def soften(self, outputs: Tensor) -> Tensor:
        """Return what is learnt from a teacher with these outputs (N, K): the numbers themselves."""
        return outputs.float()

    def check_single_clips(self) -> None:
        """Refuse to learn from batches of one clip where it takes several. Raises: UserError."""
        if self._terms == ["ccc"]:
            raise UserError(
                "every training batch holds one clip, of which a CCC teaches nothing: set model.loss=mse, or raise "
                "data.batch_size (and data.batch_seconds, where it is set)"
            )

    def _of(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the sum of the terms, each a mean over targets."""
        predicted, true = outputs.float() / self.std, target.float() / self.std
        losses = []
        if "ccc" in self._terms:  # 1 - CCC, of which a batch of one clip teaches nothing
            p, t = predicted - predicted.mean(0), true - true.mean(0)
            covariance, spread = (p * t).mean(0), p.square().mean(0) + t.square().mean(0)
            shift = (predicted.mean(0) - true.mean(0)).square()
            losses.append((1 - 2 * covariance / (spread + shift + _EPSILON)).mean())
        if "mse" in self._terms:
            losses.append((predicted - true).square().mean())
        return torch.stack(losses).sum()


class RegressionMetrics(Metric):
    """CCC, Pearson's r, MAE and RMSE, means and by target, and the loss, of all clips and from all processes.

    They are those of the test, from the same sums (`evaluation.regression`).
    """

    full_state_update = False
    outputs: list[Tensor]
    truth: list[Tensor]

    def __init__(self, targets: Sequence[str], loss: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self._targets = targets
        self._loss = (loss,)  # in a tuple, lest it is a part of this module too
        self.add_state("outputs", [], dist_reduce_fx="cat")
        self.add_state("truth", [], dist_reduce_fx="cat")

    def update(self, outputs: Tensor, truth: Tensor) -> None:
        """Add numbers (B, K) and the true ones (B, K)."""
        self.outputs.append(outputs.float())
        self.truth.append(truth)

    def compute(self) -> dict[str, float | Tensor]:
        """Return values by name; a mean that is not defined is NaN, and of a target it is left out."""
        outputs, truth = dim_zero_cat(self.outputs), dim_zero_cat(self.truth)
        nobody = np.zeros(len(truth), dtype=np.int64)
        sums = regression.by_speaker(nobody, truth.cpu().numpy(), outputs.cpu().numpy(), 1)[0]  # (K, N_SUMS)
        scores = regression.regression_scores(sums, self._targets)
        means = {name: getattr(scores, name) for name in regression.METRICS}
        by_target = {
            f"{metric}.{name}": getattr(of_target, metric)
            for name, of_target in scores.targets.items()
            for metric in regression.METRICS
        }
        return {
            **{name: math.nan if value is None else value for name, value in means.items()},
            "loss": self._loss[0](outputs, truth),
            **{name: value for name, value in by_target.items() if value is not None},
        }
