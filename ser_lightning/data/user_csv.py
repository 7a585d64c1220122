"""Reads a user's own corpus: a CSV with the path, emotion and speaker of each clip."""

import logging
import math
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ser_lightning.data.corpora import Corpus, NameFacts
from ser_lightning.data.corpora.corpus import Listing
from ser_lightning.data.csv_table import (
    NAMED,
    NOTHING,
    as_number,
    column_faults,
    decimal_faults,
    read_table,
    refuse_faults,
    repetitions,
)
from ser_lightning.data.manifest import UNKNOWN_SPEAKER
from ser_lightning.data.spelling import list_name, normalise, spelling_faults
from ser_lightning.data.splits.fold_names import folds_by_number, parts_by_name
from ser_lightning.data.votes import PREFIX, Votes, is_votes_table, vote_faults, votes_of
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import other_ending, shared_folder

log = logging.getLogger(__name__)
_OPTIONAL = ("sentence", "sex", "age", "intensity", "fold")
_NOBODY = (*NOTHING, "unknown speaker")  # in any case; "Na" and "Nan" may be names
_NO_EMOTION = tuple(name for name in NOTHING if name not in ("unknown", "unk", "none"))  # these may be labels
_INITIALS = re.compile("[A-Z]{2}")
# Columns that say where in a file a clip is; an end or a duration alone may be that of the file.
_TIMES = re.compile(r"(^|[\W_])(start|begin|onset|offset|end|stop|duration|tmin|tmax)(time)?s?($|[\W_])")
_BEGINNINGS = ("start", "begin", "onset", "offset", "tmin")
_EMPTY = "is empty, or says nan: write a word, or remove the line"
_CUT_FIRST = "if clips are parts of files, cut these first"
_OLDEST = 130  # years
_SEXES = {
    "male": ("m", "male", "man", "boy", "männlich", "mann", "homme", "hombre"),
    "female": ("f", "w", "female", "woman", "girl", "weiblich", "frau", "femme", "mujer"),
}
_SEX_OF = {name: sex for sex, names in _SEXES.items() for name in names}

Rows = Sequence[tuple[int, dict[str, str]]]  # the number of a line, and its cells by column


