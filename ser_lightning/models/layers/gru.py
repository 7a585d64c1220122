"""A GRU that reads each clip of a padded batch from its own ends.

B: clips.  F: frames of the longest clip.  C: channels.  U: units in each direction.
"""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class BidirectionalGRU(nn.GRU):
    """A layer in either direction, joined: (B, F, C) -> (B, F, 2U), zero beyond each clip's length."""

    def __init__(self, n_inputs: int, n_units: int):
        """``n_inputs``: C.  ``n_units``: U."""
        super().__init__(n_inputs, n_units, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, F, C) and lengths (B,) in frames to (B, F, 2U)."""
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, _ = super().forward(packed)  # type: ignore[has-type]
        return pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])[0]
