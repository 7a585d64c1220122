"""What a confusion matrix says: unweighted average recall (UAR), accuracy, macro-F1, recall per class.

K classes, N clips. Rows of a matrix are the truth, columns the predictions.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Scores(TypedDict):
    """What one evaluation is judged by; every number lies in [0, 1]."""

    uar: float
    accuracy: float
    macro_f1: float
    recall: dict[str, float | None]


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
    """Judge a confusion matrix.

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
    hits, support, guesses = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)  # (K,) each
    true, seen = support > 0, support + guesses > 0
    recall = hits[true] / support[true]
    return {
        "uar": float(recall.mean()),
        "accuracy": float(hits.sum() / counts.sum()),
        "macro_f1": float((2 * hits[seen] / (support + guesses)[seen]).mean()),
        "recall": {
            name: float(hit / total) if total else None
            for name, hit, total in zip(names, hits, support, strict=True)
        },
    }
