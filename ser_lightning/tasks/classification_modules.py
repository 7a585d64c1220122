"""The loss and the validation metrics of classification.

B: clips of a batch.  K: labels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from ser_lightning.evaluation.metrics import scores
from ser_lightning.utils.errors import UserError, check


class ClassificationLoss(nn.Module):
    """Cross-entropy of logits (B, K) with targets (B, K), shares of labels, and divergence from a teacher.

    Where there is one, the loss is (1 - w) CE + w T² KL(teacher ‖ network), with both sides of the divergence
    softened by the temperature T (Hinton et al., 2015, arXiv 1503.02531, section 2).

    Args:
        class_weights: "balanced" weighs each clip by the inverse of its class's share of the training clips; a clip
            whose target is shares of several classes by their mean.
        class_counts: (K,) training clips of each class, needed for that.
        label_smoothing: share of the target that is spread over all classes.
        teacher_weight, teacher_temperature: w and T; None are 0.5 and 2.

    Raises: UserError for a value outside its domain.
    """

    def __init__(
        self,
        *,
        class_weights: str | None,
        class_counts: Tensor | None,
        label_smoothing: float,
        teacher_weight: float | None,
        teacher_temperature: float | None,
    ):
        super().__init__()
        check("model.", at_least=0, below=1, label_smoothing=label_smoothing)
        # null where not set: runs of versions without teachers then have the same settings
        teacher_weight = 0.5 if teacher_weight is None else teacher_weight
        teacher_temperature = 2.0 if teacher_temperature is None else teacher_temperature
        check("model.", at_least=0, at_most=1, teacher_weight=teacher_weight)
        check("model.", above=0, teacher_temperature=teacher_temperature)
        self._label_smoothing = label_smoothing
        self._teacher_weight, self._temperature = teacher_weight, teacher_temperature
        self.class_weight: Tensor | None
        self.register_buffer("class_weight", _class_weight(class_weights, class_counts), persistent=False)

    def forward(self, logits: Tensor, target: Tensor, teacher: Tensor | None = None) -> Tensor:
        """Map logits (B, K), targets (B, K) and a teacher's softened probabilities (B, K) to the mean loss."""
        reduction = "mean" if self.class_weight is None else "none"
        loss = functional.cross_entropy(
            logits.float(), target, label_smoothing=self._label_smoothing, reduction=reduction
        )
        if self.class_weight is not None:
            # torch's own weight multiplies the smoothed target: every clip then has a share in a rare class, with
            # its weight (https://github.com/pytorch/pytorch/issues/104776)
            loss = (loss * (target @ self.class_weight)).mean()  # of (B,)
        if teacher is None:
            return loss
        softened = (logits.float() / self._temperature).log_softmax(-1)
        divergence = functional.kl_div(softened, teacher, reduction="batchmean")
        return (1 - self._teacher_weight) * loss + self._teacher_weight * self._temperature**2 * divergence

    def check_single_clips(self) -> None:
        """Accept batches of one clip, which cross-entropy learns from."""

    def soften(self, logits: Tensor) -> Tensor:
        """Return the probabilities (N, K) that are learnt from a teacher with these logits (N, K)."""
        return (logits.float() / self._temperature).softmax(-1)


class ClassificationMetrics(nn.Module):
    """Loss, UAR, accuracy, macro-F1 and recall by label, from all processes."""

    def __init__(self, labels: Sequence[str]):
        super().__init__()
        self._labels = labels
        self.loss = MeanMetric()
        self.confusion = MulticlassConfusionMatrix(len(labels))

    def update(self, logits: Tensor, label: Tensor) -> None:
        """Add logits (B, K) and true labels (B,)."""
        self.loss.update(functional.cross_entropy(logits.float(), label), len(label))
        self.confusion.update(logits.float(), label)

    def compute(self) -> dict[str, float | Tensor]:
        """Return values by name; the recall of a label that no clip has is left out."""
        all_scores = scores(self.confusion.compute().cpu().numpy(), self._labels)
        values: dict[str, float | Tensor] = {
            "uar": all_scores.uar,
            "accuracy": all_scores.accuracy,
            "macro_f1": all_scores.macro_f1 or 0.0,
            "loss": self.loss.compute(),
        }
        recall = {f"recall.{label}": share for label, share in all_scores.recall.items() if share is not None}
        return values | recall

    def reset(self) -> None:
        """Discard what was added."""
        self.loss.reset()
        self.confusion.reset()


def _class_weight(mode: str | None, counts: Tensor | None) -> Tensor | None:
    """Return the weights of classes (K,) from counts of training clips (K,); None where all weigh the same."""
    if mode is None:
        return None
    if mode != "balanced" or counts is None:
        raise UserError(f"model.class_weights={mode} is not known: use balanced or null")
    trained = counts > 0  # what no clip trains has no weight, and no share in the mean, which is 1 over the clips
    return torch.where(trained, counts.sum() / (trained.sum() * counts.where(trained, 1)), 0.0)
