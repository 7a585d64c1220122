"""Decode a corpus once into one int16 memory map that every later run opens at once.

A packed corpus is a folder under the cache, named by a digest of the contents of the files that went in::

    samples.i16     all clips one after another, 16 kHz mono, little-endian
    manifest.csv    one row a clip, in that order
    report.json     what could not be used, and what can be used but looks wrong
    checksums.json  of these files, the samples by block

It is written beside and renamed, under a lock: it is whole or it is not there. What was damaged since is packed
anew.
"""

import filecmp
import hashlib
import logging
import mmap
import os
import shutil
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from ser_lightning.data.audio import SAMPLE_RATE_HZ, SILENT_PEAK, Sound, UnreadableAudio, decode, padded, peak
from ser_lightning.data.checksums import damage, write_checksums
from ser_lightning.data.content_digest import content_digest
from ser_lightning.data.corpora import Corpus
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.progress import track
from ser_lightning.data.report import Report, clipped, duplicate_audio, square_waves
from ser_lightning.data.scan import BadFile, Scan, SourceFile, changed_files, same_name, scan
from ser_lightning.errors import UserError, some
from ser_lightning.files import cache_root, folder_written_whole

_FORMAT = 4  # raised whenever the same files would be packed into other bytes
_MANY, _PADDING_S = 10, 0.05  # clips of one length, each with so many seconds of zeros at its end, were padded
_IN_FLIGHT = 16  # clips decoded ahead of the one that is written: what is in memory at a time,
_IN_FLIGHT_BYTES = 100_000_000  # unless their files are large

log = logging.getLogger(__name__)


