"""Reads CREMA-D's votes on the audio alone, and how strong raters found the emotion, out of the corpus's tables.

``processedResults/tabulatedVotes.csv`` counts the votes: a row a clip and modality, of which the rows numbered
1xxxxx are of the audio alone (`tabulateVotesV2.r` of the corpus). ``processedResults/summaryTable.csv`` names the
winners only, several of them joined by colons.

Whoever voted also said how strong the emotion was, from 0 to 100. The level of a clip is the mean of those who
voted for the winner: ``VoiceLevel`` of the summary, ``meanAngerResp`` and so on of the counts. A tie has a level
for each winner, and so none of its own.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from ser_lightning.data.csv_table import read_table, refuse_faults, repetitions
from ser_lightning.data.votes import Votes, header_of
from ser_lightning.utils.errors import UserError

_LETTERS = "ADFHNS"  # columns of counts, which are read in lower case, as all columns are
_LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
_MEANS = tuple(f"mean{name}resp" for name in ("anger", "disgust", "fear", "happy", "neutral", "sad"))  # the same
_NUMBERS = ("", "unnamed: 0", "x")  # the column of row numbers has no name; pandas and R give it one
_NUMBER = re.compile(r"[123]\d{5}")  # audio alone, face alone, both
_TABLES = ("tabulatedVotes.csv", "summaryTable.csv")
_FOLDERS = ("processedResults", ".", "../processedResults", "..")  # the root may be AudioWAV itself

IdOf = Callable[[str], str]
Row = dict[str, str]
Rows = list[tuple[int, Row]]  # with the numbers of their lines
Read = TypeVar("Read")


def read_votes(root: Path | None, given: Path | None, *, id_of: IdOf) -> Votes | None:
    """Read votes out of the table ``given``, or else the first of the corpus's tables by ``root``, if there is one.

    ``id_of`` makes a clip's id of the file name in a table.
    Raises: UserError for a table that is none of the two, has a clip twice, or does not say which votes are which.
    """
    return _read(root, given, id_of, _votes, (*_LETTERS.lower(), "voicevote"))


def read_levels(root: Path | None, given: Path | None, *, id_of: IdOf) -> Mapping[str, float] | None:
    """Read how strong the emotion of each clip is, from 0 to 100; a tie is left out. Arguments as `read_votes`."""
    return _read(root, given, id_of, _levels, ("emovote", *_MEANS, "voicevote", "voicelevel"))


def _read(
    root: Path | None,
    given: Path | None,
    id_of: IdOf,
    read: Callable[[Rows, Path, IdOf], Read | None],
    columns: tuple[str, ...],
) -> Read | None:
    """Read the table ``given``, or the first one by ``root``; None where there is none. Raises: as `read_votes`."""
    table = given
    if table is None and root is not None:
        candidates = (root / folder / name for name in _TABLES for folder in _FOLDERS)
        table = next((path for path in candidates if path.is_file()), None)
    if table is None:
        return None
    values, header = None, header_of(table)
    if not header or "filename" in header:  # without any, the reader says why
        rows = read_table(table, needed=("filename",), optional=(*_NUMBERS, *columns))
        try:
            values = read(rows, table, id_of) if rows else None
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"data.votes={table} cannot be read ({error})") from error
    if values is None:
        raise UserError(f"data.votes={table} is neither of CREMA-D's tables: give {' or '.join(_TABLES)}")
    return values


def _votes(rows: Rows, table: Path, id_of: IdOf) -> Votes | None:
    """Return the votes in rows of either table; None where they are of neither."""
    columns = rows[0][1].keys()
    if columns >= {*_LETTERS.lower()}:
        of_clip = _by_clip(_audio_alone(rows, table), table, id_of)
        counts = {clip: tuple(int(row[letter]) for letter in _LETTERS.lower()) for clip, row in of_clip.items()}
        return Votes(labels=_LABELS, by_clip=counts, counted=True, source=table.name)
    if "voicevote" in columns:
        winners = {clip: row["voicevote"].split(":") for clip, row in _by_clip(rows, table, id_of).items()}
        votes = {clip: tuple(int(letter in letters) for letter in _LETTERS) for clip, letters in winners.items()}
        return Votes(labels=_LABELS, by_clip=votes, counted=False, source=table.name)
    return None


def _levels(rows: Rows, table: Path, id_of: IdOf) -> dict[str, float] | None:
    """Return the level of each clip that has one winner, out of rows of either table; None where of neither."""
    columns = rows[0][1].keys()
    if columns >= {"emovote", *_MEANS}:
        rows, vote = _audio_alone(rows, table), "emovote"
        level_of = dict(zip(_LETTERS, _MEANS, strict=True))
    elif columns >= {"voicevote", "voicelevel"}:
        vote, level_of = "voicevote", dict.fromkeys(_LETTERS, "voicelevel")
    else:
        return None
    of_clip = _by_clip(rows, table, id_of)
    return {clip: float(row[level_of[row[vote]]]) for clip, row in of_clip.items() if row[vote] in level_of}


def _audio_alone(rows: Rows, table: Path) -> Rows:
    """Return the rows of votes on the audio alone, by their numbers. Raises: UserError where there are none."""
    for name in _NUMBERS:
        if all(_NUMBER.fullmatch(row.get(name, "")) for _, row in rows):
            return [(line, row) for line, row in rows if row[name].startswith("1")]
    raise UserError(
        f"data.votes={table} cannot be used: no column numbers its rows 100001 and so on, by which votes on the "
        f"audio alone are told from others: give the corpus's own {_TABLES[0]}"
    )


def _by_clip(rows: Rows, table: Path, id_of: IdOf) -> dict[str, Row]:
    """Return the rows by clip id. Raises: UserError where a clip has several."""
    clips = [(line, id_of(row["filename"]), row["filename"]) for line, row in rows]
    refuse_faults(table, repetitions(clips, "has votes"))
    return {clip: row for (_, clip, _), (_, row) in zip(clips, rows, strict=True)}
