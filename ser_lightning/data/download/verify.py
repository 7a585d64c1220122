"""Check that a file on disk is the one that was published."""

import hashlib
from functools import partial
from pathlib import Path

from ser_lightning.data.corpora.corpus import RemoteFile
from ser_lightning.data.download.errors import Spoilt

_SHORTEST_DIGEST = 32  # hexadecimal digits: 128 bits


def verify(path: Path, file: RemoteFile) -> None:
    """Compare size and checksum, as far as they are known.

    Raises: Spoilt where they differ, or where the file is empty.
    """
    size_bytes = path.stat().st_size
    if file.size_bytes is not None and size_bytes != file.size_bytes:
        raise Spoilt(f"gives {size_bytes} bytes instead of {file.size_bytes}")
    if size_bytes == 0 and file.size_bytes is None:
        raise Spoilt("gives an empty file")
    if file.digest is not None and not _has_digest(path, file.digest):
        raise Spoilt("gives other content (wrong checksum)")


def _has_digest(path: Path, digest: str) -> bool:
    algorithm, _, expected = digest.partition(":")
    assert len(expected) >= _SHORTEST_DIGEST, digest
    with path.open("rb") as file:
        found = hashlib.file_digest(file, partial(hashlib.new, algorithm, usedforsecurity=False))
    return found.hexdigest().startswith(expected.lower())
