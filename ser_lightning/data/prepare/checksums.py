"""Check that a packed corpus is what was packed: sizes and checksums of files, the samples' by block.

A cache on a failing disk, cut short or half of zeros, would train without a word, and to other numbers.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

from ser_lightning.data.prepare.packing import SAMPLES, SOUNDS

_SUMS = "checksums.json"
_BLOCK_BYTES = 1 << 20
_AT_START = 16  # blocks that every start compares, the first, the last and those between at equal distances


def write_checksums(folder: Path) -> None:
    """Write the checksums of the files of a packed folder, those of the samples by block."""
    n_bytes = (folder / SAMPLES).stat().st_size
    blocks = _block_sums(folder, range(-(-n_bytes // _BLOCK_BYTES)))
    sums = {"bytes": n_bytes, "blocks": blocks, SOUNDS: _sounds_digest(folder)}
    (folder / _SUMS).write_text(json.dumps(sums), encoding="utf-8")


def damage(folder: Path, *, thorough: bool) -> str:
    """Return what is wrong with a packed folder; nothing where it is as it was written.

    ``thorough`` compares every block of the samples, else a few of them.
    """
    try:
        sums = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        n_blocks, n_bytes = len(sums["blocks"]), (folder / SAMPLES).stat().st_size
        if n_bytes != sums["bytes"]:
            return f"{SAMPLES} has {n_bytes:,} of {sums['bytes']:,} bytes"
        if _sounds_digest(folder) != sums[SOUNDS]:
            return f"{SOUNDS} was changed"
        n_looked_at = n_blocks if thorough else min(n_blocks, _AT_START)
        blocks = sorted({round(i * (n_blocks - 1) / max(1, n_looked_at - 1)) for i in range(n_looked_at)})
        measured = zip(blocks, _block_sums(folder, blocks), strict=True)
        n_wrong = sum(value != sums["blocks"][block] for block, value in measured)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{_SUMS} cannot be read ({error})"
    return f"{n_wrong} of {len(blocks)} blocks of {SAMPLES} were changed" if n_wrong else ""


def _block_sums(folder: Path, blocks: Sequence[int]) -> list[int]:
    """Return the CRC-32 of these blocks of the samples."""
    with (folder / SAMPLES).open("rb") as file:
        sums = []
        for block in blocks:
            file.seek(block * _BLOCK_BYTES)
            sums.append(zlib.crc32(file.read(_BLOCK_BYTES)))
        return sums


def _sounds_digest(folder: Path) -> str:
    return hashlib.blake2b((folder / SOUNDS).read_bytes(), digest_size=16).hexdigest()
