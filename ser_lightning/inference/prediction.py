"""Predictions of a model, for segments and for a recording.

K: labels or targets.  G: segments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SILENT = "silent"  # a label beside those of the model


class NoAnswer(ValueError):
    """A model's output for a recording is no number; the message says so."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer of a model: ``values`` by name, probabilities of the K emotions or the numbers that are predicted.

    ``silent``: nothing is above -60 dB, and they are void. ``labelled``: they are probabilities, and the highest
    says which label is predicted.
    """

    values: Mapping[str, float]
    silent: bool = False
    labelled: bool = True

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Return the probabilities of the emotions, by name. Raises: ValueError where numbers are predicted."""
        if not self.labelled:
            raise ValueError("this model predicts numbers, which are in values, and no label")
        return self.values

    @property
    def label(self) -> str:
        """Return the most probable emotion, or `SILENT`."""
        return SILENT if self.silent else max(self.probabilities, key=lambda name: self.probabilities[name])

    @property
    def confidence(self) -> float:
        """Return the probability of that emotion; of silence the highest one, which means nothing."""
        return max(self.probabilities.values())

    def told(self) -> dict[str, Any]:
        """Return the answer as plain values for JSON: label and rounded probabilities, or values."""
        if not self.labelled:
            return {"values": {name: float(f"{value:.7g}") for name, value in self.values.items()}}
        probabilities = {name: round(value, 6) for name, value in self.values.items()}
        return {"label": self.label, "probabilities": probabilities}


@dataclass(frozen=True, kw_only=True)
class Segment(Answer):
    """A stretch of a recording.

    ``clipped``: the share of its samples that stand at full scale, where louder ones were cut off.
    """

    start_s: float
    end_s: float
    clipped: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Prediction(Answer):
    """A model's answer for a recording, and those for its segments.

    ``values`` of the recording are the mean over its segments that are not silent, each weighted by its length.
    """

    duration_s: float
    segments: Sequence[Segment]

    @property
    def clipped(self) -> float:
        """Return the share of its samples that stand at full scale."""
        lengths = [segment.end_s - segment.start_s for segment in self.segments]
        return float(np.average([segment.clipped for segment in self.segments], weights=lengths))


def summarised(segments: Sequence[Segment]) -> Prediction:
    """Return the prediction of a recording from its segments. Overlaps count as often as the network ran on them.

    Raises: NoAnswer where the model's numbers are none.
    """
    assert segments, "a recording has a segment at least"
    if not all(np.isfinite(list(segment.values.values())).all() for segment in segments):
        raise NoAnswer("the model's output is no number (NaN): train it anew, or take another checkpoint")
    loud = [segment for segment in segments if not segment.silent] or segments
    weight = [segment.end_s - segment.start_s for segment in loud]
    names = list(loud[0].values)
    table = np.array([[segment.values[name] for name in names] for segment in loud])  # (G, K)
    mean = np.average(table, axis=0, weights=weight)
    return Prediction(
        duration_s=segments[-1].end_s,
        values=dict(zip(names, mean.tolist(), strict=True)),
        labelled=loud[0].labelled,
        silent=all(segment.silent for segment in segments),
        segments=tuple(segments),
    )
