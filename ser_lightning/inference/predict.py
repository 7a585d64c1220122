"""Run a model on many recordings: batches across them, outcomes one by one, a bad file an outcome of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ser_lightning.data.prepare.truncation import UnreadableAudio
from ser_lightning.inference.prediction import NoAnswer, Prediction, summarised
from ser_lightning.inference.recognizer import EmotionRecognizer, Speaker
from ser_lightning.inference.recordings import STDIN, Recording
from ser_lightning.inference.windows import Windows
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.text import printable


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The prediction for one recording, or why it could not be read."""

    name: str
    prediction: Prediction | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values, for JSON."""
        if self.prediction is None:
            return {"path": self.name, "error": self.error}
        prediction = self.prediction
        return {
            "path": self.name,
            "duration_s": round(prediction.duration_s, 3),
            **prediction.told(),
            "silent": prediction.silent,
            "clipped": round(prediction.clipped, 6),
            "segments": [
                {
                    "start_s": round(segment.start_s, 3),
                    "end_s": round(segment.end_s, 3),
                    **segment.told(),
                    "silent": segment.silent,
                    "clipped": round(segment.clipped, 6),
                }
                for segment in prediction.segments
            ],
        }


def predict_all(
    model: EmotionRecognizer,
    recordings: Sequence[Recording],
    *,
    windows: Windows | None = None,
    speaker: Speaker | None = None,
) -> Iterator[Outcome]:
    """Yield an outcome for each recording, in their order, as soon as it is there.

    ``speaker``: the one who speaks in all of them, from `fit_speaker`.

    Segments are batched across recordings, and read when they are needed: memory does not grow with their length.
    """
    errors: dict[int, str] = {}
    predicted = model.predict_segments(
        _segments(recordings, windows or Windows(), model.sample_rate_hz, errors), speaker=speaker
    )
    n_told = 0
    for number, group in groupby(predicted, key=lambda pair: pair[0]):
        segments = [segment for _, segment in group]
        for failed in range(n_told, number):
            yield _failed(recordings[failed], errors[failed])
        n_told = number + 1
        if number in errors:  # damage at its end
            yield _failed(recordings[number], errors[number])
            continue
        try:
            yield Outcome(name=recordings[number].name, prediction=summarised(segments))
        except NoAnswer as error:
            yield _failed(recordings[number], str(error))
    for failed in range(n_told, len(recordings)):
        yield _failed(recordings[failed], errors[failed])


def fit_speaker(
    model: EmotionRecognizer, recordings: Sequence[Recording], *, windows: Windows | None = None
) -> Speaker:
    """Estimate the statistics of one speaker from recordings; those that cannot be read are left out.

    Raises: UserError where they are piped in, which cannot be read twice; and as `EmotionRecognizer.fit_speaker`.
    """
    if any(recording.name == STDIN for recording in recordings):
        raise UserError("--one-speaker reads recordings twice, and standard input comes once: name a file")
    segments = _segments(recordings, windows or Windows(), model.sample_rate_hz, {})
    return model.fit_speaker_on_clips(samples for _, _, samples in segments)


def _segments(
    recordings: Sequence[Recording], windows: Windows, sample_rate_hz: int, errors: dict[int, str]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (number of the recording, first sample, samples) of each segment; ``errors`` gets unreadable files."""
    for number, recording in enumerate(recordings):
        try:
            for start, samples in windows.cut(recording.blocks(sample_rate_hz), sample_rate_hz):
                yield number, start, samples
        except UnreadableAudio as error:
            errors[number] = str(error)


def _failed(recording: Recording, error: str) -> Outcome:
    return Outcome(name=recording.name, error=printable(error))
