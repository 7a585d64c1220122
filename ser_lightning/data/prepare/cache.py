"""Decode a corpus once into one int16 memory map that every later run opens at once.

The packed sounds are a folder under the cache, named by a digest of the contents of the files that went in::

    samples.i16     all sounds one after another, 16 kHz mono, little-endian
    sounds.csv      one row a file content: its hash, and what decoding found, in that order
    checksums.json  of these files, the samples by block

What a list or a file name says of a sound (speaker, emotion, fold, path) is not in it, so changing that packs
nothing again. It is written beside and renamed, under a lock: it is complete or not there. What was damaged
since is packed anew. Several jobs can decode a part each: see `shards`.
"""

import logging
import math
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from ser_lightning.data.corpora import Corpus, NameFacts
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.prepare.checksums import damage, write_checksums
from ser_lightning.data.prepare.coded import NEEDS_PACKAGE, coded_decoder
from ser_lightning.data.prepare.content_digest import content_hashes, digest_of
from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ, SILENT_PEAK, UnreadableAudio, decode
from ser_lightning.data.prepare.long_files import refuse_long, refuse_long_files
from ser_lightning.data.prepare.packed_corpus import PackedCorpus
from ser_lightning.data.prepare.packing import PackedSound, decode_into, files_to_decode, read_sounds
from ser_lightning.data.prepare.preparation_report import Report, clipped, duplicate_audio, square_waves
from ser_lightning.data.prepare.resampling import QUALITY
from ser_lightning.data.prepare.scan import BadFile, Scan, SourceFile, changed_files, same_name, scan
from ser_lightning.data.prepare.shards import join, part_folder, parts_begun, remove_parts, stretch
from ser_lightning.utils.errors import UserError, check_choice, some
from ser_lightning.utils.files import alone, cache_root, folder_written_whole, writable

_PLAIN = frozenset(".wav .flac .ogg .opus .mp3 .aif .aiff .au .caf .sph".split())  # libsndfile decodes them
_FORMAT = 5  # raised whenever the same files would be packed into other bytes
_MANY, _PADDING_S = 10, 0.05  # clips of one length, each with so many seconds of zeros at its end, were padded

_FACTS = tuple(field.name for field in fields(NameFacts))

log = logging.getLogger(__name__)


def prepare(corpus: Corpus, root: Path | None, *, on_bad: str = "error") -> PackedCorpus:
    """Find the files of a corpus and open it packed: see `find` and `pack`."""
    return pack(corpus, find(corpus, root), on_bad=on_bad)


def find(corpus: Corpus, root: Path | None, *, setting: str = "data.root") -> Scan:
    """List the files of a corpus; one that is synthesised is made first, where that has not been done.

    ``root`` None is for corpora that are synthesised or listed; ``setting`` is where it was given.
    Raises: UserError as `scan`.
    """
    if root is None and corpus.synthesise is not None:
        root = cache_root() / f"{corpus.name}-{corpus.version}"
        with _written_once(root) as partial:
            if partial is not None:
                log.info("synthesising %d clips of %s, once", corpus.n_clips, corpus.title)
                corpus.synthesise(partial)
    return scan(corpus, root, setting=setting)


def undecoded(corpus: Corpus, scanned: Scan) -> PackedCorpus:
    """Return a corpus as its file names or its list describe it, without any sound."""
    manifest = Manifest(_row(corpus, file, PackedSound(content="")) for file in scanned.files)
    report = Report(folder=str(scanned.folder), n_files=len(scanned.files) + len(scanned.bad), bad=scanned.bad)
    return PackedCorpus(None, manifest, report, np.zeros(len(manifest), dtype=np.int64))


