"""Computes speaker embeddings of clips with a pretrained encoder, kept on disk by the hash of the sound.

The encoder is an LSTM trained to verify speakers (Wan et al., "Generalized end-to-end loss for speaker
verification", ICASSP 2018). Its weights come inside the package Resemblyzer (Apache 2.0). Only that file is read:
importing the package would need librosa and webrtcvad, which are not needed for what is done here. Steps and
numbers are those of the package, but for its removal of pauses.

B: clips of a batch.  T: samples.  W: windows of all clips of a batch.  F: frames.  M: mel bins.  D: width.
"""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import torchaudio
from torch import nn

from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import alone, cache_root, replacing, writable
from ser_lightning.utils.progress import track

WIDTH = 256  # D
_N_MELS = 40
_FFT_SAMPLES, _HOP_SAMPLES = 400, 160
_WINDOW_FRAMES, _STEP_FRAMES = 160, 77  # 1.6 s, 1.3 of them a second
_LEAST_COVERAGE = 0.75  # of the last window of a clip, unless it is the only one
_LEAST_LEVEL = 10 ** (-30 / 20)  # root mean square of a clip, full scale being 1: quieter ones are amplified
_BATCH_SAMPLES = 600 * SAMPLE_RATE_HZ  # embedded at a time, padding counted
_BATCHES_A_SAVE = 10
_PREPROCESSING = 1  # raised whenever the same clip would be embedded differently by the same weights
_INSTALL = "pip install --no-deps -c constraints.txt resemblyzer"

log = logging.getLogger(__name__)


class SpeakerEncoder(nn.Module):
    """Turns a clip into a vector of length 1 that is alike for clips of one speaker."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE_HZ,
            n_fft=_FFT_SAMPLES,
            hop_length=_HOP_SAMPLES,
            n_mels=_N_MELS,
            norm="slaney",
            mel_scale="slaney",
            pad_mode="constant",
        )
        self.lstm = nn.LSTM(_N_MELS, WIDTH, num_layers=3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    @torch.inference_mode()
    def embed(self, waveform: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Embed int16 samples (B, T), padded with zeros, none silent throughout, of lengths (B,): (B, D)."""
        starts_of = [window_starts(int(length)) for length in lengths]
        clip_of = torch.tensor([clip for clip, starts in enumerate(starts_of) for _ in starts])  # (W,)
        n_frames = max(starts[-1] for starts in starts_of) + _WINDOW_FRAMES
        audio = torch.from_numpy(waveform).float() / 32_768
        audio = nn.functional.pad(audio, (0, max(0, n_frames * _HOP_SAMPLES - audio.shape[1])))
        level = (audio.square().sum(1) / torch.from_numpy(lengths)).sqrt()
        mel = self.mel(audio * (_LEAST_LEVEL / level).clamp_min(1)[:, None]).transpose(1, 2)  # (B, F, M)
        windows = torch.stack(
            [
                frames[start : start + _WINDOW_FRAMES]
                for frames, starts in zip(mel, starts_of, strict=True)
                for start in starts
            ]
        )  # (W, 160, M)
        last = self.lstm(windows)[1][0][-1]  # (W, D)
        partial = nn.functional.normalize(self.linear(last).relu(), dim=1)
        sums = torch.zeros(len(starts_of), WIDTH).index_add_(0, clip_of, partial)
        return nn.functional.normalize(sums, dim=1).numpy()


def window_starts(n_samples: int) -> list[int]:
    """Return the first frame of each window over a clip; the last window may reach beyond its end."""
    n_frames = math.ceil((n_samples + 1) / _HOP_SAMPLES)
    starts = list(range(0, max(1, n_frames - _WINDOW_FRAMES + _STEP_FRAMES + 1), _STEP_FRAMES))
    covered = (n_samples / _HOP_SAMPLES - starts[-1]) / _WINDOW_FRAMES
    return starts[:-1] if covered < _LEAST_COVERAGE and len(starts) > 1 else starts


