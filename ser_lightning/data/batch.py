"""What travels from the data to a model.

B: clips in a batch.  T: samples of its longest clip.
"""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Clips and what is true of them. Samples travel as int16; ``index`` is the clip's row in the manifest."""

    waveform: Tensor  # (B, T) int16, padded with zeros
    lengths: Tensor  # (B,) int64, samples
    label: Tensor  # (B,) int64
    index: Tensor  # type: ignore[assignment]  # (B,) int64; shadows a method of tuple
