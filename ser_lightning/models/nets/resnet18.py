"""ResNet: residual blocks and a pooling head; ResNet-18 unless told otherwise.

B: clips.  M: mel bins.  F: frames.  C: channels.  K: classes.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.pooling import make_pooling
from ser_lightning.models.layers.residual import ResidualStack


class ResNet(nn.Module):
    """A ResNet of basic blocks (He et al., 2016, arXiv 1512.03385) on one channel, padding masked in every layer.

    Args:
        n_mels, n_classes: M and K.
        channels, blocks: of each stage; the defaults make ResNet-18.
        stem_kernel, stem_pool: see `layers.residual.ResidualStack`.
        n_hidden: None takes the mean over the rows of mel bins that are left, as in the paper. A number keeps them
            apart, and projects them to that many at each frame.
        pooling: over time, a name in `layers.pooling.POOLINGS`; "mean" is the paper's.
        dropout: before the last layer.
    """

    def __init__(
        self,
        *,
        n_mels: int,
        n_classes: int,
        channels: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 2, 2),
        stem_kernel: int = 7,
        stem_pool: bool = True,
        n_hidden: int | None = None,
        pooling: str = "mean_max",
        dropout: float = 0.4,
    ):
        super().__init__()
        self.stack = ResidualStack(channels=channels, blocks=blocks, stem_kernel=stem_kernel, stem_pool=stem_pool)
        self.project = None
        if n_hidden is not None:
            self.project = nn.Linear(channels[-1] * self.stack.n_rows(n_mels), n_hidden)
        self.pool = make_pooling(pooling, n_hidden or channels[-1])
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.pool.n_outputs, n_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F), (B,) frames to logits (B, K)."""
        return self.forward_head(*self.forward_features(features, lengths))

    def forward_features(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to (B, C, F / 32), (B,); n_hidden in place of C where that is given."""
        x, lengths = self.stack(features, lengths)  # (B, C, M / 32, F / 32)
        if self.project is None:
            return x.mean(2), lengths
        x = x.flatten(1, 2).transpose(1, 2)  # (B, F / 32, C · M / 32)
        return functional.relu(self.project(x)).transpose(1, 2), lengths

    def forward_head(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, C, F / 32), (B,) to logits (B, K)."""
        return self.classify(self.dropout(self.pool(x, lengths)))
