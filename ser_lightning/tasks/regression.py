"""Regression: a clip has K numbers, such as arousal, valence and dominance.

N: clips.  K: targets.  S: speakers.  R: repetitions (seeds).  W: sets of sums at a time.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation import bootstrap, regression
from ser_lightning.evaluation.part_scores import bounds, known
from ser_lightning.evaluation.records import (
    RegressionConditionScores,
    RegressionPartScores,
    RegressionScores,
    TargetScores,
)
from ser_lightning.evaluation.robustness import ConditionAnswers, robustness
from ser_lightning.evaluation.subgroups import subgroups
from ser_lightning.tasks.number_predictions import NumberPredictions, as_written
from ser_lightning.tasks.task import Metric, Task, TestClips
from ser_lightning.utils.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from ser_lightning.tasks.regression_modules import Readout, RegressionLoss, RegressionMetrics

Ranges = tuple[tuple[float, float] | None, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well numbers were predicted: scores over all clips and of parts of them, and the predictions."""

    task: "Regression"
    scores: RegressionScores
    subgroups: dict[str, dict[str, RegressionPartScores]]
    predictions: NumberPredictions

    def result_fields(self) -> dict[str, Any]:
        """Return the fields of a result that are this task's, beside the scores."""
        return {**self.task.entry(), "n_clips": len(self.predictions.ids), "subgroups": self.subgroups}


