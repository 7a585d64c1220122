"""What every kind of task provides. `tasks.classification` is one; a second kind implements the same.

N: clips.  K: outputs of the network.  S: speakers.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class TestClips:
    """What is known of N clips that a model is tested on; ``columns`` has N values each, '' where unknown.

    ``vote_shares`` (N, K) are of annotators' votes on the labels, where clips are labelled by them.
    """

    __test__ = False  # no test class

    ids: Sequence[str]
    speakers: Sequence[str]
    emotions: Sequence[str]
    columns: Mapping[str, Sequence[str]]
    vote_shares: NDArray | None = None


class Task(ABC):
    """A kind of prediction.

    Attributes:
        name: as result.json has it.
        headline: the metric that models are ranked by.
        metrics: what is measured on the validation set, and whether "max" or "min" is better. One that is measured
            by label, such as recall, is logged as ``recall.LABEL``.
        figures: the pictures that show a result, by the names of their files.
    """

    name: ClassVar[str]
    headline: ClassVar[str]
    metrics: ClassVar[Mapping[str, str]]
    figures: ClassVar[Sequence[str]]

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Return K, the number of the network's outputs."""

    @abstractmethod
    def make_loss(self, **settings: Any) -> "nn.Module":
        """Return a module (outputs (B, K), targets) -> loss."""

    @abstractmethod
    def make_metrics(self) -> "nn.Module":
        """Return a module with ``update(outputs, truth)``, ``compute()`` -> values by name, and ``reset()``."""

    @abstractmethod
    def evaluate(self, clips: TestClips, outputs: NDArray) -> Any:
        """Evaluate outputs (N, K), in the order of the clips."""

    @abstractmethod
    def sums_by_speaker(self, truth: NDArray, predicted: NDArray, speakers: NDArray, n_speakers: int) -> NDArray:
        """Return (S, ...), what each speaker adds to the sums that scores are computed from."""
