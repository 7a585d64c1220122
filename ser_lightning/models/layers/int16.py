"""Waveforms as they travel, and as models take them.

B: clips.  T: samples.
"""

import torch
from torch import Tensor


def as_float(waveform: Tensor) -> Tensor:
    """(B, T) int16, or float in [-1, 1] -> the same as float in [-1, 1], in memory of its own."""
    return waveform * (1 / 32_768 if waveform.dtype == torch.int16 else 1.0)
