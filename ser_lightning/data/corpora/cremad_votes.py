"""Reads CREMA-D's votes on the audio alone, and how strong raters found the emotion, out of the corpus's tables.

``processedResults/tabulatedVotes.csv`` counts the votes: a row a clip and modality, of which the rows numbered
1xxxxx are of the audio alone (`tabulateVotesV2.r` of the corpus). ``processedResults/summaryTable.csv`` names the
winners only, several of them joined by colons.

Whoever voted also said how strong the emotion was, from 0 to 100. The level of a clip is the mean of those who
voted for the winner: ``VoiceLevel`` of the summary, ``meanAngerResp`` and so on of the counts. A tie has a level
for each winner, and so none of its own.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ser_lightning.data.votes import Votes
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import read_text

_LETTERS = "ADFHNS"
_LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
_LEVELS = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")  # the same, as in meanAngerResp
_TABLES = ("tabulatedVotes.csv", "summaryTable.csv")
_FOLDERS = ("processedResults", ".", "../processedResults", "..")  # the root may be AudioWAV itself

IdOf = Callable[[str], str]
Read = TypeVar("Read")


def read_votes(root: Path | None, given: Path | None, *, id_of: IdOf) -> Votes | None:
    """Read votes out of the table ``given``, or else the first of the corpus's tables by ``root``, if there is one.

    ``id_of`` makes a clip's id of the file name in a table.
    Raises: UserError for a table that is none of the two.
    """
    return _read(root, given, id_of, _votes)


def read_levels(root: Path | None, given: Path | None, *, id_of: IdOf) -> Mapping[str, float] | None:
    """Read how strong the emotion of each clip is, from 0 to 100; a tie is left out. Arguments as `read_votes`."""
    return _read(root, given, id_of, _levels)


def _read(
    root: Path | None,
    given: Path | None,
    id_of: IdOf,
    read: Callable[[list[str], Iterator[list[str]], str, IdOf], Read | None],
) -> Read | None:
    table = given or _find(root)
    if table is None:
        return None
    try:
        reader = csv.reader(io.StringIO(read_text(table).removeprefix("\ufeff"), newline=""))
        found = read(next(reader, []), filter(None, reader), table.name, id_of)  # no blank lines
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise UserError(f"data.votes={table} cannot be read ({error})") from error
    if found is None:
        raise UserError(f"data.votes={table} is neither of CREMA-D's tables: give {' or '.join(_TABLES)}")
    return found


def _votes(names: list[str], rows: Iterator[list[str]], source: str, id_of: IdOf) -> Votes | None:
    """Row by row and without a dictionary for each: this is read at every start."""
    if {*_LETTERS, "fileName"} <= set(names):
        clip, *letters = (names.index(name) for name in ("fileName", *_LETTERS))
        audio_alone = (row for row in rows if row[0].startswith("1"))
        counts = {id_of(row[clip]): tuple(int(row[letter]) for letter in letters) for row in audio_alone}
        return Votes(labels=_LABELS, by_clip=counts, counted=True, source=source)
    if {"FileName", "VoiceVote"} <= set(names):
        clip, vote = names.index("FileName"), names.index("VoiceVote")
        named = {id_of(row[clip]): _winners(row[vote]) for row in rows}
        return Votes(labels=_LABELS, by_clip=named, counted=False, source=source)
    return None


def _levels(names: list[str], rows: Iterator[list[str]], source: str, id_of: IdOf) -> dict[str, float] | None:
    means = [f"mean{name}Resp" for name in _LEVELS]
    if {"fileName", "emoVote", *means} <= set(names):
        clip, vote = names.index("fileName"), names.index("emoVote")
        level_of = {letter: names.index(name) for letter, name in zip(_LETTERS, means, strict=True)}
        audio_alone = (row for row in rows if row[0].startswith("1"))
        return {id_of(row[clip]): float(row[level_of[row[vote]]]) for row in audio_alone if row[vote] in level_of}
    if {"FileName", "VoiceVote", "VoiceLevel"} <= set(names):
        clip, vote, level = (names.index(name) for name in ("FileName", "VoiceVote", "VoiceLevel"))
        return {id_of(row[clip]): float(row[level]) for row in rows if row[vote] in tuple(_LETTERS)}
    return None


def _find(root: Path | None) -> Path | None:
    if root is None:
        return None
    candidates = [root / folder / name for name in _TABLES for folder in _FOLDERS]
    return next((path for path in candidates if path.is_file()), None)


def _winners(letters: str) -> tuple[int, ...]:
    named = letters.split(":")
    return tuple(int(letter in named) for letter in _LETTERS)
