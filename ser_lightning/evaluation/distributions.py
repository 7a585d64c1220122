"""Measure how far a model's probabilities are from the shares of annotators' votes.

N clips, K labels. Rows of both sum to 1.
"""

import numpy as np
from scipy.special import rel_entr

from ser_lightning.evaluation.metrics import Floats
from ser_lightning.evaluation.records import DistributionScores


def distribution_scores(probabilities: Floats, shares: Floats) -> DistributionScores:
    """Return the mean divergence of probabilities (N, K) from shares of votes (N, K), and F1 of likely labels."""
    return DistributionScores(
        js_divergence=float(js_divergence(probabilities, shares).mean()),
        macro_f1=macro_f1_above_chance(probabilities, shares),
        n_clips=len(shares),
    )


def js_divergence(first: Floats, second: Floats) -> Floats:
    """Return the Jensen-Shannon divergence of each row, (N,), in bits: 0 where they are the same, 1 at most."""
    middle = (first + second) / 2
    nats = (rel_entr(first, middle) + rel_entr(second, middle)).sum(axis=1)
    return (nats / (2 * np.log(2))).clip(0, 1)  # by rounding it may lie outside


def macro_f1_above_chance(probabilities: Floats, shares: Floats) -> float:
    """Return the macro-F1 of the labels that have more than 1/K, of a clip's probabilities and of its votes.

    A clip may so have several labels, or none. This is the measure of EMO-SUPERB (Wu et al., 2024, arXiv
    2402.13018). A label that no clip has or is given does not count.
    """
    threshold = 1 / shares.shape[1]
    guess, true = probabilities > threshold, shares > threshold
    hits, occurrences = (guess & true).sum(axis=0), guess.sum(axis=0) + true.sum(axis=0)  # (K,)
    used = occurrences > 0
    return float((2 * hits[used] / occurrences[used]).mean()) if used.any() else 0.0
