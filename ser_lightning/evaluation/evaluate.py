"""Evaluate a model's answers to some clips: scores, confusion matrix, subgroups, calibration.

N: clips.  K: classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation.calibration import calibration, nll, probabilities_at
from ser_lightning.evaluation.metrics import confusion, scores
from ser_lightning.evaluation.predictions import Predictions
from ser_lightning.evaluation.records import Calibration, Scores
from ser_lightning.evaluation.subgroups import Subgroups, subgroups


@dataclass(frozen=True, kw_only=True)
class TestClips:
    """What is known of N clips that a model is tested on; ``columns`` has N values each, '' where unknown."""

    __test__ = False  # no test class

    ids: Sequence[str]
    speakers: Sequence[str]
    emotions: Sequence[str]
    columns: Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model's answers are worth. ``confusion_matrix`` (K, K) counts clips, rows the true label."""

    scores: Scores
    confusion_matrix: list[list[int]]
    subgroups: Subgroups
    calibration: Calibration
    predictions: Predictions


def evaluate(clips: TestClips, logits: NDArray, labels: Sequence[str]) -> Evaluation:
    """Evaluate logits (N, K), in the order of the clips; every clip's emotion is in ``labels``."""
    logits = logits.astype(np.float64)
    predictions = Predictions(
        ids=clips.ids,
        speakers=clips.speakers,
        labels=np.array([labels.index(emotion) for emotion in clips.emotions], dtype=np.int64),
        probabilities=probabilities_at(logits, 1.0),
        names=labels,
    )
    matrix = confusion(predictions.labels, predictions.predicted, len(labels))
    return Evaluation(
        scores=scores(matrix, labels).model_copy(update={"loss": nll(logits, predictions.labels)}),
        confusion_matrix=matrix.tolist(),
        subgroups=subgroups(
            labels=predictions.labels,
            predicted=predictions.predicted,
            speakers=clips.speakers,
            columns=clips.columns,
            names=labels,
        ),
        calibration=calibration(predictions.probabilities, predictions.labels),
        predictions=predictions,
    )
