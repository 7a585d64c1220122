"""Score a part of the answers, with intervals over speakers.

N: clips.  S: speakers.  K: labels.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation import bootstrap, metrics
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.evaluation.metrics import Counts
from ser_lightning.evaluation.records import PartScores

Indices = NDArray[np.int64]


def counts_by_speaker(labels: Indices, predicted: Indices, speakers: Sequence[str], n_labels: int) -> Counts:
    """Return a confusion matrix for each speaker, (S, K, K), rows the true label, from N answers."""
    names, speaker_of_clip = np.unique(np.asarray(speakers), return_inverse=True)
    return metrics.by_speaker(speaker_of_clip, np.asarray(labels), np.asarray(predicted), len(names), n_labels)


def part_scores(counts: Counts, names: Sequence[str]) -> PartScores:
    """Return the scores of counts (S, K, K), with intervals by a bootstrap over speakers (`bootstrap.interval`)."""
    uar, accuracy, *recall = bootstrap.interval(counts[:, None], metrics.group_scores)
    return PartScores(
        n_clips=int(counts.sum()),
        n_speakers=len(counts),
        uar=uar.value,
        uar_interval=bounds(uar),
        accuracy=accuracy.value,
        accuracy_interval=bounds(accuracy),
        recall={name: known(estimate.value) for name, estimate in zip(names, recall, strict=True)},
    )


def bounds(estimate: Estimate) -> list[float] | None:
    """Return the interval as a list for JSON; None where there are too few speakers for one."""
    return [estimate.low, estimate.high] if math.isfinite(estimate.low) else None


def known(value: float) -> float | None:
    """Return the number, or None for NaN, which JSON does not have."""
    return value if math.isfinite(value) else None


def estimate_of(value: float, interval: Sequence[float] | None) -> Estimate | None:
    """Return a number of a record with its interval; None where it has none."""
    return None if interval is None else Estimate(value, *interval)
