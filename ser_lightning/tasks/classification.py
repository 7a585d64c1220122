"""Classification: a clip has one of K labels.

N: clips.  K: labels.  S: speakers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation.metrics import Counts, by_speaker, confusion, scores
from ser_lightning.evaluation.records import Calibration, DistributionScores, Scores
from ser_lightning.tasks.predictions import Predictions
from ser_lightning.tasks.task import Task, TestClips

if TYPE_CHECKING:
    from torch import Tensor

    from ser_lightning.evaluation.subgroups import Subgroups
    from ser_lightning.tasks.classification_modules import ClassificationLoss, ClassificationMetrics


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model's answers are worth. ``confusion_matrix`` (K, K) counts clips, rows the true label."""

    scores: Scores
    confusion_matrix: list[list[int]]
    subgroups: "Subgroups"
    calibration: Calibration
    distribution: DistributionScores | None
    predictions: Predictions

    def result_fields(self) -> dict[str, Any]:
        """Return the fields of a `Result` that are this task's, beside the scores."""
        return {
            "labels": list(self.predictions.names),
            "confusion_matrix": self.confusion_matrix,
            "subgroups": self.subgroups,
            "calibration": self.calibration,
            "distribution": self.distribution,
        }


@dataclass(frozen=True)
class Classification(Task):
    """One of ``labels`` for each clip, in the order of the network's outputs."""

    labels: tuple[str, ...]

    name: ClassVar[str] = "classification"
    headline: ClassVar[str] = "uar"
    metrics: ClassVar[Mapping[str, str]] = {
        "uar": "max",
        "accuracy": "max",
        "macro_f1": "max",
        "loss": "min",
        "recall": "max",
    }
    figures: ClassVar[tuple[str, ...]] = ("confusion", "reliability", "subgroups", "robustness")

    @property
    def n_outputs(self) -> int:
        """Return K."""
        return len(self.labels)

    def make_loss(  # type: ignore[override]
        self,
        *,
        class_weights: str | None = None,
        class_counts: "Tensor | None" = None,
        label_smoothing: float = 0.0,
        teacher_weight: float | None = None,
        teacher_temperature: float | None = None,
    ) -> "ClassificationLoss":
        """Return cross-entropy, and divergence from a teacher; the settings are those of `EmotionModule`."""
        from ser_lightning.tasks.classification_modules import ClassificationLoss

        return ClassificationLoss(
            class_weights=class_weights,
            class_counts=class_counts,
            label_smoothing=label_smoothing,
            teacher_weight=teacher_weight,
            teacher_temperature=teacher_temperature,
        )

    def make_metrics(self) -> "ClassificationMetrics":
        """Return UAR, accuracy, macro-F1, loss, and recall by label, of a validation set."""
        from ser_lightning.tasks.classification_modules import ClassificationMetrics

        return ClassificationMetrics(self.labels)

    def evaluate(self, clips: TestClips, outputs: NDArray) -> Evaluation:
        """Evaluate logits (N, K), in the order of the clips; every clip's emotion is one of the labels."""
        from ser_lightning.evaluation.calibration import calibration, nll, probabilities_at  # which take a second
        from ser_lightning.evaluation.distributions import distribution_scores
        from ser_lightning.evaluation.subgroups import subgroups

        logits = outputs.astype(np.float64)
        predictions = Predictions(
            ids=clips.ids,
            speakers=clips.speakers,
            labels=np.array([self.labels.index(emotion) for emotion in clips.emotions], dtype=np.int64),
            probabilities=probabilities_at(logits, 1.0),
            names=self.labels,
        )
        matrix = confusion(predictions.labels, predictions.predicted, self.n_outputs)
        return Evaluation(
            scores=scores(matrix, self.labels).model_copy(update={"loss": nll(logits, predictions.labels)}),
            confusion_matrix=matrix.tolist(),
            subgroups=subgroups(
                labels=predictions.labels,
                predicted=predictions.predicted,
                speakers=clips.speakers,
                columns=clips.columns,
                names=self.labels,
            ),
            calibration=calibration(predictions.probabilities, predictions.labels),
            distribution=None
            if clips.vote_shares is None
            else distribution_scores(predictions.probabilities, clips.vote_shares),
            predictions=predictions,
        )

    def sums_by_speaker(self, truth: NDArray, predicted: NDArray, speakers: NDArray, n_speakers: int) -> Counts:
        """Return a confusion matrix for each speaker (S, K, K), rows the true label."""
        return by_speaker(speakers, truth, predicted, n_speakers, self.n_outputs)
