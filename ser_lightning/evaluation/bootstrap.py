"""Confidence intervals by a bootstrap over speakers, who are drawn with all their clips.

S: speakers.  W: resamples.  V: values of a statistic.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation.metrics import Floats

CONFIDENCE = 0.95
N_RESAMPLES = 2_000
FEWEST_SPEAKERS = 4  # of fewer there are so few resamples that an interval, or an effect size, says nothing
_SEED = 0  # the same runs give the same numbers


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


def interval(counts: NDArray, statistic: Callable[[NDArray], Floats]) -> list[Estimate]:
    """Return a statistic of all speakers' clips, with its confidence interval.

    The bootstrap resamples speakers with all their clips, in every repetition the same ones, and the interval is
    between percentiles of what comes out (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 13.3).
    A number that a resample does not have, such as the recall of a label that none of its speakers shows, is left
    out. Too few speakers say nothing about others: below `FEWEST_SPEAKERS` the interval is NaN.

    Args:
        counts: (S, ...), what each speaker contributes to a sum.
        statistic: of such sums, (W, ...) -> (W, V).

    Returns: V estimates.
    """
    (values,) = statistic(counts.sum(axis=0)[None])
    if len(counts) < FEWEST_SPEAKERS:
        return [Estimate(value, math.nan, math.nan) for value in values.tolist()]

    drawn = np.random.default_rng(_SEED).integers(0, len(counts), (N_RESAMPLES, len(counts)))  # (W, S)
    cells = np.arange(N_RESAMPLES)[:, None] * len(counts) + drawn
    times_drawn = np.bincount(cells.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)  # (W, S)
    resamples = statistic(np.tensordot(times_drawn, counts, axes=1))  # (W, V)
    estimates = []
    for value, resampled in zip(values.tolist(), resamples.T, strict=True):
        known = resampled[np.isfinite(resampled)]
        low = high = math.nan
        if known.size:
            low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
        estimates.append(Estimate(value, low, high))
    return estimates
