"""Decode audio files to 16 kHz mono int16 samples; a damaged file is an error with a reason, never a guess.

T: samples of a channel, at the source's rate until they are resampled.  C: channels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ser_lightning.data.prepare.resampling import resampled
from ser_lightning.data.prepare.sound_file import Stream, opened
from ser_lightning.data.prepare.truncation import UnreadableAudio

SAMPLE_RATE_HZ = 16_000
SILENT_PEAK = 33  # of 32,768: nothing above -60 dB of full scale
FULL_SCALE = 32_768
_BLOCK, _BLOCK_S = 1 << 20, 30  # values over all channels and seconds decoded at a time, whichever is less
# Where the values of an encoding end, the lower of the two ends; what has 24 bits or floats had often 16 once.
_TOPS = {"PCM_U8": 127 / 128, "PCM_S8": 127 / 128, "ULAW": 32_124 / 32_768, "ALAW": 32_256 / 32_768}
_TOP_OF_16_BITS = 32_767 / 32_768
_LOWEST_HZ, _HIGHEST_HZ = 1_000, 768_000
_MOST_CHANNELS = 32  # of a waveform that is not taken for a transposed one
# Channels that have nothing in common leave 1/C of their energy in their average: this share of that is next to
# nothing. In stereo it is -20 dB. Clips of CREMA-D leave -9 dB or more at two microphones 34 cm apart, in a room or
# with an empty channel, -10 with one that is inverted and half as large, but -20.5 or less with an inverted one
# that is up to 1 dB off, in noise of -20 dB or less.
_CANCELLED = 0.02
_ABSURD = 2.0**31  # times full scale: no integer that was stored as a float is larger


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A record of what a file was before it was decoded.

    ``n_clipped`` counts values of the source, over all channels, that stand at full scale three or more in a row
    (a flat top) or, where floats go that far, beyond it. A lone peak at full scale is not clipped.
    """

    source_rate_hz: int
    source_channels: int
    n_clipped: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Sound(Source):
    """A decoded file: mono ``samples``, (T,) int16, and what the file was before."""

    samples: np.ndarray


