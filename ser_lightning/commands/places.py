"""Where a command's results are to go: files by their names, ``-`` for stdout."""

from collections.abc import Mapping
from pathlib import Path

from ser_lightning.utils.errors import UserError

STDOUT = "-"


def check_places(places: Mapping[str, str]) -> None:
    """Raises: UserError for a place that cannot be written to, before any work is done."""
    if list(places.values()).count(STDOUT) > 1:
        raise UserError("only one of them can have stdout: name a file for the others")
    if places.get("html") == STDOUT:
        raise UserError("--html needs the name of a file: a page is for a browser")
    for kind, place in places.items():
        if place == STDOUT:
            continue
        if Path(place).is_dir():
            raise UserError(f"--{kind} {place} is a directory: name a file")
        if not Path(place).absolute().parent.is_dir():
            raise UserError(f"--{kind} {place} cannot be written: {Path(place).parent} is not there")
