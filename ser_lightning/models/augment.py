"""Augment training clips by batched tensor operations, which are the identity outside training.

B: clips.  T: samples.  M: mel bins.  F: frames.  K: classes.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ
from ser_lightning.models.layers.int16 import as_float
from ser_lightning.models.layers.masking import clear_padding
from ser_lightning.utils.errors import UserError, check

_RINGING_SAMPLES = 4096  # after which a band-pass of 50 Hz is silent to 1e-6


class Gain(nn.Module):
    """Make each clip louder or quieter by its own random gain: (B, T) -> (B, T)."""

    def __init__(self, *, min_gain_db: float = -6.0, max_gain_db: float = 6.0, p: float = 0.5):
        super().__init__()
        _check_range("Gain", min_gain_db=min_gain_db, max_gain_db=max_gain_db, p=p)
        self._range_db = (min_gain_db, max_gain_db)
        self._p = p

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) float, whose full scale is ±1, to the same shape."""
        if not self.training:
            return waveform
        gain_db = torch.empty(len(waveform), 1, device=waveform.device).uniform_(*self._range_db)
        chosen = torch.rand_like(gain_db) < self._p
        return waveform * torch.where(chosen, 10 ** (gain_db / 20), 1.0)


class WhiteNoise(nn.Module):
    """Add white noise to each clip at its own random level, dB below full scale: (B, T) -> (B, T)."""

    def __init__(self, *, min_level_db: float = -80.0, max_level_db: float = -50.0, p: float = 0.5):
        super().__init__()
        check("WhiteNoise: ", at_most=0, max_level_db=max_level_db)
        _check_range("WhiteNoise", min_level_db=min_level_db, max_level_db=max_level_db, p=p)
        self._range_db = (min_level_db, max_level_db)
        self._p = p

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) float, whose full scale is ±1, to the same shape."""
        if not self.training:
            return waveform
        level_db = torch.empty(len(waveform), 1, device=waveform.device).uniform_(*self._range_db)
        chosen = torch.rand_like(level_db) < self._p
        peak = math.sqrt(3) * torch.where(chosen, 10 ** (level_db / 20), 0.0)  # of a uniform distribution
        return torch.addcmul(waveform, torch.empty_like(waveform).uniform_(-1, 1), peak)


class BandPass(nn.Module):
    """Keep a random band of frequencies of each clip, as narrow as a telephone's or wide: (B, T) -> (B, T).

    Its ends are drawn evenly by octaves, and fall off as those of a Butterworth filter of order 6, without a delay.
    """

    def __init__(
        self,
        *,
        min_low_hz: float = 50.0,
        max_low_hz: float = 400.0,
        min_high_hz: float = 3000.0,
        max_high_hz: float = 8000.0,
        p: float = 0.3,
    ):
        super().__init__()
        check("BandPass: ", above=0, min_low_hz=min_low_hz, min_high_hz=min_high_hz)
        _check_range("BandPass", min_low_hz=min_low_hz, max_low_hz=max_low_hz, p=p)
        _check_range("BandPass", min_high_hz=min_high_hz, max_high_hz=max_high_hz, p=p)
        _check_range("BandPass", max_low_hz=max_low_hz, min_high_hz=min_high_hz, p=p)
        self._low_octaves = (math.log2(min_low_hz), math.log2(max_low_hz))
        self._high_octaves = (math.log2(min_high_hz), math.log2(max_high_hz))
        self._p = p

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) float to the same shape."""
        if not self.training:
            return waveform
        chosen = torch.rand(len(waveform), device=waveform.device) < self._p
        if not chosen.any():  # the FFT refuses an empty batch
            return waveform
        clips = waveform[chosen]
        low_hz, high_hz = (
            torch.empty(len(clips), 1, device=clips.device).uniform_(*octaves).exp2()
            for octaves in (self._low_octaves, self._high_octaves)
        )
        # room for what the filter rings, else a clip's end is in its start; the FFT is slow at most other lengths
        n_fft = -(-(waveform.shape[1] + _RINGING_SAMPLES) // 1024) * 1024
        hz = torch.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ, device=waveform.device).clamp_min(1.0)
        power = 1 / ((1 + (low_hz / hz) ** 12) * (1 + (hz / high_hz) ** 12))  # (chosen, n_fft / 2 + 1)
        filtered = torch.fft.irfft(torch.fft.rfft(clips, n_fft) * power.sqrt(), n_fft)
        return waveform.index_put((chosen,), filtered[:, : waveform.shape[1]])