def decode(path: Path, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Sound:
    """Decode WAV, AIFF, FLAC, Ogg (Vorbis, Opus), MP3, AU, CAF or SPHERE, recognised by content and not by name.

    With the extra ``av``, or an ffmpeg, also what phones and browsers record: MPEG-4, WebM, AAC, AMR, WMA,
    FLAC in Ogg.

    Channels are averaged. However long the file, some tens of MB are in use beside the result.
    Raises: UnreadableAudio for what is no regular file and for an empty, truncated, non-finite or unknown one,
    for a Git LFS pointer, and for damage that the format itself can tell (MP3 and WAV have no checksums).
    """
    samples = bytearray()  # it grows in place, where a list of blocks would be held twice in the end
    source = decode_blocks(path, lambda block: samples.extend(block.data), sample_rate_hz=sample_rate_hz)
    return Sound(samples=np.frombuffer(samples, np.int16), **vars(source))


def decode_blocks(
    path: Path, take: Callable[[np.ndarray], None], *, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> Source:
    """Hand the samples that `decode` returns to ``take`` in blocks (T,) that follow each other.

    Raises: UnreadableAudio as `decode`; damage is found when the reading comes to it.
    """
    with opened(path) as stream:
        blocks, tops = _mono_blocks(stream, sample_rate_hz)
        for block in blocks:
            take(block)
        return Source(source_rate_hz=stream.samplerate, source_channels=stream.channels, n_clipped=tops.n)


def stream_file(path: Path, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Iterator[np.ndarray]:
    """Yield the samples that `decode` would return in blocks (T,) of int16 that follow each other.

    Raises: UnreadableAudio as `decode`; damage is found when the reading comes to it.
    """
    with opened(path) as stream:
        blocks, _ = _mono_blocks(stream, sample_rate_hz)
        yield from blocks


def stream_raw(
    file: BinaryIO, from_hz: int, *, channels: int = 1, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> Iterator[np.ndarray]:
    """Yield the samples of a file without a header in blocks (T,) of int16, as `stream_file` does.

    The file holds 16-bit little-endian samples, channels in turns, from where it stands to its end.
    Raises: UnreadableAudio for an impossible rate, no samples, and a last frame that is not complete.
    """
    if not (_LOWEST_HZ <= from_hz <= _HIGHEST_HZ and 1 <= channels <= _MOST_CHANNELS):
        raise UnreadableAudio(f"{channels} channels at {from_hz} Hz are none that sound has")
    blocks = _raw_blocks(file, channels, n_frames=_BLOCK_S * from_hz)
    if channels == 1 and from_hz == sample_rate_hz:
        yield from (block[:, 0] for block in blocks)
    else:
        yield from _mono_int16((block / np.float32(FULL_SCALE) for block in blocks), from_hz, sample_rate_hz)


def samples_of(waveform: np.ndarray, from_hz: int, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Return what `decode` would give for a file that holds this: (T,) int16.

    Args:
        waveform: (T,), or (C, T) whose channels are averaged; float in [-1, 1] or int16.
        from_hz: its sample rate.

    Raises: UnreadableAudio for what is no waveform, holds no samples, or holds NaN or absurdly large ones.
    """
    frames = np.atleast_2d(np.asarray(waveform)).T  # (T, C)
    if frames.ndim != 2 or not frames.size:
        raise UnreadableAudio(
            f"a waveform has the shape (samples,) or (channels, samples), not {np.shape(waveform)}"
        )
    if frames.shape[1] > max(_MOST_CHANNELS, frames.shape[0]):
        raise UnreadableAudio(f"{frames.shape[1]} channels of {frames.shape[0]} samples: is it transposed?")
    if not _LOWEST_HZ <= from_hz <= _HIGHEST_HZ:
        raise UnreadableAudio(f"a sample rate of {from_hz} Hz is none that sound has")
    if frames.dtype == np.int16:
        if frames.shape[1] == 1 and from_hz == sample_rate_hz:
            return np.ascontiguousarray(frames[:, 0])
        frames = frames / np.float32(FULL_SCALE)
    elif not np.issubdtype(frames.dtype, np.floating):
        raise UnreadableAudio(f"a waveform is float in [-1, 1] or int16, not {frames.dtype}")
    blocks = _FlatTops(frames.shape[1], top=1.0, limit=1.0).watch(iter([frames.astype(np.float32)]))
    return np.concatenate(list(_mono_int16(blocks, from_hz, sample_rate_hz)))


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """Return int16 samples of floats whose full scale is 1, rounded to the nearest; what is beyond is clipped."""
    return np.clip(np.rint(waveform * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def peak(samples: np.ndarray) -> int:
    """Return half the way from the lowest to the highest of int16 samples (T,); 32,768 is full scale.

    A constant offset, as of cheap sound cards, is no sound and not in it.
    """
    return (int(samples.max()) - int(samples.min()) + 1) // 2


def clipped_share(samples: np.ndarray) -> float:
    """Return the share of int16 samples (T,) that stand at full scale, where louder ones were cut off."""
    return float(np.mean((samples == FULL_SCALE - 1) | (samples == -FULL_SCALE)))


def padded(clips: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pad int16 samples (T,) of B clips with zeros to the longest: (B, T), and (B,) int64 lengths."""
    lengths = np.array([len(clip) for clip in clips], dtype=np.int64)
    waveform = np.zeros((len(clips), int(lengths.max())), dtype=np.int16)
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    return waveform, lengths


def _mono_blocks(stream: Stream, to_hz: int) -> "tuple[Iterator[np.ndarray], _FlatTops]":
    """Return mono int16 blocks (T,) at that rate, and what counts clipped values while they are read."""
    from_hz, channels = stream.samplerate, stream.channels
    if not _LOWEST_HZ <= from_hz <= _HIGHEST_HZ:
        raise UnreadableAudio(f"claims a sample rate of {from_hz} Hz")
    as_it_is = from_hz == to_hz and channels == 1 and stream.subtype == "PCM_16"
    scale = FULL_SCALE if as_it_is else 1
    tops = _FlatTops(channels, top=_TOPS.get(stream.subtype, _TOP_OF_16_BITS) * scale, limit=scale)
    n_frames = max(1, min(_BLOCK // channels, _BLOCK_S * from_hz))
    blocks = tops.watch(stream.read_blocks(n_frames, "int16" if as_it_is else "float32"))
    if as_it_is:
        return (block[:, 0] for block in blocks), tops
    return _mono_int16(blocks, from_hz, to_hz), tops


def _raw_blocks(file: BinaryIO, channels: int, *, n_frames: int) -> Iterator[np.ndarray]:
    """Yield blocks (T, C) of int16. Raises: UnreadableAudio for no samples, and a last frame that is cut off."""
    frame_bytes, is_empty = 2 * channels, True
    while content := file.read(n_frames * frame_bytes):
        if len(content) % frame_bytes:
            raise UnreadableAudio(f"ends in the middle of a frame of {frame_bytes} bytes: is it 16-bit samples?")
        is_empty = False
        yield np.frombuffer(content, "<i2").reshape(-1, channels)
    if is_empty:
        raise UnreadableAudio("is empty (0 bytes)")


def _mono_int16(blocks: Iterator[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Yield blocks (T,) of int16 at ``to_hz``, for blocks (T, C) of float32 at ``from_hz``."""
    mono = _downmixed(blocks)
    for block in mono if from_hz == to_hz else resampled(mono, from_hz, to_hz):
        yield to_int16(block)


def _downmixed(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the means (T,) of the channels of blocks (T, C).

    Raises: UnreadableAudio at the end, where next to nothing is left of what the channels hold.
    """
    energy_of_channels, energy_of_mean, n_channels = 0.0, 0.0, 1
    for block in blocks:
        n_channels = block.shape[1]
        mean = sum(block.T) / n_channels  # 30 times faster than its mean(axis=1)
        energy_of_channels += float(np.vdot(block, block)) / n_channels
        energy_of_mean += float(np.vdot(mean, mean))
        yield mean
    if energy_of_mean < _CANCELLED / n_channels * energy_of_channels:
        raise UnreadableAudio("has channels that cancel each other, as one of them is inverted: keep a single one")


class _FlatTops:
    """A counter of clipped values in the blocks that pass: three in a row at ``top``, or one beyond ``limit``."""

    def __init__(self, channels: int, *, top: float, limit: float):
        self.n = 0
        self._tail = np.zeros((4, channels))  # two frames that were compared, and two that wait for the next two
        self._top, self._limit = top, limit

    def watch(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the same (T, C) blocks; ``n`` is the number of clipped values once all were yielded.

        Raises: UnreadableAudio for values that are no sound, and where there are none.
        """
        is_empty, loud = True, False
        for block in blocks:
            is_empty = False
            largest = max(float(block.max()), -float(block.min()))
            if not largest <= _ABSURD:  # as NaN is not either
                raise UnreadableAudio("holds NaN, infinite or absurdly large samples")
            loud = loud or largest >= self._top
            if loud:
                self._count(block)
            self._tail = block[-4:] if len(block) >= 4 else np.concatenate([self._tail, block])[-4:]
            yield block
        if is_empty:
            raise UnreadableAudio("holds no audio samples")
        if loud:
            self._count(np.zeros_like(self._tail[:2]))

    def _count(self, block: np.ndarray) -> None:
        frames = np.concatenate([self._tail.astype(block.dtype), block])  # (4 + T, C)
        for at_top, beyond in (
            (frames >= self._top, frames > self._limit),
            (frames <= -self._top, frames < -self._limit),
        ):
            three = at_top[:-2] & at_top[1:-1] & at_top[2:]
            self.n += int(np.count_nonzero(three[:-2] | three[1:-1] | three[2:] | beyond[2:-2]))
