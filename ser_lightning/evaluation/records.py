"""Define the typed values that an evaluation returns. K: labels or targets."""

from typing import Annotated, ClassVar

from pydantic import Field

from ser_lightning.utils.records import Correlation, Count, Interval, Record, Share


class Scores(Record):
    """Scores of one evaluation. ``recall`` is None for a label that no clip has."""

    uar: Share
    accuracy: Share
    macro_f1: Share | None = None
    loss: float | None = None
    recall: dict[str, Share | None] = {}

    @property
    def by_output(self) -> dict[str, float | None]:
        """Return the recall of each label."""
        return dict(self.recall)


class TargetScores(Record):
    """Scores of the numbers predicted for one target; None is what is not defined, as where nothing varies."""

    ccc: Correlation | None
    pearson: Correlation | None
    mae: float | None
    rmse: float | None


class RegressionScores(TargetScores):
    """Means over targets, and the scores of each."""

    loss: float | None = None
    targets: dict[str, TargetScores]

    @property
    def by_output(self) -> dict[str, float | None]:
        """Return the CCC of each target."""
        return {name: scores.ccc for name, scores in self.targets.items()}


class Part(Record):
    """How many clips and speakers a part of the test clips has, and its scores, whatever the task."""

    n_clips: Count
    n_speakers: Count

    _headline: ClassVar[str]  # the field that models are ranked by
    _by_output: ClassVar[str]  # the one with a score for each label or target

    @property
    def headline(self) -> float | None:
        """Return the score that models are ranked by; None where it is not defined."""
        return getattr(self, self._headline)

    @property
    def headline_interval(self) -> list[float] | None:
        """Return the interval of the headline; None for too few speakers."""
        return getattr(self, f"{self._headline}_interval")

    @property
    def by_output(self) -> dict[str, float | None]:
        """Return the score of each label or target; None where it is not defined."""
        return dict(getattr(self, self._by_output))

    @property
    def chance(self) -> float:
        """Return the headline of a guess."""
        raise NotImplementedError


class PartScores(Part):
    """Scores of a part of the test clips, with 95 % intervals over speakers; those are None for too few speakers.

    A label without clips has None for its recall, and is no part of the UAR.
    """

    uar: Share
    uar_interval: Interval | None
    accuracy: Share
    accuracy_interval: Interval | None
    recall: dict[str, Share | None]

    _headline: ClassVar[str] = "uar"
    _by_output: ClassVar[str] = "recall"

    @property
    def chance(self) -> float:
        """Return the UAR of a guess: one over the number of labels that have clips."""
        return 1 / sum(share is not None for share in self.recall.values())


class RegressionPartScores(Part):
    """Scores of numbers predicted for a part of the test clips, as `PartScores`; ``targets``: the CCC of each."""

    ccc: Correlation | None
    ccc_interval: Interval | None
    pearson: Correlation | None
    mae: float | None
    mae_interval: Interval | None
    rmse: float | None
    targets: dict[str, Correlation | None]

    _headline: ClassVar[str] = "ccc"
    _by_output: ClassVar[str] = "targets"

    @property
    def chance(self) -> float:
        """Return the CCC of a guess."""
        return 0.0


class Condition(Part):
    """An acoustic condition. ``difference`` is the first of the scores minus that of the clean condition."""

    condition: str
    title: str
    group: str
    difference: float | None
    difference_interval: Interval | None


class ConditionScores(PartScores, Condition):
    """Scores under an acoustic condition."""


class RegressionConditionScores(RegressionPartScores, Condition):
    """Scores of predicted numbers under an acoustic condition."""


class DistributionScores(Record):
    """How a model's probabilities agree with the shares of annotators' votes. No model is ranked by them."""

    js_divergence: Annotated[Share, Field(description="mean Jensen-Shannon divergence, in bits")]
    macro_f1: Annotated[
        Share, Field(description="of the labels above 1/K of the votes, by those predicted above 1/K")
    ]
    n_clips: Count


class ConfidenceBin(Record):
    """Clips whose highest probability lies between two bounds."""

    low: Share
    high: Share
    n: Count
    confidence: Share
    accuracy: Share


class SelectivePoint(Record):
    """Scores on the most confident share ``coverage`` of the clips."""

    coverage: Share
    accuracy: Share
    uar: Share


class Calibration(Record):
    """How far confidence is from accuracy, see `calibration`."""

    ece: Annotated[Share, Field(description="expected calibration error")]
    nll: Annotated[float, Field(description="mean negative log-likelihood")]
    brier: Annotated[float, Field(description="mean squared distance from the truth, 0 to 2")]
    aurc: Annotated[float, Field(description="area under the risk-coverage curve")]
    confidence: Annotated[Share, Field(description="mean of the highest probability")]
    bins: list[ConfidenceBin]
    selective: list[SelectivePoint]
