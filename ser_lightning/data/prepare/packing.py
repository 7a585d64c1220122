"""Decode the files of a corpus, each content once, into the folder that `cache` keeps."""

import csv
import hashlib
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ser_lightning.data.prepare.decoding import Sound, Source, UnreadableAudio, decode, decode_blocks, peak
from ser_lightning.data.prepare.scan import Scan, SourceFile
from ser_lightning.data.prepare.truncation import InaccessibleAudio
from ser_lightning.utils.cores import usable_cores
from ser_lightning.utils.errors import UserError, some
from ser_lightning.utils.progress import track

SAMPLES = "samples.i16"  # the files of a packed folder: see `cache`
SOUNDS = "sounds.csv"

_IN_FLIGHT = 16  # clips decoded ahead of the one that is written: what is in memory at a time,
_IN_FLIGHT_BYTES = 100_000_000  # unless their files are large
_LARGE_BYTES = 16_000_000  # of files that are written as they are decoded, a block at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedSound:
    """A row of `SOUNDS`; ``reason`` says why a file could not be decoded. Other fields are as in `Utterance`."""

    content: str
    reason: str = ""
    n_samples: int = 0
    n_zeros: int = 0  # samples at its end that are 0
    audio_hash: str = ""
    source_rate_hz: int = 0
    source_channels: int = 0
    n_clipped: int = 0
    peak: int = 0


def files_to_decode(scanned: Scan, contents: Mapping[str, str]) -> list[SourceFile]:
    """Return the first file of each content, in the order that they are packed in."""
    files = {contents[file.path]: file for file in reversed(scanned.files)}
    return sorted(files.values(), key=lambda file: file.facts.id)


def decode_into(partial: Path, folder: Path, files: Sequence[SourceFile], contents: Mapping[str, str]) -> None:
    """Decode files below ``folder`` one after another into ``partial``.

    Raises: UserError for files that cannot be read any more: what is kept of a file holds for its contents.
    """
    rows, inaccessible = [], {}
    with (partial / SAMPLES).open("wb") as samples, closing(_decode_ahead(folder, files)) as sounds:
        for file, decoding in zip(files, sounds, strict=True):
            writer = _Writer(samples)
            try:
                if decoding is None:
                    source = decode_blocks(folder / file.path, writer.write)
                else:
                    sound = decoding.result()
                    writer.write(sound.samples)
                    source = sound
                rows.append(writer.row(contents[file.path], source))
            except UnreadableAudio as error:
                if isinstance(error, InaccessibleAudio):
                    inaccessible[file.path] = error
                writer.discard()
                rows.append(PackedSound(content=contents[file.path], reason=str(error)))
    if inaccessible:
        reason = next(iter(inaccessible.values()))
        raise UserError(
            f"{some(list(inaccessible))} of {folder} could be read at first, and then not ({reason}): "
            "start again when nothing is in the way"
        )
    with (partial / SOUNDS).open("w", newline="", encoding="utf-8", errors="backslashreplace") as table:
        columns = [field.name for field in fields(PackedSound)]
        lines = csv.DictWriter(table, columns)
        lines.writeheader()
        lines.writerows({name: getattr(row, name) for name in columns} for row in rows)


def read_sounds(folder: Path) -> dict[str, tuple[int, PackedSound]]:
    """Return where each content begins in the samples, and what decoding found, by its hash."""
    sounds, start = {}, 0
    with (folder / SOUNDS).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            content, reason, audio_hash = row.pop("content"), row.pop("reason"), row.pop("audio_hash")
            numbers = {name: int(text) for name, text in row.items()}
            sound = PackedSound(content=content, reason=reason, audio_hash=audio_hash, **numbers)
            sounds[content] = start, sound
            start += sound.n_samples
    return sounds


def _decode_ahead(folder: Path, files: Sequence[SourceFile]) -> Generator[Future[Sound] | None, None, None]:
    """Decode in parallel, a few clips ahead, and yield them in order; None for large files, which are left alone.

    Threads do: libsndfile works outside Python's lock.
    """
    ahead: deque[tuple[Future[Sound] | None, int]] = deque()  # and the size of its file
    pool = ThreadPoolExecutor(usable_cores())
    try:
        for file in track(files, "decoding"):
            while ahead and (len(ahead) >= _IN_FLIGHT or sum(size for _, size in ahead) > _IN_FLIGHT_BYTES):
                yield ahead.popleft()[0]
            if file.size_bytes > _LARGE_BYTES:
                ahead.append((None, 0))
            else:
                ahead.append((pool.submit(decode, folder / file.path), file.size_bytes))
        while ahead:
            yield ahead.popleft()[0]
    finally:
        pool.shutdown(cancel_futures=True)


class _Writer:
    """A writer that appends one sound to a file, and finds out what its row says of it."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._start = file.tell()
        self._digest = hashlib.sha256()
        self._n_samples = self._n_zeros = 0
        self._extremes: list[int] = []  # lowest and highest sample of each block

    def write(self, block: np.ndarray) -> None:
        """Append samples (T,) int16."""
        content = block.astype("<i2", copy=False).data
        self._file.write(content)
        self._digest.update(content)
        self._n_samples += len(block)
        sounding = np.flatnonzero(block)
        self._n_zeros = len(block) - 1 - int(sounding[-1]) if len(sounding) else self._n_zeros + len(block)
        self._extremes += [int(block.min()), int(block.max())]

    def discard(self) -> None:
        """Remove what was written of a file that turned out to be damaged."""
        self._file.seek(self._start)
        self._file.truncate()

    def row(self, content: str, source: Source) -> PackedSound:
        """Return the row of what was written."""
        return PackedSound(
            content=content,
            n_samples=self._n_samples,
            n_zeros=self._n_zeros,
            audio_hash=self._digest.hexdigest()[:32],
            **{field.name: getattr(source, field.name) for field in fields(Source)},
            peak=peak(np.array(self._extremes)),
        )
