"""Scores of probabilities against the shares of votes, at values computed by hand and by other libraries."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from ser_lightning.evaluation.distributions import distribution_scores, js_divergence, macro_f1_above_chance


def test_the_divergence_is_none_of_the_same_and_one_bit_of_what_has_nothing_in_common():
    first = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    second = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    # the third: the middle is (3/4, 1/4, 0); (log2(4/3) + log2(2/3) / 2 + log2(2) / 2) / 2
    assert js_divergence(first, second) == pytest.approx([0.0, 1.0, (np.log2(4 / 3) + np.log2(4 / 3) / 2) / 2])


def test_the_divergence_is_that_of_scipy():
    random = np.random.default_rng(0)
    first, second = (random.dirichlet(np.ones(5), 40) for _ in range(2))
    expected = [jensenshannon(one, other, base=2) ** 2 for one, other in zip(first, second, strict=True)]
    assert js_divergence(first, second) == pytest.approx(expected)


def test_the_divergence_lies_within_0_and_1_whatever_is_rounded():
    random = np.random.default_rng(0)
    first = random.dirichlet(np.ones(7), 5000)
    apart = np.zeros((5000, 14))
    apart[:, :7] = first
    for other in (first + random.uniform(-1e-16, 1e-16, first.shape), first):
        assert js_divergence(first, other).min() >= 0
    assert js_divergence(apart, apart[:, ::-1]).max() <= 1


def test_labels_above_one_kth_are_counted_by_hand():
    shares = np.array(
        [[0.5, 0.5, 0.0], [0.8, 0.1, 0.1], [1 / 3, 1 / 3, 1 / 3]]
    )  # {0, 1}, {0}, none: 1/3 is not above
    guess = np.array([[0.6, 0.4, 0.0], [0.4, 0.5, 0.1], [0.0, 0.1, 0.9]])  # {0, 1}, {0, 1}, {2}
    # label 0: 2 of 2 found; label 1: one found, one too many, F1 2/3; label 2: one too many, 0
    assert macro_f1_above_chance(guess, shares) == pytest.approx((1 + 2 / 3 + 0) / 3)
    scores = distribution_scores(guess, shares)
    assert scores.n_clips == 3 and scores.js_divergence == pytest.approx(js_divergence(guess, shares).mean())


def test_a_label_that_no_clip_has_or_is_given_does_not_count():
    shares = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    assert macro_f1_above_chance(shares, shares) == 1.0
