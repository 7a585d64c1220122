"""What is left of a model's scores under other acoustic conditions than those it was tested in.

N: clips.  S: speakers.  K: labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ser_lightning.evaluation import bootstrap, metrics
from ser_lightning.evaluation.metrics import Counts
from ser_lightning.evaluation.part_scores import Indices, counts_by_speaker, scored, with_interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """What a model answered under a condition: ``predicted`` (N,) classes of the test clips, in their order."""

    condition: str
    title: str
    group: str
    predicted: Indices


def robustness(
    heard: Sequence[Heard], *, labels: Indices, speakers: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a condition, for result.json: its names, what `scored` gives, and the difference from the first.

    ``difference`` is this UAR minus that of the first condition, the clean one, where it is None. The interval is
    of a paired bootstrap: speakers are drawn with their answers under both, so that what a speaker is harder or
    easier by in any condition is no part of it.

    Args:
        heard: the clean condition first.
        labels: (N,) true classes, as indices into ``names``.
        speakers: of the N clips.
        names: the K labels.

    Raises: ValueError for a condition with more or fewer answers than there are clips.
    """
    counts = [_counts(each, labels, speakers, len(names)) for each in heard]
    return [
        {
            "condition": each.condition,
            "title": each.title,
            "group": each.group,
            **scored(own, names),
            **_difference(own, None if number == 0 else counts[0]),
        }
        for number, (each, own) in enumerate(zip(heard, counts, strict=True))
    ]


def _counts(heard: Heard, labels: Indices, speakers: Sequence[str], n_labels: int) -> Counts:
    if len(heard.predicted) != len(labels):
        raise ValueError(f"{len(heard.predicted)} answers under {heard.condition}, of {len(labels)} clips")
    return counts_by_speaker(labels, heard.predicted, speakers, n_labels)


def _difference(own: Counts, clean: Counts | None) -> dict[str, Any]:
    """(S, K, K) each."""
    if clean is None:
        return {"difference": None, "difference_interval": None}
    both = np.stack([own, clean], axis=1)[:, :, None]  # (S, 2, 1, K, K)
    (estimate,) = bootstrap.interval(both, metrics.uar_difference)
    return with_interval("difference", estimate, len(own))
