"""Compare a model's scores under other acoustic conditions than those it was tested in.

N: clips.  S: speakers.  K: labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ser_lightning.evaluation import bootstrap, metrics
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.evaluation.metrics import Counts
from ser_lightning.evaluation.part_scores import Indices, bounds, counts_by_speaker, part_scores
from ser_lightning.evaluation.records import ConditionScores


@dataclass(frozen=True, kw_only=True, eq=False)
class ConditionAnswers:
    """A model's answers under a condition: ``predicted`` (N,) classes of the test clips, in their order."""

    condition: str
    title: str
    group: str
    predicted: Indices


def robustness(
    answers: Sequence[ConditionAnswers], *, labels: Indices, speakers: Sequence[str], names: Sequence[str]
) -> list[ConditionScores]:
    """Return the scores under each condition, and their difference from those under the first.

    ``difference`` is this UAR minus that of the first condition, the clean one, where it is None. The interval is
    of a paired bootstrap: speakers are drawn with their answers under both, so that what a speaker is harder or
    easier by in any condition is no part of it.

    Args:
        answers: the clean condition first.
        labels: (N,) true classes, as indices into ``names``.
        speakers: of the N clips.
        names: the K labels.

    Raises: ValueError for a condition with more or fewer answers than there are clips.
    """
    counts = [_counts(condition, labels, speakers, len(names)) for condition in answers]
    rows = []
    for number, (under, own) in enumerate(zip(answers, counts, strict=True)):
        difference = None if number == 0 else _difference(own, counts[0])
        rows.append(
            ConditionScores(
                **part_scores(own, names).plain(),
                condition=under.condition,
                title=under.title,
                group=under.group,
                difference=None if difference is None else difference.value,
                difference_interval=None if difference is None else bounds(difference),
            )
        )
    return rows


def _counts(answers: ConditionAnswers, labels: Indices, speakers: Sequence[str], n_labels: int) -> Counts:
    if len(answers.predicted) != len(labels):
        raise ValueError(f"{len(answers.predicted)} answers under {answers.condition}, of {len(labels)} clips")
    return counts_by_speaker(labels, answers.predicted, speakers, n_labels)


def _difference(own: Counts, clean: Counts) -> Estimate:
    """Return the difference in UAR of two confusion matrices by speaker, (S, K, K) each."""
    both = np.stack([own, clean], axis=1)[:, :, None]  # (S, 2, 1, K, K)
    (estimate,) = bootstrap.interval(both, metrics.uar_difference)
    return estimate
