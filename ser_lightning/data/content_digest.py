"""Name a corpus by the contents of its files, without reading all of them at every start.

The digest of the contents is kept under what the file system says of the files: folder, inodes, sizes, times of
modification and of change. Where any of that is new (a copy, a moved folder, a file system or a container that has
other inodes at every start), the files are read once more, and not packed again unless their contents are new.
"""

import hashlib
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from ser_lightning.data.scan import Scan
from ser_lightning.files import cache_root, written_whole

_DIGITS = 16  # of a digest, hexadecimal
_BLOCK_BYTES = 1 << 20

log = logging.getLogger(__name__)


def content_digest(name: str, meaning: object, found: Scan) -> str:
    """Return a digest of the files' contents, and of what their names were read to mean.

    Args:
        name: of the corpus.
        meaning: what else decides how the files are packed.
        found: the files.
    """
    facts = [meaning, *found.files, *found.bad]
    states = [str(found.folder.resolve()), *sorted(found.states.items())]
    place = cache_root() / "digests" / f"{name}-{_hash_of([*facts, *states])}"
    if (digest := _read(place)) is not None:
        return digest
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(f"{name}.lock")):  # of processes started together one reads the files
            if (digest := _read(place)) is None:
                digest = _hash_of([*facts, *_contents(found)])
                with written_whole(place) as file:
                    file.write(digest)
            return digest
    except OSError:  # a cache that can be read and not written
        return _hash_of([*facts, *_contents(found)])


def _hash_of(facts: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(map(repr, facts)).encode()).hexdigest()[:_DIGITS]


def _read(place: Path) -> str | None:
    """None where it is not there, or lost its text when the machine went down."""
    text = place.read_text(encoding="utf-8") if place.is_file() else ""
    return text if len(text) == _DIGITS else None


def _contents(found: Scan) -> list[tuple[str, str]]:
    """Path and hash of every file."""
    paths = sorted(found.states)
    log.info("checking %d files of %s: they are new, moved or changed", len(paths), found.folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(zip(paths, pool.map(_hash_file, (found.folder / path for path in paths)), strict=True))


def _hash_file(path: Path) -> str:
    if not path.is_file():  # a pipe would be waited for, a device read without end; decoding will name it
        return "no file"
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:  # decoding will name it
        return type(error).__name__
    return digest.hexdigest()
