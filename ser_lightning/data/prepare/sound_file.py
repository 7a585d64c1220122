"""Open a sound file in the form that reads it front to back in blocks, whatever its format.

T: samples of a channel.  C: channels.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import soundfile

from ser_lightning.data.prepare import mp3, truncation
from ser_lightning.data.prepare.coded import coded_format, opened_coded
from ser_lightning.data.prepare.coded_truncation import refuse_cut
from ser_lightning.data.prepare.truncation import (
    Correction,
    InaccessibleAudio,
    UnreadableAudio,
    check_container,
)

_MPEG_FRAME = 1152  # samples, the most that a frame has: nothing less can be missing
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's, for a FLAC written to a pipe


class Stream(Protocol):
    """An open file: its sample rate in Hz, its channels, and how its samples are encoded, in libsndfile's words."""

    samplerate: int
    channels: int
    subtype: str

    def read_blocks(self, n_frames: int, dtype: str) -> Iterator[np.ndarray]:
        """Yield blocks (T, C) to the end of the file, T about ``n_frames``, as float32, or int16 if it has PCM_16.

        Raises: UnreadableAudio where the file ends before it should.
        """
        ...


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """Open a file, recognised by content and not by name.

    Raises: UnreadableAudio for whatever goes wrong, here or where the stream is read.
    """
    try:
        _refuse_what_is_no_file(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            coded = coded_format(file.read(33).ljust(12, b"\0"))
            if coded is not None:
                refuse_cut(file, coded.demuxer, size)
                file.seek(0)
                with opened_coded(file, path, coded) as decoded:
                    yield decoded
                return
            file.seek(0)
            correction = check_container(file) or mp3.check_frames(file, size)
            # By its path, libsndfile would also guess from the name's ending and from a "._" file beside it.
            with _Stream(_libsndfile_source(file, correction)) as stream:
                yield stream
    except FileNotFoundError as error:
        link = f"is a link to {os.readlink(path)}, which " if path.is_symlink() else ""
        raise InaccessibleAudio(f"{link}is not there") from error
    except OSError as error:
        raise InaccessibleAudio(f"cannot be opened ({error.strerror or error})") from error
    except soundfile.SoundFileError as error:
        reason = str(error).rsplit(": ", 1)[-1].rstrip(".") or type(error).__name__
        raise UnreadableAudio(f"cannot be decoded ({reason})") from error


def header_seconds(path: Path) -> float | None:
    """Return how long a file is by its header; None where it does not say so, or cannot be opened."""
    try:
        with opened(path) as stream:
            frames = getattr(stream, "frames", _UNKNOWN_FRAMES)
            return frames / stream.samplerate if frames != _UNKNOWN_FRAMES else None
    except UnreadableAudio:  # decoding will name it
        return None


class _Stream(soundfile.SoundFile):
    """A file read from front to back: soundfile would seek after every read."""

    def __init__(self, source: Any):
        super().__init__(source, closefd=False)
        if not super().seekable():  # GSM and its like: libsndfile reads on over their end
            raise UnreadableAudio(f"is encoded as {self.subtype}, which cannot be read reliably")

    def seekable(self) -> bool:
        return False

    def read_blocks(self, n_frames: int, dtype: str) -> Iterator[np.ndarray]:
        """Yield (T, C) blocks to the end of the file, whose header may lie about its length, or not know it."""
        at_most = max(1, min(n_frames, self.frames))
        n_read = 0
        while n_read < self.frames:
            block = self.read(at_most, dtype=dtype, always_2d=True)
            if len(block) == 0:
                break
            n_read += len(block)
            yield block
        # The length may be too large by a frame of MPEG audio where it is guessed, or in a WAV.
        is_counted = (self.format, self.subtype) == ("MP3", "MPEG_LAYER_III")
        slack = _MPEG_FRAME - 1 if self.subtype.startswith("MPEG") and not is_counted else 0
        if n_read + slack < self.frames != _UNKNOWN_FRAMES:
            raise UnreadableAudio(f"is truncated: {n_read} of {self.frames} frames could be read")


def refuse_strange_beginning(head: bytes) -> None:
    """Raise UnreadableAudio where a file that begins so cannot be `opened`, whatever follows."""
    if coded_format(head.ljust(12, b"\0")) is None:
        truncation.refuse_strange_beginning(head)


def _libsndfile_source(file: BinaryIO, correction: Correction | None) -> Any:
    """Return the file from its beginning, in the form that libsndfile reads fastest."""
    file.seek(0)
    if correction is not None:
        return _Corrected(file, correction)
    if os.name != "posix":
        return file
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return file.fileno()


class _Corrected:
    """A file as it would be with a better header, for libsndfile to read."""

    def __init__(self, file: BinaryIO, correction: Correction):
        self._file, self._content = file, correction.content
        self._begin, self._end = correction.position, correction.position + len(correction.content)
        self._grown = 0 if correction.n_bytes is None else len(correction.content) - correction.n_bytes
        self._size = os.fstat(file.fileno()).st_size + self._grown
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def read(self, n_bytes: int = -1) -> bytes:
        asked, parts = n_bytes if n_bytes >= 0 else self._size, []
        while asked > 0 and (part := self._part(asked)):
            parts.append(part)
            asked, self._position = asked - len(part), self._position + len(part)
        return b"".join(parts)

    def _part(self, asked: int) -> bytes:
        """Return at most ``asked`` bytes from here on, of the file before or after the correction, or of that."""
        at = self._position
        if self._begin <= at < self._end:
            return self._content[at - self._begin :][:asked]
        self._file.seek(at if at < self._begin else at - self._grown)
        return self._file.read(min(asked, self._begin - at) if at < self._begin else asked)

    def write(self, content: bytes) -> int:  # soundfile asks that there be one
        raise io.UnsupportedOperation("write")


def _refuse_what_is_no_file(path: Path) -> None:
    """Raise UnreadableAudio for a folder, a pipe or a device, and for a name that no file can have."""
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a zero byte, or half a character
        raise UnreadableAudio("has a name that no file can have") from error
    if not stat.S_ISREG(mode):  # a pipe would be waited for without end, a device read without end
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise UnreadableAudio(f"is {kind}, not a file")
