"""Mamba: selective state spaces over the spectrogram's frames.

B: clips.  M: mel bins.  F: frames.  D: width of the model.  J: frames joined in a step.  K: classes.
"""

from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.mamba import MambaStack
from ser_lightning.models.layers.masking import clear_padding, strided
from ser_lightning.models.layers.pooling import make_pooling


class MambaNet(nn.Module):
    """A stack of Mamba blocks on projected frames, then a pooling head.

    Blocks: Gu and Dao, 2023, arXiv 2312.00752. Neighbouring frames are joined to one step first, as a convolution
    whose stride is its width would: time and memory are linear in the number of steps.

    Args:
        n_mels, n_classes: M and K.
        d_model: D.
        n_layers: of the stack, each with a block for either direction.
        d_state: states of each channel.
        expand: channels inside a block for each of D.
        d_conv: steps that a block's convolution sees.
        bidirectional: read each clip from both ends.
        n_joined: J.
        backend: of the scan, "auto", "torch" or "cuda"; see `layers.selective_scan`.
        pooling: over time, a name in `layers.pooling.POOLINGS`.
        dropout: of what a layer adds, and before the last layer.
    """

    def __init__(
        self,
        *,
        n_mels: int,
        n_classes: int,
        d_model: int = 128,
        n_layers: int = 4,
        d_state: int = 16,
        expand: int = 2,
        d_conv: int = 4,
        bidirectional: bool = True,
        n_joined: int = 4,
        backend: str = "auto",
        pooling: str = "attentive",
        dropout: float = 0.2,
    ):
        super().__init__()
        self._n_joined = n_joined
        self.project = nn.Linear(n_joined * n_mels, d_model)
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
        """Map (B, M, F), (B,) to (B, D, F / J), (B,); a last step that is not full counts."""
        features = functional.pad(clear_padding(features, lengths), (0, -features.shape[2] % self._n_joined))
        steps = features.transpose(1, 2).unflatten(1, (-1, self._n_joined)).flatten(2)  # (B, F / J, J · M)
        lengths = strided(lengths, self._n_joined)
        return self.stack(self.project(steps), lengths).transpose(1, 2), lengths

    def forward_head(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, D, F / J), (B,) to logits (B, K)."""
        return self.classify(self.dropout(self.pool(x, lengths)))
