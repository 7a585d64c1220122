"""Decode the files of a corpus, each content once, into the folder that `cache` keeps."""

import csv
import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ser_lightning.data.prepare.decoding import Sound, UnreadableAudio, decode, peak
from ser_lightning.data.prepare.scan import Scan, SourceFile
from ser_lightning.utils.cores import usable_cores
from ser_lightning.utils.progress import track

_IN_FLIGHT = 16  # clips decoded ahead of the one that is written: what is in memory at a time,
_IN_FLIGHT_BYTES = 100_000_000  # unless their files are large


@dataclass(frozen=True, kw_only=True)
class PackedSound:
    """A row of sounds.csv; ``reason`` says why a file could not be decoded. The rest is as in `Utterance`."""

    content: str
    reason: str = ""
    n_samples: int = 0
    n_zeros: int = 0  # samples at its end that are 0
    audio_hash: str = ""
    source_rate_hz: int = 0
    source_channels: int = 0
    n_clipped: int = 0
    peak: int = 0


def decode_into(scanned: Scan, contents: Mapping[str, str], partial: Path) -> bool:
    """Decode each content once. Returns whether any could be used."""
    files = {contents[file.path]: file for file in reversed(scanned.files)}  # the first of each content
    order = sorted(files.values(), key=lambda file: file.facts.id)
    rows = []
    with (partial / "samples.i16").open("wb") as samples:
        for file, sound in zip(order, _decode_all(scanned.folder, order), strict=True):
            content = contents[file.path]
            if isinstance(sound, str):
                rows.append(PackedSound(content=content, reason=sound))
            else:
                samples.write(sound.samples.astype("<i2", copy=False).data)
                rows.append(_packed_sound(content, sound))
    with (partial / "sounds.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace") as table:
        writer = csv.DictWriter(table, [field.name for field in fields(PackedSound)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    return any(not row.reason for row in rows)


def read_sounds(folder: Path) -> dict[str, tuple[int, PackedSound]]:
    """Return where each content begins in the samples, and what decoding found, by its hash."""
    sounds, start = {}, 0
    with (folder / "sounds.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            content, reason, audio_hash = row.pop("content"), row.pop("reason"), row.pop("audio_hash")
            numbers = {name: int(text) for name, text in row.items()}
            sound = PackedSound(content=content, reason=reason, audio_hash=audio_hash, **numbers)
            sounds[content] = start, sound
            start += sound.n_samples
    return sounds


def _decode(folder: Path, file: SourceFile) -> Sound | str:
    """Decode a file; or say why that cannot be done."""
    try:
        return decode(folder / file.path)
    except UnreadableAudio as error:
        return str(error)


def _decode_all(folder: Path, files: Sequence[SourceFile]) -> Iterator[Sound | str]:
    """Decode in parallel and in order, a few clips ahead. Threads do: libsndfile works outside Python's lock."""
    waiting: deque[tuple[Future[Sound | str], int]] = deque()
    pool = ThreadPoolExecutor(usable_cores())
    try:
        for file in track(files, "decoding"):
            while waiting and (len(waiting) >= _IN_FLIGHT or sum(size for _, size in waiting) > _IN_FLIGHT_BYTES):
                yield waiting.popleft()[0].result()
            waiting.append((pool.submit(_decode, folder, file), file.size_bytes))
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _packed_sound(content: str, sound: Sound) -> PackedSound:
    samples = sound.samples
    n_sounding = int(np.flatnonzero(samples)[-1]) + 1 if samples.any() else 0
    return PackedSound(
        content=content,
        n_samples=len(samples),
        n_zeros=len(samples) - n_sounding,
        audio_hash=hashlib.sha256(samples.astype("<i2", copy=False).data).hexdigest()[:32],
        source_rate_hz=sound.source_rate_hz,
        source_channels=sound.source_channels,
        n_clipped=sound.n_clipped,
        peak=peak(samples),
    )
