"""Checks that a packed corpus is what was packed: sizes and checksums of files, the samples' by block.

A cache on a failing disk, cut short or half of zeros, would train without a word, and to other numbers.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

_SUMS = "checksums.json"
_SAMPLES = "samples.i16"
_SOUNDS = "sounds.csv"
_BLOCK_BYTES = 1 << 20
_AT_START = 16  # blocks that every start compares, the first, the last and those between at equal distances


def write_checksums(folder: Path) -> None:
    """Write down what the files of a folder are, the samples block by block."""
    n_bytes = (folder / _SAMPLES).stat().st_size
    blocks = _block_sums(folder, range(-(-n_bytes // _BLOCK_BYTES)))
    sums = {"bytes": n_bytes, "blocks": blocks, **_file_sums(folder)}
    (folder / _SUMS).write_text(json.dumps(sums), encoding="utf-8")


def damage(folder: Path, *, thorough: bool) -> str:
    """Return what is wrong with a folder; nothing where it is as it was written.

    ``thorough`` compares every block of the samples, else a few of them.
    """
    try:
        sums = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        n_blocks, n_bytes = len(sums["blocks"]), (folder / _SAMPLES).stat().st_size
        if n_bytes != sums["bytes"]:
            return f"{_SAMPLES} has {n_bytes:,} of {sums['bytes']:,} bytes"
        for name, digest in _file_sums(folder).items():
            if digest != sums[name]:
                return f"{name} was changed"
        n_looked_at = n_blocks if thorough else min(n_blocks, _AT_START)
        blocks = sorted({round(i * (n_blocks - 1) / max(1, n_looked_at - 1)) for i in range(n_looked_at)})
        measured = zip(blocks, _block_sums(folder, blocks), strict=True)
        n_wrong = sum(value != sums["blocks"][block] for block, value in measured)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{_SUMS} cannot be read ({error})"
    return f"{n_wrong} of {len(blocks)} blocks of {_SAMPLES} were changed" if n_wrong else ""


def _block_sums(folder: Path, blocks: Sequence[int]) -> list[int]:
    with (folder / _SAMPLES).open("rb") as file:
        sums = []
        for block in blocks:
            file.seek(block * _BLOCK_BYTES)
            sums.append(zlib.crc32(file.read(_BLOCK_BYTES)))
        return sums


def _file_sums(folder: Path) -> dict[str, str]:
    return {_SOUNDS: hashlib.blake2b((folder / _SOUNDS).read_bytes(), digest_size=16).hexdigest()}
