"""Metrics of predicted numbers, against values by hand and second implementations; tests over speakers."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from torchmetrics.functional import concordance_corrcoef, mean_absolute_error, mean_squared_error, pearson_corrcoef

from ser_lightning.evaluation import bootstrap, regression
from ser_lightning.evaluation.significance import N_PERMUTATIONS, swapping_p
from ser_lightning.tasks.regression import Regression

TASK = Regression(("arousal", "valence"))


def made(n=120, n_speakers=6, seed=0, noise=1.0):
    """True and predicted numbers (N, 2), and indices of speakers (N,)."""
    random = np.random.default_rng(seed)
    truth = random.normal([3.0, 50.0], [1.0, 15.0], (n, 2))
    predicted = 0.7 * truth + random.normal([0.5, 4.0], [0.6 * noise, 9.0 * noise], (n, 2))
    return truth, predicted, np.arange(n) % n_speakers


def total(truth, predicted):
    nobody = np.zeros(len(truth), dtype=np.int64)
    return regression.by_speaker(nobody, np.asarray(truth, float), np.asarray(predicted, float), 1)[0]


def lin(t, p):
    """Lin's coefficient as his paper has it, with moments over n."""
    covariance = ((t - t.mean()) * (p - p.mean())).mean()
    return 2 * covariance / (t.var() + p.var() + (t.mean() - p.mean()) ** 2)


def test_values_by_hand():
    # truth 1 2 3, predicted 2 2 5: means 2 and 3, variances 2/3 and 2, covariance 1, squared shift 1
    ccc, r, mae, rmse = regression.target_metrics(total([[1], [2], [3]], [[2], [2], [5]]))[0]
    assert ccc == pytest.approx(2 * 1 / (2 / 3 + 2 + 1))
    assert r == pytest.approx(1 / np.sqrt(2 / 3 * 2))
    assert mae == pytest.approx((1 + 0 + 2) / 3)
    assert rmse == pytest.approx(np.sqrt((1 + 0 + 4) / 3))


def test_they_are_those_of_other_implementations():
    truth, predicted, _ = made()
    table = regression.target_metrics(total(truth, predicted))
    n = len(truth)
    for column, (ccc, r, mae, rmse) in enumerate(table):
        t, p = truth[:, column], predicted[:, column]
        assert ccc == pytest.approx(lin(t, p))
        assert r == pytest.approx(stats.pearsonr(t, p).statistic)
        assert mae == pytest.approx(np.abs(t - p).mean())
        assert rmse == pytest.approx(np.sqrt(((t - p) ** 2).mean()))
        given = torch.from_numpy(p), torch.from_numpy(t)
        assert r == pytest.approx(pearson_corrcoef(*given).item())
        assert mae == pytest.approx(mean_absolute_error(*given).item())
        assert rmse == pytest.approx(mean_squared_error(*given, squared=False).item())
        # torchmetrics divides moments by n - 1, and Lin by n: the shift weighs a little less there
        shift = (t.mean() - p.mean()) ** 2
        spread = t.var() + p.var()
        by_n = concordance_corrcoef(*given).item() * (spread + shift * (n - 1) / n) / (spread + shift)
        assert ccc == pytest.approx(by_n)


def test_a_shift_and_a_scale_lower_ccc_and_not_r():
    truth = made()[0]
    same, shifted, scaled = (
        regression.target_metrics(total(truth, p)) for p in (truth, truth + np.array([1, 20]), truth * 1.5)
    )
    assert same[:, :2] == pytest.approx(np.ones((2, 2)))
    assert (shifted[:, 0] < 0.7).all() and shifted[:, 1] == pytest.approx(1)
    assert (scaled[:, 0] < 0.95).all() and scaled[:, 1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("truth", "predicted", "ccc", "r"),
    [
        ([[2.0]], [[2.0]], None, None),  # one clip
        ([[2.0], [2.0]], [[2.0], [2.0]], None, None),  # nothing varies
        ([[1.0], [3.0]], [[7.0], [7.0]], 0.0, None),  # always the same answer
        ([[0.1], [0.1]], [[0.3], [0.4]], 0.0, None),  # always the same truth
    ],
)
def test_what_is_not_defined_is_none(truth, predicted, ccc, r):
    scores = regression.regression_scores(total(truth, predicted), ("arousal",))
    assert scores.ccc == (None if ccc is None else pytest.approx(ccc))
    assert scores.pearson == r
    assert scores.mae is not None
    with pytest.raises(ValueError, match="no clips"):
        regression.regression_scores(np.zeros((1, regression.N_SUMS)), ("arousal",))


