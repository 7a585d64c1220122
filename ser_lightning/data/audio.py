"""Audio files to 16 kHz mono int16 samples; a damaged file is an error with a reason, never a guess.

T: samples at the target rate.  C: channels.
"""

import struct
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

SAMPLE_RATE_HZ = 16_000
_FULL_SCALE = 32_768
_BLOCK_S = 30  # decoded at a time, so that an hour in eight channels does not fill the memory


class UnreadableAudio(ValueError):
    """A file that cannot be taken for the sound it should hold; the message says why."""


def decode(path: Path, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Decode whatever libsndfile reads, told by content and not by the file's ending.

    Returns: mono samples, (T,) int16, channels averaged, at ``sample_rate_hz``.
    Raises: UnreadableAudio for an empty, truncated, non-finite or unknown file and for a Git LFS pointer.
    """
    _refuse_what_is_no_audio(path)
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate == sample_rate_hz and file.channels == 1 and file.subtype == "PCM_16":
                samples = _read(file, "int16")[:, 0]
            else:
                samples = _to_int16(_resample(_read_mono(file), file.samplerate, sample_rate_hz))
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise UnreadableAudio(f"cannot be decoded ({_short(error)})") from error
    if len(samples) == 0:
        raise UnreadableAudio("holds no audio samples")
    return samples


def _read(file: soundfile.SoundFile, dtype: str) -> np.ndarray:
    expected = file.frames
    samples = file.read(dtype=dtype, always_2d=True)  # (T, C)
    _refuse_short(len(samples), expected)
    return samples


def _read_mono(file: soundfile.SoundFile) -> np.ndarray:
    """(T,) float32 at the file's own rate, averaged over channels block by block."""
    expected = file.frames
    blocks = [
        block.mean(axis=1) for block in file.blocks(_BLOCK_S * file.samplerate, dtype="float32", always_2d=True)
    ]
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    _refuse_short(len(samples), expected)
    if not np.isfinite(samples).all():
        raise UnreadableAudio("holds NaN or infinite samples")
    return samples


def _refuse_short(n_read: int, n_expected: int) -> None:
    if n_read < n_expected:
        raise UnreadableAudio(f"is truncated: {n_read} of {n_expected} frames could be read")


@lru_cache(maxsize=16)
def _resampler(from_hz: int, to_hz: int) -> torchaudio.transforms.Resample:
    return torchaudio.transforms.Resample(from_hz, to_hz)


def _resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    if from_hz == to_hz or len(samples) == 0:
        return samples
    with torch.inference_mode():
        return _resampler(from_hz, to_hz)(torch.from_numpy(samples)).numpy()


def _to_int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def _refuse_what_is_no_audio(path: Path) -> None:
    """Look at the first bytes (and the last), for what libsndfile would pass over or put unclearly."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
            if size == 0:
                raise UnreadableAudio("is empty (0 bytes)")
            if head.startswith(b"version http"):
                raise UnreadableAudio("is a Git LFS pointer, not the audio itself: run `git lfs pull`")
            if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
                _refuse_cut_chunks(file, size, "<")
            elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
                _refuse_cut_chunks(file, size, ">")
            elif head[:4] == b"OggS":
                _refuse_unended_ogg(file, size)
    except OSError as error:
        raise UnreadableAudio(f"cannot be opened ({error.strerror or error})") from error


def _refuse_cut_chunks(file, size: int, byte_order: str) -> None:  # type: ignore[no-untyped-def]
    """Walk RIFF or FORM chunks: libsndfile reads a cut-off sound chunk without a word."""
    position = 12
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack(byte_order + "4sI", file.read(8))
        if name in (b"data", b"SSND"):
            written_to_a_pipe = length in (0, 0xFFFFFFFF)
            if not written_to_a_pipe and position + 8 + length > size:
                raise UnreadableAudio(f"is truncated: {size - position - 8} of {length} bytes of sound are there")
            return
        position += 8 + length + length % 2
    raise UnreadableAudio("is truncated: its header announces no sound")


def _refuse_unended_ogg(file, size: int) -> None:  # type: ignore[no-untyped-def]
    """An Ogg stream ends with a page that says so (RFC 3533, header type bit 4)."""
    file.seek(max(0, size - 65_536 - 282))
    tail = file.read()
    last_page = tail.rfind(b"OggS")
    if last_page < 0 or len(tail) < last_page + 6 or not tail[last_page + 5] & 4:
        raise UnreadableAudio("is truncated: its Ogg stream has no last page")


def _short(error: Exception) -> str:
    return str(error).rsplit(": ", 1)[-1].rstrip(".") or type(error).__name__