def read_csv_corpus(
    path: Path,
    *,
    folds: bool = False,
    emotions: bool = True,
    targets: Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Corpus:
    """Return the corpus that a CSV describes.

    The columns ``path``, ``emotion`` and ``speaker`` are needed; ``sentence``, ``sex``, ``age`` in years,
    ``intensity``, ``fold`` and votes (``votes.anger``, …) are read where they are there, others are left alone.
    Relative paths begin at the CSV's folder: that of a link, or, where none of them is there, that of what it leads
    to. A clip's id is its path without the ending, normalised as all names are; of absolute paths, without the
    folder that they share, which differs by machine. The column ``fold`` is checked where a split is going to be
    made of it (``folds``), and ``emotion`` is needed where labels are going to be made of it (``emotions``).
    ``targets`` are further columns, of numbers, which some clips may lack, and ``ranges`` the lowest and the
    highest of some of these.
    Raises: UserError that lists what is wrong with the file.
    """
    unreadable: list[str] = []
    unused: list[str] = []
    needed = ("path", "emotion", "speaker") if emotions else ("path", "speaker")
    by_votes = "; data.labels=votes_majority needs no emotion, but the columns of votes that it has"
    rows = read_table(
        path,
        needed=(*needed, *targets),
        optional=tuple(name for name in ("emotion", *_OPTIONAL) if name not in (*needed, *targets)),
        as_written=("path",),
        may_lack=targets,
        prefix=PREFIX,
        faults=unreadable,
        others=unused,
        without=by_votes if emotions and is_votes_table(path) else "",
    )
    if not rows and not unreadable:
        raise UserError(f"{path} lists no clip: add lines under its header")
    _make_plain(rows)
    # what ids are made of, while files are opened as written
    places = [posixpath.normpath(normalise(row["path"])) if row["path"] else "" for _, row in rows]
    folder = _folder(path, rows)
    has_votes = bool(rows) and any(name.startswith(PREFIX) for name in rows[0][1])
    faults = [
        unreadable,
        *([f"line {line}: {name} {_EMPTY}" for line, row in rows if not row[name]] for name in needed),
        *(_number_faults(rows, name, (ranges or {}).get(name)) for name in targets),
        vote_faults(rows) if has_votes else [],
        *_row_faults(rows, places, folder),
        _fold_faults(rows) if folds else [],
    ]
    if any(faults):
        refuse_faults(path, *faults, _missing_faults(rows, folder))
    times = [name for name in unused if _TIMES.search(name)]
    has_times = any(word in name for name in times for word in _BEGINNINGS)
    if has_times:
        which = f"{' and '.join(times)} {'is' if len(times) == 1 else 'are'}"
        log.warning("%s: every clip is a whole file, and %s not read: %s", path, which, _CUT_FIRST)
    return _corpus(path, rows, places, folder, targets=targets, has_times=has_times, has_votes=has_votes)


def _corpus(
    path: Path,
    rows: Rows,
    places: Sequence[str],
    folder: Path,
    *,
    targets: Sequence[str],
    has_times: bool,
    has_votes: bool,
) -> Corpus:
    """Return the corpus of a list without faults; ``places`` are the paths that ids are made of."""
    shared = shared_folder(places) if all(map(os.path.isabs, places)) else ""
    files = {
        row["path"]: _facts(row, place.removeprefix(shared), targets)
        for (_, row), place in zip(rows, places, strict=True)
    }
    lines = {row["path"]: line for line, row in reversed(rows)}
    listing = Listing(folder=folder, files=files, lines=lines, has_times=has_times)
    votes = None
    if has_votes:
        cells_of: dict[str, dict[str, str]] = {}
        for facts, (_, row) in zip(files.values(), rows, strict=True):
            cells_of.setdefault(facts.id, row)  # of two files of one clip's name, the first is used
        votes = votes_of(cells_of, [facts.emotion for facts in files.values()], source=path.name)
    return Corpus(
        name=list_name(path),
        title=path.name,
        n_speakers=len(listing.known_speakers),
        clips_by_label=dict(sorted(Counter(facts.emotion for facts in files.values()).items())),
        audio_folder="",
        where_to_get=f"the list {path}",
        licence="the user's own",
        listing=listing,
        read_votes=partial(_own_votes, votes) if votes is not None else None,
    )


def _row_faults(rows: Rows, places: Sequence[str], folder: Path) -> Iterator[list[str]]:
    """Yield the faults of each kind that any list may have: ages, files listed twice, two spellings of a name."""
    ages = [(line, row["age"], as_number(row["age"])) for line, row in rows if row.get("age")]
    yield [
        f"line {line}: {text!r} is not an age in years (0 to {_OLDEST})"
        for line, text, age in ages
        if age is None or not 0 <= age <= _OLDEST
    ]
    listed = [(line, place) for (line, _), place in zip(rows, places, strict=True) if place]
    yield repetitions(((line, os.path.normpath(folder / place), place) for line, place in listed), "is listed")
    for kind in ("speaker", "emotion"):
        yield spelling_faults(_first_lines(rows, kind), kind)


def _folder(path: Path, rows: Rows) -> Path:
    """Return where relative paths begin: beside the list, which may be a link, or beside what it leads to."""
    own = path.parent.resolve()
    for folder in (own, path.resolve().parent):
        if any(row["path"] and os.path.lexists(folder / row["path"]) for _, row in rows):
            return folder
    return own


def _missing_faults(rows: Rows, folder: Path) -> list[str]:
    """Name the files that are not there; of a list without other faults, `scan` names them."""
    listed = [(line, row["path"]) for line, row in rows if row["path"]]
    missing = [(line, file) for line, file in listed if not os.path.exists(folder / file)]
    hint = {file: other_ending(folder / file) for _, file in missing[:NAMED]}
    return [f"line {line}: {file} cannot be found{hint.get(file, '')}" for line, file in missing]


def _own_votes(votes: Votes, root: Path | None, given: Path | None) -> Votes:
    """Return the votes in the list itself. Raises: UserError for another table, which has none."""
    if given is not None:
        raise UserError(f"data.votes={given} has no columns id and votes.EMOTION")
    return votes


def _make_plain(rows: Rows) -> None:
    """Bring paths, unknown speakers, sex, intensity and age to one spelling, in place.

    R's NA is an unknown speaker, unless others are called by initials.
    """
    has_initials = any(_INITIALS.fullmatch(row["speaker"]) for _, row in rows if row["speaker"] != "NA")
    for _, row in rows:
        row["path"] = row["path"].replace("\\", "/")
        is_na = row["speaker"] == "NA" and not has_initials
        if is_na or row["speaker"].casefold().replace("_", " ") in _NOBODY:
            row["speaker"] = UNKNOWN_SPEAKER
        if row.get("emotion", "").casefold() in _NO_EMOTION:
            row["emotion"] = ""
        if "sex" in row:
            sex = row["sex"].casefold()
            row["sex"] = _SEX_OF.get(sex.rstrip("."), sex)
        if "intensity" in row:
            row["intensity"] = row["intensity"].casefold()
        if as_number(row.get("age", "")) is not None:
            row["age"] = row["age"].replace(",", ".")


def _first_lines(rows: Rows, column: str) -> dict[str, int]:
    """Return each value of a column, with the number of the line that has it first."""
    return {row[column]: line for line, row in reversed(rows) if row.get(column)}


def _fold_faults(rows: Rows) -> list[str]:
    """Name lines without a fold, and say what is wrong with the values of that column."""
    values = _first_lines(rows, "fold")
    faults = []
    if values:  # else the whole column is missing, which the split says
        faults = [
            f"line {line}: fold is empty, and data.split=file needs it" for line, row in rows if not row["fold"]
        ]
    try:
        if not parts_by_name(values):
            folds_by_number(values)
    except UserError as error:
        faults.insert(0, str(error))
    return faults


def _number_faults(rows: Rows, column: str, ends: tuple[float, float] | None) -> list[str]:
    """Say what is wrong with a column: words, numbers out of range, no number, or one number alone."""
    low, high = ends or (-math.inf, math.inf)
    cells = [(line, row[column]) for line, row in rows if row[column]]
    numbers = [as_number(text) for _, text in cells]
    read = list(zip(cells, numbers, strict=True))
    words = [cell for cell, number in read if number is None]
    outside = [cell for cell, number in read if number is not None and not low <= number <= high]
    leave = f"leave {column} out of data.targets"
    faults = [
        *column_faults(column, words, what="which is no number", remedy="write numbers, or leave the cell empty"),
        *decimal_faults(column, cells),
        *column_faults(
            column,
            outside,
            what=f"which lies outside {low:g} to {high:g}",
            remedy=f"correct it, or data.ranges.{column}",
        ),
    ]
    if not cells:
        faults.append(f"{column} has no number in any line: fill it, or {leave}")
    elif not words and len(set(numbers)) == 1:
        faults.append(
            f"line {cells[0][0]}: {column} is {cells[0][1]}, as in every line, so nothing is learnt: {leave}"
        )
    return faults


def _facts(row: dict[str, str], place: str, targets: Sequence[str]) -> NameFacts:
    """Return what a line says of its clip; ``place`` is the path that the id is made of."""
    numbers = {name: as_number(row[name]) for name in targets}
    folder, _, name = place.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return NameFacts(
        id=f"{folder}/{stem}" if folder else stem,
        speaker=row["speaker"],
        emotion=row.get("emotion", ""),
        values={name: number for name, number in numbers.items() if number is not None},
        **{name: row.get(name, "") for name in _OPTIONAL},
    )
