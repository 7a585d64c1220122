"""Find the recordings to run a model on: files, the files of a folder, standard input.

T: samples.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from ser_lightning.data.prepare.decoding import stream_file, stream_raw
from ser_lightning.data.prepare.scan import BadFile, walk
from ser_lightning.data.prepare.sound_file import refuse_strange_beginning
from ser_lightning.data.prepare.truncation import UnreadableAudio
from ser_lightning.utils.errors import UserError, some
from ser_lightning.utils.text import printable

STDIN = "-"
_MOST_PIPED_BYTES = 2_000_000_000  # 17 hours of 16 bits at 16 kHz, 3 hours of stereo at 48 kHz
_PIPED_BLOCK_BYTES = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording by its name; ``blocks`` yields samples (T,) int16 at a rate, or raises `UnreadableAudio`.

    The name is for people, as for CSV and JSON: what no text can hold, or a terminal should not get, is escaped.
    """

    name: str
    blocks: Callable[[int], Iterator[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class RawFormat:
    """Samples without a header: 16-bit little-endian, channels in turns."""

    sample_rate_hz: int
    channels: int = 1


def find_recordings(places: Sequence[str], *, raw: RawFormat | None = None) -> list[Recording]:
    """Return files as they are named, every file of a folder that may be audio, and ``-`` for standard input.

    Args:
        raw: what standard input holds; without it, a file in any format.

    Raises: UserError for a place that is not there, and a folder without audio.
    """
    if places.count(STDIN) > 1 or (raw is not None and STDIN not in places):
        raise UserError("standard input, -, is named once, and --raw-rate is for it alone")
    return [recording for place in places for recording in _recordings_at(place, raw)]


def _recordings_at(place: str, raw: RawFormat | None) -> list[Recording]:
    if place == STDIN:
        return [Recording(name=STDIN, blocks=_piped if raw is None else partial(_piped_raw, raw))]
    path = Path(place).expanduser()
    if not os.path.lexists(path):
        raise UserError(f"{place} is not there: name audio files, folders of them, or - for standard input")
    if not path.is_dir():
        return [_file(path, place)]
    unlisted: list[BadFile] = []
    passed_over: list[str] = []
    recordings = [_file(path / name, str(path / name)) for name, _ in walk(path, unlisted, passed_over)]
    if passed_over:
        n_files = f"{len(passed_over)} {'is' if len(passed_over) == 1 else 'are'}"
        log.info("%s: %s passed over, hidden or of no audio format: %s", place, n_files, some(passed_over))
    if not recordings and not unlisted:
        raise UserError(f"{place} holds no audio files")
    for bad in unlisted:
        recordings.append(Recording(name=printable(str(path / bad.path)), blocks=partial(_unreadable, bad.reason)))
    return sorted(recordings, key=lambda recording: recording.name)


def _file(path: Path, name: str) -> Recording:
    return Recording(name=printable(name), blocks=lambda rate_hz: stream_file(path, sample_rate_hz=rate_hz))


def _unreadable(reason: str, sample_rate_hz: int) -> NoReturn:
    raise UnreadableAudio(reason)


def _piped(sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Read a file that comes through a pipe: it is put on disk first, as decoders want to seek.

    What begins like no audio is not, and nothing that is longer than ``_MOST_PIPED_BYTES``.
    """
    stdin, n_bytes = _stdin(), 0
    try:
        with tempfile.NamedTemporaryFile() as copy:
            while block := stdin.read(_PIPED_BLOCK_BYTES):
                if not n_bytes:
                    refuse_strange_beginning(block)
                n_bytes += len(block)
                if n_bytes > _MOST_PIPED_BYTES:
                    most = f"{_MOST_PIPED_BYTES / 1e9:.0f} GB"
                    raise UnreadableAudio(f"is longer than {most}, the most that is taken from a pipe: name a file")
                copy.write(block)
            copy.flush()
            yield from stream_file(Path(copy.name), sample_rate_hz=sample_rate_hz)
    except OSError as error:
        raise UnreadableAudio(
            f"cannot be kept on disk while it is read ({error.strerror or error}): make room in the folder for "
            "temporary files, or set TMPDIR to another"
        ) from error


def _piped_raw(form: RawFormat, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Read samples without a header that come through a pipe."""
    return stream_raw(_stdin(), form.sample_rate_hz, channels=form.channels, sample_rate_hz=sample_rate_hz)


def _stdin() -> BinaryIO:
    if sys.stdin.isatty():
        raise UserError("nothing is piped into standard input: as in `ser predict CKPT - < speech.wav`")
    return sys.stdin.buffer
