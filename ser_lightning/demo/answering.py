"""Turn a file into everything that the page shows of it.

T: samples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ser_lightning.data.prepare.decoding import stream_file
from ser_lightning.data.prepare.truncation import UnreadableAudio
from ser_lightning.demo import limits, words
from ser_lightning.demo.colours import DARK, LIGHT
from ser_lightning.demo.picture import draw
from ser_lightning.inference.recognizer import EmotionRecognizer
from ser_lightning.inference.windows import Windows
from ser_lightning.utils.errors import UserError

_BLOCK_S = 30


@dataclass(frozen=True, kw_only=True)
class Shown:
    """HTML of the answer and of the picture, and what can be played; None where there is none."""

    answer: str
    picture: str | None = None
    player: Path | None = None


def show(
    model: EmotionRecognizer,
    path: Path,
    *,
    window_s: float,
    hop_s: float,
    folder: Path,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Shown:
    """Predict what a file sounds like, and draw it.

    Args:
        window_s, hop_s: how a long recording is cut, as in `Windows`.
        folder: where to put pictures, and what is played: a WAV of the model's input, since browsers play few of
            our formats.
        on_progress: told the share of the recording that the model was run on, now and then.
    """
    try:
        windows = Windows(window_s=window_s, hop_s=hop_s)
        samples = _decoded(path, model.sample_rate_hz)
    except UnreadableAudio as error:
        return Shown(answer=words.complaint(f"{path.name} {error}"))
    except UserError as error:
        return Shown(answer=words.complaint(str(error)))
    rate_hz = model.sample_rate_hz
    prediction = model.predict_blocks(_blocks(samples, _BLOCK_S * rate_hz, on_progress), windows=windows)
    pictures = {theme.name: folder / f"{theme.name}.png" for theme in (LIGHT, DARK)}
    for theme in (LIGHT, DARK):
        pictures[theme.name].write_bytes(draw(samples, rate_hz, prediction, theme, model.ranges))
    player = folder / f"{path.stem}.wav"
    soundfile.write(player, samples, rate_hz, subtype="PCM_16")
    return Shown(
        answer=words.answer(prediction, model.ranges), picture=words.picture(pictures, prediction), player=player
    )


def _decoded(path: Path, sample_rate_hz: int) -> NDArray[np.int16]:
    """Return the samples (T,) of a file, of which no more is decoded than the demo takes."""
    samples = bytearray()
    for block in stream_file(path, sample_rate_hz=sample_rate_hz):
        samples += block.data
        if len(samples) > 2 * limits.RECORDING_S * sample_rate_hz:
            raise UnreadableAudio(
                f"is longer than {limits.RECORDING_MIN} minutes, which is as much as the demo takes: "
                "ser predict takes recordings of any length"
            )
    return np.frombuffer(samples, np.int16)


def _blocks(
    samples: NDArray[np.int16], block: int, on_progress: Callable[[float], None]
) -> Iterator[NDArray[np.int16]]:
    for first in range(0, len(samples), block):
        on_progress(first / len(samples))
        yield samples[first : first + block]
