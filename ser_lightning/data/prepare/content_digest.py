"""Hash the contents of a corpus's files, without reading all of them at every start.

The hashes are kept under what the file system says of the files: where they lie, inodes, sizes, times of
modification and of change. Where any of that is new (a copy, a moved folder, a file system or a container that has
other inodes at every start), the files are read once more. What a list says of them plays no part. A file that
could not be read has no hash, and is tried again at every start.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

from ser_lightning.data.prepare.scan import Scan
from ser_lightning.utils.cores import usable_cores
from ser_lightning.utils.files import alone, cache_root, written_whole

_DIGITS = 16  # of a digest, hexadecimal
_BYTES = 16  # of a file's hash
_HASH = re.compile(f"[0-9a-f]{{{2 * _BYTES}}}")  # nothing else in the cache is taken for one

log = logging.getLogger(__name__)


def content_hashes(scanned: Scan, *, before_reading: Callable[[], None]) -> dict[str, str]:
    """Return the hash of the contents of every file that can be read, by its path in ``scanned.states``.

    ``before_reading`` is called where they are not kept, and all files are going to be read.
    """
    real_folder = cache(lambda folder: os.path.realpath(scanned.folder / folder))
    lies_at = {}  # however it is spelt, and whatever links it goes through
    for path in scanned.states:
        folder, name = os.path.split(path)
        lies_at[path] = os.path.join(real_folder(folder), name)
    states = {lies_at[path]: state for path, state in scanned.states.items()}
    places = sorted(states)
    file = cache_root() / "digests" / digest_of((place, states[place]) for place in places)
    hashes = _read(file, len(places))
    if hashes is None:
        before_reading()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            waiting = "another process is reading the files of %s: waiting for it"
            lock = file.with_name(f"{file.name}.lock")
            with alone(lock, on_wait=lambda: log.info(waiting, scanned.folder)):
                hashes = _read(file, len(places))
                if hashes is None:
                    hashes = _hash_files(scanned.folder, places)
                    with written_whole(file) as written:
                        json.dump(hashes, written)
        except OSError:  # a cache that can be read and not written
            hashes = _hash_files(scanned.folder, places)
    by_place = {place: known or _hash_file(Path(place)) for place, known in zip(places, hashes, strict=True)}
    return {path: content for path, place in lies_at.items() if (content := by_place[place])}


def digest_of(facts: Iterable[object]) -> str:
    """Return 16 hexadecimal digits that stand for these values, in their order."""
    return hashlib.sha256("\n".join(map(repr, facts)).encode(errors="surrogateescape")).hexdigest()[:_DIGITS]


def _read(file: Path, n_files: int) -> list[str | None] | None:
    """Return the hashes that a file keeps; None where it is not there, or lost its text when the machine went down.

    Among them, None is the hash of a file that could not be read.
    """
    try:
        hashes = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(hashes, list) or len(hashes) != n_files:
        return None
    return [known if isinstance(known, str) and _HASH.fullmatch(known) else None for known in hashes]


def _hash_files(folder: Path, places: list[str]) -> list[str | None]:
    """Read all files and return the hashes of their contents, saying so."""
    log.info("reading %d files of %s to compare their contents with what is in the cache", len(places), folder)
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(_hash_file, map(Path, places)))


def _hash_file(path: Path) -> str | None:
    """Return the hash of a file's contents; None where it cannot be read, which decoding gives the reason for."""
    try:
        if path.is_file():  # a pipe would be waited for, a device read without end
            with path.open("rb") as file:
                return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=_BYTES)).hexdigest()
    except OSError:
        pass
    return None