class TimeStretch(nn.Module):
    """Slow down or speed up a whole batch by interpolating along time, pitch kept: F becomes F × rate.

    A rate above 1 makes it slower: it is that of the length, not of the speech.
    """

    def __init__(self, *, min_rate: float = 0.85, max_rate: float = 1.15, p: float = 1.0):
        super().__init__()
        check("TimeStretch: ", above=0, min_rate=min_rate)
        _check_range("TimeStretch", min_rate=min_rate, max_rate=max_rate, p=p)
        self._range = (min_rate, max_rate)
        self._p = p

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to (B, M, F'), (B,)."""
        if not self.training:
            return features, frames
        chance, position = torch.rand(2).tolist()  # on the CPU: it decides a shape
        if chance >= self._p:
            return features, frames
        low, high = self._range
        n_frames = max(1, round(features.shape[-1] * (low + (high - low) * position)))
        stretched = functional.interpolate(features, size=n_frames, mode="linear")
        frames = (frames * n_frames / features.shape[-1]).round().long().clamp(1, n_frames)
        return clear_padding(stretched, frames), frames


class MelShift(nn.Module):
    """Shift a whole batch up or down by a few mel bins, as another vocal tract would; the edge bin is repeated."""

    def __init__(self, *, max_bins: int = 3, p: float = 1.0):
        super().__init__()
        check("MelShift: ", integer=True, at_least=0, max_bins=max_bins)
        check("MelShift: ", at_least=0, at_most=1, p=p)
        self._max_bins = max_bins
        self._p = p

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to the same shapes."""
        if not self.training or torch.rand(()).item() >= self._p:
            return features, frames
        shift = int(torch.randint(-self._max_bins, self._max_bins + 1, ()))
        bins = (torch.arange(features.shape[1], device=features.device) - shift).clamp(0, features.shape[1] - 1)
        return features[:, bins], frames


class ClipTimeStretch(TimeStretch):
    """As `TimeStretch`, each clip at a rate of its own: F becomes the longest of their lengths."""

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to (B, M, F'), (B,)."""
        if not self.training:
            return features, frames
        rate = torch.empty(len(features), device=features.device).uniform_(*self._range)
        rate = torch.where(torch.rand_like(rate) < self._p, rate, 1.0)
        stretched = (frames * rate).round().long().clamp_min(1)
        # frame i lies at (i + 1/2) frames / stretched - 1/2, in whole numbers: they may be a million samples
        doubled = 2 * torch.arange(int(stretched.max()), device=features.device) + 1  # (F')
        position = (doubled * frames[:, None] - stretched[:, None]).clamp_min(0)  # (B, F'), in units of 1 / over
        over, last = 2 * stretched[:, None], (frames - 1)[:, None]
        share = (position % over) / over
        mixed = _between(features, torch.minimum(position // over, last), share, last, axis=2)
        return clear_padding(mixed, stretched), stretched


class ClipMelShift(MelShift):
    """As `MelShift`, each clip by a shift of its own, which need not be whole bins."""

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to the same shapes."""
        if not self.training:
            return features, frames
        n_clips, n_mels, _ = features.shape
        shift = torch.empty(n_clips, 1, device=features.device).uniform_(-self._max_bins, self._max_bins)
        shift = torch.where(torch.rand_like(shift) < self._p, shift, 0.0)
        position = (torch.arange(n_mels, device=features.device) - shift).clamp(0, n_mels - 1)  # (B, M)
        below = position.floor().long()
        last = torch.full_like(shift, n_mels - 1).long()
        return _between(features, below, position - below, last, axis=1), frames


def _between(features: Tensor, below: Tensor, share: Tensor, last: Tensor, *, axis: int) -> Tensor:
    """Interpolate (B, M, F) between bins or frames ``below`` (B, n) and the next, none beyond ``last`` (B, 1)."""
    above = torch.minimum(below + 1, last)
    shape = list(features.shape)
    shape[axis] = below.shape[1]
    low, high = (features.gather(axis, index.unsqueeze(3 - axis).expand(shape)) for index in (below, above))
    return torch.lerp(low, high, share.unsqueeze(3 - axis).to(features.dtype))


class SpecAugment(nn.Module):
    """Set random bands of frequency and stretches of time to each clip's mean.

    Park et al., "SpecAugment", Interspeech 2019, without the warp; a time mask covers at most ``max_share`` of its
    clip.
    """

    def __init__(
        self,
        *,
        n_frequency_masks: int = 2,
        max_bins: int = 16,
        n_time_masks: int = 2,
        max_frames: int = 32,
        max_share: float = 0.25,
        p: float = 1.0,
    ):
        super().__init__()
        counts = {"n_frequency_masks": n_frequency_masks, "n_time_masks": n_time_masks}
        widths = {"max_bins": max_bins, "max_frames": max_frames}
        check("SpecAugment: ", integer=True, at_least=0, **counts, **widths)
        check("SpecAugment: ", at_least=0, at_most=1, max_share=max_share, p=p)
        self._frequency = (n_frequency_masks, max_bins)
        self._time = (n_time_masks, max_frames)
        self._max_share = max_share
        self._p = p

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, M, F), (B,) to the same shapes."""
        if not self.training:
            return features, frames
        n_clips, n_mels, n_frames = features.shape
        widest = (frames * self._max_share).clamp(max=self._time[1])
        in_time = _bands(self._time[0], widest, frames, n_frames)  # (B, F)
        all_bins = torch.full((n_clips,), n_mels, device=features.device)
        in_frequency = _bands(
            self._frequency[0], all_bins.clamp(max=self._frequency[1]), all_bins, n_mels
        )  # (B, M)
        chosen = torch.rand(n_clips, 1, 1, device=features.device) < self._p
        hidden = (in_time[:, None, :] | in_frequency[:, :, None]) & chosen
        mean = features.sum((1, 2), keepdim=True) / (frames * n_mels)[:, None, None]
        beyond = torch.arange(n_frames, device=frames.device) >= frames[:, None]  # padding stays as it is
        return torch.where(hidden & ~beyond[:, None], mean, features), frames


def _bands(n_bands: int, widest: Tensor, extent: Tensor, size: int) -> Tensor:
    """Draw ``n_bands`` random runs a clip, up to ``widest`` (B,) long, in its ``extent`` (B,): (B, size) bool."""
    shape = (len(extent), n_bands, 1)
    width = torch.rand(shape, device=extent.device) * widest[:, None, None]
    start = torch.rand(shape, device=extent.device) * (extent[:, None, None] - width)
    position = torch.arange(size, device=extent.device)
    return ((position >= start.round()) & (position < (start + width).round())).any(1)


class Mixup(nn.Module):
    """Blend each clip and its target with another of the batch (Zhang et al., "mixup", ICLR 2018)."""

    def __init__(self, *, alpha: float = 0.3, p: float = 1.0):
        super().__init__()
        check("Mixup: ", above=0, alpha=alpha)
        check("Mixup: ", at_least=0, at_most=1, p=p)
        self._alpha = alpha
        self._p = p

    def forward(self, features: Tensor, frames: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, M, F), (B,), (B, K) to the same shapes; a blend is as long as the longer of its two."""
        if not self.training:
            return features, frames, target
        n_clips = len(features)
        share = torch.distributions.Beta(self._alpha, self._alpha).sample((n_clips,)).to(features)
        share = torch.where(torch.rand_like(share) < self._p, share, 1.0)
        other = torch.randperm(n_clips, device=features.device)
        mixed = torch.lerp(features[other], features, share[:, None, None])
        longer = torch.where(share < 1, torch.maximum(frames, frames[other]), frames)
        return mixed, longer, torch.lerp(target[other], target, share[:, None])


class Augmentation(nn.Module):
    """Named steps on the waveform, then on the features, in the order given, then mixup; None switches one off."""

    def __init__(
        self,
        *,
        waveform: Mapping[str, nn.Module | None] | None = None,
        features: Mapping[str, nn.Module | None] | None = None,
        mixup: Mixup | None = None,
    ):
        super().__init__()
        self.waveform = _present(waveform)
        self.features = _present(features)
        self.mixup = mixup

    def on_waveform(self, waveform: Tensor) -> Tensor:
        """Map (B, T) to (B, T); int16 becomes float only where there is something to do."""
        if not self.training or not self.waveform:
            return waveform
        samples = as_float(waveform)
        for step in self.waveform.values():
            samples = step(samples)
        return samples

    def on_features(self, features: Tensor, frames: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, M, F), (B,), (B, K) to the same shapes, but for F, which may change."""
        if self.training:
            for step in self.features.values():
                features, frames = step(features, frames)
            if self.mixup is not None:
                features, frames, target = self.mixup(features, frames, target)
        return features, frames, target


def _present(steps: Mapping[str, nn.Module | None] | None) -> nn.ModuleDict:
    return nn.ModuleDict({name: step for name, step in (steps or {}).items() if step is not None})


def _check_range(step: str, *, p: float, **ends: Any) -> None:
    """Refuse a range whose first end lies above its second, and a ``p`` outside 0 to 1."""
    check(f"{step}: ", **ends)
    check(f"{step}: ", at_least=0, at_most=1, p=p)
    (low, least), (high, most) = ends.items()
    if least > most:
        raise UserError(f"{step}: {low}={least} lies above {high}={most}")
