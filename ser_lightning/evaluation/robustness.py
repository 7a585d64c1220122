"""Compare a model's scores under other acoustic conditions than those it was tested in.

N: clips.  S: speakers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation import bootstrap
from ser_lightning.evaluation.metrics import Floats
from ser_lightning.evaluation.part_scores import bounds, known
from ser_lightning.evaluation.records import Condition, Part

Row = TypeVar("Row", bound=Condition)


@dataclass(frozen=True, kw_only=True, eq=False)
class ConditionAnswers:
    """What a model predicted under a condition: ``predicted`` (N, ...) of the test clips, in their order."""

    condition: str
    title: str
    group: str
    predicted: NDArray


def robustness(
    answers: Sequence[ConditionAnswers],
    *,
    sums: Callable[[NDArray], NDArray],
    part_scores: Callable[[NDArray], Part],
    difference: Callable[[NDArray], Floats],
    record: type[Row],
) -> list[Row]:
    """Return the scores under each condition, and their difference from those under the first.

    ``difference`` of a row is None for the first condition, the clean one. The interval is of a paired bootstrap:
    speakers are drawn with their answers under both, so that what a speaker is harder or easier by in any condition
    is no part of it.

    Args:
        answers: the clean condition first.
        sums: what each speaker contributes, (S, ...), from what was predicted.
        part_scores: the scores of these.
        difference: of sums of two (W, 2, 1, ...) the first's headline minus the second's, (W, 1).
        record: the type of a row.

    Raises: ValueError for a condition with more or fewer answers than the first.
    """
    for answer in answers:
        if len(answer.predicted) != len(answers[0].predicted):
            n_clips = len(answers[0].predicted)
            raise ValueError(f"{len(answer.predicted)} answers under {answer.condition}, of {n_clips} clips")
    by_condition = [sums(answer.predicted) for answer in answers]
    rows = []
    for number, (answer, own_sums) in enumerate(zip(answers, by_condition, strict=True)):
        against_clean = None
        if number > 0:
            both = np.stack([own_sums, by_condition[0]], axis=1)[:, :, None]  # (S, 2, 1, ...)
            (against_clean,) = bootstrap.interval(both, difference)
        rows.append(
            record(
                **part_scores(own_sums).plain(),
                condition=answer.condition,
                title=answer.title,
                group=answer.group,
                difference=None if against_clean is None else known(against_clean.value),
                difference_interval=None if against_clean is None else bounds(against_clean),
            )
        )
    return rows
