"""The networks of the notebook this project grew from, as they were, to reproduce its numbers.

B: clips.  M: mel bins (128).  F: frames (160).  K: classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.convolution import with_shortcut
from ser_lightning.models.layers.residual import ResidualStack
from ser_lightning.models.layers.transformer import sinusoids

_CHANNELS = (32, 64, 128, 256)


def _convolutions() -> nn.ModuleList:
    return nn.ModuleList(
        nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in zip((1, *_CHANNELS), _CHANNELS, strict=False)
    )


def _framed(features: Tensor, n_frames: int) -> Tensor:
    """Map (B, M, F) to (B, M, n_frames), cut or padded with zeros."""
    return functional.pad(features, (0, n_frames))[:, :, :n_frames]  # whichever it is: no export could branch


class _NotebookStack(nn.Module):
    """(B, M, F) -> (B, 256, M / 16, F / 16), F first cut or padded with zeros to ``n_frames``, all of them used."""

    def __init__(self, n_frames: int | None):
        super().__init__()
        self._n_frames = n_frames
        self.convs = _convolutions()
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for n_out in _CHANNELS)
        self.residual = nn.Linear(1, _CHANNELS[1])  # of each pixel: a 1×1 convolution

    def forward(self, features: Tensor) -> Tensor:
        framed = features if self._n_frames is None else _framed(features, self._n_frames)
        x = framed[:, None]  # (B, 1, M, 160)
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if number == 1:
                # Stride 2 and padding 1 begin one pixel outside: the residual is a row and column late, and wider.
                # The notebook pads x to its 81 columns, of which the maximum below leaves out the last.
                late = functional.pad(framed, (1, 0, 1, 0))[:, : 2 * x.shape[2], : 2 * x.shape[3]]
                x = with_shortcut(conv, x, late, self.residual)
            else:
                x = conv(x)
            x = norm(functional.max_pool2d(x, 2).relu_())  # ReLU and maximum commute
        return x


class NotebookCNN(nn.Module):
    """The notebook's CNN: a maximum over everything, and two linear layers with nothing between.

    ``n_frames`` None leaves clips as long as they are, which the notebook did not.
    """

    def __init__(self, *, n_mels: int, n_classes: int, n_frames: int | None = 160):
        super().__init__()
        self.stack = _NotebookStack(n_frames)
        self.head = nn.Sequential(nn.Linear(_CHANNELS[-1], 64), nn.Linear(64, n_classes))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F) to logits (B, K); ``lengths`` go unused, as they did."""
        return self.head(self.stack(features).amax((2, 3)))


class NotebookCNNGRU(nn.Module):
    """The notebook's CNN-GRU: the answer is read from the GRU's output at the last of 160 frames.

    There the backward direction has only begun, so its recurrent weights are never trained.
    """

    def __init__(self, *, n_mels: int, n_classes: int, n_frames: int | None = 160):
        super().__init__()
        self.stack = _NotebookStack(n_frames)
        self.gru = nn.GRU(_CHANNELS[-1] * (n_mels // 16), 128, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Linear(256, 64), nn.Linear(64, n_classes))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F) to logits (B, K); ``lengths`` go unused, as they did."""
        x = self.stack(features).flatten(1, 2).transpose(1, 2)  # (B, 10, 256 · M / 16)
        output, _ = self.gru(x)  # (B, 10, 256)
        return self.head(output[:, -1])


class NotebookResNet18(nn.Module):
    """The standard ResNet-18 on one channel, all of 160 frames used."""

    def __init__(self, *, n_mels: int, n_classes: int, n_frames: int = 160):
        super().__init__()
        self._n_frames = n_frames
        self.stack = ResidualStack()
        self.classify = nn.Linear(512, n_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F) to logits (B, K); ``lengths`` go unused, as they did."""
        x, _ = self.stack(_framed(features, self._n_frames), torch.full_like(lengths, self._n_frames))
        return self.classify(x.mean((2, 3)))


class NotebookCNNTransformer(nn.Module):
    """The notebook's CNN-Transformer: four convolutions, a post-norm encoder, a mean over all frames.

    Its layer norms, made anew at every call there and so neither trained nor saved, are parameters here.
    """

    def __init__(self, *, n_mels: int, n_classes: int, n_frames: int = 160, dropout: float = 0.2):
        super().__init__()
        self._n_frames = n_frames
        self.convs = _convolutions()
        self.norms = nn.ModuleList(
            nn.LayerNorm([n_out, n_mels // 2**number, n_frames // 2**number])
            for number, n_out in enumerate(_CHANNELS, start=1)
        )
        self.project = nn.Linear(_CHANNELS[-1] * (n_mels // 16), 256)
        layer = nn.TransformerEncoderLayer(256, nhead=4, dim_feedforward=2048, dropout=dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.head = nn.Sequential(nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, n_classes))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, M, F) to logits (B, K); ``lengths`` go unused, as they did."""
        x = _framed(features, self._n_frames)[:, None]  # (B, 1, M, 160)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.relu(norm(functional.max_pool2d(conv(x), 2)))
        x = self.project(x.flatten(1, 2).transpose(1, 2))  # (B, 10, 256)
        x = self.encoder(x + sinusoids(x.shape[1], x.shape[2], x.device))
        return self.head(x.mean(1))
