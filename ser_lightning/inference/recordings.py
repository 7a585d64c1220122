"""What is to be recognised: files, the files of a folder, what comes in on a pipe.

T: samples.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ser_lightning.data.audio import stream_file, stream_raw
from ser_lightning.data.containers import UnreadableAudio
from ser_lightning.data.scan import BadFile, walk
from ser_lightning.errors import UserError

STDIN = "-"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A name, and what gives its samples in blocks (T,) of int16 at a rate; that raises `UnreadableAudio`."""

    name: str
    blocks: Callable[[int], Iterator[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class RawFormat:
    """Samples without a header: 16-bit little-endian, channels in turns."""

    sample_rate_hz: int
    channels: int = 1


def find_recordings(places: Sequence[str], *, raw: RawFormat | None = None) -> list[Recording]:
    """Files as they are named, every file of a folder that may be audio, and ``-`` for standard input.

    Args:
        raw: what standard input holds; without it, a file in any format.

    Raises: UserError for a place that is not there, and a folder without audio.
    """
    if places.count(STDIN) > 1 or (raw is not None and STDIN not in places):
        raise UserError("standard input, -, is named once, and --raw-rate is for it alone")
    return [recording for place in places for recording in _found(place, raw)]


def _found(place: str, raw: RawFormat | None) -> list[Recording]:
    if place == STDIN:
        return [Recording(name=STDIN, blocks=_piped if raw is None else _raw(raw))]
    path = Path(place).expanduser()
    if not os.path.lexists(path):
        raise UserError(f"{place} is not there: name audio files, folders of them, or - for standard input")
    if not path.is_dir():
        return [_file(path, place)]
    unlisted: list[BadFile] = []
    found = [_file(path / name, str(path / name)) for name, _ in walk(path, unlisted)]
    if not found and not unlisted:
        raise UserError(f"{place} holds no audio files")
    found += [_unreadable(str(path / bad.path), bad.reason) for bad in unlisted]
    return sorted(found, key=lambda recording: recording.name)


def _file(path: Path, name: str) -> Recording:
    return Recording(name=name, blocks=lambda rate_hz: stream_file(path, sample_rate_hz=rate_hz))


def _unreadable(name: str, reason: str) -> Recording:
    def blocks(sample_rate_hz: int) -> Iterator[np.ndarray]:
        raise UnreadableAudio(reason)

    return Recording(name=name, blocks=blocks)


def _piped(sample_rate_hz: int) -> Iterator[np.ndarray]:
    """A file that comes through a pipe: it is put on disk first, as decoders want to seek."""
    with tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(_stdin(), copy)
        copy.flush()
        yield from stream_file(Path(copy.name), sample_rate_hz=sample_rate_hz)


def _raw(form: RawFormat) -> Callable[[int], Iterator[np.ndarray]]:
    def blocks(sample_rate_hz: int) -> Iterator[np.ndarray]:
        return stream_raw(_stdin(), form.sample_rate_hz, channels=form.channels, sample_rate_hz=sample_rate_hz)

    return blocks


def _stdin() -> BinaryIO:
    if sys.stdin.isatty():
        raise UserError("nothing is piped into standard input: as in `ser predict CKPT - < speech.wav`")
    return sys.stdin.buffer