def weights_file() -> Path:
    """Return the encoder's weights in the installed package.

    Raises: UserError where it is not installed.
    """
    package = find_spec("resemblyzer")  # finds, and does not import
    folders = package.submodule_search_locations if package is not None else None
    path = Path(next(iter(folders), "")) / "pretrained.pt" if folders else None
    if path is None or not path.is_file():
        raise UserError(
            f"--voices needs the weights of a speaker encoder: {_INSTALL} "
            "(or, with a C compiler, all that it depends on: pip install -c constraints.txt -e '.[voices]')"
        )
    return path


def load_encoder(path: Path) -> SpeakerEncoder:
    """Read the weights; nothing in the file is executed.

    Raises: UserError for a file that holds something else.
    """
    encoder = SpeakerEncoder().eval()
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        trained = {name: weights[name] for name in encoder.state_dict() if not name.startswith("mel.")}
        encoder.load_state_dict(trained, strict=False)
    except Exception as error:  # unpickling a file that is something else may raise anything
        raise UserError(f"{path} holds no weights of the speaker encoder: {_INSTALL} --force-reinstall") from error
    return encoder


def embed_clips(clips: LabelledClips, rows: Sequence[int], weights: Path) -> np.ndarray:
    """Embed clips of these rows, (N, D) float32; those embedded before are read from the cache.

    Of several processes one embeds and the others wait.
    Raises: UserError where the file holds no weights, or the cache cannot be written.
    """
    digest = hashlib.sha256(weights.read_bytes() + bytes([_PREPROCESSING])).hexdigest()[:16]
    folder = cache_root() / "speaker_embeddings"
    store = folder / f"{digest}.npz"
    hashes = [clips.manifest[row].audio_hash for row in rows]
    known = _read(store)
    if not known.keys() >= set(hashes):
        with writable(f"the cache of speaker embeddings {folder}", "set SER_CACHE to a directory that can be"):
            folder.mkdir(parents=True, exist_ok=True)
            waiting = "waiting for another audit that embeds clips"
            with alone(store.with_suffix(".lock"), on_wait=lambda: log.info(waiting)):
                known = _fill(store, clips, dict(zip(hashes, rows, strict=True)), load_encoder(weights))
    return np.stack([known[audio_hash] for audio_hash in hashes])


def _fill(
    store: Path, clips: LabelledClips, row_of: Mapping[str, int], encoder: SpeakerEncoder
) -> dict[str, np.ndarray]:
    """Embed the sounds that are not in the store, saving it now and then; return all embeddings by hash."""
    known = _read(store)
    n_samples = {audio_hash: clips.manifest[row].n_samples for audio_hash, row in row_of.items()}
    missing = sorted((audio_hash for audio_hash in row_of if audio_hash not in known), key=n_samples.__getitem__)
    batches = _batches(missing, [n_samples[audio_hash] for audio_hash in missing])
    for number, batch in enumerate(track(batches, "speaker embeddings", size=len), 1):
        embeddings = encoder.embed(*clips.gather([row_of[audio_hash] for audio_hash in batch]))
        known.update(zip(batch, embeddings, strict=True))
        if number % _BATCHES_A_SAVE == 0 or number == len(batches):
            with replacing(store) as partial, partial.open("wb") as file:
                np.savez(file, hashes=np.array(list(known)), embeddings=np.stack(list(known.values())))
    return known


def _batches(hashes: Sequence[str], n_samples: Sequence[int]) -> list[list[str]]:
    """Cut clips, given by rising length, into batches of about ``_BATCH_SAMPLES``, padding counted."""
    batches: list[list[str]] = []
    for audio_hash, length in zip(hashes, n_samples, strict=True):
        if not batches or (len(batches[-1]) + 1) * length > _BATCH_SAMPLES:
            batches.append([])
        batches[-1].append(audio_hash)
    return batches


def _read(store: Path) -> dict[str, np.ndarray]:
    """Return the stored embeddings by hash; none where the file is not there, or damaged: it is made again."""
    try:
        with np.load(store) as arrays:
            return dict(zip(arrays["hashes"].tolist(), arrays["embeddings"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}
