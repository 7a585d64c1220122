"""Numbers as people read them, in one wording wherever they stand."""

from math import inf, nan

import pytest

from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report import numbers


@pytest.mark.parametrize(
    ("share", "with_unit", "without"),
    [(0.6612, "66.1%", "66.1"), (0.0, "0.0%", "0.0"), (1, "100.0%", "100.0"), (None, "–", "–"), (nan, "–", "–")],
)
def test_a_share_is_in_per_cent_and_its_unit_may_stand_in_the_legend(share, with_unit, without):
    assert numbers.percent(share) == with_unit
    assert numbers.percent(share, unit="") == without
    assert numbers.percent(0.6612, 0, unit="") == "66"


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "< 0.001"), (0.001, "0.001"), (0.0499, "0.050"), (1.0, "1.000"), (None, "–"), (nan, "–")],
)
def test_a_p_value_has_three_digits(p, text):
    assert numbers.p_value(p) == text


def test_an_interval_stands_behind_its_estimate_and_a_difference_has_a_sign():
    estimate = Estimate(0.0251, -0.0104, 0.0606)
    assert numbers.bracketed(Estimate(0.661, 0.6, 0.7)) == "66.1 [60.0, 70.0]"
    assert numbers.bracketed(estimate, signed=True) == "+2.5 [−1.0, +6.1]"
    assert numbers.bracketed(Estimate(-0.0001, -0.01, 0.01), signed=True) == "0.0 [−1.0, +1.0]"
    assert numbers.points_interval(estimate) == "−1.0 to +6.1"


@pytest.mark.parametrize("end", [nan, inf])
def test_of_too_few_speakers_the_estimate_stands_alone(end):
    assert numbers.bracketed(Estimate(0.5, end, end)) == "50.0"
    assert numbers.interval(Estimate(0.5, end, end)) == "–"
