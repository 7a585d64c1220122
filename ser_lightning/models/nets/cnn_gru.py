"""CNN-GRU: the CNN's convolutions, then a bidirectional GRU over what is left of time.

B: clips.  M: mel bins.  F: frames.  C: channels.  U: units in each direction.  K: classes.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.convolution import ConvStack
from ser_lightning.models.layers.gru import BidirectionalGRU
from ser_lightning.models.layers.pooling import make_pooling


class CNNGRU(nn.Module):
    """The notebook's CNN-GRU, mended: the GRU reads a clip's own frames only, and all its steps are pooled.

    The notebook reads its answer from the last of 160 padded frames. GRU: Cho et al., 2014, arXiv 1406.1078.

    Args:
        n_mels, n_classes: M and K.
        channels: of each convolution's output.
        n_projected: inputs of the GRU.
        n_units: U.
        pooling: over time, a name in `layers.pooling.POOLINGS`.
        dropout: before the last layer.
    """

    def __init__(
        self,
        *,
        n_mels: int,
        n_classes: int,
        channels: Sequence[int] = (32, 64, 128, 256),
        n_projected: int = 256,
        n_units: int = 128,
        pooling: str = "attentive",
        dropout: float = 0.4,
    ):
        super().__init__()
        self.stack = ConvStack(channels)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(channels[-1] * self.stack.n_rows(n_mels), n_projected)
        self.gru = BidirectionalGRU(n_projected, n_units)
        self.pool = make_pooling(pooling, 2 * n_units)
        self.classify = nn.Linear(self.pool.n_outputs, n_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F), (B,) frames to logits (B, K)."""
        return self.forward_head(*self.forward_features(features, lengths))

    def forward_features(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to (B, 2U, F / 16), (B,)."""
        x, lengths = self.stack(features, lengths)  # (B, C, M / 16, F / 16)
        x = x.flatten(1, 2).transpose(1, 2)  # (B, F / 16, C · M / 16)
        x = functional.relu(self.project(x))
        return self.gru(x, lengths).transpose(1, 2), lengths

    def forward_head(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, 2U, F / 16), (B,) to logits (B, K)."""
        return self.classify(self.dropout(self.pool(x, lengths)))
