"""Audio files to 16 kHz mono int16 samples; a damaged file is an error with a reason, never a guess.

T: frames, at the source's rate until they are resampled.  C: channels.
"""

import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import torch
import torchaudio

SAMPLE_RATE_HZ = 16_000
_FULL_SCALE = 32_768
_BLOCK, _BLOCK_S = 1 << 20, 30  # values over all channels and seconds decoded at a time, whichever is less
_LOWEST_HZ, _HIGHEST_HZ = 1_000, 768_000
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's, for a FLAC written to a pipe
_ABSURD = 2.0**31  # times full scale: no integer that was stored as a float is larger
_LARGEST_TABLE = 1 << 19  # weights of torchaudio's resampler; it is 3 GB for 44,099 Hz


class UnreadableAudio(ValueError):
    """A file that cannot be taken for the sound it should hold; the message says why."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A decoded file: mono ``samples``, (T,) int16, and what it was before.

    ``n_clipped`` counts values of the source, over all channels, that stand at full scale three or more in a row
    (a flat top) or, where floats go that far, beyond it. A lone peak at full scale is not clipped.
    """

    samples: np.ndarray
    source_rate_hz: int
    source_channels: int
    n_clipped: int


def decode(path: Path, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Sound:
    """Decode WAV, AIFF, FLAC, Ogg (Vorbis, Opus), MP3, AU, CAF or SPHERE, told by content and not by name.

    Channels are averaged. However long the file, some tens of MB are in use beside the result.
    Raises: UnreadableAudio for what is no regular file and for an empty, truncated, non-finite or unknown one,
    for a Git LFS pointer, and for damage that the format itself can tell (MP3 and WAV have no checksums).
    """
    try:
        _refuse_what_is_no_file(path)
        with path.open("rb") as file:
            _refuse_what_is_no_audio(file)
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            # By its path, libsndfile would also guess from the name's ending and from a "._" file beside it.
            with _Stream(file.fileno() if os.name == "posix" else file, closefd=False) as stream:
                return _decode(stream, sample_rate_hz)
    except FileNotFoundError as error:
        link = f"is a link to {os.readlink(path)}, which " if path.is_symlink() else ""
        raise UnreadableAudio(f"{link}is not there") from error
    except OSError as error:
        raise UnreadableAudio(f"cannot be opened ({error.strerror or error})") from error
    except soundfile.SoundFileError as error:
        raise UnreadableAudio(f"cannot be decoded ({_short(error)})") from error


class _Stream(soundfile.SoundFile):
    """A file read from front to back: soundfile would seek after every read."""

    def seekable(self) -> bool:
        return False


def _decode(stream: soundfile.SoundFile, to_hz: int) -> Sound:
    from_hz, channels = stream.samplerate, stream.channels
    if not _LOWEST_HZ <= from_hz <= _HIGHEST_HZ:
        raise UnreadableAudio(f"claims a sample rate of {from_hz} Hz")
    if not soundfile.SoundFile.seekable(stream):  # GSM and its like: libsndfile reads on over their end
        raise UnreadableAudio(f"is encoded as {stream.subtype}, which cannot be read reliably")
    as_it_is = from_hz == to_hz and channels == 1 and stream.subtype == "PCM_16"
    scale = _FULL_SCALE if as_it_is else 1
    tops = _FlatTops(channels, top=_top(stream.subtype) * scale, limit=scale)
    blocks = tops.watch(_blocks(stream, "int16" if as_it_is else "float32"))
    samples = bytearray()  # it grows in place, where a list of blocks would be held twice in the end
    for block in blocks if as_it_is else _mono_int16(blocks, from_hz, to_hz):
        samples += block.data
    if not samples:
        raise UnreadableAudio("holds no audio samples")
    return Sound(np.frombuffer(samples, np.int16), from_hz, channels, tops.n)


def _blocks(stream: soundfile.SoundFile, dtype: str) -> Iterator[np.ndarray]:
    """(T, C) blocks to the end of the file, whose header may lie about its length, or not know it."""
    at_most = max(1, min(_BLOCK // stream.channels, _BLOCK_S * stream.samplerate, stream.frames))
    n_read = 0
    while n_read < stream.frames:
        block = stream.read(at_most, dtype=dtype, always_2d=True)
        if len(block) == 0:
            break
        n_read += len(block)
        yield block
    if n_read < stream.frames != _UNKNOWN_FRAMES:
        raise UnreadableAudio(f"is truncated: {n_read} of {stream.frames} frames could be read")


def _mono_int16(blocks: Iterator[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    mono = (sum(block.T) / block.shape[1] for block in blocks)  # 30 times faster than its mean(axis=1)
    for block in mono if from_hz == to_hz else _resampled(mono, from_hz, to_hz):
        yield np.clip(np.rint(block * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


class _FlatTops:
    """Counts clipped values in the blocks that pass: three in a row at ``top``, or one beyond ``limit``."""

    def __init__(self, channels: int, *, top: float, limit: float):
        self.n = 0
        self._tail = np.zeros((4, channels))  # two frames that were judged, and two that wait for the next two
        self._top, self._limit = top, limit

    def watch(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Hand the (T, C) blocks on; ``n`` is right when they are through.

        Raises: UnreadableAudio for values that are no sound.
        """
        loud = False
        for block in blocks:
            peak = max(float(block.max()), -float(block.min()))
            if not peak <= _ABSURD:  # as NaN is not either
                raise UnreadableAudio("holds NaN, infinite or absurdly large samples")
            loud = loud or peak >= self._top
            if loud:
                self._judge(block)
            self._tail = block[-4:] if len(block) >= 4 else np.concatenate([self._tail, block])[-4:]
            yield block
        if loud:
            self._judge(np.zeros_like(self._tail[:2]))

    def _judge(self, block: np.ndarray) -> None:
        frames = np.concatenate([self._tail.astype(block.dtype), block])  # (4 + T, C)
        for at_top, beyond in (
            (frames >= self._top, frames > self._limit),
            (frames <= -self._top, frames < -self._limit),
        ):
            three = at_top[:-2] & at_top[1:-1] & at_top[2:]
            self.n += int(np.count_nonzero(three[:-2] | three[1:-1] | three[2:] | beyond[2:-2]))


def _top(subtype: str) -> float:
    """The value where a source of this encoding ends, the lower of the two ends."""
    coarse = {"PCM_U8": 127 / 128, "PCM_S8": 127 / 128, "ULAW": 32_124 / 32_768, "ALAW": 32_256 / 32_768}
    return coarse.get(subtype, 32_767 / 32_768)  # 24 bits and floats were often 16 once


def _resampled(blocks: Iterator[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Resample (T,) blocks to the numbers that their whole would be resampled to.

    The filter reaches ``width`` frames to each side, and repeats itself every ``step`` frames: a stretch that
    begins at a multiple of ``step``, with so much before and after it, comes out as it would in its place.
    """
    step, step_out = (hz // math.gcd(from_hz, to_hz) for hz in (from_hz, to_hz))
    resample, width = _resampler(from_hz, to_hz)
    before = math.ceil(width / step) * step
    held, n_out = np.zeros(0, np.float32), 0  # of the frames held, n_out were put out and are context
    for block in blocks:
        ready = (len(held) - width - n_out) // step * step
        if ready > 0:
            yield resample(held[: n_out + ready + width])[n_out // step * step_out :][: ready // step * step_out]
            n_out += ready
            held, n_out = held[max(0, n_out - before) :], min(n_out, before)
        held = np.concatenate([held, block])
    if len(held):
        yield resample(held)[n_out // step * step_out :]


@lru_cache(maxsize=4)  # one for an absurd rate can take 40 MB
def _resampler(from_hz: int, to_hz: int) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """A function from (T,) to (ceil(T * to_hz / from_hz),) float32, and how far its filter reaches."""
    down, up = (hz // math.gcd(from_hz, to_hz) for hz in (from_hz, to_hz))
    width = math.ceil(6 * down / (0.99 * min(up, down)))  # torchaudio's: 6 zero crossings, roll-off 0.99
    if up * (2 * width + down) > _LARGEST_TABLE:
        return _polyphase(down, up), width
    module = torchaudio.transforms.Resample(from_hz, to_hz)

    def resample(samples: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(samples)).numpy()

    return resample, width


def _polyphase(down: int, up: int) -> Callable[[np.ndarray], np.ndarray]:
    """torchaudio's filter for two rates that have little in common, without its table of up times down weights."""
    from scipy.signal import resample_poly  # takes half a second, and is seldom needed

    cutoff = 0.99 * min(up, down)
    reach = math.floor(6 * up * down / cutoff)
    t = np.arange(-reach, reach + 1) * (cutoff / (up * down))  # in zero crossings
    weights = (np.sinc(t) * np.cos(t * np.pi / 12) ** 2 * (cutoff / (up * down))).astype(np.float32)
    return lambda samples: resample_poly(samples, up, down, window=weights)


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a zero byte, or half a character
        raise UnreadableAudio("has a name that no file can have") from error
    if not stat.S_ISREG(mode):  # a pipe would be waited for without end, a device read without end
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise UnreadableAudio(f"is {what}, not a file")


def _refuse_what_is_no_audio(file: BinaryIO) -> None:
    """Look for what libsndfile would pass over, put unclearly or guess at; leaves the file anywhere."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(16).ljust(16, b"\0")
    if size == 0:
        raise UnreadableAudio("is empty (0 bytes)")
    if head.startswith(b"version http"):
        raise UnreadableAudio("is a Git LFS pointer, not the audio itself: run `git lfs pull`")
    magic = head[:4]
    if magic in _CHUNKED and head[8:12] in _KINDS:
        _refuse_cut_chunks(file, size, *_CHUNKED[magic])
    elif magic == b"OggS":
        _refuse_damaged_ogg(file, size)
    elif magic in (b".snd", b"dns."):
        start, length = struct.unpack((">" if magic == b".snd" else "<") + "II", head[4:12])
        _refuse_short(size - start, length)
    elif head.startswith(b"NIST_1A\n"):
        _refuse_cut_sphere(file, size)
    elif not (magic[:3] == b"ID3" or magic == b"fLaC" or (head[0] == 0xFF and head[1] >= 0xE0)):
        raise UnreadableAudio(
            "cannot be decoded (it begins like no format that is read here: convert it to WAV or FLAC)"
        )


# Where the first chunk of name, length and content lies, how name and length are packed, what a chunk is padded to.
_CHUNKED = {
    b"RIFF": (12, "<4sI", 2),
    b"RIFX": (12, ">4sI", 2),
    b"RF64": (12, "<4sI", 2),
    b"FORM": (12, ">4sI", 2),
    b"caff": (8, ">4sQ", 1),
}
_KINDS = (b"WAVE", b"AIFF", b"AIFC", b"desc")
_LENGTH_UNKNOWN = (0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 2**64 - 1)  # what programs write into a pipe


def _refuse_cut_chunks(file: BinaryIO, size: int, position: int, header: str, padded_to: int) -> None:
    """Walk to the chunk of sound: libsndfile reads a cut-off one without a word."""
    n_header, length_64 = struct.calcsize(header), 0
    while position + n_header <= size:
        file.seek(position)
        name, length = struct.unpack(header, file.read(n_header))
        position += n_header
        if name == b"ds64":  # of RF64, for more than 4 GB
            length_64 = int.from_bytes(file.read(16)[8:], "little")
        if name in (b"data", b"SSND"):
            return _refuse_short(size - position, length_64 if length == 0xFFFFFFFF and length_64 else length)
        position += length + -length % padded_to
    raise UnreadableAudio("is truncated or damaged: its header announces no sound")


def _refuse_short(n_there: int, n_announced: int) -> None:
    if n_announced not in _LENGTH_UNKNOWN and n_there < n_announced:
        raise UnreadableAudio(f"is truncated: {max(0, n_there)} of {n_announced} bytes of sound are there")


def _refuse_cut_sphere(file: BinaryIO, size: int) -> None:
    """A SPHERE header is text with lines like ``sample_count -i 36409``; libsndfile reads on to the file's end."""
    file.seek(0)
    header = file.read(1024)
    if b"shorten" in header:
        raise UnreadableAudio("is a compressed SPHERE file: expand it with sph2pipe")
    numbers = dict(re.findall(rb"^(\w+) -i (\d{1,18})$", header, re.MULTILINE))
    if b"sample_count" not in numbers or not header[8:16].strip().isdigit():
        raise UnreadableAudio("is damaged: its SPHERE header does not say how long it is")
    n_there = size - int(header[8:16])
    factors = (b"sample_count", b"channel_count", b"sample_n_bytes")
    n_announced = math.prod(int(numbers.get(name, 1)) for name in factors)
    _refuse_short(n_there, n_announced)
    if n_there > n_announced:
        raise UnreadableAudio(f"is damaged: {n_there} bytes of sound are there, and {n_announced} announced")


def _refuse_damaged_ogg(file: BinaryIO, size: int) -> None:
    """Walk the pages of an Ogg file (RFC 3533), each with a checksum, to one that says it is its stream's last.

    libsndfile leaves out a page whose checksum is wrong, and goes on without a word.
    """
    position, last = 0, False
    while position < size:
        file.seek(position)
        page = file.read(27)
        if len(page) < 27 or page[:4] != b"OggS":
            break
        page += file.read(page[26])  # lengths of the parts
        page += file.read(sum(page[27:]))
        if _ogg_checksum(page) != page[22:26]:
            break
        if last:
            raise UnreadableAudio("holds several Ogg streams, of which only the first would be read")
        position += len(page)
        last = bool(page[5] & 4)
    if not last:
        raise UnreadableAudio(f"is truncated or damaged: its Ogg stream breaks off at byte {position} of {size}")


_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page: bytes) -> bytes:
    """The page's CRC-32, its own field zeroed: zlib's polynomial, the other way round and without inversions."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED_BITS)
    return struct.pack(">I", ~zlib.crc32(mirrored, 0xFFFFFFFF) & 0xFFFFFFFF).translate(_REVERSED_BITS)


def _short(error: Exception) -> str:
    return str(error).rsplit(": ", 1)[-1].rstrip(".") or type(error).__name__