def pack(corpus: Corpus, scanned: Scan, *, on_bad: str = "error", refused_from_s: float = math.inf) -> PackedCorpus:
    """Open the packed corpus, packing it first where that has not been done.

    ``on_bad`` is "error" (stop and list every bad file) or "exclude" (go on without them, counted in the report).
    Clips that are longer than ``refused_from_s`` are an error, before anything is read where headers tell.
    Raises: UserError, which lists everything that is wrong at once, and the remedy.
    """
    check_choice("data.", ("error", "exclude"), on_bad=on_bad)
    scanned, contents = _with_contents(corpus, scanned, refused_from_s)
    folder = _packed_folder(scanned, contents)
    with _written_once(folder) as partial:
        if partial is not None:
            log.info("preparing %s: %d files of %s, once", corpus.title, len(scanned.files), scanned.folder)
            if n_parts := parts_begun(folder):  # other jobs decoded some of them; what is lacking is decoded now
                numbers = range(1, n_parts + 1)
                join([_packed_part(scanned, contents, folder, number, n_parts) for number in numbers], partial)
            else:
                decode_into(partial, scanned.folder, files_to_decode(scanned, contents), contents)
            sounds = read_sounds(partial)
            if all(sound.reason for _, sound in sounds.values()):
                report = _describe(corpus, scanned, contents, sounds)[1]
                raise UserError(report.complaint(bad_list(corpus)))
            _refuse_changed(scanned)
            write_checksums(partial)
    remove_parts(folder)
    sounds = read_sounds(folder)
    if coded_decoder() and any(NEEDS_PACKAGE in sound.reason for _, sound in sounds.values()):  # it is there since
        with _locked(folder):
            shutil.rmtree(folder, ignore_errors=True)
        return pack(corpus, scanned, on_bad=on_bad, refused_from_s=refused_from_s)
    manifest, report, starts = _describe(corpus, scanned, contents, sounds)
    if report.bad and on_bad == "error":
        raise UserError(report.complaint(bad_list(corpus)))
    refuse_long(corpus, [(row.id, row.duration_s) for row in manifest], refused_from_s)
    return PackedCorpus(folder, manifest, report, starts)


def pack_part(corpus: Corpus, scanned: Scan, number: int, n_parts: int, *, refused_from_s: float = math.inf) -> int:
    """Decode one of ``n_parts`` of a corpus, counted from 1, for `pack` to join; return how many files it has.

    Any order will do, and several at a time; nothing is done where the part or the corpus is there already.
    Raises: UserError for clips longer than ``refused_from_s``; of unusable files, `pack` tells.
    """
    scanned, contents = _with_contents(corpus, scanned, refused_from_s)
    folder = _packed_folder(scanned, contents)
    if not folder.is_dir():
        _packed_part(scanned, contents, folder, number, n_parts)
    return len(stretch(files_to_decode(scanned, contents), number, n_parts))


def _with_contents(corpus: Corpus, scanned: Scan, refused_from_s: float) -> tuple[Scan, dict[str, str]]:
    """Return the scan with what cannot be read among the bad files, and the hash of each other file's contents.

    What can be read is decided anew at every start: a share may be back, or permission given.
    """
    contents = content_hashes(scanned, before_reading=lambda: refuse_long_files(corpus, scanned, refused_from_s))
    files, bad = [], list(scanned.bad)
    for file in scanned.files:
        paths = (file.path, *file.copies)
        readable = [path for path in paths if path in contents]
        bad += [_unreadable(scanned.folder, path, file.line) for path in paths if path not in contents]
        if readable:
            files.append(replace(file, path=readable[0], copies=tuple(readable[1:])))
    return replace(scanned, files=tuple(files), bad=tuple(bad)), contents


def _unreadable(folder: Path, path: str, line: int) -> BadFile:
    """Say why a file cannot be read. Raises: UserError where it can be by now."""
    try:
        decode(folder / path)
    except UnreadableAudio as error:
        return BadFile(path=path, reason=str(error), line=line)
    raise UserError(f"{path} of {folder} could not be read a moment ago, and can be now: start again")


def _packed_part(scanned: Scan, contents: Mapping[str, str], folder: Path, number: int, n_parts: int) -> Path:
    """Return one of ``n_parts`` of the packed corpus ``folder``, decoded now where it is not there."""
    part = part_folder(folder, number, n_parts)
    discard_if_damaged(part, thorough=True)
    with _written_once(part) as partial:
        if partial is not None:
            files = stretch(files_to_decode(scanned, contents), number, n_parts)
            decode_into(partial, scanned.folder, files, contents)
            _refuse_changed(scanned)
            write_checksums(partial)
    return part


def _refuse_changed(scanned: Scan) -> None:
    """Raise UserError where files changed since they were scanned: their hashes are of other contents."""
    if changed := changed_files(scanned):
        raise UserError(
            f"{some(changed)} of {scanned.folder} changed while the corpus was read: "
            "start again when nothing writes there any more"
        )


def _packed_folder(scanned: Scan, contents: Mapping[str, str]) -> Path:
    """Return where the packed sounds are or will be, named by all that they depend on; damaged ones are removed.

    Sounds from before soxr did the resampling are taken where none was resampled.
    """
    plain = all(os.path.splitext(file.path)[1].lower() in _PLAIN for file in scanned.files)
    decoder = "" if plain else coded_decoder()  # of files that libsndfile may not decode, where there are any
    facts = [_FORMAT, SAMPLE_RATE_HZ, decoder, *sorted({contents[file.path] for file in scanned.files})]
    before_soxr = cache_root() / f"sounds-{digest_of(facts)}"
    if before_soxr.is_dir() and not discard_if_damaged(before_soxr):
        rates = {sound.source_rate_hz for _, sound in read_sounds(before_soxr).values() if not sound.reason}
        if rates == {SAMPLE_RATE_HZ}:
            return before_soxr
    folder = cache_root() / f"sounds-{digest_of(['soxr', QUALITY, *facts])}"
    discard_if_damaged(folder)
    return folder


