"""What travels from the data to a model.

B: clips in a batch.  T: samples of its longest clip.  K: classes.
"""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Clips and what is true of them. Samples travel as int16; ``index`` is the clip's row in the manifest."""

    waveform: Tensor  # (B, T) int16, padded with zeros
    lengths: Tensor  # (B,) int64, samples
    label: Tensor  # (B,) int64, the class a clip is judged by; -1 where it can only train
    target: Tensor  # (B, K) float32, what it is taught as: one class, or shares of several
    index: Tensor  # type: ignore[assignment]  # (B,) int64; shadows a method of tuple
