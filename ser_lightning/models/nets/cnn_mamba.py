"""CNN-Mamba: the CNN's convolutions, then Mamba blocks over what is left of time.

B: clips.  M: mel bins.  F: frames.  C: channels.  D: width of the model.  K: classes.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ser_lightning.models.layers.convolution import ConvStack
from ser_lightning.models.layers.mamba import MambaStack
from ser_lightning.models.layers.pooling import make_pooling


class CNNMamba(nn.Module):
    """The CNN-GRU with a stack of Mamba blocks in place of its GRU.

    Args:
        n_mels, n_classes: M and K.
        channels: of each convolution's output.
        d_model: D.
        n_layers, d_state, expand, d_conv, bidirectional, backend: see `nets.mamba.MambaNet`.
        pooling: over time, a name in `layers.pooling.POOLINGS`.
        dropout: of what a layer adds, and before the last layer.
    """

    def __init__(
        self,
        *,
        n_mels: int,
        n_classes: int,
        channels: Sequence[int] = (32, 64, 128, 256),
        d_model: int = 128,
        n_layers: int = 2,
        d_state: int = 16,
        expand: int = 2,
        d_conv: int = 4,
        bidirectional: bool = True,
        backend: str = "auto",
        pooling: str = "attentive",
        dropout: float = 0.3,
    ):
        super().__init__()
        self.conv = ConvStack(channels)
        self.project = nn.Linear(channels[-1] * self.conv.n_rows(n_mels), d_model)
        self.stack = MambaStack(
            n_layers=n_layers,
            d_model=d_model,
            d_state=d_state,
            expand=expand,
            d_conv=d_conv,
            bidirectional=bidirectional,
            backend=backend,
            dropout=dropout,
        )
        self.pool = make_pooling(pooling, d_model)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.pool.n_outputs, n_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F), (B,) frames to logits (B, K)."""
        return self.forward_head(*self.forward_features(features, lengths))

    def forward_features(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to (B, D, F / 16), (B,)."""
        x, lengths = self.conv(features, lengths)  # (B, C, M / 16, F / 16)
        x = x.flatten(1, 2).transpose(1, 2)  # (B, F / 16, C · M / 16)
        return self.stack(self.project(x), lengths).transpose(1, 2), lengths

    def forward_head(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, D, F / 16), (B,) to logits (B, K)."""
        return self.classify(self.dropout(self.pool(x, lengths)))