class PackedCorpus:
    """A corpus in the cache: its manifest, its report, and its samples by clip.

    Args:
        folder: in the cache.
        audio_folder: where its files lie today; None: where they lay when it was packed.
    """

    def __init__(self, folder: Path, audio_folder: Path | None = None):
        self.folder = folder
        self.manifest = Manifest.read_csv(folder / "manifest.csv")
        report = Report.read_json(folder / "report.json")
        self.report = replace(report, folder=str(audio_folder)) if audio_folder is not None else report
        self.n_samples = np.array([row.n_samples for row in self.manifest], dtype=np.int64)
        self._starts = np.cumsum(self.n_samples) - self.n_samples
        with (folder / "samples.i16").open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __reduce__(self) -> tuple[type["PackedCorpus"], tuple[Path, Path]]:
        return PackedCorpus, (self.folder, Path(self.report.folder))  # a worker process opens the map itself

    def gather(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Copy clips out of the map: (B, T) int16, padded with zeros to the longest, and (B,) int64 lengths."""
        samples = np.frombuffer(self._map, dtype="<i2")
        places = zip(self._starts[indices], self.n_samples[indices], strict=True)
        batch = padded([samples[start : start + length] for start, length in places])
        self._forget_pages()
        return batch

    def _forget_pages(self) -> None:
        """Keep the resident memory flat: what was read stays in the system's cache, not in ours."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def prepare(corpus: Corpus, root: Path | None, *, on_bad: str = "error") -> PackedCorpus:
    """Open the packed corpus, packing it first where that has not been done.

    ``root`` None is for corpora that are synthesised or listed. ``on_bad`` is "error" (stop and list every bad
    file) or "exclude" (go on without them, counted in the report).
    Raises: UserError, which lists everything that is wrong at once, and the remedy.
    """
    if on_bad not in ("error", "exclude"):
        raise UserError(f"data.on_bad={on_bad} is not known: use error or exclude")
    found = scan(corpus, _synthesised_root(corpus) if root is None and corpus.synthesise else root)
    meaning = (_FORMAT, SAMPLE_RATE_HZ, corpus.name, corpus.n_clips)
    folder = cache_root() / f"{corpus.name}-{content_digest(corpus.name, meaning, found)}"
    discard_if_damaged(folder)
    with _written_once(folder) as partial:
        if partial is not None:
            log.info("preparing %s: %d files of %s, once", corpus.title, len(found.files), found.folder)
            _pack(corpus, found, partial)
            if changed := changed_files(found):
                raise UserError(
                    f"{some(changed)} of {found.folder} changed while the corpus was read: "
                    "start again when nothing writes there any more"
                )
            write_checksums(partial)
    packed = PackedCorpus(folder, found.folder)
    if packed.report.bad and on_bad == "error":
        raise UserError(packed.report.complaint(_bad_list(corpus)))
    return packed


def discard_if_damaged(folder: Path, *, thorough: bool = False) -> bool:
    """Remove a packed corpus that is not what was packed, saying so. Returns whether it was.

    ``thorough`` compares all of its samples, where a start looks at some of them.
    """
    if not folder.is_dir() or not damage(folder, thorough=thorough):
        return False
    with _writing(folder), FileLock(folder.with_name(folder.name + ".lock")):
        problem = damage(folder, thorough=thorough) if folder.is_dir() else ""
        if problem:
            log.warning("%s is damaged (%s): it is packed anew", folder, problem)
            shutil.rmtree(folder)
    return True


def _bad_list(corpus: Corpus) -> Path:
    return cache_root() / f"{corpus.name}-bad-files.txt"


@contextmanager
def _written_once(folder: Path) -> Iterator[Path | None]:
    """Yield a folder to write in, renamed to ``folder`` afterwards; or None where ``folder`` is there already.

    Of several processes one writes and the others wait. What a killed one left behind is thrown away.
    """
    if folder.is_dir():
        yield None
        return
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if folder.is_dir():
                yield None
                return
            with folder_written_whole(folder) as partial:
                yield partial


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raises: UserError, with the remedy, where the cache cannot be written."""
    try:
        yield
    except OSError as error:
        remedy = "free room there, or set SER_CACHE to a directory that can be written"
        raise UserError(
            f"the cache {folder.parent} cannot be written ({error.strerror or error}): {remedy}"
        ) from error


def _synthesised_root(corpus: Corpus) -> Path:
    """The folder of a corpus that is made rather than found, made now where it is not there yet."""
    assert corpus.synthesise is not None
    root = cache_root() / f"{corpus.name}-{corpus.version}"
    with _written_once(root) as partial:
        if partial is not None:
            log.info("synthesising %d clips of %s, once", corpus.n_clips, corpus.title)
            corpus.synthesise(partial)
    return root


@dataclass(frozen=True)
class _Decoded:
    file: SourceFile
    sound: Sound | None  # None where the file is bad
    reason: str = ""
    unlike: tuple[str, ...] = ()  # files of the same name and size with other contents


def _decode(folder: Path, file: SourceFile) -> _Decoded:
    unlike = tuple(path for path in file.copies if not _same(folder / file.path, folder / path))
    try:
        return _Decoded(file, decode(folder / file.path), unlike=unlike)
    except UnreadableAudio as error:
        return _Decoded(file, None, reason=str(error), unlike=unlike)


def _same(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _decode_all(found: Scan) -> Iterator[_Decoded]:
    """Decode in parallel and in order, a few clips ahead. Threads do: libsndfile works outside Python's lock."""
    waiting: deque[tuple[Future[_Decoded], int]] = deque()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for file in track(found.files, "decoding"):
            while waiting and (len(waiting) >= _IN_FLIGHT or sum(size for _, size in waiting) > _IN_FLIGHT_BYTES):
                yield waiting.popleft()[0].result()
            waiting.append((pool.submit(_decode, found.folder, file), file.size_bytes))
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pack(corpus: Corpus, found: Scan, partial: Path) -> None:
    rows, copies, bad = [], [], list(found.bad)
    zeros_at_end: list[int] = []  # samples, of each row
    with (partial / "samples.i16").open("wb") as file:
        for clip in _decode_all(found):
            bad += [BadFile(path=path, reason=same_name(clip.file)) for path in clip.unlike]
            copies += [path for path in clip.file.copies if path not in clip.unlike]
            if clip.sound is None:
                bad.append(BadFile(path=clip.file.path, reason=clip.reason))
                continue
            samples = clip.sound.samples.astype("<i2", copy=False)
            file.write(samples.data)
            rows.append(_row(corpus, clip.file, clip.sound))
            zeros_at_end.append(len(samples) - (int(np.flatnonzero(samples)[-1]) + 1 if samples.any() else 0))
    manifest = Manifest(rows)
    report = Report(
        folder=str(found.folder),
        n_files=len(found.files) + sum(len(file.copies) for file in found.files) + len(found.bad),
        bad=tuple(bad),
        silent=tuple(row.id for row in rows if row.peak < SILENT_PEAK),
        duplicate_audio=duplicate_audio(manifest),
        n_missing=max(0, corpus.n_clips - len(found.files)),
        copies=tuple(copies),
        padded=_padded(rows, zeros_at_end),
        clipped=clipped(manifest),
        square_waves=square_waves(manifest),
    )
    if not rows:
        raise UserError(report.complaint(_bad_list(corpus)))
    manifest.write_csv(partial / "manifest.csv")
    report.write_json(partial / "report.json")


def _padded(rows: Sequence[Utterance], zeros_at_end: Sequence[int]) -> tuple[str, ...]:
    """Ids of clips that were brought to one length: many of just that length, sound in each, then zeros."""
    by_length = defaultdict(list)
    for row, n_zeros in zip(rows, zeros_at_end, strict=True):
        if n_zeros >= _PADDING_S * SAMPLE_RATE_HZ and row.peak >= SILENT_PEAK:
            by_length[row.n_samples].append(row.id)
    return tuple(id for ids in by_length.values() if len(ids) >= _MANY for id in ids)


def _row(corpus: Corpus, file: SourceFile, sound: Sound) -> Utterance:
    return Utterance(
        **asdict(file.facts),
        path=file.path,
        corpus=corpus.name,
        n_samples=len(sound.samples),
        duration_s=round(len(sound.samples) / SAMPLE_RATE_HZ, 4),
        audio_hash=hashlib.sha256(sound.samples.data).hexdigest()[:32],
        source_rate_hz=sound.source_rate_hz,
        source_channels=sound.source_channels,
        n_clipped=sound.n_clipped,
        peak=peak(sound.samples),
    )
