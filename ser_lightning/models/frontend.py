"""Waveforms to log-mel spectrograms, a batch at a time, on the device.

B: clips.  T: samples of the longest clip.  M: mel bins.  F: frames of the longest clip.
"""

import math

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.masking import frame_mask

_INT16_SCALE = 1 / 32_768
_EPS = 1e-6
_POWER_FLOOR = 1e-10


class LogMel(nn.Module):
    """Log-mel spectrogram of each clip as if it were alone: centred frames, a clip's end padded as its start is.

    The same numbers as `torchaudio.transforms.MelSpectrogram`, framed and transformed for the whole batch with the
    mel bins last until the end, which is about three times as fast on a CPU.

    Args:
        sample_rate_hz: of the waveform.
        n_fft: samples of the Fourier transform.
        window_samples: of the Hann window, at most ``n_fft``.
        hop_samples: between frames.
        n_mels: M.
        min_hz, max_hz: of the lowest and highest filter's edge.
        mel_scale: "htk" or "slaney".
        pad_mode: how a clip goes on beyond its ends, "zeros" or "reflect".
        normalise: over the clip, "standard" (mean 0, standard deviation 1), "min_max" (0 to 1), or "none" (dB).
    """

    def __init__(
        self,
        *,
        sample_rate_hz: int,
        n_fft: int = 1024,
        window_samples: int = 400,
        hop_samples: int = 200,
        n_mels: int = 80,
        min_hz: float = 50.0,
        max_hz: float = 8000.0,
        mel_scale: str = "htk",
        pad_mode: str = "zeros",
        normalise: str = "standard",
    ):
        super().__init__()
        _check("pad_mode", pad_mode, ("zeros", "reflect"))
        _check("normalise", normalise, ("standard", "min_max", "none"))
        self.n_mels = n_mels
        self._n_fft = n_fft
        self._hop_samples = hop_samples
        self._reflect = pad_mode == "reflect"
        self._normalise = normalise
        # a window shorter than the transform lies in its middle; outside it nothing is read
        self._window_samples = window_samples
        window = torch.hann_window(window_samples)
        filters = torchaudio.functional.melscale_fbanks(
            n_fft // 2 + 1, min_hz, max_hz, n_mels, sample_rate_hz, mel_scale=mel_scale
        )
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", filters, persistent=False)  # (n_fft / 2 + 1, M)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) int16 or float in [-1, 1], and lengths (B,) -> ((B, M, F) float32, frames (B,)); padding is 0."""
        with torch.autocast(waveform.device.type, enabled=False):
            samples = waveform * (_INT16_SCALE if waveform.dtype == torch.int16 else 1.0)
            frames = lengths // self._hop_samples + 1
            decibels = self._decibels(self._centred(samples, lengths))
            return self._normalised(decibels, frames), frames

    def _centred(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Remove each clip's offset, in place, and pad it by half a window on both sides: (B, T + window)."""
        mean = samples.sum(1) / lengths  # padding is zero and adds nothing
        outside = torch.arange(samples.shape[1], device=samples.device) >= lengths[:, None]
        samples = samples.sub_(mean[:, None]).masked_fill_(outside, 0.0)
        half = self._window_samples // 2
        padded = functional.pad(samples, (half, half))  # (B, T + window)
        if self._reflect:
            beyond = torch.arange(half, device=samples.device)[None]  # (1, window / 2)
            for position in (beyond - half, lengths[:, None] + beyond):  # before the clip, and after it
                padded.scatter_(
                    1, (half + position).expand(len(samples), half), _reflected(samples, position, lengths)
                )
        return padded

    def _decibels(self, samples: Tensor) -> Tensor:
        """(B, T + window) -> (B, F, M) in dB."""
        frames = samples.unfold(1, self._window_samples, self._hop_samples) * self.window
        spectrum = torch.fft.rfft(frames, n=self._n_fft)  # (B, F, n_fft / 2 + 1)
        power = torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)
        return 10 * (power @ self.filters).clamp_min(_POWER_FLOOR).log10()

    def _normalised(self, decibels: Tensor, frames: Tensor) -> Tensor:
        """(B, F, M) -> (B, M, F), by the statistics of a clip's own frames."""
        mask = frame_mask(frames, decibels.shape[1])[:, :, None]  # (B, F, 1)
        if self._normalise == "standard":
            count = (frames * self.n_mels)[:, None, None]
            mean = (decibels * mask).sum((1, 2), keepdim=True) / count
            centred = (decibels - mean) * mask
            variance = centred.square().sum((1, 2), keepdim=True) / count
            decibels = centred / (variance + _EPS).sqrt()
        elif self._normalise == "min_max":
            low = decibels.masked_fill(~mask, math.inf).amin((1, 2), keepdim=True)
            high = decibels.masked_fill(~mask, -math.inf).amax((1, 2), keepdim=True)
            decibels = (decibels - low) / (high - low + _EPS)
        return (decibels * mask).transpose(1, 2).contiguous()  # convolutions are slow on the transpose


def _reflected(samples: Tensor, position: Tensor, lengths: Tensor) -> Tensor:
    """What stands at ``position`` (B or 1, N) of clips that are mirrored at their ends, as often as it takes."""
    period = (2 * (lengths - 1)).clamp_min(1)[:, None]
    folded = position.remainder(period)
    return samples.gather(1, torch.minimum(folded, period - folded).clamp_max(samples.shape[1] - 1))


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value} is not known: use {', '.join(known)}")
