"""Compute statistics of a model's layers over each clip, and classify by them.

B: clips.  L: layers that are used.  F: frames of the longest clip.  D: width of the model.  K: classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.masking import frame_mask

_EPS = 1e-5


def layer_statistics(states: Tensor, frames: Tensor) -> Tensor:
    """Return mean and standard deviation over time of each layer: (B, L, F, D), (B,) -> (B, L, 2D)."""
    mask = frame_mask(frames, states.shape[2])[:, None, :, None]  # (B, 1, F, 1)
    count = frames[:, None, None]
    states = states.float().masked_fill(~mask, 0)
    mean = states.sum(2) / count  # (B, L, D)
    variance = ((states - mean[:, :, None]) * mask).square().sum(2) / count
    return torch.cat([mean, (variance + _EPS).sqrt()], dim=-1)


class StatisticsHead(nn.Module):
    """Statistics of all layers joined and standardised, one hidden layer, and a linear one: (B, L, 2D) -> (B, K).

    Args:
        n_inputs: L times 2D.
        n_classes: K.
        n_hidden: units of the hidden layer.
        input_dropout: of the statistics.
        dropout: after the hidden layer.
    """

    def __init__(self, *, n_inputs: int, n_classes: int, n_hidden: int, input_dropout: float, dropout: float):
        super().__init__()
        self.standardise = nn.BatchNorm1d(n_inputs, affine=False)
        self.input_dropout = nn.Dropout(input_dropout)
        self.hidden = nn.Linear(n_inputs, n_hidden)
        self.norm = nn.BatchNorm1d(n_hidden)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(n_hidden, n_classes)

    def forward(self, statistics: Tensor) -> Tensor:
        """Map (B, L, 2D) to logits (B, K)."""
        x = self.input_dropout(batch_standardised(self.standardise, statistics.flatten(1).float()))
        x = functional.relu(batch_standardised(self.norm, self.hidden(x)))
        return self.classify(self.dropout(x))


def batch_standardised(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """Standardise by the batch's statistics; in eval, and for a single clip, by those of all batches."""
    if not norm.training or len(x) > 1:  # an export would fix what it takes len() of
        return norm(x)
    return functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