@dataclass(frozen=True)
class Regression(Task):
    """A number for each of ``targets``, in its own unit; ``ranges`` are the lowest and highest there may be."""

    targets: tuple[str, ...]
    ranges: Ranges = ()

    name: ClassVar[str] = "regression"
    headline: ClassVar[str] = "ccc"
    second: ClassVar[str] = "mae"
    curves: ClassVar[tuple[str, str]] = ("ccc", "pearson")
    metrics: ClassVar[Mapping[str, Metric]] = {
        "ccc": Metric("CCC"),
        "pearson": Metric("Pearson's r"),
        "mae": Metric("MAE", "min"),
        "rmse": Metric("RMSE", "min"),
        "loss": Metric("loss", "min"),
    }
    by_output: ClassVar[str] = "ccc"
    output_word: ClassVar[str] = "TARGET"
    outputs_word: ClassVar[str] = "targets"
    lowest: ClassVar[str] = "lowest"
    tables: ClassVar[tuple[str, ...]] = ("targets", "overall")
    figures: ClassVar[tuple[str, ...]] = ("scatter", "subgroups", "robustness")
    predictions_class: ClassVar[type[NumberPredictions]] = NumberPredictions
    fewest_outputs: ClassVar[int] = 1
    left_out: ClassVar[str] = "left_out_without_value"
    labels: ClassVar[tuple[str, ...]] = ()  # type: ignore[misc]
    unused: ClassVar[tuple[str, ...]] = ("model.label_smoothing",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the targets."""
        return self.targets

    @property
    def summary(self) -> str:
        """Return the targets."""
        return ", ".join(self.targets)

    def entry(self) -> dict[str, Any]:
        """Return the targets, and their ranges."""
        ranges = [list(ends) if ends else None for ends in self._ranges]
        return {"task": self.name, "targets": list(self.targets), "ranges": ranges}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Self:
        """Return the task that `entry` describes."""
        ranges = tuple((float(ends[0]), float(ends[1])) if ends else None for ends in entry.get("ranges") or ())
        return cls(tuple(map(str, entry["targets"])), ranges)

    @property
    def data_overrides(self) -> tuple[str, ...]:
        """Return the setting that asks for the same targets."""
        return (f"data.targets=[{','.join(self.targets)}]",)

    @property
    def _ranges(self) -> Ranges:
        return self.ranges or (None,) * self.n_outputs

    def make_loss(  # type: ignore[override]
        self,
        *,
        training_targets: "Tensor | None" = None,
        loss: str | None = None,
        class_weights: str | None = None,
        label_smoothing: float = 0.0,
        teacher_weight: float | None = None,
        teacher_temperature: float | None = None,
    ) -> "RegressionLoss":
        """Return the loss that ``loss`` names; of the others, which are of labels, it takes ``teacher_weight``."""
        from ser_lightning.tasks.regression_modules import RegressionLoss

        if class_weights is not None or teacher_temperature is not None:
            raise UserError("model.class_weights and model.teacher_temperature are of labels: numbers have neither")
        return RegressionLoss(loss=loss, training_targets=training_targets, teacher_weight=teacher_weight)

    def make_readout(self, training_targets: "Tensor | None" = None) -> "Readout":
        """Return a module that gives standardised outputs back in the units of the training targets."""
        from ser_lightning.tasks.regression_modules import Readout

        return Readout(self.targets, training_targets)

    def unit(self, readout: Any) -> "Tensor":
        """Return ten standard deviations of the training clips, (K,): as wide as numbers are spread."""
        return 10 * readout.std

    def usual_ranges(self, readout: Any) -> dict[str, tuple[float, float]]:
        """Return the range of each target; where there is none, three standard deviations of the training clips."""
        moments = zip(readout.mean.tolist(), readout.std.tolist(), strict=True)
        spread = [(mean - 3 * std, mean + 3 * std) for mean, std in moments]
        return {name: ends or usual for name, ends, usual in zip(self.targets, self._ranges, spread, strict=True)}

    def make_metrics(self, loss: Any) -> "RegressionMetrics":
        """Return CCC, Pearson's r, MAE, RMSE, loss, and CCC by target, of a validation set."""
        from ser_lightning.tasks.regression_modules import RegressionMetrics

        return RegressionMetrics(self.targets, loss)

    def count_clips(self, truth: NDArray) -> dict[str, int]:
        """Return the number of clips for each target: every clip has a value."""
        return dict.fromkeys(self.targets, len(truth))

    def logged_scores(self, values: Mapping[str, float]) -> RegressionScores:
        """Return scores from their values by name; one that was not defined is NaN, or was not logged."""
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        of_target = {
            name: TargetScores(**{metric: values.get(f"{metric}.{name}") for metric in regression.METRICS})
            for name in self.targets
        }
        return RegressionScores(
            **{metric: values.get(metric) for metric in (*regression.METRICS, "loss")}, targets=of_target
        )

    def evaluate(self, clips: TestClips, outputs: NDArray) -> Evaluation:
        """Evaluate numbers (N, K), in the order of the clips."""
        predictions = NumberPredictions(
            ids=clips.ids,
            speakers=clips.speakers,
            truth=as_written(clips.truth),
            predicted=as_written(outputs),
            names=self.targets,
        )

        sums = self._sums(predictions.truth, predictions.predicted, predictions.speakers)  # (S, K, N_SUMS)

        def scored(rows: NDArray[np.int64]) -> RegressionPartScores:
            speakers = [clips.speakers[row] for row in rows]
            return self._part_scores(self._sums(predictions.truth[rows], predictions.predicted[rows], speakers))

        return Evaluation(
            task=self,
            scores=regression.regression_scores(sums.sum(axis=0), self.targets),
            subgroups=subgroups(clips.columns, scored),
            predictions=predictions,
        )

    def predicted(self, outputs: NDArray) -> NDArray:
        """Return the numbers, as they would be written."""
        return as_written(outputs)

    def robustness(
        self, answers: Sequence[ConditionAnswers], truth: NDArray, speakers: Sequence[str]
    ) -> list[RegressionConditionScores]:
        """Score the numbers that were predicted of the same clips under each condition, the clean one first."""
        return robustness(
            answers,
            sums=lambda predicted: self._sums(truth, predicted, speakers),
            part_scores=self._part_scores,
            difference=self.headline_difference,
            record=RegressionConditionScores,
        )

    def _sums(self, truth: NDArray, predicted: NDArray, speakers: Sequence[str]) -> NDArray[np.float64]:
        names, speaker_of_clip = np.unique(np.asarray(speakers), return_inverse=True)
        return self.sums_by_speaker(truth, predicted, speaker_of_clip, len(names))

    def _part_scores(self, sums: NDArray) -> RegressionPartScores:
        """Return the scores of sums by speaker (S, K, N_SUMS), with intervals over speakers."""
        ccc, pearson, mae, rmse, *by_target = bootstrap.interval(sums[:, None], self.group_scores)
        return RegressionPartScores(
            n_clips=int(sums[:, 0, 0].sum()),
            n_speakers=len(sums),
            ccc=known(ccc.value),
            ccc_interval=bounds(ccc),
            pearson=known(pearson.value),
            mae=known(mae.value),
            mae_interval=bounds(mae),
            rmse=known(rmse.value),
            targets={
                name: known(target_ccc.value) for name, target_ccc in zip(self.targets, by_target, strict=True)
            },
        )

    def sums_by_speaker(
        self, truth: NDArray, predicted: NDArray, speakers: NDArray, n_speakers: int
    ) -> NDArray[np.float64]:
        """Return (S, K, N_SUMS); see `evaluation.regression`."""
        return regression.by_speaker(speakers, truth, predicted, n_speakers)

    @property
    def score_names(self) -> tuple[str, ...]:
        """Return CCC, Pearson's r, MAE and RMSE, then the CCC of each target."""
        return (*regression.METRICS, *(f"ccc.{name}" for name in self.targets))

    def group_scores(self, sums: NDArray) -> NDArray[np.float64]:
        """Return the scores that `score_names` names: (W, R, K, N_SUMS) -> (W, 4 + K)."""
        return regression.group_metrics(sums)

    def n_clips(self, sums: NDArray) -> NDArray:
        """Return how many clips are in sums: (S, R, K, N_SUMS) -> (S,)."""
        return sums[..., 0, 0].sum(axis=1)

    def speaker_scores(self, sums: NDArray) -> NDArray[np.float64]:
        """Return each speaker's mean CCC over targets, of their clips alone: (S, R, K, N_SUMS) -> (S,)."""
        return self.group_scores(sums)[:, 0]
