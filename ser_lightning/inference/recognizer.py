"""Run a trained model: waveforms in, probabilities of emotions out, or numbers such as arousal.

B: clips.  C: channels.  T: samples of the longest clip.  K: labels or targets.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ser_lightning.data.prepare.decoding import SILENT_PEAK, clipped_share, padded, peak, samples_of, stream_file
from ser_lightning.data.prepare.truncation import UnreadableAudio
from ser_lightning.inference.checked_weights import check_size, load_weights
from ser_lightning.inference.checkpoint import Checkpoint, read_checkpoint
from ser_lightning.inference.prediction import Prediction, Segment, summarised
from ser_lightning.inference.windows import Windows
from ser_lightning.models.layers.single_column import correct_single_columns
from ser_lightning.models.speaker_statistics import ClipMoments, SpeakerStatistics, normaliser
from ser_lightning.utils.errors import UserError, first_line
from ser_lightning.utils.precision import choose_precision
from ser_lightning.utils.safe_instantiate import make_part

_BATCH = 16  # on a CPU larger ones are no faster, and take memory
_POOL = 8 * _BATCH  # segments that are sorted by length together
_MOST_SAMPLES = 800 * 16_000  # of either, unless one segment has more
_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True, eq=False)
class Speaker:
    """What `EmotionRecognizer.fit_speaker` returns: ``statistics`` (2, M) from ``n_clips`` clips of one speaker."""

    statistics: Tensor
    n_clips: int


class EmotionRecognizer(nn.Module):
    """Front-end and network of a checkpoint, in eval mode; made by `load_model`.

    Attributes:
        name: of the model.
        task: what is predicted.
        labels: the K emotions, in the order of its outputs; none where numbers are predicted.
        sample_rate_hz: of the waveforms that `forward` takes; `predict` takes any rate.
        n_parameters: trained numbers in the network.
        speaker_clips: how many clips a speaker's statistics came from in its validation and test, None for all.
        temperature: what logits are divided by; 1 before calibration.
        stamp: what else the checkpoint says: config, protocol, training speakers.
    """

    def __init__(self, checkpoint: Checkpoint, *, trust: bool = False):
        super().__init__()
        model = checkpoint.config["model"]
        self.name = str(model["name"])
        self.task = checkpoint.task
        self.labels = self.task.labels
        self.sample_rate_hz = checkpoint.sample_rate_hz
        self.temperature = checkpoint.temperature
        self.stamp = checkpoint.stamp
        make = partial(make_part, source=str(checkpoint.path), trust=trust)
        self.frontend = make(model["frontend"], sample_rate_hz=self.sample_rate_hz)
        shape = {"n_mels": self.frontend.n_mels, "n_classes": self.task.n_outputs}
        check_size(model["net"], partial(make, model["net"], **shape), checkpoint)
        net = make(model["net"], **shape)
        correct_single_columns(net)
        self.net = net.to(memory_format=torch.channels_last)
        self.speaker_clips = model.get("speaker_clips", 1) if self.speaker_statistics is not None else 1
        self.readout: nn.Module = self.task.make_readout()
        self.n_parameters = sum(part.numel() for part in self.parameters() if part.requires_grad)
        load_weights(self, checkpoint)
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Return the device that it computes on."""
        return next(self.parameters()).device

    @property
    def precision(self) -> str:
        """Return the number format of its training, on this device: the name that Lightning has for it."""
        asked = str(self.stamp["config"].get("trainer", {}).get("precision", "auto"))
        return choose_precision(asked if asked == "auto" else self.stamp.get("precision", asked), self.device.type)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the lowest and highest usual value of each number, by name; nothing for labels."""
        return self.task.usual_ranges(self.readout)

    @property
    def speaker_statistics(self) -> SpeakerStatistics | None:
        """Return the statistics of the training speakers, where it normalises by speaker."""
        part = normaliser(self.frontend, self.net)
        return part.speaker_statistics if part is not None else None

    def moments(self, waveform: Tensor, lengths: Tensor) -> ClipMoments:
        """Return what the statistics of speakers are estimated from, of clips (B, T), (B,)."""
        if normaliser(self.frontend, self.net) is self.frontend:
            return self.frontend.moments(waveform, lengths)
        return self.net.moments(*self.frontend(waveform, lengths))

    def logits(self, waveform: Tensor, lengths: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Map waveforms (B, T), int16 or float in [-1, 1], at ``sample_rate_hz``, and lengths (B,) to (B, K).

        They are logits of labels, or numbers. ``statistics`` (B, 2, M): of each clip's speaker, for a model that
        normalises by speaker.
        """
        options = {"statistics": statistics} if statistics is not None else {}
        if normaliser(self.frontend, self.net) is self.frontend:
            return self.read_out(self.net(*self.frontend(waveform, lengths, **options)))
        return self.read_out(self.net(*self.frontend(waveform, lengths), **options))

    def read_out(self, raw: Tensor) -> Tensor:
        """Map what the network gives (B, K) to logits at this model's temperature, or to numbers in their units."""
        return self.readout(raw).float() / self.temperature

    def fit_speaker(self, recordings: Iterable[Path | str], *, windows: Windows | None = None) -> Speaker:
        """Estimate the statistics of one speaker from audio files; for `predict_file` and `predict`.

        Raises: UserError for a model that does not normalise by speaker, and for nothing but silence; ValueError
            that says what is wrong with a file.
        """
        windows = windows or Windows()
        streams = (self._stream(path) for path in recordings)
        clips = (samples for stream in streams for _, samples in windows.cut(stream, self.sample_rate_hz))
        return self.fit_speaker_on_clips(clips)

    @torch.inference_mode()
    def fit_speaker_on_clips(self, clips: Iterable[np.ndarray]) -> Speaker:
        """Estimate the statistics of one speaker from clips (T,) int16 at ``sample_rate_hz``, but silent ones."""
        if self.speaker_statistics is None:
            raise UserError(
                "this model takes nothing from other recordings: it is not trained with experiment=by_speaker or, "
                "on a frozen encoder, model.net.normalise=speaker"
            )
        loud = (clip for clip in clips if peak(clip) >= SILENT_PEAK)
        parts = []
        for batch in _runs(loud, len, _BATCH):
            waveform, lengths = (torch.from_numpy(array).to(self.device) for array in padded(batch))
            parts.append(self.moments(waveform, lengths))
        if not parts:
            raise UserError("this speaker's recordings are silent, or there are none")
        moments, frames = (torch.cat(values) for values in zip(*parts, strict=True))
        rows = range(len(frames))
        by_clip = self.speaker_statistics.estimate(ClipMoments(moments, frames), [rows], n_clips=None)
        return Speaker(statistics=by_clip[0], n_clips=len(rows))

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Map waveforms (B, T) and lengths (B,), as `logits` does, to probabilities or numbers (B, K)."""
        return self.task.answers(self.logits(waveform, lengths))

    def predict(
        self,
        waveform: np.ndarray | Tensor,
        sample_rate: int,
        *,
        windows: Windows | None = None,
        speaker: Speaker | None = None,
    ) -> Prediction:
        """Predict the emotion of a recording, in segments where it is long.

        Args:
            waveform: (T,), or (C, T) whose channels are averaged; float in [-1, 1] or int16.
            sample_rate: its samples a second.
            windows: how long recordings are cut; by default 4 s every 2 s, above 6 s.
            speaker: from `fit_speaker`, of the one who speaks.

        Raises: ValueError for what is no waveform: another shape, no samples, NaN, an impossible rate.
        """
        array = waveform.detach().cpu().numpy() if isinstance(waveform, Tensor) else np.asarray(waveform)
        samples = samples_of(array, int(sample_rate), sample_rate_hz=self.sample_rate_hz)
        return self.predict_blocks([samples], windows=windows, speaker=speaker)

    def predict_file(
        self, path: Path | str, *, windows: Windows | None = None, speaker: Speaker | None = None
    ) -> Prediction:
        """Predict the emotion in an audio file, read piece by piece: an hour takes no more memory than a minute.

        Raises: ValueError that says what is wrong with the file.
        """
        return self.predict_blocks(self._stream(path), windows=windows, speaker=speaker)

    def _stream(self, path: Path | str) -> Iterator[np.ndarray]:
        try:
            yield from stream_file(Path(path), sample_rate_hz=self.sample_rate_hz)
        except UnreadableAudio as error:
            raise UserError(f"{path} {error}") from error

    def predict_blocks(
        self, blocks: Iterable[np.ndarray], *, windows: Windows | None = None, speaker: Speaker | None = None
    ) -> Prediction:
        """Predict the emotion in int16 samples (T,) at ``sample_rate_hz`` that come in blocks."""
        cut = ((None, *segment) for segment in (windows or Windows()).cut(blocks, self.sample_rate_hz))
        return summarised([segment for _, segment in self.predict_segments(cut, speaker=speaker)])

    def predict_segments(
        self, cut: "Iterable[tuple[Any, int, np.ndarray]]", *, speaker: Speaker | None = None
    ) -> "Iterator[tuple[Any, Segment]]":
        """Yield a prediction for each segment: (owner, first sample, samples) -> (owner, prediction).

        Segments of one recording keep their order. Some hundred are in memory at a time.
        """
        for pool in _runs(cut, lambda segment: len(segment[2]), _POOL):
            lengths = [len(samples) for _, _, samples in pool]
            order = sorted(range(len(pool)), key=lambda number: -lengths[number])
            by_number: dict[int, np.ndarray] = {}
            for batch in _runs(order, lengths.__getitem__, _BATCH):
                values = self._values([pool[number][2] for number in batch], speaker)
                by_number |= dict(zip(batch, values, strict=True))
            for number, (owner, start, samples) in enumerate(pool):
                segment = Segment(
                    start_s=start / self.sample_rate_hz,
                    end_s=(start + len(samples)) / self.sample_rate_hz,
                    values=dict(zip(self.task.outputs, by_number[number].tolist(), strict=True)),
                    labelled=bool(self.labels),
                    silent=peak(samples) < SILENT_PEAK,
                    clipped=clipped_share(samples),
                )
                yield owner, segment

    @torch.inference_mode()
    def _values(self, clips: Sequence[np.ndarray], speaker: Speaker | None) -> np.ndarray:
        """Return the probabilities, or numbers (B, K), of clips (T,) int16."""
        waveform, lengths = (torch.from_numpy(array).to(self.device) for array in padded(clips))
        statistics = None
        if speaker is not None:
            statistics = speaker.statistics.to(self.device).expand(len(clips), -1, -1)  # (B, 2, M)
        return self.task.answers(self.logits(waveform, lengths, statistics)).double().cpu().numpy()


def _runs(items: Iterable[_Item], n_samples: Callable[[_Item], int], at_most: int) -> Iterator[list[_Item]]:
    """Yield runs of up to ``at_most`` items, fewer where these are long."""
    run: list[_Item] = []
    held = 0
    for item in items:
        run.append(item)
        held += n_samples(item)
        if len(run) == at_most or held >= _MOST_SAMPLES:
            yield run
            run, held = [], 0
    if run:
        yield run


def load_model(path: Path | str, *, device: str = "cpu", trust: bool = False) -> EmotionRecognizer:
    """Load the model of a checkpoint, ready to use: nothing but the file is needed.

    Except under a frozen pretrained model, which is read from where it lay.

    Args:
        path: a checkpoint of a run, such as ``best.ckpt``, or the run's directory.
        device: where to, "cuda" for a GPU.
        trust: allow a network that is not of this package: the checkpoint then says which code is run.

    Raises: UserError, a ValueError, where there is none, it is something else, or cannot be rebuilt.
    """
    return recognizer(read_checkpoint(path), device=device, trust=trust)


def recognizer(checkpoint: Checkpoint, *, device: str = "cpu", trust: bool = False) -> EmotionRecognizer:
    """Make the model of a checkpoint that was read. Raises: UserError for a device that is not here."""
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"device {device} is not known: use cpu, or cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {device} cannot be used here: PyTorch finds no GPU, use cpu")
    try:
        torch.zeros(1, device=place).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:  # whatever torch knows, and has not here
        raise UserError(f"device {device} cannot be used here ({first_line(error)}): use cpu") from error
    return EmotionRecognizer(checkpoint, trust=trust).to(place)
