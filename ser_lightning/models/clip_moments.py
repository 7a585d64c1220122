"""Moments of the features of many clips, which speaker statistics are made of.

N: clips.  M: mel bins.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ser_lightning.data.clip_batches import Change, clip_batches
from ser_lightning.data.labelled_clips import Collection
from ser_lightning.models.frontend import LogMel


@torch.inference_mode()
def clip_moments(
    frontend: nn.Module, collection: Collection, rows: Sequence[int], *, what: str, change: Change | None = None
) -> tuple[Tensor, Tensor]:
    """`LogMel.moments` of clips, where its buffers are: (N, 2, M) and (N,), N clips being the whole collection's.

    They are 0 but in ``rows``. The arguments are those of `clip_batches`.
    """
    assert isinstance(frontend, LogMel), "nothing else has a voice"
    device, n_clips = frontend.window.device, len(collection.manifest)
    moments = torch.zeros(n_clips, 2, frontend.n_mels, device=device)
    frames = torch.zeros(n_clips, dtype=torch.int64, device=device)
    for batch, waveform, lengths in clip_batches(collection, rows, what=what, change=change):
        moments[batch], frames[batch] = frontend.moments(waveform.to(device), lengths.to(device))
    return moments, frames
