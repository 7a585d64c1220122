"""Samples at another rate, block by block, to the numbers that they would have in one piece.

T: samples.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import torch
import torchaudio

_LARGEST_TABLE = 1 << 19  # weights of torchaudio's resampler; it is 3 GB for 44,099 Hz


def resampled(blocks: Iterator[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Resample (T,) blocks to the numbers that their whole would be resampled to.

    The filter reaches ``width`` frames to each side, and repeats itself every ``step`` frames: a stretch that
    begins at a multiple of ``step``, with so much before and after it, comes out as it would in its place.
    """
    step, step_out = (hz // math.gcd(from_hz, to_hz) for hz in (from_hz, to_hz))
    resample, width = _resampler(from_hz, to_hz)
    before = math.ceil(width / step) * step
    held, n_out = np.zeros(0, np.float32), 0  # of the frames held, n_out were put out and are context
    for block in blocks:
        ready = (len(held) - width - n_out) // step * step
        if ready > 0:
            yield resample(held[: n_out + ready + width])[n_out // step * step_out :][: ready // step * step_out]
            n_out += ready
            held, n_out = held[max(0, n_out - before) :], min(n_out, before)
        held = np.concatenate([held, block])
    if len(held):
        yield resample(held)[n_out // step * step_out :]


@lru_cache(maxsize=4)  # one for an absurd rate can take 40 MB
def _resampler(from_hz: int, to_hz: int) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """A function from (T,) to (ceil(T * to_hz / from_hz),) float32, and how far its filter reaches."""
    down, up = (hz // math.gcd(from_hz, to_hz) for hz in (from_hz, to_hz))
    width = math.ceil(6 * down / (0.99 * min(up, down)))  # torchaudio's: 6 zero crossings, roll-off 0.99
    if up * (2 * width + down) > _LARGEST_TABLE:
        return _polyphase(down, up), width
    module = torchaudio.transforms.Resample(from_hz, to_hz)

    def resample(samples: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(samples)).numpy()

    return resample, width


def _polyphase(down: int, up: int) -> Callable[[np.ndarray], np.ndarray]:
    """torchaudio's filter for two rates that have little in common, without its table of up times down weights."""
    from scipy.signal import resample_poly  # takes half a second, and is seldom needed

    cutoff = 0.99 * min(up, down)
    reach = math.floor(6 * up * down / cutoff)
    t = np.arange(-reach, reach + 1) * (cutoff / (up * down))  # in zero crossings
    weights = (np.sinc(t) * np.cos(t * np.pi / 12) ** 2 * (cutoff / (up * down))).astype(np.float32)
    return lambda samples: resample_poly(samples, up, down, window=weights)
