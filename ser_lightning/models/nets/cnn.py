"""CNN: four convolutions and a pooling head.

B: clips.  M: mel bins.  F: frames.  C: channels.  K: classes.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.convolution import ConvStack
from ser_lightning.models.layers.pooling import make_pooling


class CNN(nn.Module):
    """The notebook's CNN, mended: padding is masked, a pooling head that sees all of the clip, dropout.

    Where the notebook takes one maximum over mel bins and frames, here the rows of mel bins that are left stay
    apart (which pitch and which formant matters), are projected, and only time is pooled.

    Args:
        n_mels, n_classes: M and K.
        channels: of each convolution's output.
        n_hidden: of the projection, at each frame.
        pooling: over time, a name in `layers.pooling.POOLINGS`.
        dropout: before the last layer.
    """

    def __init__(
        self,
        *,
        n_mels: int,
        n_classes: int,
        channels: Sequence[int] = (32, 64, 128, 256),
        n_hidden: int = 256,
        pooling: str = "mean_max",
        dropout: float = 0.4,
    ):
        super().__init__()
        self.stack = ConvStack(channels)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(channels[-1] * self.stack.n_rows(n_mels), n_hidden)
        self.pool = make_pooling(pooling, n_hidden)
        self.classify = nn.Linear(self.pool.n_outputs, n_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F), (B,) frames to logits (B, K)."""
        return self.forward_head(*self.forward_features(features, lengths))

    def forward_features(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to (B, n_hidden, F / 16), (B,)."""
        x, lengths = self.stack(features, lengths)  # (B, C, M / 16, F / 16)
        x = x.flatten(1, 2).transpose(1, 2)  # (B, F / 16, C · M / 16)
        return functional.relu(self.project(x)).transpose(1, 2), lengths

    def forward_head(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, n_hidden, F / 16), (B,) to logits (B, K)."""
        return self.classify(self.dropout(self.pool(x, lengths)))
