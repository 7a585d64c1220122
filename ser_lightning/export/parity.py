"""Compare an exported file with its model, answers and time: onnxruntime beside PyTorch.

B: clips.  T: samples of the longest clip.  K: labels or targets.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser_lightning.inference.recognizer import EmotionRecognizer
from ser_lightning.utils.errors import UserError, first_line

TOLERANCE = 1e-4  # of probabilities, and of numbers in `Task.unit`
CLIP_S = 2.5
_BATCHES_S = ((0.01,), (2.5,), (1.7, 1.7), (0.333, 12.0, 0.01, 2.004_1, 0.1), (3.001, 0.5001, 2.0), (35.0, 0.4))
_PADDING_S = 0.77  # beyond the longest clip of a batch
_FATAL = 4  # all that onnxruntime is to say: what it raises says the rest
_ROUNDS = 7


@dataclass(frozen=True, kw_only=True)
class Check:
    """How an exported file compares with its model.

    ``difference``: the largest of any answer, over ``n_clips``; the times are of a clip of ``CLIP_S``.
    """

    difference: float
    n_clips: int
    onnxruntime_ms: float
    pytorch_ms: float


def check(content: bytes, model: EmotionRecognizer) -> Check:
    """Compare an ONNX file's content with the model it was made of, on clips of 0.01 to 35 s in padded batches.

    Raises: UserError where they differ by more than `TOLERANCE`, or onnxruntime cannot run it.
    """
    batches = [
        probes(seconds, model.sample_rate_hz, padding_s=_PADDING_S if len(seconds) > 1 else 0.0)
        for seconds in _BATCHES_S
    ]
    expected = [_answer(model, *batch) for batch in batches]  # (B, K) each
    try:
        session = open_session(content)
        answers = [_run(session, *batch) for batch in batches]
    except Exception as error:
        raise UserError(f"onnxruntime cannot run what {model.name} was exported to: {first_line(error)}") from error
    unit = model.task.unit(model.readout)
    differences = [((own - other).abs() / unit).max() for own, other in zip(answers, expected, strict=True)]
    difference = float(torch.stack(differences).max())
    (output,) = session.get_outputs()
    if not difference <= TOLERANCE:  # nor NaN
        raise UserError(
            f"{model.name} was not exported: {output.name} would be up to {difference:.2g} off those of PyTorch, "
            f"and {TOLERANCE:g} is allowed"
        )
    waveform, lengths = probes((CLIP_S,), model.sample_rate_hz)
    return Check(
        difference=difference,
        n_clips=sum(map(len, _BATCHES_S)),
        onnxruntime_ms=_milliseconds(lambda: _run(session, waveform, lengths)),
        pytorch_ms=_milliseconds(lambda: _answer(model, waveform, lengths)),
    )


def open_session(content: bytes) -> Any:
    """Open an onnxruntime session on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def probes(seconds: Sequence[float], sample_rate_hz: int, *, padding_s: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return clips of these lengths with harmonics, noise and a level of their own: ((B, T), (B,))."""
    random = np.random.default_rng(len(seconds))
    lengths = [max(1, round(s * sample_rate_hz)) for s in seconds]
    waveform = np.zeros((len(lengths), max(lengths) + round(padding_s * sample_rate_hz)), np.float32)
    for clip, length in zip(waveform, lengths, strict=True):
        t = np.arange(length) / sample_rate_hz
        pitch_hz, level = random.uniform(80, 300), 10 ** random.uniform(-2, -0.5)
        tones = sum(np.sin(2 * np.pi * pitch_hz * n * t * (1 + 0.1 * t)) / n for n in range(1, 12))
        tones = tones * np.sin(2 * np.pi * random.uniform(1, 4) * t) ** 2
        clip[:length] = level * (tones / 3 + 0.05 * random.standard_normal(length))
    return torch.from_numpy(waveform.clip(-1, 1)), torch.tensor(lengths)


def _run(session: Any, waveform: Tensor, lengths: Tensor) -> Tensor:
    (answers,) = session.run(None, {"waveform": waveform.numpy(), "lengths": lengths.numpy()})
    return torch.from_numpy(answers)  # (B, K)


@torch.inference_mode()
def _answer(model: EmotionRecognizer, waveform: Tensor, lengths: Tensor) -> Tensor:
    return model(waveform, lengths)


def _milliseconds(action: Callable[[], Any]) -> float:
    """Return the median time of a call, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        action()
        times = []
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            action()
            times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(before)
    return 1000 * float(np.median(times))
