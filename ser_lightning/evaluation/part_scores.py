"""Scores of a part of the answers, with intervals over speakers, as plain values for result.json.

N: clips.  S: speakers.  K: labels.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation import bootstrap, metrics
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.evaluation.metrics import Counts

Indices = NDArray[np.int64]


def counts_by_speaker(labels: Indices, predicted: Indices, speakers: Sequence[str], n_labels: int) -> Counts:
    """N answers -> (S, K, K), a confusion matrix a speaker, rows the true label."""
    who = np.unique(np.asarray(speakers), return_inverse=True)[1]
    return metrics.by_speaker(who, np.asarray(labels), np.asarray(predicted), int(who.max()) + 1, n_labels)


def scored(counts: Counts, names: Sequence[str]) -> dict[str, Any]:
    """(S, K, K) -> a dict: how much was tested, and how well.

    Keys: ``n_clips``, ``n_speakers``, ``uar``, ``uar_interval``, ``accuracy``, ``accuracy_interval``, and
    ``recall`` by label. Shares lie between 0 and 1. An interval is [low, high], a bootstrap over speakers
    (`bootstrap.interval`), and None for fewer than four speakers. A label
    without clips has None for its recall, and is no part of the UAR.
    """
    uar, accuracy, *recall = bootstrap.interval(counts[:, None], metrics.group_scores)
    n_speakers = len(counts)
    return {
        "n_clips": int(counts.sum()),
        "n_speakers": n_speakers,
        **with_interval("uar", uar, n_speakers),
        **with_interval("accuracy", accuracy, n_speakers),
        "recall": {name: known(each.value) for name, each in zip(names, recall, strict=True)},
    }


def with_interval(name: str, estimate: Estimate, n_speakers: int) -> dict[str, Any]:
    """A number and its interval, under two names."""
    bounds = [known(estimate.low), known(estimate.high)] if n_speakers >= bootstrap.FEWEST_SPEAKERS else None
    return {name: known(estimate.value), f"{name}_interval": bounds}


def known(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def labels_shown(row: Mapping[str, Any]) -> int:
    """Of how many labels the UAR of a row is the mean."""
    return sum(share is not None for share in row["recall"].values())
