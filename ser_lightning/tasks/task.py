"""Define what every kind of task provides; `tasks.registry` lists the kinds by their names.

N: clips.  K: outputs of the network.  S: speakers.  R: repetitions (seeds).  W: sets of sums at a time.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ser_lightning.evaluation.robustness import ConditionAnswers


@dataclass(frozen=True)
class Metric:
    """What a metric is called, which way is better, and whether it is shown in per cent."""

    title: str
    better: Literal["max", "min"] = "max"
    is_share: bool = False


@dataclass(frozen=True, kw_only=True)
class TestClips:
    """What is known of N clips that a model is tested on.

    ``truth``: (N,) class indices or (N, K) numbers. ``columns`` has N values each, '' where unknown.
    ``vote_shares`` (N, K) are of annotators' votes on the labels, where clips are labelled by them.
    """

    __test__ = False  # no test class

    ids: Sequence[str]
    speakers: Sequence[str]
    truth: NDArray
    columns: Mapping[str, Sequence[str]]
    vote_shares: NDArray | None = None


class Task(ABC):
    """A kind of prediction.

    Attributes:
        name: as result.json and checkpoints have it.
        headline: the metric that models are ranked by, and the best epoch is selected by.
        second: the metric that is shown beside it where there is room for two.
        curves: the two metrics that are drawn over epochs, the headline first.
        metrics: what is measured on the validation set, by name, the headline first.
        by_output: the one that is measured for each output too, and logged as ``recall.LABEL``.
        output_word: what stands for the name of an output where any is meant, and ``outputs_word`` for all.
        lowest: what the output with the lowest score is called.
        tables: what shows a result on a terminal, and ``figures`` the pictures, by the names of their files.
        predictions_class: of the predictions for clips, which are read from and written to predictions.csv.
        fewest_outputs: that a model has.
        left_out: what the data's warnings call clips without what is predicted.
        labels: the classes that clips are of, where there are any.
        unused: settings of the model that the loss of this task makes no use of.
    """

    name: ClassVar[str]
    headline: ClassVar[str]
    second: ClassVar[str]
    curves: ClassVar[tuple[str, str]]
    metrics: ClassVar[Mapping[str, Metric]]
    by_output: ClassVar[str]
    output_word: ClassVar[str]
    outputs_word: ClassVar[str]
    lowest: ClassVar[str]
    tables: ClassVar[Sequence[str]]
    figures: ClassVar[Sequence[str]]
    predictions_class: ClassVar[Any]
    fewest_outputs: ClassVar[int]
    left_out: ClassVar[str]
    labels: tuple[str, ...]
    unused: ClassVar[Sequence[str]] = ()

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """Return the names of the network's K outputs."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """Return in a few words what is predicted."""

    @property
    def n_outputs(self) -> int:
        """Return K."""
        return len(self.outputs)

    @abstractmethod
    def entry(self) -> dict[str, Any]:
        """Return plain values from which `from_entry` makes this task again, for a checkpoint."""

    @classmethod
    @abstractmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Self:
        """Return the task that `entry` describes; other values are passed over."""

    @property
    def data_overrides(self) -> tuple[str, ...]:
        """Return the settings that ask other data for the same outputs."""
        return ()

    @abstractmethod
    def make_loss(self, *, training_targets: "Tensor | None" = None, **settings: Any) -> "nn.Module":
        """Return a module (outputs (B, K), targets (B, K)) -> loss; ``training_targets`` (N, K) are all of them."""

    def make_readout(self, training_targets: "Tensor | None" = None) -> "nn.Module":
        """Return a module: what the network gives (B, K) -> outputs (B, K), fitted to the training targets (N, K).

        By default they are the same.
        """
        from torch import nn

        return nn.Identity()

    def unit(self, readout: "nn.Module") -> "Tensor | float":
        """Return the unit of differences between answers, 1 or (K,): in it they are compared with a tolerance."""
        return 1.0

    def usual_ranges(self, readout: "nn.Module") -> dict[str, tuple[float, float]]:
        """Return the lowest and highest usual value of each number, by name; nothing where labels are predicted."""
        return {}

    @abstractmethod
    def make_metrics(self, loss: "nn.Module") -> "nn.Module":
        """Return a module with ``update(outputs, truth)``, ``compute()`` -> values by name, and ``reset()``."""

    def answers(self, outputs: "Tensor") -> "Tensor":
        """Map outputs (B, K) to answers, as people get them: by default the outputs themselves."""
        return outputs

    def averaged(self, outputs: "Tensor") -> "Tensor":
        """Map outputs (P, K) for pieces of clips to what is averaged over a clip's pieces, by default the same."""
        return outputs

    @abstractmethod
    def count_clips(self, truth: NDArray) -> dict[str, int]:
        """Count the clips that each output can be tested on, from the truth of all."""

    def emotions(self, truth: NDArray) -> list[str] | None:
        """Return the label of each clip, '' for none; None where the truth is no label, and clips keep theirs."""
        return None

    def untrained(self, targets: NDArray) -> list[str]:
        """Return the outputs that the training targets (N, K) teach nothing about."""
        return []

    @abstractmethod
    def logged_scores(self, values: Mapping[str, float]) -> Any:
        """Return the scores that `make_metrics` computed, from their values by name."""

    @abstractmethod
    def evaluate(self, clips: TestClips, outputs: NDArray) -> Any:
        """Evaluate outputs (N, K), in the order of the clips."""

    def predictions_from_rows(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
        """Return the predictions that a file's header and lines hold. Raises: ValueError for others."""
        return self.predictions_class.from_rows(header, rows)

    @abstractmethod
    def predicted(self, outputs: NDArray) -> NDArray:
        """Return what is predicted by outputs (N, K), in the form of the truth."""

    @abstractmethod
    def robustness(
        self, answers: "Sequence[ConditionAnswers]", truth: NDArray, speakers: Sequence[str]
    ) -> list[Any]:
        """Score what was predicted of the same clips under each condition, the clean one first."""

    @abstractmethod
    def sums_by_speaker(self, truth: NDArray, predicted: NDArray, speakers: NDArray, n_speakers: int) -> NDArray:
        """Return (S, ...), what each speaker adds to the sums that scores are computed from."""

    @property
    @abstractmethod
    def score_names(self) -> tuple[str, ...]:
        """Return the names of what `group_scores` gives, the headline first; ``recall.LABEL`` for an output."""

    def scores_without_interval(self, sums: NDArray) -> dict[str, float]:
        """Return further scores by name, means over repetitions, from sums (R, ...)."""
        return {}

    @abstractmethod
    def group_scores(self, sums: NDArray) -> NDArray[np.float64]:
        """Return scores, means over repetitions: sums (W, R, ...) -> (W, V)."""

    @abstractmethod
    def n_clips(self, sums: NDArray) -> NDArray:
        """Return how many clips are in sums: (S, R, ...) -> (S,)."""

    def confusion(self, sums: NDArray) -> list[list[int]] | None:
        """Return (K, K) counts, rows the true label, from sums (...); None where no label is predicted."""
        return None

    @abstractmethod
    def speaker_scores(self, sums: NDArray) -> NDArray[np.float64]:
        """Return a score of each speaker alone, mean over repetitions: (S, R, ...) -> (S,)."""

    def recognised(self, truth: NDArray, predicted: NDArray) -> NDArray[np.bool_] | None:
        """Return which of N clips were recognised; None where predictions are not simply right or wrong."""
        return None

    def differences(self, sums: NDArray) -> NDArray[np.float64]:
        """Return what each speaker adds to the difference in the headline: (S, 2, R, ...) -> (S,).

        They are the pseudo-values of a jackknife over speakers, divided by how many there are (Efron and
        Tibshirani, An Introduction to the Bootstrap, 1993, 11.5): their sum is nearly the difference.
        """
        total, n_speakers = sums.sum(axis=0), len(sums)
        of_all = self.headline_difference(total[None])[0, 0]
        if n_speakers < 2:
            return np.array([of_all])
        without_one = self.headline_difference(total - sums)[:, 0]  # (S,)
        return of_all - (n_speakers - 1) / n_speakers * without_one

    def permutation_p(self, tests: Sequence[NDArray]) -> list[float]:
        """Return the p of paired permutation tests over speakers, from sums (S, 2, R, ...) of each test."""
        from ser_lightning.evaluation.significance import swapping_p

        return swapping_p(tests, self.headline_difference)

    def headline_difference(self, sums: NDArray) -> NDArray[np.float64]:
        """Return the headline of the first minus that of the second: (W, 2, R, ...) -> (W, 1)."""
        return (self.group_scores(sums[:, 0]) - self.group_scores(sums[:, 1]))[:, :1]