def test_sums_of_speakers_add_up_and_means_are_over_targets():
    truth, predicted, who = made()
    sums = TASK.sums_by_speaker(truth, predicted, who, 6)
    assert sums.sum(axis=0) == pytest.approx(total(truth, predicted))
    assert TASK.n_clips(sums[:, None]).tolist() == [20] * 6
    scores = regression.regression_scores(sums.sum(axis=0), TASK.targets)
    assert scores.ccc == pytest.approx(np.mean([each.ccc for each in scores.targets.values()]))
    values = dict(zip(TASK.score_names, TASK.group_scores(sums.sum(axis=0)[None, None])[0], strict=True))
    assert values["ccc"] == pytest.approx(scores.ccc) and values["mae"] == pytest.approx(scores.mae)
    assert values["ccc.valence"] == pytest.approx(scores.targets["valence"].ccc)
    own = who == 2
    assert TASK.speaker_scores(sums[:, None])[2] == pytest.approx(
        np.mean([lin(truth[own, column], predicted[own, column]) for column in range(2)])
    )


def test_an_interval_is_over_speakers():
    truth, predicted, who = made()
    sums = TASK.sums_by_speaker(truth, predicted, who, 6)
    estimate = bootstrap.interval(sums[:, None], TASK.group_scores)[0]
    assert estimate.low < estimate.value < estimate.high
    drawn = np.random.default_rng(1).integers(0, 6, (500, 6))
    again = [
        np.mean(
            [lin(*(np.concatenate([x[who == s, k] for s in speakers]) for x in (truth, predicted))) for k in (0, 1)]
        )
        for speakers in drawn
    ]
    assert estimate.low == pytest.approx(np.quantile(again, 0.025), abs=0.03)
    assert estimate.high == pytest.approx(np.quantile(again, 0.975), abs=0.03)


def two_models(noise=1.6):
    truth, first, who = made()
    second = made(noise=noise)[1]
    sums = [TASK.sums_by_speaker(truth, predicted, who, 6) for predicted in (first, second)]
    return truth, (first, second), who, np.stack(sums, axis=1)[:, :, None]  # (S, 2, 1, K, sums)


def test_the_permutation_test_swaps_speakers_between_the_models():
    truth, (first, second), who, sums = two_models()

    def difference(swapped):
        ours = np.where(np.isin(who, swapped)[:, None], second, first)
        theirs = np.where(np.isin(who, swapped)[:, None], first, second)
        return np.mean([lin(truth[:, k], ours[:, k]) - lin(truth[:, k], theirs[:, k]) for k in (0, 1)])

    every = [
        difference([speaker for speaker, swap in enumerate(swaps) if swap]) for swaps in product((0, 1), repeat=6)
    ]
    observed = difference([])
    assert TASK.headline_difference(sums.sum(axis=0)[None])[0, 0] == pytest.approx(observed)
    expected = min(1.0, 2 * np.mean(np.array(every) >= observed - 1e-12))  # SciPy's two-sided p
    assert TASK.permutation_p([sums]) == [pytest.approx(expected)]
    assert TASK.permutation_p([sums[:1]]) == [1.0]


def test_of_many_speakers_permutations_are_drawn():
    random = np.random.default_rng(0)
    truth = random.normal(size=(400, 1))
    who = np.arange(400) % 20
    close, far = truth + 0.3 * random.normal(size=(400, 1)), truth + 1.5 * random.normal(size=(400, 1))
    task = Regression(("x",))
    both = np.stack([task.sums_by_speaker(truth, p, who, 20) for p in (close, far)], axis=1)[:, :, None]
    same = np.stack([task.sums_by_speaker(truth, close, who, 20)] * 2, axis=1)[:, :, None]
    p, p_same = swapping_p([both, same], task.headline_difference)
    assert p == pytest.approx(2 / (N_PERMUTATIONS + 1))
    assert p_same == 1.0


def test_what_speakers_add_is_a_jackknife():
    truth, (first, second), who, sums = two_models()
    terms = TASK.differences(sums)
    observed = TASK.headline_difference(sums.sum(axis=0)[None])[0, 0]
    assert terms.sum() == pytest.approx(observed, abs=0.01)
    left = who != 3

    def gap(rows):
        return np.mean([lin(truth[rows, k], first[rows, k]) - lin(truth[rows, k], second[rows, k]) for k in (0, 1)])

    assert terms[3] == pytest.approx((6 * observed - 5 * gap(left)) / 6)
