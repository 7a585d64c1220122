"""Convert waveforms from int16, as they are stored and moved, to float, as models take them.

B: clips.  T: samples.
"""

import torch
from torch import Tensor


def as_float(waveform: Tensor) -> Tensor:
    """Return waveforms (B, T), int16 or float in [-1, 1], as float in [-1, 1], in memory of their own."""
    return waveform * (1 / 32_768 if waveform.dtype == torch.int16 else 1.0)
