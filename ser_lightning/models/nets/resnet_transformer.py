"""ResNet-Transformer: the convolutions of ResNet-18, then a Transformer encoder over what is left of time.

B: clips.  M: mel bins.  F: frames.  C: channels.  D: numbers a frame.  K: classes.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ser_lightning.models.layers.pooling import make_pooling
from ser_lightning.models.layers.residual import ResidualStack
from ser_lightning.models.layers.transformer import TransformerEncoder


class ResNetTransformer(nn.Module):
    """The notebook's plan: ResNet-18 without its classifier, its time axis kept, an encoder over it.

    The last stage halves the mel rows only: of 2.5 s with a hop of 16 ms ten steps are left, not five.

    Args:
        n_mels, n_classes: M and K.
        channels, blocks, time_strides: of each stage, see `layers.residual.ResidualStack`.
        d_model, n_layers, n_heads, n_feedforward, encoder_dropout: see `layers.transformer.TransformerEncoder`.
        pooling: over time, a name in `layers.pooling.POOLINGS`.
        dropout: before the last layer.
    """

    def __init__(
        self,
        *,
        n_mels: int,
        n_classes: int,
        channels: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 2, 2),
        time_strides: Sequence[int] = (1, 2, 2, 1),
        d_model: int = 256,
        n_layers: int = 2,
        n_heads: int = 4,
        n_feedforward: int = 1024,
        encoder_dropout: float = 0.1,
        pooling: str = "attentive",
        dropout: float = 0.4,
    ):
        super().__init__()
        self.stack = ResidualStack(channels=channels, blocks=blocks, time_strides=time_strides)
        self.project = nn.Linear(channels[-1] * self.stack.n_rows(n_mels), d_model)
        self.encoder = TransformerEncoder(
            d_model=d_model,
            n_layers=n_layers,
            n_heads=n_heads,
            n_feedforward=n_feedforward,
            dropout=encoder_dropout,
        )
        self.pool = make_pooling(pooling, d_model)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.pool.n_outputs, n_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F), (B,) frames to logits (B, K)."""
        return self.forward_head(*self.forward_features(features, lengths))

    def forward_features(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to (B, D, F / 16), (B,)."""
        x, lengths = self.stack(features, lengths)  # (B, C, M / 32, F / 16)
        x = self.project(x.flatten(1, 2).transpose(1, 2))  # (B, F / 16, D)
        return self.encoder(x, lengths).transpose(1, 2), lengths

    def forward_head(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, D, F / 16), (B,) to logits (B, K)."""
        return self.classify(self.dropout(self.pool(x, lengths)))
