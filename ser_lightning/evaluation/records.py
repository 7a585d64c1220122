"""What an evaluation gives, as typed values. K: labels."""

from typing import Annotated

from pydantic import Field

from ser_lightning.utils.records import Count, Interval, Record, Share


class Scores(Record):
    """Scores of one evaluation. ``recall`` is None for a label that no clip has."""

    uar: Share
    accuracy: Share
    macro_f1: Share | None = None
    loss: float | None = None
    recall: dict[str, Share | None] = {}


class PartScores(Record):
    """Scores of a part of the test clips, with 95 % intervals over speakers; those are None for too few speakers.

    A label without clips has None for its recall, and is no part of the UAR.
    """

    n_clips: Count
    n_speakers: Count
    uar: Share
    uar_interval: Interval | None
    accuracy: Share
    accuracy_interval: Interval | None
    recall: dict[str, Share | None]

    @property
    def n_labels(self) -> int:
        """Return the number of labels that the UAR is the mean of."""
        return sum(share is not None for share in self.recall.values())


class ConditionScores(PartScores):
    """Scores under an acoustic condition. ``difference`` is this UAR minus that of the clean condition."""

    condition: str
    title: str
    group: str
    difference: float | None
    difference_interval: Interval | None


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
