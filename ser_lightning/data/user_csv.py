"""A user's own corpus: a CSV that lists the files, what each conveys, and who speaks."""

import os
import re
from collections import Counter
from pathlib import Path

from ser_lightning.data.corpora import Corpus, NameFacts
from ser_lightning.data.corpora.corpus import Listing
from ser_lightning.data.csv_table import read_table, refuse_faults
from ser_lightning.data.spelling import normalise, spelling_faults
from ser_lightning.errors import UserError
from ser_lightning.files import shared_folder

_NEEDED = ("path", "emotion", "speaker")
_OPTIONAL = ("sentence", "sex", "age", "intensity", "fold")
_OLDEST = 130  # years


def read_csv_corpus(path: Path) -> Corpus:
    """The corpus that a CSV describes.

    The columns ``path``, ``emotion`` and ``speaker`` are needed; ``sentence``, ``sex``, ``age`` in years,
    ``intensity`` and ``fold`` are read where they are there, others are left alone. Relative paths begin at the
    CSV's folder. A clip's id is its path without the ending, normalised as all names are; of absolute paths,
    without the folder that they share, which differs by machine.
    Raises: UserError that lists what is wrong with the file.
    """
    rows = read_table(path, needed=_NEEDED, optional=_OPTIONAL, as_written=("path",))
    if not rows:
        raise UserError(f"{path} lists no clip: add lines under its header")
    for _, row in rows:
        row["path"] = row["path"].replace("\\", "/")
    places = [normalise(row["path"]) for _, row in rows]  # as ids are made of them; files are opened as written
    faults = [f"line {line}: {fault}" for line, row in rows for fault in _faults(row)]
    faults += [
        f"{place} is listed {count} times" for place, count in Counter(places).items() if place and count > 1
    ]
    for kind in ("speaker", "emotion"):
        faults += spelling_faults((row[kind] for _, row in rows), kind)
    refuse_faults(path, faults)
    shared = shared_folder(places) if all(map(os.path.isabs, places)) else ""
    listing = {
        row["path"]: _facts(row, place.removeprefix(shared)) for (_, row), place in zip(rows, places, strict=True)
    }
    return Corpus(
        name=re.sub(r"\W+", "_", normalise(path.stem)).strip("_").lower() or "csv",
        title=path.name,
        n_speakers=len({facts.speaker for facts in listing.values()}),
        clips_by_label=dict(sorted(Counter(facts.emotion for facts in listing.values()).items())),
        audio_folder="",
        where_to_get=f"the list {path}",
        licence="the user's own",
        listing=Listing(folder=path.resolve().parent, files=listing),
    )


def _faults(row: dict[str, str]) -> list[str]:
    faults = [f"{name} is empty, or says nan" for name in _NEEDED if not row[name]]
    age = row.get("age", "")
    return faults if not age or _is_age(age) else [*faults, f"the age {age!r} is no number of years"]


def _is_age(text: str) -> bool:
    try:
        return 0 <= float(text) <= _OLDEST  # which NaN is not either
    except ValueError:
        return False


def _facts(row: dict[str, str], place: str) -> NameFacts:
    """``place`` is the path that the id is made of."""
    folder, _, name = place.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return NameFacts(
        id=f"{folder}/{stem}" if folder else stem,
        speaker=row["speaker"],
        emotion=row["emotion"],
        **{name: row.get(name, "") for name in _OPTIONAL},
    )
