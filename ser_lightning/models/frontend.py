"""Turn waveforms into log-mel spectrograms, a batch at a time, on the device.

B: clips.  T: samples of the longest clip.  M: mel bins.  F: frames of the longest clip.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.int16 import as_float
from ser_lightning.models.layers.masking import frame_mask, strided
from ser_lightning.models.speaker_statistics import ClipMoments, SpeakerStatistics
from ser_lightning.models.state_dicts import rename_keys
from ser_lightning.utils.errors import UserError, check

_EPS = 1e-6
POWER_FLOOR = 1e-10
_CHUNK = 4  # clips transformed at a time on a CPU: what they become stays in its cache
_MOST_NUMBERS_PER_S = 1_000_000  # before the filters; ours have 82,000
_BAND = 16  # mel filters multiplied at a time: together they span few frequencies


class LogMel(nn.Module):
    """Log-mel spectrogram of each clip as if it were alone: centred frames, a clip's end padded as its start is.

    The same numbers as `torchaudio.transforms.MelSpectrogram`, with the mel bins last until the end, and with the
    filters multiplied a band at a time: most of their matrix is zero.

    Args:
        sample_rate_hz: of the waveform.
        n_fft: samples of the Fourier transform.
        window_samples: of the Hann window, at most ``n_fft``.
        hop_samples: between frames, at most ``window_samples``: no sample is skipped.
        n_mels: M.
        min_hz, max_hz: of the lowest and highest filter's edge.
        mel_scale: "htk" or "slaney".
        pad_mode: how a clip goes on beyond its ends, "zeros" or "reflect".
        normalise: over the clip, "standard" (mean 0, standard deviation 1), "min_max" (0 to 1), or "none" (dB); or
            "speaker": each mel bin by the statistics of the speaker (`models.speaker_statistics`), which come from
            the clip alone where none are given.
        average_frames: neighbouring frames averaged into one, in dB: less noise, and less to compute for a network.
        prior_clips: with "speaker", of `SpeakerStatistics`.

    Raises: UserError for a number outside its domain, or filters between whose edges no frequency lies.

    Attributes:
        speaker_statistics: with "speaker", those of the training speakers; else None.
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
        average_frames: int = 1,
        prior_clips: float = 3.0,
    ):
        super().__init__()
        _check("pad_mode", pad_mode, ("zeros", "reflect"))
        _check("normalise", normalise, ("standard", "min_max", "none", "speaker"))
        sizes = {"n_mels": n_mels, "average_frames": average_frames, "hop_samples": hop_samples}
        check("model.frontend.", integer=True, at_least=1, n_fft=n_fft, window_samples=window_samples, **sizes)
        check("model.frontend.", at_most=n_fft, window_samples=window_samples)  # the transform would cut it
        check("model.frontend.", at_most=window_samples, hop_samples=hop_samples)
        check("model.frontend.", above=0, at_most=sample_rate_hz / 2, max_hz=max_hz)
        check("model.frontend.", at_least=0, below=max_hz, min_hz=min_hz)
        check("model.frontend.", at_least=0, prior_clips=prior_clips)
        check("model.frontend.", at_most=1 << 16, n_fft=n_fft)  # a checkpoint from elsewhere may say anything
        check("model.frontend.", at_most=1 << 10, n_mels=n_mels)
        _check_work(sample_rate_hz, n_fft=n_fft, hop_samples=hop_samples)
        self.n_mels = n_mels
        self._n_fft = n_fft
        self._hop_samples = hop_samples
        self._average_frames = average_frames
        self._reflect = pad_mode == "reflect"
        self._normalise = normalise
        by_speaker = normalise == "speaker"
        self.speaker_statistics = SpeakerStatistics(n_mels, prior_clips=prior_clips) if by_speaker else None
        # a window shorter than the transform lies in its middle; outside it nothing is read
        self._window_samples = window_samples
        window = torch.hann_window(window_samples)
        filters = _mel_filters(n_fft // 2 + 1, min_hz, max_hz, n_mels, sample_rate_hz, mel_scale)
        self.window: Tensor
        self.register_buffer("window", window, persistent=False)
        self._bands = nn.ModuleList(_Band(filters[:, first : first + _BAND]) for first in range(0, n_mels, _BAND))

    def forward(self, waveform: Tensor, lengths: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (B, T) int16 or float in [-1, 1], and lengths (B,) to ((B, M, F) float32, frames (B,)); padding is 0.

        ``statistics`` (B, 2, M): of each clip's speaker, where features are normalised by them; None takes them
        from the clip alone.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            decibels, frames = self._spectrogram(waveform, lengths)
            if self.speaker_statistics is not None:
                if statistics is None:
                    statistics = self.speaker_statistics.from_single_clips(_moments(decibels, frames))
                decibels = (decibels - statistics[:, :1]) / (statistics[:, 1:] + _EPS).sqrt()
            return self._normalised(decibels, frames), frames

    def moments(self, waveform: Tensor, lengths: Tensor) -> ClipMoments:
        """Return mean and mean square of each mel bin in dB, and the number of frames, of clips (B, T), (B,)."""
        return _moments(*self._spectrogram(waveform, lengths))

    @torch.inference_mode()
    def moments_of_set(self, batches: Iterable[tuple[list[int], Tensor, Tensor]], *, n_clips: int) -> ClipMoments:
        """Return the moments of a set of N clips from batches of rows, waveforms (B, T) and lengths (B,).

        They are on the front-end's device, and 0 for clips that are in no batch.
        """
        device = self.window.device
        moments = torch.zeros(n_clips, 2, self.n_mels, device=device)
        frames = torch.zeros(n_clips, dtype=torch.int64, device=device)
        for rows, waveform, lengths in batches:
            moments[rows], frames[rows] = self.moments(waveform.to(device), lengths.to(device))
        return ClipMoments(moments, frames)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        rename_keys(state_dict, f"{prefix}typical", f"{prefix}speaker_statistics.typical")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _spectrogram(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, F, M) in dB, and frames (B,)."""
        decibels = self._decibels(self._centred(as_float(waveform), lengths))
        frames = lengths // self._hop_samples + 1
        return (decibels, frames) if self._average_frames == 1 else averaged(decibels, frames, self._average_frames)

    def _centred(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Remove each clip's offset, in place, and pad it by half a window on both sides: (B, T + window)."""
        mean = samples.sum(1) / lengths  # padding is zero and adds nothing
        samples = samples.sub_(mean[:, None])
        shortest = int(lengths.min()) if lengths.device.type == "cpu" else 0  # a GPU would have to be waited for
        position = torch.arange(shortest, samples.shape[1], device=samples.device)
        samples[:, shortest:].masked_fill_(position >= lengths[:, None], 0.0)
        half = self._window_samples // 2
        padded = functional.pad(samples, (half, half))  # (B, T + window)
        if self._reflect:
            beyond = torch.arange(half, device=samples.device)[None]  # (1, window / 2)
            for position in (beyond - half, lengths[:, None] + beyond):  # before the clip, and after it
                padded.scatter_(
                    1, (half + position).expand(len(samples), half), reflected(samples, position, lengths)
                )
        return padded

    def _decibels(self, samples: Tensor) -> Tensor:
        """Map (B, T + window) to (B, F, M) in dB."""
        clips_at_a_time = _CHUNK if samples.device.type == "cpu" else len(samples)
        power = torch.cat([self._mel_power(clips) for clips in samples.split(clips_at_a_time)])
        return power.clamp_min_(POWER_FLOOR).log10_().mul_(10)

    def _mel_power(self, samples: Tensor) -> Tensor:
        """Map (B, T + window) to (B, F, M)."""
        squares = self._squares(samples)
        power = torch.cat([band(squares.flatten(0, 1)) for band in self._bands], dim=1)
        return power.unflatten(0, squares.shape[:2])

    def _squares(self, samples: Tensor) -> Tensor:
        """Map (B, T + window) to squares of the spectrum's real and imaginary parts in turns, (B, F, n_fft + 2)."""
        frames = samples.unfold(1, self._window_samples, self._hop_samples) * self.window  # (B, F, window)
        spectrum = torch.fft.rfft(frames.flatten(0, 1), n=self._n_fft)  # (B · F, n_fft / 2 + 1)
        return torch.view_as_real(spectrum).square_().flatten(1).unflatten(0, frames.shape[:2])

    def _normalised(self, decibels: Tensor, frames: Tensor) -> Tensor:
        """Map (B, F, M) to (B, M, F), by the statistics of a clip's own frames."""
        mask = frame_mask(frames, decibels.shape[1])[:, :, None]  # (B, F, 1)
        if self._normalise == "standard":
            count = (frames * self.n_mels)[:, None, None]
            mean = (decibels * mask).sum((1, 2), keepdim=True) / count
            centred = (decibels - mean) * mask
            variance = centred.square().sum((1, 2), keepdim=True) / count
            decibels = centred / (variance + _EPS).sqrt()
        elif self._normalise == "min_max":
            within = torch.where(mask, decibels, decibels[:, :1, :1])  # the first frame is always the clip's own
            low, high = (bound[:, None, None] for bound in torch.aminmax(within.flatten(1), dim=1))
            decibels = (decibels - low) / (high - low + _EPS)
        return (decibels * mask).transpose(1, 2).contiguous()  # convolutions are slow on the transpose


class _Band(nn.Module):
    """A few neighbouring mel filters, and the frequencies that any of them passes."""

    def __init__(self, filters: Tensor):
        """``filters``: (n_fft / 2 + 1, filters of the band)."""
        super().__init__()
        passed = filters.any(1).nonzero().flatten()
        first, last = (int(passed[0]), int(passed[-1]) + 1) if len(passed) else (0, 1)
        self._columns = slice(2 * first, 2 * last)
        self.filters: Tensor
        self.register_buffer("filters", filters[first:last].repeat_interleave(2, 0), persistent=False)

    def forward(self, squares: Tensor) -> Tensor:
        """Map squared real and imaginary parts in turns (B · F, n_fft + 2) to power by filter (B · F, filters)."""
        return squares[:, self._columns] @ self.filters


def averaged(decibels: Tensor, frames: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
    """Map (B, F, M), (B,) to means of every ``n_frames`` (B, F / n_frames, M), (B,); the last may be of fewer."""
    own = frame_mask(frames, decibels.shape[1])[:, :, None].to(decibels.dtype)  # (B, F, 1)
    padding = (0, 0, 0, -decibels.shape[1] % n_frames)
    sums, counts = (
        functional.pad(values, padding).unflatten(1, (-1, n_frames)).sum(2) for values in (decibels * own, own)
    )
    return sums / counts.clamp_min(1), strided(frames, n_frames)


def _moments(decibels: Tensor, frames: Tensor) -> ClipMoments:
    """Return the moments over each clip's own frames: (B, F, M), (B,) -> (B, 2, M), (B,)."""
    own = decibels * frame_mask(frames, decibels.shape[1])[:, :, None]
    return ClipMoments(torch.stack([own.sum(1), own.square().sum(1)], dim=1) / frames[:, None, None], frames)


def reflected(samples: Tensor, position: Tensor, lengths: Tensor) -> Tensor:
    """Return samples at ``position`` (B or 1, …) of clips that are mirrored at their ends, as often as needed."""
    period = (2 * (lengths - 1)).clamp_min(1)[:, None]
    folded = position.remainder(period)
    return samples.gather(1, torch.minimum(folded, period - folded).clamp_max(samples.shape[1] - 1))


def _mel_filters(
    n_frequencies: int, min_hz: float, max_hz: float, n_mels: int, sample_rate_hz: int, mel_scale: str
) -> Tensor:
    """Return the mel filters (n_fft / 2 + 1, M)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of empty filters, which are refused here
        filters = torchaudio.functional.melscale_fbanks(
            n_frequencies, min_hz, max_hz, n_mels, sample_rate_hz, mel_scale=mel_scale
        )
    n_empty = int((~filters.any(0)).sum())
    if n_empty:
        raise UserError(
            f"model.frontend.n_mels={n_mels} is too many: {n_empty} filters lie between two frequencies of "
            f"n_fft={2 * n_frequencies - 2} and would always be silent; lower n_mels or raise n_fft"
        )
    return filters


def _check_work(sample_rate_hz: int, *, n_fft: int, hop_samples: int) -> None:
    """Raise UserError where a second of audio would become so many numbers that some minutes fill a memory."""
    n_numbers = sample_rate_hz / hop_samples * n_fft
    if n_numbers > _MOST_NUMBERS_PER_S:
        raise UserError(
            f"model.frontend: n_fft={n_fft} every hop_samples={hop_samples}, at {sample_rate_hz:,} Hz, are "
            f"{n_numbers:,.0f} numbers a second, above the {_MOST_NUMBERS_PER_S:,} there may be: raise hop_samples"
        )


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value} is not known: use {', '.join(known)}")
