"""Calibration: against torchmetrics, on made-up models whose calibration is known, and its picture."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from ser_lightning.evaluation.calibration import (
    calibration,
    fit_temperature,
    left_out,
    nll,
    probabilities_at,
    selective_curve,
)
from ser_lightning.report.reliability import draw_reliability


def honest(n_clips=20_000, *, n_classes=4, seed=0):
    """Logits, and labels drawn from the very probabilities that these stand for."""
    random = np.random.default_rng(seed)
    logits = 2 * random.standard_normal((n_clips, n_classes))
    share = probabilities_at(logits, 1.0)
    labels = (random.random((n_clips, 1)) > share.cumsum(axis=1)).sum(axis=1)
    return logits, labels


def test_the_error_is_torchmetrics():
    logits, labels = honest(500)
    for temperature in (0.3, 1.0, 4.0):
        probabilities = probabilities_at(logits, temperature)
        expected = multiclass_calibration_error(
            torch.from_numpy(probabilities), torch.from_numpy(labels), num_classes=4, n_bins=15
        )
        assert calibration(probabilities, labels).ece == pytest.approx(expected.item(), abs=1e-6)


def test_an_honest_model_has_none_and_an_overconfident_one_has():
    logits, labels = honest()
    assert calibration(probabilities_at(logits, 1.0), labels).ece < 0.02
    assert calibration(probabilities_at(logits, 0.3), labels).ece > 0.1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_again(temperature):
    logits, labels = honest()
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_clips_left_out_are_judged_at_a_temperature_of_others():
    logits, labels = honest(3000)
    groups = np.arange(3000) % 3
    logits[groups == 0] *= 5  # one group alone is overconfident: it has no part in its own temperature
    found = left_out(logits, labels, groups)
    expected = fit_temperature(logits[groups != 0], labels[groups != 0])
    assert found[groups == 0] == pytest.approx(probabilities_at(logits[groups == 0], expected))
    assert expected == pytest.approx(1, rel=0.1)


def test_likelihood_and_brier_by_hand():
    probabilities, labels = np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0])
    found = calibration(probabilities, labels)
    assert found.nll == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert found.brier == pytest.approx((0.04 + 0.04 + 0.36 + 0.36) / 2)
    assert nll(np.log(probabilities), labels) == pytest.approx(found.nll)
    assert [each.n for each in found.bins] == [1, 1]
    assert found.ece == pytest.approx((0.2 + 0.6) / 2)


def test_the_surest_answers_come_first():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 1000)
    labels = (random.random(1000) > confidence).astype(np.int64)  # the surer, the more often class 0
    curve = selective_curve(np.stack([confidence, 1 - confidence], axis=1), labels)
    assert curve[0].accuracy > 0.9 > curve[-1].accuracy == pytest.approx((labels == 0).mean())
    assert curve[-1].coverage == 1
    assert curve[-1].uar == 0.5  # it never says class 1


@pytest.mark.parametrize("n_clips", [1, 7, 2000])
def test_the_picture_is_drawn_for_few_clips_and_for_many(tmp_path, n_clips):
    logits, labels = honest(n_clips)
    found = calibration(probabilities_at(logits, 0.5), labels)
    for curves in ({"test": found}, {"before": found, "after": found}):
        path = tmp_path / f"{len(curves)}.png"
        draw_reliability(path, curves=curves, title="a model on a corpus", subtitle="one line\nand another")
        assert path.stat().st_size > 10_000
