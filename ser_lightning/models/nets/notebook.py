"""The networks of the notebook this project grew from, as they were, to reproduce its numbers.

B: clips.  M: mel bins (128).  F: frames (160).  K: classes.
"""

from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.convolution import carried

_CHANNELS = (32, 64, 128, 256)


class _NotebookStack(nn.Module):
    """(B, M, F) -> (B, 256, M / 16, F / 16), F first cut or padded with zeros to ``n_frames``, all of them used."""

    def __init__(self, n_frames: int | None):
        super().__init__()
        self._n_frames = n_frames
        self.convs = nn.ModuleList(
            nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in zip((1, *_CHANNELS), _CHANNELS, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for n_out in _CHANNELS)
        self.residual = nn.Linear(1, _CHANNELS[1])  # of each pixel: a 1×1 convolution

    def forward(self, features: Tensor) -> Tensor:
        n_frames = self._n_frames or features.shape[2]
        features = functional.pad(features[:, :, :n_frames], (0, max(0, n_frames - features.shape[2])))
        spectrogram = features[:, None]  # (B, 1, M, 160)
        x = spectrogram
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x)
            if number == 1:
                # Stride 2 and padding 1 begin one pixel outside: the residual is a row and column late, and wider.
                # The notebook pads x to its 81 columns, of which the maximum below leaves out the last.
                residual = carried(functional.pad(spectrogram, (1, 1, 1, 1)), self.residual)
                x += residual[:, :, : x.shape[2], : x.shape[3]]
            x = norm(functional.relu(functional.max_pool2d(x, 2)))  # ReLU and maximum commute
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
        """(B, M, F) -> logits (B, K); ``lengths`` go unused, as they did."""
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
        """(B, M, F) -> logits (B, K); ``lengths`` go unused, as they did."""
        x = self.stack(features).flatten(1, 2).transpose(1, 2)  # (B, 10, 256 · M / 16)
        output, _ = self.gru(x)  # (B, 10, 256)
        return self.head(output[:, -1])
