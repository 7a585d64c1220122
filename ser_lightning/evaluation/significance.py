"""Tests of a difference between two models over speakers and over clips, and an effect size.

Clips of one speaker are alike, so it is speakers that are swapped; a test over clips stands beside.
S: speakers.  W: permutations.  P: tests.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from ser_lightning.evaluation.bootstrap import FEWEST_SPEAKERS
from ser_lightning.evaluation.metrics import Floats

N_PERMUTATIONS = 9_999  # beside the observed one; with up to 13 speakers, all there are
PERMUTATIONS_A_TEST = 200  # at least: else no p could be small any more once it is corrected for many tests
EXACT_BELOW = 25  # discordant clips: Fagerland, Lydersen and Laake, BMC Med. Res. Methodol. 13:91 (2013)
_SEED = 0  # the same runs give the same numbers
_BATCH = 4_000_000  # numbers that are in memory at a time


def permutation_p(differences: Sequence[Floats]) -> list[float]:
    """Return the two-sided p of each of many paired permutation tests over speakers.

    Where two models are the same, it makes no difference which of them answered a speaker. On the same clips,
    labels are equally frequent for both, so that the difference in UAR is a sum over speakers (`uar_by_speaker`),
    and swapping the models for one speaker changes the sign of one term.

    Args:
        differences: of each test (S,), what each speaker adds to the difference; S may vary.
    """
    all_p = [1.0] * len(differences)  # of a single speaker: swapped or not, the difference is as large
    n_resamples = _n_resamples(len(differences))
    for n_speakers in set(map(len, differences)) - {1}:
        which = [number for number, terms in enumerate(differences) if len(terms) == n_speakers]
        p_values = _sign_tests(np.stack([differences[number] for number in which]), n_resamples)
        for number, p in zip(which, p_values, strict=True):
            all_p[number] = p
    return all_p


def swapping_p(tests: Sequence[NDArray], difference: Callable[[NDArray], Floats]) -> list[float]:
    """Return p-values for a statistic that is no sum over speakers, computed anew with some speakers swapped.

    Args:
        tests: of each test (S, 2, ...), what each speaker contributes to the sums of either model; S may vary.
        difference: of sums (W, 2, ...) the difference that is tested, (W, 1).
    """
    return [_swapping_p(sums, difference, _n_resamples(len(tests))) for sums in tests]


def _swapping_p(sums: NDArray, difference: Callable[[NDArray], Floats], n_resamples: int) -> float:
    n_speakers = len(sums)
    if n_speakers < 2:
        return 1.0
    half, middle = (sums[:, 0] - sums[:, 1]) / 2, sums.sum(axis=(0, 1)) / 2  # (S, ...), (...)

    def swapped(signs: Floats, axis: int) -> Floats:
        moved = np.tensordot(signs.reshape(-1, n_speakers), half, axes=1)  # (W, ...)
        return difference(np.stack([middle + moved, middle - moved], axis=1)).reshape(signs.shape[:-1])

    result = stats.permutation_test(
        (np.ones(n_speakers),),
        swapped,
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_resamples,
        batch=max(1, _BATCH // (n_speakers * sums[0].size)),
        rng=np.random.default_rng(_SEED),
    )
    return float(result.pvalue)


def smallest_p(n_speakers: int, n_tests: int) -> float:
    """Return the smallest p that `permutation_p` can give a test over so many speakers, whatever the difference.

    Of the 2^S ways to swap speakers, the observed one and its opposite are always as extreme.
    """
    return 2 / min(2**n_speakers, _n_resamples(n_tests) + 1)


def _n_resamples(n_tests: int) -> int:
    return max(N_PERMUTATIONS, PERMUTATIONS_A_TEST * n_tests - 1)


def _sign_tests(differences: Floats, n_resamples: int) -> list[float]:
    """Return P p values of differences (P, S). A sign a speaker is permuted; one set of signs serves all tests."""
    n_tests, n_speakers = differences.shape
    result = stats.permutation_test(
        (np.ones(n_speakers),),
        lambda signs, axis: signs @ differences.T,  # (W, S) -> (W, P)
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_resamples,
        batch=max(1, _BATCH // max(n_tests, n_speakers)),
        rng=np.random.default_rng(_SEED),
    )
    return result.pvalue.tolist()


def mcnemar_p(only_first: float, only_second: float) -> float:
    """Return the p of McNemar's test: exact for few discordant clips, else by chi² with continuity correction.

    Counts that are means over seeds are rounded to integers. Clips of one speaker are taken as independent,
    which they are not: p is too small.
    """
    first, second = round(only_first), round(only_second)
    if first + second == 0:
        return 1.0
    exact = first + second < EXACT_BELOW
    return float(mcnemar([[0, first], [second, 0]], exact=exact, correction=True).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number by Holm's step-down method."""
    return multipletests(p_values, method="holm")[1].tolist() if p_values else []


def cohens_d(differences: Floats) -> float:
    """Return the mean of paired differences (S,) in units of their standard deviation.

    Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, 2.3.5 (d_z). Zero where all are zero, NaN
    where they do not vary otherwise, and of fewer speakers than `FEWEST_SPEAKERS`.
    """
    if len(differences) < FEWEST_SPEAKERS:
        return math.nan
    if not differences.any():
        return 0.0
    spread = differences.std(ddof=1)
    return float(differences.mean() / spread) if spread > 1e-12 else float("nan")
