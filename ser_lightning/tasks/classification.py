"""Classification: a clip has one of K labels.

N: clips.  K: labels.  S: speakers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation import metrics
from ser_lightning.evaluation.metrics import Counts, by_speaker, confusion, scores
from ser_lightning.evaluation.records import Calibration, ConditionScores, DistributionScores, PartScores, Scores
from ser_lightning.tasks.predictions import Predictions
from ser_lightning.tasks.task import Metric, Task, TestClips
from ser_lightning.utils.errors import UserError, counted

if TYPE_CHECKING:
    from torch import Tensor

    from ser_lightning.evaluation.robustness import ConditionAnswers
    from ser_lightning.evaluation.subgroups import Subgroups
    from ser_lightning.tasks.classification_modules import ClassificationLoss, ClassificationMetrics


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well labels were predicted. ``confusion_matrix`` (K, K) counts clips, rows the true label."""

    scores: Scores
    confusion_matrix: list[list[int]]
    subgroups: "Subgroups"
    calibration: Calibration
    distribution: DistributionScores | None
    predictions: Predictions

    def result_fields(self) -> dict[str, Any]:
        """Return the fields of a result that are this task's, beside the scores."""
        return {
            "task": Classification.name,
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
    second: ClassVar[str] = "accuracy"
    curves: ClassVar[tuple[str, str]] = ("uar", "accuracy")
    metrics: ClassVar[Mapping[str, Metric]] = {
        "uar": Metric("UAR", is_share=True),
        "accuracy": Metric("accuracy", is_share=True),
        "macro_f1": Metric("macro-F1", is_share=True),
        "loss": Metric("loss", "min"),
    }
    by_output: ClassVar[str] = "recall"
    output_word: ClassVar[str] = "LABEL"
    outputs_word: ClassVar[str] = "labels"
    lowest: ClassVar[str] = "least recognised"
    tables: ClassVar[tuple[str, ...]] = ("labels", "overall")
    figures: ClassVar[tuple[str, ...]] = ("confusion", "reliability", "subgroups", "robustness")
    predictions_class: ClassVar[type[Predictions]] = Predictions
    fewest_outputs: ClassVar[int] = 2
    left_out: ClassVar[str] = "left_out_by_label"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the labels."""
        return self.labels

    @property
    def summary(self) -> str:
        """Return how many labels there are."""
        return counted(self.labels, "label")

    def entry(self) -> dict[str, Any]:
        """Return the labels."""
        return {"labels": list(self.labels)}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Self:
        """Return the task that `entry` describes."""
        return cls(tuple(map(str, entry["labels"])))

    def make_loss(  # type: ignore[override]
        self,
        *,
        training_targets: "Tensor | None" = None,
        loss: str | None = None,
        class_weights: str | None = None,
        label_smoothing: float = 0.0,
        teacher_weight: float | None = None,
        teacher_temperature: float | None = None,
    ) -> "ClassificationLoss":
        """Return cross-entropy, and divergence from a teacher; the settings are those of `EmotionModule`."""
        from ser_lightning.tasks.classification_modules import ClassificationLoss

        if loss is not None:
            raise UserError(f"model.loss={loss} is of data.targets: the loss of labels is cross-entropy")
        return ClassificationLoss(
            class_weights=class_weights,
            class_counts=None if training_targets is None else training_targets.sum(0),
            label_smoothing=label_smoothing,
            teacher_weight=teacher_weight,
            teacher_temperature=teacher_temperature,
        )

    def make_metrics(self, loss: Any) -> "ClassificationMetrics":
        """Return UAR, accuracy, macro-F1, loss, and recall by label, of a validation set."""
        from ser_lightning.tasks.classification_modules import ClassificationMetrics

        return ClassificationMetrics(self.labels)

    def answers(self, outputs: "Tensor") -> "Tensor":
        """Map logits (B, K) to probabilities."""
        return outputs.softmax(-1)

    def averaged(self, outputs: "Tensor") -> "Tensor":
        """Map logits (P, K) to log-probabilities."""
        return outputs.log_softmax(-1)

    def count_clips(self, truth: NDArray) -> dict[str, int]:
        """Count clips by label."""
        counts = np.bincount(truth[truth >= 0], minlength=self.n_outputs)
        return dict(zip(self.labels, counts.tolist(), strict=True))

    def emotions(self, truth: NDArray) -> list[str]:
        """Return the label of each clip, '' for one without, -1."""
        names = (*self.labels, "")
        return [names[number] for number in truth.tolist()]

    def untrained(self, targets: NDArray) -> list[str]:
        """Return the labels that no training clip has a share of."""
        return [label for label, total in zip(self.labels, targets.sum(axis=0), strict=True) if total == 0]

    def logged_scores(self, values: Mapping[str, float]) -> Scores:
        """Return scores from their values by name."""
        measured = {name: values[name] for name in self.metrics}
        return Scores(**measured, recall={label: values.get(f"recall.{label}") for label in self.labels})

    def evaluate(self, clips: TestClips, outputs: NDArray) -> Evaluation:
        """Evaluate logits (N, K), in the order of the clips; every clip has a label."""
        from ser_lightning.evaluation.calibration import calibration, nll, probabilities_at  # which take a second
        from ser_lightning.evaluation.distributions import distribution_scores
        from ser_lightning.evaluation.part_scores import counts_by_speaker, part_scores
        from ser_lightning.evaluation.subgroups import subgroups

        logits = outputs.astype(np.float64)
        predictions = Predictions(
            ids=clips.ids,
            speakers=clips.speakers,
            labels=np.asarray(clips.truth, dtype=np.int64),
            probabilities=probabilities_at(logits, 1.0),
            names=self.labels,
        )
        matrix = confusion(predictions.labels, predictions.predicted, self.n_outputs)

        def scored(rows: NDArray[np.int64]) -> PartScores:
            speakers = [clips.speakers[row] for row in rows]
            labels, predicted = predictions.labels[rows], predictions.predicted[rows]
            return part_scores(counts_by_speaker(labels, predicted, speakers, self.n_outputs), self.labels)

        columns = {name: values for name, values in clips.columns.items() if name != "emotion"}  # recall says that
        return Evaluation(
            scores=scores(matrix, self.labels).model_copy(update={"loss": nll(logits, predictions.labels)}),
            confusion_matrix=matrix.tolist(),
            subgroups=subgroups(columns, scored),
            calibration=calibration(predictions.probabilities, predictions.labels),
            distribution=None
            if clips.vote_shares is None
            else distribution_scores(predictions.probabilities, clips.vote_shares),
            predictions=predictions,
        )

    def predicted(self, outputs: NDArray) -> NDArray:
        """Return the most probable labels (N,)."""
        return outputs.argmax(axis=1).astype(np.int64)

    def robustness(
        self, answers: "Sequence[ConditionAnswers]", truth: NDArray, speakers: Sequence[str]
    ) -> list[ConditionScores]:
        """Score the labels that were predicted of the same clips under each condition, the clean one first."""
        from ser_lightning.evaluation.part_scores import counts_by_speaker, part_scores
        from ser_lightning.evaluation.robustness import robustness

        return robustness(
            answers,
            sums=lambda predicted: counts_by_speaker(truth, predicted, speakers, self.n_outputs),
            part_scores=lambda counts: part_scores(counts, self.labels),
            difference=self.headline_difference,
            record=ConditionScores,
        )

    def sums_by_speaker(self, truth: NDArray, predicted: NDArray, speakers: NDArray, n_speakers: int) -> Counts:
        """Return a confusion matrix for each speaker (S, K, K), rows the true label."""
        return by_speaker(speakers, truth, predicted, n_speakers, self.n_outputs)

    @property
    def score_names(self) -> tuple[str, ...]:
        """Return UAR, accuracy, and the recall of each label."""
        return ("uar", "accuracy", *(f"recall.{label}" for label in self.labels))

    def group_scores(self, sums: NDArray) -> NDArray[np.float64]:
        """Return the scores that `score_names` names: (W, R, K, K) -> (W, 2 + K)."""
        return metrics.group_scores(sums)

    def headline_difference(self, sums: NDArray) -> NDArray[np.float64]:
        """Return the UAR of the first minus that of the second: (W, 2, R, K, K) -> (W, 1)."""
        return metrics.uar_difference(sums)

    def n_clips(self, sums: NDArray) -> NDArray:
        """Return how many clips are in sums: (S, R, K, K) -> (S,)."""
        return sums.sum(axis=(1, 2, 3))

    def speaker_scores(self, sums: NDArray) -> NDArray[np.float64]:
        """Return the share of each speaker's clips that was recognised: (S, R, K, K) -> (S,)."""
        return metrics.known_mean(metrics.accuracy(sums))

    def scores_without_interval(self, sums: NDArray) -> dict[str, float]:
        """Return macro-F1 from confusion matrices (R, K, K)."""
        return {"macro_f1": fmean(scores(matrix, self.labels).macro_f1 or 0.0 for matrix in sums)}

    def confusion(self, sums: NDArray) -> list[list[int]]:
        """Return the counts (K, K) themselves."""
        return sums.tolist()

    def recognised(self, truth: NDArray, predicted: NDArray) -> NDArray[np.bool_]:
        """Return which clips were given their label (N,)."""
        return truth == predicted

    def differences(self, sums: NDArray) -> NDArray[np.float64]:
        """Return what each speaker adds to the difference in UAR, of which it is a sum: (S, 2, R, K, K) -> (S,)."""
        return metrics.uar_by_speaker(sums[:, 0]) - metrics.uar_by_speaker(sums[:, 1])

    def permutation_p(self, tests: Sequence[NDArray]) -> list[float]:
        """Return the p of paired permutation tests over speakers, from counts (S, 2, R, K, K) of each test."""
        from ser_lightning.evaluation.significance import permutation_p

        return permutation_p([self.differences(counts) for counts in tests])
