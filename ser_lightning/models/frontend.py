"""Turn waveforms into log-mel spectrograms, a batch at a time, on the device.

B: clips.  T: samples of the longest clip.  M: mel bins.  F: frames of the longest clip.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.int16 import as_float
from ser_lightning.models.layers.masking import frame_mask, strided
from ser_lightning.models.layers.mel_filters import MelBand, mel_filters
from ser_lightning.models.speaker_statistics import ClipMoments, SpeakerStatistics
from ser_lightning.models.speech_frames import cut_to_speech, floored, frame_levels, without_level
from ser_lightning.models.state_dicts import rename_keys
from ser_lightning.utils.errors import UserError, check, check_choice

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
            the clip alone where none are given; or "training": without the level of the clip's speech, each mel bin
            by its mean and variance over the speech frames of the training clips.
        average_frames: neighbouring frames averaged into one, in dB: less noise, and less to compute for a network.
        prior_clips: with "speaker", of `SpeakerStatistics`.
        speech_range_db: frames this far below a clip's loudest are speech, see `speech_frames`.
        floor_range_db: with "training" or a margin, values are raised to this far below the loudest frame.
        speech_margin: frames, after averaging, that are kept before and after the speech, and made of zeros where
            the clip has none, so that silence added to a clip makes no difference; None: nothing is cut.

    Raises: UserError for a number outside its domain, or filters between whose edges no frequency lies.

    Attributes:
        speaker_statistics: with "speaker", those of the training speakers; else None.
        training_statistics: with "training", mean and variance by mel bin, (2, M); else None.
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
        speech_range_db: float = 40.0,
        floor_range_db: float = 60.0,
        speech_margin: int | None = None,
    ):
        super().__init__()
        check_choice("model.frontend.", ("zeros", "reflect"), pad_mode=pad_mode)
        known = ("standard", "min_max", "none", "speaker", "training")
        check_choice("model.frontend.", known, normalise=normalise)
        sizes = {"n_mels": n_mels, "average_frames": average_frames, "hop_samples": hop_samples}
        check("model.frontend.", integer=True, at_least=1, n_fft=n_fft, window_samples=window_samples, **sizes)
        check("model.frontend.", at_most=n_fft, window_samples=window_samples)  # the transform would cut it
        check("model.frontend.", at_most=window_samples, hop_samples=hop_samples)
        check("model.frontend.", above=0, at_most=sample_rate_hz / 2, max_hz=max_hz)
        check("model.frontend.", at_least=0, below=max_hz, min_hz=min_hz)
        check("model.frontend.", at_least=0, prior_clips=prior_clips)
        check("model.frontend.", at_least=0, speech_range_db=speech_range_db, floor_range_db=floor_range_db)
        if speech_margin is not None:
            check("model.frontend.", integer=True, at_least=0, at_most=1 << 10, speech_margin=speech_margin)
            if pad_mode != "zeros":
                raise UserError("model.frontend.speech_margin needs pad_mode=zeros: silence goes on as silence")
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
        self.training_statistics: Tensor | None
        untrained = torch.tensor([[-30.0], [140.0]]).repeat(1, n_mels) if normalise == "training" else None
        self.register_buffer("training_statistics", untrained)
        self._speech_range_db, self._floor_range_db = speech_range_db, floor_range_db
        self._speech_margin = speech_margin
        # the margin, and as many frames more as the window of one reaches into the clip
        step = hop_samples * average_frames
        n_beyond = 0 if speech_margin is None else speech_margin + -(-(window_samples // 2) // step)
        self._beyond_samples = n_beyond * step  # zeros before each clip, and after it
        # a window shorter than the transform lies in its middle; outside it nothing is read
        self._window_samples = window_samples
        window = torch.hann_window(window_samples)
        filters = mel_filters(n_fft // 2 + 1, min_hz, max_hz, n_mels, sample_rate_hz, mel_scale)
        self.window: Tensor
        self.register_buffer("window", window, persistent=False)
        self._bands = nn.ModuleList(MelBand(filters[:, first : first + _BAND]) for first in range(0, n_mels, _BAND))

    def forward(self, waveform: Tensor, lengths: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (B, T) int16 or float in [-1, 1], and lengths (B,) to ((B, M, F) float32, frames (B,)); padding is 0.

        ``statistics`` (B, 2, M): of each clip's speaker, where features are normalised by them; None takes them
        from the clip alone.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            decibels, frames = self._spectrogram(waveform, lengths)
            if self.speaker_statistics is not None:
                if statistics is None:
                    statistics = self.speaker_statistics.from_single_clips(
                        _moments(decibels, frame_mask(frames, decibels.shape[1]))
                    )
                decibels = (decibels - statistics[:, :1]) / (statistics[:, 1:] + _EPS).sqrt()
            elif self.training_statistics is not None:
                mean, variance = self.training_statistics
                decibels, _ = self._without_level(decibels, frames)
                decibels = (decibels - mean) / (variance + _EPS).sqrt()
            return self._normalised(decibels, frames), frames

    def moments(self, waveform: Tensor, lengths: Tensor) -> ClipMoments:
        """Return mean and mean square of each mel bin in dB, and the number of frames, of clips (B, T), (B,).

        With "training", of speech frames without their level.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            decibels, frames = self._spectrogram(waveform, lengths)
            if self.training_statistics is None:
                return _moments(decibels, frame_mask(frames, decibels.shape[1]))
            return _moments(*self._without_level(decibels, frames))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        rename_keys(state_dict, f"{prefix}typical", f"{prefix}speaker_statistics.typical")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _spectrogram(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, F, M) in dB, and frames (B,)."""
        decibels = self._decibels(self._centred(as_float(waveform), lengths))
        frames = (lengths + 2 * self._beyond_samples) // self._hop_samples + 1
        if self._average_frames > 1:
            decibels, frames = averaged(decibels, frames, self._average_frames)
        if self._speech_margin is not None:
            decibels, frames = cut_to_speech(
                decibels, frames, margin=self._speech_margin, range_db=self._speech_range_db
            )
            decibels = self._without_padding(decibels, frames)
            if self.training_statistics is None:  # else it is done with the level
                decibels = floored(decibels, frame_levels(decibels, frames), self._floor_range_db)
        return decibels, frames

    def _without_padding(self, decibels: Tensor, frames: Tensor) -> Tensor:
        """Cut (B, F, M) to as many frames as the longest clip has."""
        return decibels[:, : int(frames.max())]

    def _without_level(self, decibels: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, F, M) in dB to the same without the level of the clip's speech, and a mask of speech (B, F)."""
        return without_level(decibels, frames, range_db=self._speech_range_db, floor_db=self._floor_range_db)

    def _centred(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Remove each clip's offset, in place, and pad it by half a window on both sides: (B, T + window).

        By more where silence around the speech is cut away.
        """
        mean = samples.sum(1) / lengths  # padding adds nothing: it is zero, or faint noise in training
        samples = samples.sub_(mean[:, None])
        shortest = int(lengths.min()) if lengths.device.type == "cpu" else 0  # a GPU would have to be waited for
        position = torch.arange(shortest, samples.shape[1], device=samples.device)
        samples[:, shortest:].masked_fill_(position >= lengths[:, None], 0.0)
        half = self._window_samples // 2
        sides = [half + self._beyond_samples, self._window_samples - half + self._beyond_samples]
        padded = functional.pad(samples, sides)  # (B, T + window)
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


def averaged(decibels: Tensor, frames: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
    """Map (B, F, M), (B,) to means of every ``n_frames`` (B, F / n_frames, M), (B,); the last may be of fewer."""
    own = frame_mask(frames, decibels.shape[1])[:, :, None].to(decibels.dtype)  # (B, F, 1)
    padding = (0, 0, 0, -decibels.shape[1] % n_frames)
    sums, counts = (
        functional.pad(values, padding).unflatten(1, (-1, n_frames)).sum(2) for values in (decibels * own, own)
    )
    return sums / counts.clamp_min(1), strided(frames, n_frames)


def _moments(decibels: Tensor, chosen: Tensor) -> ClipMoments:
    """Return the moments over the frames ``chosen`` of each clip: (B, F, M), (B, F) bool -> (B, 2, M), (B,)."""
    own, frames = torch.where(chosen[:, :, None], decibels, 0.0), chosen.sum(1)
    return ClipMoments(torch.stack([own.sum(1), own.square().sum(1)], dim=1) / frames[:, None, None], frames)


def reflected(samples: Tensor, position: Tensor, lengths: Tensor) -> Tensor:
    """Return samples at ``position`` (B or 1, …) of clips that are mirrored at their ends, as often as needed."""
    period = (2 * (lengths - 1)).clamp_min(1)[:, None]
    folded = position.remainder(period)
    return samples.gather(1, torch.minimum(folded, period - folded).clamp_max(samples.shape[1] - 1))


def _check_work(sample_rate_hz: int, *, n_fft: int, hop_samples: int) -> None:
    """Raise UserError where a second of audio would become so many numbers that some minutes fill a memory."""
    n_numbers = sample_rate_hz / hop_samples * n_fft
    if n_numbers > _MOST_NUMBERS_PER_S:
        raise UserError(
            f"model.frontend: n_fft={n_fft} every hop_samples={hop_samples}, at {sample_rate_hz:,} Hz, are "
            f"{n_numbers:,.0f} numbers a second, above the {_MOST_NUMBERS_PER_S:,} there may be: raise hop_samples"
        )
