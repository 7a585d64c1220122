"""Annotators' votes by clip, and how well people do on the clips that a model is tested on.

N: clips.  K: classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ser_lightning.evaluation.metrics import scores
from ser_lightning.runs.result_parts import Agreement, Annotators


@dataclass(frozen=True, kw_only=True)
class Votes:
    """Votes by clip id, each (K,) in the order of the corpus's labels.

    ``counted`` is false where only the winners are known: each of them then has one vote.
    """

    by_clip: Mapping[str, Sequence[int]]
    counted: bool
    source: str

    def table(self, ids: Sequence[str], n_classes: int) -> np.ndarray:
        """Return (N, K) float64 votes; zeros for a clip that has none."""
        none = (0,) * n_classes
        return np.array([self.by_clip.get(id, none) for id in ids], dtype=np.float64).reshape(-1, n_classes)


def winners(table: np.ndarray) -> np.ndarray:
    """Return the class with most of (N, K) votes, (N,) int64; -1 for a tie, and where nobody voted."""
    most = table.max(axis=1, keepdims=True)
    alone = ((table == most).sum(axis=1) == 1) & (most[:, 0] > 0)
    return np.where(alone, table.argmax(axis=1), -1)


def annotator_scores(
    table: np.ndarray, labels: np.ndarray, names: Sequence[str], *, counted: bool
) -> Annotators | None:
    """Return how often annotators give the label, one at a time where votes were counted, and by their majority.

    ``table`` (N, K) votes, ``labels`` (N,) classes. A tied majority is shared out among those who tie.
    """
    voted = table.sum(axis=1) > 0
    table, labels = table[voted], labels[voted]
    if not len(table):
        return None
    best = (table == table.max(axis=1, keepdims=True)).astype(np.float64)
    return Annotators(
        single=_agreement(table, labels, names) if counted else None,
        majority=_agreement(best / best.sum(axis=1, keepdims=True), labels, names),
        n_clips=len(table),
    )


def _agreement(votes: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Agreement:
    matrix = np.zeros((len(names), len(names)))
    np.add.at(matrix, labels, votes)
    agreement = scores(matrix, names)
    return Agreement(uar=agreement.uar, accuracy=agreement.accuracy)
