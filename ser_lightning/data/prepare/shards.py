"""Divide a corpus into parts that several jobs decode, and join them.

A part is a folder beside the one that it becomes part of, and like it, with a stretch of its sounds::

    sounds-0ad0ee78c818356b.part-3-of-8
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ser_lightning.data.prepare.packing import SAMPLES, SOUNDS
from ser_lightning.data.prepare.scan import SourceFile

_NAME = re.compile(r"part-\d+-of-(\d+)")


def part_folder(folder: Path, number: int, n_parts: int) -> Path:
    """Return where one of ``n_parts``, counted from 1, of a packed corpus lies."""
    return folder.with_name(f"{folder.name}.part-{number}-of-{n_parts}")


def stretch(files: Sequence[SourceFile], number: int, n_parts: int) -> Sequence[SourceFile]:
    """Return the files of one part, a stretch of all files in their order."""
    return files[len(files) * (number - 1) // n_parts : len(files) * number // n_parts]


def parts_begun(folder: Path) -> int:
    """Return into how many parts jobs have divided a corpus, by most of the parts there are; 0 where none has."""
    matches = [_NAME.fullmatch(path.name.rpartition(".")[2]) for path in _parts(folder)]
    numbers = [int(match[1]) for match in matches if match]
    return max(set(numbers), key=lambda n_parts: (numbers.count(n_parts), n_parts), default=0)


def join(parts: Sequence[Path], target: Path) -> None:
    """Write into ``target`` what decoding all files in one job would have."""
    with (target / SAMPLES).open("wb") as samples, (target / SOUNDS).open("wb") as table:
        for number, part in enumerate(parts):
            with (part / SAMPLES).open("rb") as file:
                shutil.copyfileobj(file, samples, 1 << 24)
            with (part / SOUNDS).open("rb") as rows:
                header = rows.readline()
                table.write(b"" if number else header)
                shutil.copyfileobj(rows, table)


def remove_parts(folder: Path) -> None:
    """Remove all parts of a corpus, which are joined now."""
    for path in _parts(folder):
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def _parts(folder: Path) -> list[Path]:
    return [path for path in folder.parent.glob(f"{folder.name}.part-*-of-*") if path.is_dir()]
