"""Reads CREMA-D's votes on the audio alone out of the tables that come with the corpus.

``processedResults/tabulatedVotes.csv`` counts the votes: a row a clip and modality, of which the rows numbered
1xxxxx are of the audio alone (`tabulateVotesV2.r` of the corpus). ``processedResults/summaryTable.csv`` names the
winners only, several of them joined by colons.
"""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from ser_lightning.data.votes import Votes
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import read_text

_LETTERS = "ADFHNS"  # in the order of the corpus's labels
_TABLES = ("tabulatedVotes.csv", "summaryTable.csv")
_FOLDERS = ("processedResults", ".", "../processedResults", "..")  # the root may be AudioWAV itself


def read_votes(root: Path | None, given: Path | None, *, id_of: Callable[[str], str]) -> Votes | None:
    """Read votes out of the table ``given``, or else the first of the corpus's tables by ``root``, if there is one.

    ``id_of`` makes a clip's id of the file name in a table.
    Raises: UserError for a table that is none of the two.
    """
    table = given or _find(root)
    if table is None:
        return None
    try:
        reader = csv.reader(io.StringIO(read_text(table).removeprefix("\ufeff"), newline=""))
        votes = _votes(next(reader, []), filter(None, reader), table.name, id_of)  # no blank lines
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise UserError(f"data.votes={table} cannot be read ({error})") from error
    if votes is None:
        raise UserError(f"data.votes={table} is neither of CREMA-D's tables: give {' or '.join(_TABLES)}")
    return votes


def _votes(names: list[str], rows: Iterator[list[str]], source: str, id_of: Callable[[str], str]) -> Votes | None:
    """Row by row and without a dictionary for each: this is read at every start."""
    if {*_LETTERS, "fileName"} <= set(names):
        clip, *letters = (names.index(name) for name in ("fileName", *_LETTERS))
        audio_alone = (row for row in rows if row[0].startswith("1"))
        counts = {id_of(row[clip]): tuple(int(row[letter]) for letter in letters) for row in audio_alone}
        return Votes(by_clip=counts, counted=True, source=source)
    if {"FileName", "VoiceVote"} <= set(names):
        clip, vote = names.index("FileName"), names.index("VoiceVote")
        return Votes(by_clip={id_of(row[clip]): _winners(row[vote]) for row in rows}, counted=False, source=source)
    return None


def _find(root: Path | None) -> Path | None:
    if root is None:
        return None
    candidates = [root / folder / name for name in _TABLES for folder in _FOLDERS]
    return next((path for path in candidates if path.is_file()), None)


def _winners(letters: str) -> tuple[int, ...]:
    named = letters.split(":")
    return tuple(int(letter in named) for letter in _LETTERS)
