"""Mask what lies beyond each clip's end in a padded batch.

B: clips.  C: channels.  M: mel bins.  F: frames of the longest clip.
"""

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, n_frames: int) -> Tensor:
    """Return (B, F) bool, true on a clip's own frames, for ``lengths`` (B,) and F = ``n_frames``."""
    return torch.arange(n_frames, device=lengths.device) < lengths[:, None]


def clear_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """Zero all frames beyond each clip's length; frames are the last axis of ``x`` (B, …, F)."""
    mask = frame_mask(lengths, x.shape[-1])
    return x * mask.view(x.shape[0], *[1] * (x.dim() - 2), -1).to(x.dtype)


def relu_within(x: Tensor, lengths: Tensor) -> Tensor:
    """Apply ReLU in place, and zero all beyond each clip's length; frames are the last axis of ``x`` (B, …, F).

    The zeros are set behind autograd's back, which spares a pass over the gradient: where the output of a ReLU is
    zero, its gradient is zero already. ``x`` must be nothing that its maker keeps for its own gradient; batch norms
    and sums keep none of what they return.
    """
    mask = frame_mask(lengths, x.shape[-1])
    with torch.no_grad():
        x.mul_(mask.view(x.shape[0], *[1] * (x.dim() - 2), -1).to(x.dtype))
    return x.relu_()


def strided(lengths: Tensor, stride: int) -> Tensor:
    """Return lengths, rounded up, after a convolution or a pooling of ``stride`` that reaches beyond the end."""
    return (lengths + stride - 1) // stride
