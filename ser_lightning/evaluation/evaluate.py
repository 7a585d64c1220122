"""What can be said of a model's answers to some clips, whoever gave them.

N: clips.  K: classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser_lightning.data.labelled_clips import Collection
from ser_lightning.data.manifest import Utterance
from ser_lightning.evaluation.calibration import calibration, nll, probabilities_at
from ser_lightning.runs.predictions import Predictions
from ser_lightning.evaluation.subgroups import Slices, slices
from ser_lightning.evaluation.metrics import Scores, confusion, scores


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``scores`` with the ``loss``; ``facts`` are further keys of result.json."""

    scores: dict[str, Any]
    facts: dict[str, Any]
    predictions: Predictions


def verdict(collection: Collection, rows: Sequence[int], logits: NDArray, labels: Sequence[str]) -> Verdict:
    """Judge the answers to some clips of a collection.

    Args:
        rows: N rows of its manifest.
        logits: (N, K), in their order.
        labels: the K names that the columns of ``logits`` have; every clip's emotion is among them.
    """
    logits = logits.astype(np.float64)
    clips = [collection.manifest[row] for row in rows]
    found = _predictions(clips, probabilities_at(logits, 1.0), labels)
    matrix = confusion(found.labels, found.predicted, len(labels))
    judged: Scores = scores(matrix, labels)
    return Verdict(
        scores={**judged, "loss": nll(logits, found.labels)},
        facts={
            "confusion_matrix": matrix.tolist(),
            "labels": list(labels),
            "human": collection.human_scores(rows),
            "synthetic": collection.synthetic,
            "corpora": collection.about(),
            "slices": _slices(clips, found),
            "calibration": calibration(found.probabilities, found.labels),
        },
        predictions=found,
    )


def _predictions(
    clips: Sequence[Utterance], probabilities: NDArray[np.float64], labels: Sequence[str]
) -> Predictions:
    """Probabilities (N, K) of clips, with what is true of them."""
    return Predictions(
        ids=[clip.id for clip in clips],
        speakers=[clip.speaker for clip in clips],
        labels=np.array([labels.index(clip.emotion) for clip in clips], dtype=np.int64),
        probabilities=probabilities,
        names=labels,
    )


def _slices(clips: Sequence[Utterance], found: Predictions) -> Slices:
    """Scores by what is known of the clips and their speakers."""
    return slices(
        labels=found.labels,
        predicted=found.predicted,
        speakers=found.speakers,
        columns={
            "corpus": [clip.corpus for clip in clips],
            "sex": [clip.sex for clip in clips],
            "age": [clip.age_group for clip in clips],
            "intensity": [clip.intensity for clip in clips],
            "sentence": [clip.sentence for clip in clips],
        },
        names=found.names,
    )
