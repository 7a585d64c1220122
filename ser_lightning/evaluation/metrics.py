"""Metrics of a confusion matrix: unweighted average recall (UAR), accuracy, macro-F1, recall per class.

K classes, N clips, S speakers, R repetitions (seeds). W: matrices at a time, such as resamples.
Rows of a matrix are the true class, columns the predicted one. Shares lie between 0 and 1.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ser_lightning.evaluation.records import Scores

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def confusion(labels: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Count how often each true class was predicted as each class.

    Args:
        labels: (N,) true class indices.
        predicted: (N,) predicted class indices.
        n_classes: K.

    Returns:
        (K, K) counts, rows = true class.

    Raises:
        ValueError: if the two differ in length or hold an index outside 0..K-1.
    """
    true, guess = np.asarray(labels), np.asarray(predicted)
    if true.shape != guess.shape or true.ndim != 1:
        raise ValueError(f"labels {true.shape} and predicted {guess.shape} must be two lists of one length")
    if not true.size:
        return np.zeros((n_classes, n_classes), dtype=np.int64)
    if not all(np.issubdtype(indices.dtype, np.integer) for indices in (true, guess)):
        raise ValueError(f"class indices must be integers, not {true.dtype} and {guess.dtype}")
    lowest, highest = min(true.min(), guess.min()), max(true.max(), guess.max())
    if lowest < 0 or highest >= n_classes:
        raise ValueError(f"class indices run from {lowest} to {highest}, outside 0 to {n_classes - 1}")
    cells = true.astype(np.int64) * n_classes + guess
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)  # (K, K)


def scores(matrix: ArrayLike, names: Sequence[str]) -> Scores:
    """Return the scores of a confusion matrix.

    UAR is the mean recall over the classes present in the truth. A class that is absent from it has no recall
    (None), and counts in macro-F1 only where it was predicted, as an F1 of zero.

    Args:
        matrix: (K, K) counts, rows = true class.
        names: K class names.

    Raises:
        ValueError: if the matrix is not K × K or holds no clip.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"{len(names)} class names need a square matrix of that size, not {counts.shape}")
    if counts.sum() <= 0:
        raise ValueError("no clips to score: the confusion matrix is empty")
    hits, occurrences = counts.diagonal(), counts.sum(axis=1) + counts.sum(axis=0)  # (K,) each
    used = occurrences > 0
    recalls = recall(counts).tolist()
    return Scores(
        uar=float(uar(counts)),
        accuracy=float(accuracy(counts)),
        macro_f1=float((2 * hits[used] / occurrences[used]).mean()),
        recall={name: None if math.isnan(share) else share for name, share in zip(names, recalls, strict=True)},
    )


def by_speaker(
    speakers: NDArray[np.int64], labels: NDArray[np.int64], predicted: NDArray[np.int64], n_speakers: int, k: int
) -> Counts:
    """Return a confusion matrix for each speaker, (S, K, K), from three (N,) arrays of indices."""
    cells = (speakers * k + labels) * k + predicted
    return np.bincount(cells, minlength=n_speakers * k * k).reshape(n_speakers, k, k)


def recall(counts: NDArray) -> Floats:
    """Return the recall of each class: (..., K, K) -> (..., K), NaN for a label that no clip has."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support = counts.sum(axis=-1)
    return np.divide(hits, support, out=np.full(hits.shape, np.nan), where=support > 0)


def uar(counts: NDArray) -> Floats:
    """Return the mean recall over the labels that have clips: (..., K, K) -> (...); NaN without clips."""
    return known_mean(recall(counts))


def accuracy(counts: NDArray) -> Floats:
    """Return the share of clips that are recognised: (..., K, K) -> (...), NaN without clips."""
    hits, total = np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1))
    return np.divide(hits, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def group_scores(counts: NDArray) -> Floats:
    """Return UAR, accuracy and every recall, means over repetitions: (W, R, K, K) -> (W, 2 + K)."""
    values = np.concatenate([uar(counts)[..., None], accuracy(counts)[..., None], recall(counts)], axis=-1)
    return known_mean(np.moveaxis(values, 1, -1))


def uar_difference(counts: NDArray) -> Floats:
    """Return the UAR of the first minus that of the second, mean over repetitions: (W, 2, R, K, K) -> (W, 1)."""
    uars = uar(counts)  # (W, 2, R)
    return known_mean(uars[:, 0] - uars[:, 1])[:, None]


def uar_by_speaker(counts: NDArray) -> Floats:
    """Return what each speaker adds to the UAR, mean over repetitions: (S, R, K, K) -> (S,); the sum is the UAR."""
    support = counts.sum(axis=(0, -1))  # (R, K)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)  # (S, R, K)
    shares = np.divide(hits, support, out=np.zeros(hits.shape), where=support > 0)
    return (shares.sum(axis=-1) / (support > 0).sum(axis=-1)).mean(axis=-1)


def known_mean(values: Floats) -> Floats:
    """Return the mean over the last axis without what is NaN; NaN where everything is."""
    known = np.isfinite(values)
    n_known = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    return np.divide(total, n_known, out=np.full(total.shape, np.nan), where=n_known > 0)
