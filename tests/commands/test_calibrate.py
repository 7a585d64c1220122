"""What `ser calibrate` says of a model's confidence follows from confidence and accuracy alone."""

import pytest

from ser_lightning.commands.calibrate import _how_confident
from ser_lightning.evaluation.records import Calibration, SelectivePoint


@pytest.mark.parametrize(
    ("confidence", "accuracy", "said"),
    [
        (0.470, 0.512, "it was under-confident, 47.0% confident on average and right in 51.2%"),
        (0.9, 0.6, "it was over-confident, 90.0% confident on average and right in 60.0%"),
        (0.6001, 0.6, "it was as confident as right, 60.0% confident on average and right in 60.0%"),
    ],
)
def test_confidence_is_told_against_accuracy(confidence, accuracy, said):
    points = [SelectivePoint(coverage=1.0, accuracy=accuracy, uar=0.5)]
    values = Calibration(ece=0.1, nll=1.0, brier=0.5, aurc=0.2, confidence=confidence, bins=[], selective=points)
    assert _how_confident(values) == said
