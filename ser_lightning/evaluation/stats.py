"""How sure a comparison can be: intervals, paired tests, an effect size.

Clips of one speaker are alike, so it is speakers that are resampled and swapped; a test over clips stands beside.
S: speakers.  R: repetitions (seeds).  K: labels.  B: resamples.  M: numbers of a statistic.  P: tests.
Counts (S, R, K, K) are confusion matrices, rows the true label; shares lie between 0 and 1.
"""

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from ser_lightning.compare.comparison import Estimate

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

CONFIDENCE = 0.95
FEWEST_SPEAKERS = 4  # of fewer there are so few resamples that an interval, or an effect size, says nothing
N_RESAMPLES = 2_000
N_PERMUTATIONS = 9_999  # beside the one that was seen; with up to 13 speakers, all there are
PERMUTATIONS_A_TEST = 200  # at least: else no p could be small any more once it is corrected for many tests
EXACT_BELOW = 25  # discordant clips: Fagerland, Lydersen and Laake, BMC Med. Res. Methodol. 13:91 (2013)
_SEED = 0  # the same runs give the same numbers
_BATCH = 4_000_000  # numbers that are in memory at a time


def by_speaker(
    speakers: NDArray[np.int64], labels: NDArray[np.int64], predicted: NDArray[np.int64], n_speakers: int, k: int
) -> Counts:
    """Three (N,) lists of indices, an entry a clip -> counts (S, K, K)."""
    cells = (speakers * k + labels) * k + predicted
    return np.bincount(cells, minlength=n_speakers * k * k).reshape(n_speakers, k, k)


