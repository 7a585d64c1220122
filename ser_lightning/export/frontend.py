"""Make the front-end exportable: no Fourier transform, and no step that depends on what the numbers are.

B: clips.  T: samples of the longest clip.  F: frames of the longest clip.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ser_lightning.models.frontend import POWER_FLOOR, LogMel, reflected
from ser_lightning.models.layers.masking import frame_mask


class LogMelByConvolution(LogMel):
    """A `LogMel` that computes its spectrum by a convolution with windowed cosines and sines.

    Takes the same arguments; samples beyond a clip's length are not looked at. Where there is nothing but
    rounding, as between the harmonics of a tone that no noise accompanies, the two round differently.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.kernel: Tensor
        self.register_buffer("kernel", windowed_waves(self.window, self._n_fft)[:, None], persistent=False)

    def _centred(self, samples: Tensor, lengths: Tensor) -> Tensor:
        within = frame_mask(lengths, samples.shape[1])  # (B, T): here a sample is a frame
        mean = (samples * within).sum(1) / lengths
        samples = (samples - mean[:, None]) * within
        half = self._window_samples // 2
        if not self._reflect:
            return functional.pad(samples, [half + self._beyond_samples] * 2)
        position = torch.arange(samples.shape[1] + 2 * half, device=samples.device)[None] - half  # (1, T + window)
        return reflected(samples, position, lengths) * (position < lengths[:, None] + half)

    def _without_padding(self, decibels: Tensor, frames: Tensor) -> Tensor:
        return decibels  # as many frames as any clip could have: a graph knows no other number

    def _decibels(self, samples: Tensor) -> Tensor:
        return self._mel_power(samples).clamp_min(POWER_FLOOR).log10() * 10

    def _squares(self, samples: Tensor) -> Tensor:
        spectrum = functional.conv1d(samples[:, None], self.kernel, stride=self._hop_samples)  # (B, n_fft + 2, F)
        return spectrum.square().transpose(1, 2)


def windowed_waves(window: Tensor, n_fft: int) -> Tensor:
    """Return (n_fft + 2, window): the window times the cosine and the sine of each frequency, in turns."""
    parts = torch.arange(n_fft // 2 + 1)[:, None] * torch.arange(len(window)) % n_fft  # of a turn's n_fft
    angle = parts.double() * (2 * math.pi / n_fft)
    return (torch.stack([angle.cos(), angle.sin()], dim=1).flatten(0, 1) * window.double()).float()
