"""Find the frames of a spectrogram that hold speech, cut away those around it, and take its level away.

What is loud enough to be speech is measured from a clip's loudest frame, so that a gain makes no difference to it.

B: clips.  F: frames of the longest clip.  M: mel bins.
"""

import math

import torch
from torch import Tensor

from ser_lightning.models.layers.masking import frame_mask

_DB = 10 / math.log(10)


def frame_levels(decibels: Tensor, frames: Tensor) -> Tensor:
    """Return the level of each frame over all bins in dB, -inf beyond a clip's end: (B, F, M), (B,) -> (B, F)."""
    levels = (decibels / _DB).logsumexp(2) * _DB
    return levels.masked_fill(~frame_mask(frames, decibels.shape[1]), -torch.inf)


def speech_mask(levels: Tensor, range_db: float) -> Tensor:
    """Return (B, F) bool, true on frames at most ``range_db`` below a clip's loudest, of ``levels`` (B, F)."""
    return levels >= levels.amax(1, keepdim=True) - range_db


def cut_to_speech(decibels: Tensor, frames: Tensor, *, margin: int, range_db: float) -> tuple[Tensor, Tensor]:
    """Cut each clip to its speech and ``margin`` frames on both sides: (B, F, M), (B,) -> (B, F, M), (B,).

    What lies beyond the new ends is to be masked, as padding is.
    """
    speech = speech_mask(frame_levels(decibels, frames), range_db).long()
    n_frames = decibels.shape[1]
    first = (speech.argmax(1) - margin).clamp_min(0)
    end = torch.minimum(n_frames - speech.flip(1).argmax(1) + margin, frames)
    position = (first[:, None] + torch.arange(n_frames, device=decibels.device)).clamp_max(n_frames - 1)  # (B, F)
    return decibels.gather(1, position[:, :, None].expand(decibels.shape)), end - first


def without_level(decibels: Tensor, frames: Tensor, *, range_db: float, floor_db: float) -> tuple[Tensor, Tensor]:
    """Subtract the mean level of each clip's speech frames: (B, F, M), (B,) -> (B, F, M), mask of speech (B, F).

    Values are floored as by `floored`.
    """
    levels = frame_levels(decibels, frames)
    speech = speech_mask(levels, range_db)
    mean = torch.where(speech, levels, 0.0).sum(1) / speech.sum(1)  # (B,)
    return floored(decibels, levels, floor_db) - mean[:, None, None], speech


def floored(decibels: Tensor, levels: Tensor, floor_db: float) -> Tensor:
    """Raise values (B, F, M) to ``floor_db`` below the loudest frame of ``levels`` (B, F) where they are lower.

    Rounding to 16 bits and digital silence would otherwise tell at which level a clip was recorded.
    """
    return torch.maximum(decibels, (levels.amax(1) - floor_db)[:, None, None])
