"""A user's own corpus: a CSV that lists the files, what each conveys, and who speaks."""

import csv
import os
import re
from collections import Counter
from pathlib import Path

from ser_lightning.data.corpora import Corpus, NameFacts
from ser_lightning.data.corpora.corpus import Listing
from ser_lightning.errors import UserError
from ser_lightning.files import shared_folder

_NEEDED = ("path", "emotion", "speaker")
_OPTIONAL = ("sentence", "sex", "age", "intensity", "fold")
_OLDEST = 130  # years
_NAMED = 10  # faulty lines a message names


def read_csv_corpus(path: Path) -> Corpus:
    """The corpus that a CSV describes.

    The columns ``path``, ``emotion`` and ``speaker`` are needed; ``sentence``, ``sex``, ``age`` in years,
    ``intensity`` and ``fold`` are read where they are there, others are left alone. Relative paths begin at the
    CSV's folder. A clip's id is its path without the ending; of absolute paths, without the folder that they share,
    which differs by machine.
    Raises: UserError that lists what is wrong with the file.
    """
    rows = _rows(path)
    faults = [f"line {line}: {fault}" for line, row in rows for fault in _faults(row)]
    paths = Counter(row["path"] for _, row in rows)
    faults += [f"{name} is listed {count} times" for name, count in paths.items() if count > 1]
    spellings = {row["emotion"] for _, row in rows}
    faults += [f"{name} is also written otherwise" for name in spellings if _spelt_otherwise(name, spellings)]
    if faults:
        more = f"\n  and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise UserError(f"{path} cannot be used:\n  " + "\n  ".join(faults[:_NAMED]) + more)
    places = [row["path"] for _, row in rows]
    shared = shared_folder(places) if all(map(os.path.isabs, places)) else ""
    listing = {row["path"]: _facts(row, shared) for _, row in rows}
    return Corpus(
        name=re.sub(r"\W+", "_", path.stem).strip("_").lower() or "csv",
        title=path.name,
        n_speakers=len({facts.speaker for facts in listing.values()}),
        clips_by_label=dict(sorted(Counter(facts.emotion for facts in listing.values()).items())),
        audio_folder="",
        where_to_get=f"the list {path}",
        licence="the user's own",
        listing=Listing(folder=path.resolve().parent, files=listing),
    )


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Every row with its line number, its cells stripped."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(",;\t", key=header.count))
            names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            _check_header(path, names)
            rows = [(reader.line_num, _cleaned(row)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
        raise UserError(
            f"data.manifest={path} cannot be read ({why}): give a CSV with the columns {', '.join(_NEEDED)}"
        ) from error
    if not rows:
        raise UserError(f"{path} lists no clip: add lines under its header")
    return rows


def _check_header(path: Path, names: list[str]) -> None:
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise UserError(
            f"{path} lacks the column {' and '.join(missing)}: its first line must name {', '.join(_NEEDED)} "
            f"(and may name {', '.join(_OPTIONAL)}); it names {', '.join(names) or 'nothing'}"
        )


def _cleaned(row: dict[str | None, str | list[str] | None]) -> dict[str, str]:
    """Cells without blanks around them; a path with forward slashes."""
    cells = {name: (cell or "").strip() for name, cell in row.items() if name and not isinstance(cell, list)}
    return cells | {"path": cells["path"].replace("\\", "/")}


def _faults(row: dict[str, str]) -> list[str]:
    faults = [f"{name} is empty" for name in _NEEDED if not row[name]]
    age = row.get("age", "")
    return faults if not age or _is_age(age) else [*faults, f"the age {age!r} is no number of years"]


def _is_age(text: str) -> bool:
    try:
        return 0 <= float(text) <= _OLDEST
    except ValueError:
        return False


def _spelt_otherwise(name: str, names: set[str]) -> bool:
    return name != name.lower() and name.lower() in {other.lower() for other in names - {name}}


def _facts(row: dict[str, str], shared: str) -> NameFacts:
    folder, _, name = row["path"].removeprefix(shared).rpartition("/")
    stem = name.rpartition(".")[0] or name
    return NameFacts(
        id=f"{folder}/{stem}" if folder else stem,
        speaker=row["speaker"],
        emotion=row["emotion"],
        **{name: row.get(name, "") for name in _OPTIONAL},
    )
