"""Every statistic against a textbook's value, or one computed in another way."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ser_lightning.evaluation import bootstrap, metrics, significance
from ser_lightning.evaluation.metrics import scores

# Darwin's pairs of crossed and self-fertilised maize, eighths of an inch: Fisher, The Design of Experiments, 1935,
# table 3; 863 of the 2¹⁵ ways to set their signs have a sum at least as large (section 21).
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=np.float64)


def random_counts(*shape, seed=0):
    """Confusion matrices of three labels."""
    return np.random.default_rng(seed).integers(0, 6, (*shape, 3, 3))


def same_support(counts):
    """Two models on the same clips: the second's rows have the sums of the first's."""
    other = np.roll(counts, 1, axis=-1)
    return np.stack([counts, other], axis=1)  # (S, 2, R, K, K)


def test_counts_are_by_speaker():
    speakers, labels, predicted = np.array([[0, 0, 2, 2, 2], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0]])
    counts = metrics.by_speaker(speakers, labels, predicted, 3, 2)
    assert counts.tolist() == [[[1, 0], [1, 0]], [[0, 0], [0, 0]], [[1, 0], [0, 2]]]


def test_scores_of_many_matrices_are_those_of_each():
    counts = random_counts(5)
    counts[2, 1] = 0  # a label that nobody shows
    each = [scores(matrix, "abc") for matrix in counts]
    assert metrics.uar(counts) == pytest.approx([one.uar for one in each])
    assert metrics.accuracy(counts) == pytest.approx([one.accuracy for one in each])
    assert np.isnan(metrics.recall(counts)[2, 1])
    assert np.isnan(metrics.uar(np.zeros((3, 3)))) and np.isnan(metrics.accuracy(np.zeros((3, 3))))


def test_the_bootstrap_of_speakers_with_one_clip_is_that_of_their_mean():
    right = (np.random.default_rng(1).random(40) < 0.6).astype(int)
    counts = np.zeros((40, 1, 2, 2), dtype=int)
    counts[np.arange(40), 0, 0, 1 - right] = 1
    _, accuracy, *_ = bootstrap.interval(counts, metrics.group_scores)
    theirs = scipy_stats.bootstrap(
        (right,),
        np.mean,
        method="percentile",
        n_resamples=bootstrap.N_RESAMPLES,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert accuracy.value == right.mean()
    assert (accuracy.low, accuracy.high) == pytest.approx((theirs.low, theirs.high))


def test_the_intervals_are_those_of_scipys_bootstrap():
    counts = random_counts(9)

    def uar(drawn, axis):
        return metrics.group_scores(counts[drawn].sum(axis=-3)[:, None])[:, 0]

    known = scipy_stats.bootstrap(
        (np.arange(9),), uar, n_resamples=bootstrap.N_RESAMPLES, method="percentile", vectorized=True, rng=0
    )
    ours = bootstrap.interval(counts[:, None], metrics.group_scores)[0]
    assert (ours.low, ours.high) == pytest.approx(tuple(known.confidence_interval), abs=1e-12)


def test_the_bootstrap_takes_all_seeds_of_a_speaker_together():
    counts = random_counts(6, 2)
    uar = bootstrap.interval(counts, metrics.group_scores)[0]
    assert uar.value == pytest.approx(np.mean([scores(matrix, "abc").uar for matrix in counts.sum(0)]))
    drawn = np.random.default_rng(0).integers(0, 6, (bootstrap.N_RESAMPLES, 6))  # as SciPy draws them
    slow = [np.mean([scores(matrix, "abc").uar for matrix in counts[rows].sum(0)]) for rows in drawn[:400]]
    fast = metrics.group_scores(counts[drawn[:400]].sum(axis=1))[:, 0]
    assert fast == pytest.approx(slow)
    every = metrics.group_scores(counts[drawn].sum(axis=1))[:, 0]
    assert (uar.low, uar.high) == pytest.approx(np.percentile(every, [2.5, 97.5]))


def test_clips_of_a_speaker_that_are_alike_count_as_one():
    one_clip = np.zeros((30, 1, 2, 2), dtype=int)
    one_clip[::3, 0, 0, 1] = 1
    one_clip[1::3, 0, 0, 0] = 1
    one_clip[2::3, 0, 1, 1] = 1
    ten, one = (bootstrap.interval(n * one_clip, metrics.group_scores) for n in (10, 1))
    assert ten == one


def test_a_label_that_some_resamples_lack_has_an_interval_and_one_that_all_lack_has_none():
    counts = np.zeros((5, 1, 3, 3), dtype=int)
    counts[:, 0, 0, 0] = 2
    counts[0, 0, 1] = [1, 1, 0]  # one speaker alone shows the second label, nobody the third
    *_, first, second, third = bootstrap.interval(counts, metrics.group_scores)
    assert (first.low, first.high) == (1, 1)
    assert (second.value, second.low, second.high) == (0.5, 0.5, 0.5)
    assert math.isnan(third.value)


@pytest.mark.parametrize("n_speakers", [1, 2, 3])
def test_few_speakers_have_a_value_and_no_more(n_speakers):
    uar = bootstrap.interval(random_counts(n_speakers, 2), metrics.group_scores)[0]
    assert math.isfinite(uar.value) and math.isnan(uar.low) and math.isnan(uar.high)
    assert math.isnan(significance.cohens_d(np.array([0.2, 0.21, 0.2])[:n_speakers]))
    assert significance.permutation_p([np.array([0.2])]) == [1.0]
    assert math.isnan(significance.cohens_d(np.array([0.2])))


def test_the_same_runs_give_the_same_numbers():
    counts = random_counts(8, 2)
    first, second = (bootstrap.interval(each, metrics.group_scores) for each in (counts, counts.copy()))
    assert first == second
    differences = np.random.default_rng(0).normal(size=30)
    alone = significance.permutation_p([differences])
    assert alone == significance.permutation_p([differences])
    assert alone == significance.permutation_p([differences, -differences])[:1]


def test_what_speakers_add_to_the_uar_sums_to_it():
    counts = random_counts(7, 2)
    assert metrics.uar_by_speaker(counts).sum() == pytest.approx(metrics.uar(counts.sum(axis=0)).mean())


def test_the_permutation_test_is_that_of_swapping_the_models_speaker_by_speaker():
    counts = same_support(random_counts(8, 2, seed=3))
    swapped = [
        np.stack([matrices[::-1] if swap else matrices for matrices, swap in zip(counts, swaps, strict=True)])
        for swaps in product([False, True], repeat=8)
    ]
    null = np.array([metrics.uar_difference(each.sum(axis=0)[None])[0, 0] for each in swapped])
    seen = null[0]
    p = 2 * min((null >= seen - 1e-12).mean(), (null <= seen + 1e-12).mean())
    differences = metrics.uar_by_speaker(counts[:, 0]) - metrics.uar_by_speaker(counts[:, 1])
    assert differences.sum() == pytest.approx(seen)
    assert significance.permutation_p([differences]) == [pytest.approx(min(1, p))]


def test_the_permutation_test_gives_fishers_result_for_darwins_maize(monkeypatch):
    (sampled,) = significance.permutation_p([DARWIN])
    monkeypatch.setattr(significance, "N_PERMUTATIONS", 2**15)
    assert significance.permutation_p([DARWIN]) == [2 * 863 / 2**15]
    assert sampled == pytest.approx(2 * 863 / 2**15, abs=0.012)  # four standard errors of 9,999 draws


def test_permutation_tests_of_any_number_of_speakers_can_be_made_at_once():
    random = np.random.default_rng(0)
    several = [random.normal(0.5, 1, size=n) for n in (5, 30, 5, 1, 12)]
    together = significance.permutation_p(several)
    assert together == [significance.permutation_p([each])[0] for each in several]
    assert significance.permutation_p([]) == []


def test_models_that_are_the_same_do_not_differ():
    one = random_counts(9, 1)
    both = np.stack([one, one], axis=1)
    (difference,) = bootstrap.interval(both, metrics.uar_difference)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert significance.permutation_p([np.zeros(9), np.zeros(40)]) == [1.0, 1.0]
    assert significance.mcnemar_p(0, 0) == 1.0
    assert significance.cohens_d(np.zeros(9)) == 0.0


def test_the_interval_of_a_difference_is_narrower_than_those_of_two_that_vary_together():
    random = np.random.default_rng(0)
    hits = random.integers(2, 10, 20)
    counts = np.zeros((20, 2, 1, 1, 2), dtype=int)
    counts[:, 0, 0, 0, 0], counts[:, 0, 0, 0, 1] = hits, 12 - hits
    counts[:, 1, 0, 0, 0], counts[:, 1, 0, 0, 1] = hits - 1, 13 - hits
    both = np.zeros((20, 2, 1, 2, 2), dtype=int)
    both[:, :, :, :1, :] = counts
    (difference,) = bootstrap.interval(both, metrics.uar_difference)
    assert (difference.value, difference.low, difference.high) == pytest.approx([1 / 12] * 3)


def test_mcnemar_of_many_clips_gives_the_textbooks_chi2():
    """A prime minister in two surveys: Agresti, Categorical Data Analysis, 2nd ed., 2002, table 10.1."""
    chi2 = (abs(150 - 86) - 1) ** 2 / (150 + 86)  # with the correction of continuity
    assert significance.mcnemar_p(150, 86) == pytest.approx(math.erfc(math.sqrt(chi2 / 2)))


def test_mcnemar_of_few_clips_is_a_sign_test():
    assert significance.mcnemar_p(9, 1) == pytest.approx(2 * (1 + 10) / 2**10)
    assert significance.mcnemar_p(1, 9) == significance.mcnemar_p(9.4, 0.6)
    n = significance.EXACT_BELOW - 1
    assert significance.mcnemar_p(n, 0) == pytest.approx(2 / 2**n)


def test_holm_corrects_step_by_step():
    """Holm, Scandinavian Journal of Statistics 6, 1979. By hand: 4 × 0.005, 3 × 0.01, 2 × 0.03, then no less."""
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([0.6, 0.7]) == [1.0, 1.0]
    assert significance.holm([]) == []


def test_cohens_d_is_fishers_t_over_the_root_of_n():
    """Fisher gives t = 2.148 for Darwin's fifteen pairs (section 17)."""
    assert significance.cohens_d(DARWIN) == pytest.approx(2.148 / math.sqrt(15), abs=5e-4)
    assert math.isnan(significance.cohens_d(np.full(5, 0.25)))


def test_the_smallest_p_is_what_a_test_gives_at_its_most_extreme():
    for n_speakers in (1, 2, 5, 11):
        (p,) = significance.permutation_p([np.arange(1.0, n_speakers + 1)])
        assert p == pytest.approx(significance.smallest_p(n_speakers, 1))
    assert significance.smallest_p(5, 1) == 0.0625
    drawn = significance.permutation_p([np.arange(1.0, 41)])[0]  # not counted
    assert significance.smallest_p(40, 1) == drawn == 2e-4
