"""Measure how far confidence is from accuracy, and what is gained by not answering where it is low.

N: clips.  K: classes.  Q: points of a curve.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from ser_lightning.evaluation.metrics import Floats, confusion, uar
from ser_lightning.evaluation.records import Calibration, ConfidenceBin, SelectivePoint

Labels = NDArray[np.int64]

N_BINS = 15
_LOWEST, _HIGHEST = 0.05, 20.0  # temperatures that are tried
_POINTS = 20  # of the selective curve


def calibration(probabilities: Floats, labels: Labels) -> Calibration:
    """Return how far confidence is from accuracy.

    ``ece``: expected calibration error, the mean over clips of the distance between confidence (the highest
    probability) and accuracy in 15 bins of confidence of one width (Guo et al., "On calibration of modern neural
    networks", ICML 2017, arXiv 1706.04599, equation 3). ``nll``: mean negative log-likelihood; ``brier``: mean
    squared distance from the truth, 0 to 2 (Brier, 1950); both are lower where better. ``bins``: those that are
    not empty. ``selective``: `selective_curve`; ``aurc``: the area between it and 1, the mean over all coverages of
    the share of errors among the most confident clips (Geifman and El-Yaniv, 2017).

    Args:
        probabilities: (N, K), each row's sum 1.
        labels: (N,) true classes.
    """
    n_clips, n_classes = probabilities.shape
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = _bins(confidence, correct)
    truth = np.eye(n_classes)[labels]
    errors = ~correct[np.argsort(-confidence, kind="stable")]  # the most confident answers first
    likelihood = probabilities[np.arange(n_clips), labels]
    return Calibration(
        ece=sum(bin_.n * abs(bin_.confidence - bin_.accuracy) for bin_ in bins) / n_clips,
        nll=float(-np.log(likelihood.clip(1e-12)).mean()),
        brier=float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        aurc=float((np.cumsum(errors) / np.arange(1, n_clips + 1)).mean()),
        confidence=min(1.0, float(confidence.mean())),  # rounding may take a mean of ones above 1
        bins=bins,
        selective=selective_curve(probabilities, labels),
    )


def _bins(confidence: Floats, correct: NDArray[np.bool_]) -> list[ConfidenceBin]:
    """Return the bins of confidence that hold any of the clips (N,)."""
    numbers = np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)
    return [
        ConfidenceBin(
            low=number / N_BINS,
            high=(number + 1) / N_BINS,
            n=int((numbers == number).sum()),
            confidence=min(1.0, float(confidence[numbers == number].mean())),
            accuracy=float(correct[numbers == number].mean()),
        )
        for number in np.unique(numbers).tolist()
    ]


def selective_curve(probabilities: Floats, labels: Labels) -> list[SelectivePoint]:
    """Return accuracy and UAR of the most confident answers, Q points.

    UAR is over the classes that are among those clips.
    """
    n_classes = probabilities.shape[1]
    most_confident = np.argsort(-probabilities.max(axis=1), kind="stable")
    predicted = probabilities.argmax(axis=1)
    points = []
    for step in range(1, _POINTS + 1):
        kept = most_confident[: max(1, round(len(labels) * step / _POINTS))]
        matrix = confusion(labels[kept], predicted[kept], n_classes)
        points.append(
            SelectivePoint(
                coverage=len(kept) / len(labels),
                accuracy=float(np.trace(matrix) / matrix.sum()),
                uar=float(uar(matrix)),
            )
        )
    return points


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Return the number that logits (N, K) are divided by for the highest likelihood of ``labels`` (N,).

    One number changes no answer, and most of a network's overconfidence goes (Guo et al., section 4.2).
    """

    def loss(log_temperature: float) -> float:
        return nll(logits / np.exp(log_temperature), labels)

    minimum = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(minimum.x))


def nll(logits: Floats, labels: Labels) -> float:
    """Return the mean negative log-likelihood of ``labels`` (N,) under logits (N, K)."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def probabilities_at(logits: Floats, temperature: float) -> Floats:
    """Return probabilities (N, K) of logits (N, K) at a temperature."""
    return softmax(logits / temperature, axis=1)


def left_out(logits: Floats, labels: Labels, groups: Labels) -> Floats:
    """Return the probabilities (N, K) of each clip at the temperature that fits all other ``groups`` (N,).

    With groups of speakers, this shows what calibration is worth for new speakers.
    """
    probabilities = np.empty_like(logits)
    for group in np.unique(groups):
        here = groups == group
        probabilities[here] = probabilities_at(logits[here], fit_temperature(logits[~here], labels[~here]))
    return probabilities