def recall(counts: NDArray) -> Floats:
    """(..., K, K) -> (..., K), NaN for a label that no clip has."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support = counts.sum(axis=-1)
    return np.divide(hits, support, out=np.full(hits.shape, np.nan), where=support > 0)


def uar(counts: NDArray) -> Floats:
    """(..., K, K) -> (...), the mean recall over the labels that are there; NaN without clips."""
    return known_mean(recall(counts))


def accuracy(counts: NDArray) -> Floats:
    """(..., K, K) -> (...), NaN without clips."""
    hits, total = np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1))
    return np.divide(hits, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def group_scores(counts: NDArray) -> Floats:
    """(B, R, K, K) -> (B, 2 + K): UAR, accuracy and every recall, means over the repetitions."""
    each = np.concatenate([uar(counts)[..., None], accuracy(counts)[..., None], recall(counts)], axis=-1)
    return known_mean(np.moveaxis(each, 1, -1))


def uar_difference(counts: NDArray) -> Floats:
    """(B, 2, R, K, K) -> (B, 1): UAR of the first minus that of the second, mean over the repetitions."""
    each = uar(counts)  # (B, 2, R)
    return known_mean(each[:, 0] - each[:, 1])[:, None]


def interval(counts: NDArray, statistic: Callable[[NDArray], Floats]) -> list[Estimate]:
    """A statistic of everybody's clips, and where it would lie with other speakers.

    The bootstrap resamples speakers with all their clips, in every repetition the same ones, and the interval is
    between percentiles of what comes out (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 13.3).
    A number that a resample does not have, such as the recall of a label that none of its speakers shows, is left
    out. A few speakers say nothing about others: below `FEWEST_SPEAKERS` the interval is NaN.

    Args:
        counts: (S, ...), what each speaker contributes to a sum.
        statistic: of such sums, (B, ...) -> (B, M).

    Returns: M estimates.
    """
    (values,) = statistic(counts.sum(axis=0)[None])
    if len(counts) < FEWEST_SPEAKERS:
        return [Estimate(value, math.nan, math.nan) for value in values.tolist()]

    def resampled(drawn: NDArray[np.int64], axis: int) -> Floats:
        """(..., S) indices of speakers -> (M, ...)."""
        sums = np.tensordot(_times_drawn(drawn), counts, axes=1)  # (B, ...)
        return statistic(sums).T.reshape(-1, *drawn.shape[:-1])

    drawn = _bootstrapped(len(counts), resampled)  # (M, B)
    return [_between_percentiles(value, each) for value, each in zip(values.tolist(), drawn, strict=True)]


def _bootstrapped(n_speakers: int, statistic: Callable[..., Floats]) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # some numbers may be NaN: see above
        result = stats.bootstrap(
            (np.arange(n_speakers),),
            statistic,
            n_resamples=N_RESAMPLES,
            method="percentile",
            vectorized=True,
            rng=np.random.default_rng(_SEED),
        )
    return result.bootstrap_distribution


def _times_drawn(drawn: NDArray[np.int64]) -> Floats:
    """(..., S) indices of speakers -> (B, S), how often each was drawn."""
    n_speakers = drawn.shape[-1]
    rows = drawn.reshape(-1, n_speakers)
    cells = np.arange(len(rows))[:, None] * n_speakers + rows
    return np.bincount(cells.ravel(), minlength=rows.size).reshape(rows.shape).astype(np.float64)


def _between_percentiles(value: float, drawn: Floats) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not known.size:
        return Estimate(value, value, value)
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    return Estimate(value, low, high)


def uar_by_speaker(counts: NDArray) -> Floats:
    """(S, R, K, K) -> (S,): what each speaker adds to the UAR, mean over repetitions. Their sum is the UAR."""
    support = counts.sum(axis=(0, -1))  # (R, K)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)  # (S, R, K)
    shares = np.divide(hits, support, out=np.zeros(hits.shape), where=support > 0)
    return (shares.sum(axis=-1) / (support > 0).sum(axis=-1)).mean(axis=-1)


def permutation_p(differences: Sequence[Floats]) -> list[float]:
    """Two-sided p of each of many paired permutation tests over speakers.

    Where two models are the same, it makes no difference which of them answered a speaker. On the same clips,
    labels are equally frequent for both, so that the difference in UAR is a sum over speakers (`uar_by_speaker`),
    and swapping the models for one speaker changes the sign of one term.

    Args:
        differences: of each test (S,), what each speaker adds to the difference; S may vary.
    """
    found = [1.0] * len(differences)  # of a single speaker: swapped or not, the difference is as large
    n_resamples = _n_resamples(len(differences))
    for n_speakers in {len(each) for each in differences} - {1}:
        which = [number for number, each in enumerate(differences) if len(each) == n_speakers]
        p_values = _sign_tests(np.stack([differences[number] for number in which]), n_resamples)
        for number, p in zip(which, p_values, strict=True):
            found[number] = p
    return found


def smallest_p(n_speakers: int, n_tests: int) -> float:
    """The smallest p that `permutation_p` can give a test over so many speakers, whatever the difference.

    Of the 2^S ways to swap speakers, the one that was found and its opposite are always as extreme.
    """
    return 2 / min(2**n_speakers, _n_resamples(n_tests) + 1)


def _n_resamples(n_tests: int) -> int:
    return max(N_PERMUTATIONS, PERMUTATIONS_A_TEST * n_tests - 1)


def _sign_tests(differences: Floats, n_resamples: int) -> list[float]:
    """(P, S) -> P p values. What is permuted is a sign a speaker, so that one set of them serves all tests."""
    n_tests, n_speakers = differences.shape
    result = stats.permutation_test(
        (np.ones(n_speakers),),
        lambda signs, axis: signs @ differences.T,  # (B, S) -> (B, P)
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_resamples,
        batch=max(1, _BATCH // max(n_tests, n_speakers)),
        rng=np.random.default_rng(_SEED),
    )
    return result.pvalue.tolist()


def mcnemar_p(only_first: float, only_second: float) -> float:
    """McNemar's test: exact for few discordant clips, else by chi² with its correction of continuity.

    Counts that are means over seeds are rounded to whole clips. Clips of one speaker are taken as independent,
    which they are not: p is too small.
    """
    first, second = round(only_first), round(only_second)
    if first + second == 0:
        return 1.0
    exact = first + second < EXACT_BELOW
    return float(mcnemar([[0, first], [second, 0]], exact=exact, correction=True).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The same p, corrected for how many they are by Holm's step-down method."""
    return multipletests(p_values, method="holm")[1].tolist() if p_values else []


def cohens_d(differences: Floats) -> float:
    """Mean of paired differences (S,) in units of their standard deviation.

    Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, 2.3.5 (d_z). Zero where all are zero, NaN
    where they do not vary otherwise, and of fewer speakers than `FEWEST_SPEAKERS`.
    """
    if len(differences) < FEWEST_SPEAKERS:
        return math.nan
    if not differences.any():
        return 0.0
    spread = differences.std(ddof=1)
    return float(differences.mean() / spread) if spread > 1e-12 else float("nan")


def known_mean(values: Floats) -> Floats:
    """Mean over the last axis without what is NaN; NaN where everything is."""
    known = np.isfinite(values)
    n_known = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    return np.divide(total, n_known, out=np.full(total.shape, np.nan), where=n_known > 0)
