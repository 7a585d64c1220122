"""Pool a sequence of any length to one vector, over a clip's own frames only.

| name | what it keeps of each channel | outputs |
|---|---|---|
| mean | the mean over time | C |
| max | the maximum over time | C |
| mean_max | both, joined | 2C |
| attentive | mean and standard deviation, weighted by learnt attention | 2C |

B: clips.  C: channels.  F: frames of the longest clip.
"""

import torch
from torch import Tensor, nn

from ser_lightning.models.layers.masking import frame_mask
from ser_lightning.utils.errors import check_choice


class MeanPooling(nn.Module):
    """Mean over time: (B, C, F) -> (B, C)."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.n_outputs = n_channels

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Pool ``x`` over each clip's ``lengths`` (B,) in frames, each at least 1."""
        mask = frame_mask(lengths, x.shape[-1])[:, None]  # (B, 1, F)
        return (x * mask).sum(-1) / lengths[:, None].to(x.dtype)


class MaxPooling(nn.Module):
    """Maximum over time: (B, C, F) -> (B, C)."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.n_outputs = n_channels

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Pool ``x`` over each clip's ``lengths`` (B,) in frames, each at least 1."""
        mask = frame_mask(lengths, x.shape[-1])[:, None]  # (B, 1, F)
        return x.masked_fill(~mask, torch.finfo(x.dtype).min).amax(-1)


class MeanMaxPooling(nn.Module):
    """Mean and maximum over time, joined: (B, C, F) -> (B, 2C)."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.n_outputs = 2 * n_channels
        self.mean = MeanPooling(n_channels)
        self.max = MaxPooling(n_channels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Pool ``x`` over each clip's ``lengths`` (B,) in frames, each at least 1."""
        return torch.cat([self.mean(x, lengths), self.max(x, lengths)], dim=1)


class AttentiveStatisticsPooling(nn.Module):
    """Mean and standard deviation weighted by learnt attention: (B, C, F) -> (B, 2C).

    Okabe, Koshinaka and Shinoda, "Attentive statistics pooling for deep speaker embedding", Interspeech 2018,
    equations 2 to 6, one weight a frame.
    """

    def __init__(self, n_channels: int, n_hidden: int = 64):
        super().__init__()
        self.n_outputs = 2 * n_channels
        hidden = nn.Conv1d(n_channels, n_hidden, 1)
        self.score = nn.Sequential(hidden, nn.Tanh(), nn.Conv1d(n_hidden, 1, 1, bias=False))  # softmax undoes one

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Pool ``x`` over each clip's ``lengths`` (B,) in frames, each at least 1."""
        mask = frame_mask(lengths, x.shape[-1])[:, None]  # (B, 1, F)
        scores = self.score(x).float().masked_fill(~mask, -torch.inf)
        weights = scores.softmax(-1)  # (B, 1, F)
        x = x.float()
        mean = (weights * x).sum(-1)
        variance = (weights * (x - mean[..., None]).square()).sum(-1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


Pooling = MeanPooling | MaxPooling | MeanMaxPooling | AttentiveStatisticsPooling

POOLINGS: dict[str, type[Pooling]] = {
    "mean": MeanPooling,
    "max": MaxPooling,
    "mean_max": MeanMaxPooling,
    "attentive": AttentiveStatisticsPooling,
}


def make_pooling(name: str, n_channels: int) -> Pooling:
    """Make the pooling head of that name.

    Raises: UserError for a name that is not in `POOLINGS`.
    """
    check_choice("model.net.", POOLINGS, pooling=name)
    return POOLINGS[name](n_channels)
