"""Check that a file on disk is the one that was published."""

import hashlib
from functools import partial
from pathlib import Path

from ser_lightning.data.corpora.corpus import RemoteFile
from ser_lightning.data.download.errors import Corrupt

_SHORTEST_DIGEST = 32  # hexadecimal digits: 128 bits


def verify(path: Path, file: RemoteFile) -> None:
    """Compare a file's size and checksum with the published ones, as far as they are known.

    Raises: Corrupt where they differ, or where the file is empty.
    """
    size_bytes = path.stat().st_size
    if file.size_bytes is not None and size_bytes != file.size_bytes:
        raise Corrupt(f"gives {size_bytes} bytes instead of {file.size_bytes}")
    if size_bytes == 0 and file.size_bytes is None:
        raise Corrupt("gives an empty file")
    if file.digest is not None:
        algorithm, _, expected = file.digest.partition(":")
        assert len(expected) >= _SHORTEST_DIGEST, file.digest
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, partial(hashlib.new, algorithm, usedforsecurity=False))
        if not digest.hexdigest().startswith(expected.lower()):
            raise Corrupt("gives other content (wrong checksum)")
