"""A Transformer encoder over time, in which a clip attends to its own frames only.

B: clips.  F: frames of the longest clip.  D: numbers a frame (d_model).  H: heads.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.masking import frame_mask
from ser_lightning.utils.errors import UserError


class TransformerEncoder(nn.Module):
    """Sinusoidal positions, then pre-norm layers: (B, F, D) -> (B, F, D).

    Vaswani et al., "Attention is all you need", NIPS 2017, arXiv 1706.03762, with the norms inside the residual
    branches: Xiong et al., "On layer normalization in the Transformer architecture", ICML 2020, arXiv 2002.04745.
    The layers are not torch's own, which change to another kernel in eval mode: under autocast on a CPU that one
    keeps even the residual stream in bf16.

    Args:
        d_model: D, even, and a multiple of ``n_heads``.
        n_layers: of attention and feed-forward.
        n_heads: H.
        n_feedforward: hidden units of the feed-forward part.
        dropout: after the positions, in the feed-forward part, and at each branch's end.
    """

    def __init__(self, *, d_model: int, n_layers: int, n_heads: int, n_feedforward: int, dropout: float):
        super().__init__()
        if d_model % 2 or d_model % n_heads:
            raise UserError(f"model.net.d_model={d_model} must be even, and a multiple of n_heads={n_heads}")
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(_Layer(d_model, n_heads, n_feedforward, dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, F, D) and lengths (B,) in frames, each at least 1, to (B, F, D), undefined beyond the lengths."""
        x = self.dropout(x + sinusoids(x.shape[1], x.shape[2], x.device))
        mask = frame_mask(lengths, x.shape[1])[:, None, None]  # (B, 1, 1, F): the same for every head and frame
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)


class _Layer(nn.Module):
    """Self-attention and feed-forward, each added to what came in."""

    def __init__(self, d_model: int, n_heads: int, n_feedforward: int, dropout: float):
        super().__init__()
        self._n_heads = n_heads
        self.norm1 = nn.LayerNorm(d_model)
        self.queries_keys_values = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.feedforward = nn.Sequential(
            nn.Linear(d_model, n_feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(n_feedforward, d_model)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend and transform (B, F, D); ``mask`` is true where a frame may be attended to."""
        parts = self.queries_keys_values(self.norm1(x)).unflatten(2, (3, self._n_heads, -1))  # (B, F, 3, H, D / H)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, H, F, D / H) each
        attended = functional.scaled_dot_product_attention(query, key, value, mask)
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))  # (B, F, D)
        return x + self.dropout(self.feedforward(self.norm2(x)))


def sinusoids(n_frames: int, d_model: int, device: torch.device | None = None) -> Tensor:
    """Return positions (F, D): sines in the even columns, cosines in the odd ones (Vaswani et al., section 3.5)."""
    position = torch.arange(n_frames, device=device)[:, None]
    frequency = torch.exp(torch.arange(0, d_model, 2, device=device) * (-math.log(10_000.0) / d_model))
    angle = position * frequency  # (F, D / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
