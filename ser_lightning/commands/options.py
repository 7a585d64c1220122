"""The arguments and options that several subcommands share, and the check of the files that options name."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ser_lightning.utils.errors import UserError

STDOUT = "-"

checkpoint_argument = click.argument("checkpoint", metavar="CKPT")
overrides_argument = click.argument("overrides", nargs=-1)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
device_option = click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, or cuda.")
trust_option = click.option(
    "--trust", is_flag=True, help="Run code that is not of this package, where the checkpoint names it."
)


_NO_TEXTS = {  # why an option's file cannot be printed
    "html": "a page is for a browser",
    "heat-map": "it is a picture",
    "output": "a model is no text",
}
_ENDINGS = {  # of files that an option may replace
    "csv": (".csv", ".tsv", ".txt"),
    "json": (".json", ".txt"),
    "jsonl": (".jsonl", ".ndjson", ".json", ".txt"),
    "markdown": (".md", ".markdown", ".txt"),
    "html": (".html", ".htm"),
    "heat-map": (".png",),
}


def check_places(places: Mapping[str, str], *, endings: Sequence[str] = ()) -> None:
    """Check that the files, by option, can be written, before any work is done; ``-`` is stdout.

    A file that is there is replaced where its name ends as those of its option do, or in one of ``endings``, and it
    is none of the files that a run consists of.
    Raises: UserError for the first that cannot.
    """
    if list(places.values()).count(STDOUT) > 1:
        raise UserError("only one of them can have stdout: name a file for the others")
    for option, what in _NO_TEXTS.items():
        if places.get(option) == STDOUT:
            raise UserError(f"--{option} needs the name of a file: {what}")
    options_of: dict[str, str] = {}
    for option, place in places.items():
        if place == STDOUT:
            continue
        fault = _fault(Path(place), endings or _ENDINGS.get(option, ())) if place else "names no file"
        if fault:
            raise UserError(f"--{option} {place} {fault}")
        other = options_of.setdefault(os.path.realpath(place), option)
        if other != option:
            raise UserError(f"--{option} {place} is where --{other} goes: name two files")


def _is_list(path: Path) -> bool:
    """Return whether a file's first line names the columns of a list that is trained on."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            names = {name.strip(' "\n').lower() for name in re.split("[,;\t|]", file.readline(100_000))}
    except OSError:
        return False
    return "path" in names and "duration_s" not in names  # which our own answers have


def _fault(path: Path, endings: Sequence[str]) -> str:
    """Say why a file may not be written, and what to do; nothing where it may."""
    folder = path.absolute().parent
    if path.is_dir():
        return "is a directory: name a file"
    if not folder.is_dir():
        return f"cannot be written: {path.parent} is {'no directory' if folder.exists() else 'not there'}"
    if path.is_file():
        from ser_lightning.runs.directory import is_record  # which takes OmegaConf

        if is_record(path):
            return "is part of a run, and stays as it is: name another file"
        if path.stat().st_size and endings and path.suffix.lower() not in endings:
            return f"is there, and its name does not end in {' or '.join(endings)}: name another file"
        if _is_list(path):
            return "is a list of clips, and stays as it is: name another file"
    if not os.access(path if path.exists() else folder, os.W_OK) or (
        path.is_file() and not os.access(folder, os.W_OK)
    ):
        return "may not be written by you: name a file elsewhere, or change its permissions"
    return ""