def discard_if_damaged(folder: Path, *, thorough: bool = False) -> bool:
    """Remove a packed corpus that is not what was packed, saying so. Returns whether it was.

    ``thorough`` compares all of its samples, where a start looks at some of them.
    """
    if not folder.is_dir() or not damage(folder, thorough=thorough):
        return False
    with _locked(folder):
        problem = damage(folder, thorough=thorough) if folder.is_dir() else ""
        if problem:
            log.warning("%s is damaged (%s): it is packed anew", folder, problem)
            shutil.rmtree(folder)
    return True


def bad_list(corpus: Corpus) -> Path:
    """Return where all unusable files are listed, if a message cannot name them."""
    return cache_root() / f"{corpus.name}-bad-files.txt"


@contextmanager
def _written_once(folder: Path) -> Iterator[Path | None]:
    """Yield a folder to write in, renamed to ``folder`` afterwards; or None where ``folder`` is there already.

    Of several processes one writes and the others wait. What a killed one left behind is thrown away.
    """
    if not folder.is_dir():
        with _locked(folder):
            if not folder.is_dir():
                with folder_written_whole(folder) as partial:
                    yield partial
                return
    yield None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder in the cache. Raises: UserError, with the remedy, where nothing can be written."""
    remedy = "free room there, or set SER_CACHE to a directory that can be written"
    waiting = "another process is preparing %s: waiting for it"
    with writable(f"the cache {folder.parent}", remedy):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder.with_name(folder.name + ".lock"), on_wait=lambda: log.info(waiting, folder.name)):
            yield


def _describe(
    corpus: Corpus, scanned: Scan, contents: Mapping[str, str], sounds: Mapping[str, tuple[int, PackedSound]]
) -> tuple[Manifest, Report, np.ndarray]:
    """Join what names or a list say of the files with what decoding found: manifest, report, (N,) int64 starts."""
    rows, starts, copies, bad = [], [], [], list(scanned.bad)
    ending_in_zeros = defaultdict(list)  # ids of clips that are not silent, by their number of samples
    for file in scanned.files:
        same = [path for path in file.copies if contents[path] == contents[file.path]]
        copies += same
        bad += [BadFile(path=path, reason=same_name(file)) for path in file.copies if path not in same]
        start, sound = sounds[contents[file.path]]
        if sound.reason:
            bad.append(BadFile(path=file.path, reason=sound.reason, line=file.line))
            continue
        row = _row(corpus, file, sound)
        rows.append(row)
        starts.append(start)
        if sound.n_zeros >= _PADDING_S * SAMPLE_RATE_HZ and row.peak >= SILENT_PEAK:
            ending_in_zeros[row.n_samples].append(row.id)
    manifest = Manifest(rows)
    n_missing = 0  # clips that a list names and that are not there are bad files
    if not corpus.listing:
        n_by_label = Counter(file.facts.emotion for file in scanned.files)
        for label, n_clips in corpus.clips_by_label.items():  # too many of one label make up for none of another
            n_missing += max(0, (n_clips or 0) - n_by_label[label])
    report = Report(
        folder=str(scanned.folder),
        n_files=len(scanned.files) + sum(len(file.copies) for file in scanned.files) + len(scanned.bad),
        bad=tuple(bad),
        silent=tuple(row.id for row in rows if row.peak < SILENT_PEAK),
        duplicate_audio=duplicate_audio(manifest),
        n_missing=n_missing,
        copies=tuple(copies),
        padded=tuple(id for ids in ending_in_zeros.values() if len(ids) >= _MANY for id in ids),
        clipped=clipped(manifest),
        square_waves=square_waves(manifest),
    )
    return manifest, report, np.array(starts, dtype=np.int64)


def _row(corpus: Corpus, file: SourceFile, sound: PackedSound) -> Utterance:
    """Return the manifest's row of a file."""
    return Utterance(
        **{name: getattr(file.facts, name) for name in _FACTS},
        path=file.path,
        corpus=corpus.name,
        n_samples=sound.n_samples,
        duration_s=round(sound.n_samples / SAMPLE_RATE_HZ, 4),
        audio_hash=sound.audio_hash,
        source_rate_hz=sound.source_rate_hz,
        source_channels=sound.source_channels,
        n_clipped=sound.n_clipped,
        peak=sound.peak,
    )
