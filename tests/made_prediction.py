"""Predictions as a model gives them, without a model."""

from ser_lightning.inference.recognizer import Prediction, Segment, summarised

LABELS = ("anger", "fear", "neutral")


def made(*shares: tuple[float, ...], silent: tuple[int, ...] = (), labels=LABELS) -> Prediction:
    """Segments of 4 s every 2 s with these probabilities."""
    segments = [
        Segment(
            start_s=2.0 * number,
            end_s=2.0 * number + 4,
            values=dict(zip(labels, share, strict=True)),
            silent=number in silent,
        )
        for number, share in enumerate(shares)
    ]
    return summarised(segments)
