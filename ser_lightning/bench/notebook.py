"""The yardstick: the training loop, preprocessing and network of the notebook, each as it wrote them.

B: clips.  C: channels.  M: mel bins (128).  F: frames (160).  K: classes.
"""

import time
from itertools import cycle, islice, pairwise

import soundfile
import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from ser_lightning.data.datamodule import EmotionDataModule

BATCH_SIZE = 32
_BATCHES = 8  # that the loop is timed on
_N_FRAMES = 160


class NotebookClips(Dataset[tuple[Tensor, int]]):
    """The training clips, one by one: decode, mel spectrogram, 160 frames. Items: (1, 128, 160) and the label."""

    def __init__(self, data: EmotionDataModule):
        self._files = [data.clips.file(row) for row in data.split.train]
        self._labels = [data.task.outputs.index(data.manifest[row].emotion) for row in data.split.train]
        self._mel = torchaudio.transforms.MelSpectrogram(16_000, n_fft=2048, hop_length=512, n_mels=128)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        samples, _ = soundfile.read(self._files[number], dtype="float32", always_2d=True)  # (T, C)
        waveform = torch.from_numpy(samples).mean(1)
        decibels = 10 * self._mel(waveform - waveform.mean()).clamp_min(1e-10).log10()  # (M, F)
        scaled = (decibels - decibels.min()) / (decibels.max() - decibels.min() + 1e-6)
        cut = scaled[:, :_N_FRAMES]
        return functional.pad(cut, (0, _N_FRAMES - cut.shape[1]))[None], self._labels[number]


class CNNAsWritten(nn.Module):
    """The function of `models.nets.notebook.NotebookCNN`, layer by layer in the notebook's own order."""

    def __init__(self, n_classes: int):
        super().__init__()
        channels = (1, 32, 64, 128, 256)
        self.convs = nn.ModuleList(nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for n_out in channels[1:])
        self.residual = nn.Conv2d(1, channels[2], 1, stride=2, padding=1)
        self.head = nn.Sequential(nn.Linear(channels[-1], 64), nn.Linear(64, n_classes))

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map (B, 1, M, F) to logits (B, K)."""
        x = spectrogram
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x)
            if number == 1:
                x = functional.pad(x, (0, 1))  # (B, 64, M / 2, F / 2 + 1)
                x = x + self.residual(spectrogram)[:, :, : x.shape[2], : x.shape[3]]
            x = norm(functional.max_pool2d(functional.relu(x), 2))
        return self.head(x.amax((2, 3)))  # of (B, 256, M / 16, F / 16)


class NotebookLoop:
    """Training as it was: a DataLoader of such clips, batch 32, 32-bit, Adam."""

    def __init__(self, data: EmotionDataModule):
        loader = DataLoader(NotebookClips(data), batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
        self._batches = iter(cycle(loader))
        self.net = CNNAsWritten(n_classes=len(data.task.outputs)).train()
        self._optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)

    def clips_per_s(self) -> float:
        """Return clips a second over the next few batches."""
        start = time.perf_counter()
        for features, labels in islice(self._batches, _BATCHES):  # (32, 1, 128, 160), (32,)
            loss = functional.cross_entropy(self.net(features), labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
        return BATCH_SIZE * _BATCHES / (time.perf_counter() - start)
