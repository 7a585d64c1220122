"""The reader of users' CSVs, as spreadsheets and scripts leave them: lists of clips, and the folds of clips."""

import codecs
import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ser_lightning.data.spelling import normalise
from ser_lightning.utils.errors import UserError, counted, some
from ser_lightning.utils.files import read_bytes
from ser_lightning.utils.text import printable

_NEWLINE = b"\n"
_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?[,;]*', re.IGNORECASE)  # a line for Excel, before the header
_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d+)")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # or decimals: 1,234
_HUNDREDS = re.compile(r"[+-]?[1-9]\d{2}")
_MOST_BYTES = 500_000_000  # some millions of clips
NAMED = 10  # faults a message names
_NAMED_OF_EACH = 3  # where they are of several kinds
_NO_VALUE = ("nan", "NaN", "<NA>")  # what scripts write for an empty cell; nobody's name
NOTHING = ("unknown", "unk", "none", "null", "n/a", "#n/a", "\\n", "?", "-", ".")  # in any case; \N is of SQL
_UNKNOWN = (*NOTHING, "nan", "<na>", "na")  # the last may be people's names, where there are names


def read_table(
    path: Path,
    *,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    as_written: Sequence[str] = (),
    may_lack: Sequence[str] = (),
    prefix: str | None = None,
    faults: list[str] | None = None,
    others: list[str] | None = None,
    without: str = "",
) -> list[tuple[int, dict[str, str]]]:
    """Return the cells of these columns, a dictionary a row, each with the number of its line.

    Commas, semicolons, tabs or bars stand between cells, whichever the header has most of, or what a line before it
    says, as in "sep=;". Names of columns count in any case. Lines without any text, and columns without a name
    after the last one, are passed over, and so are blanks before a quote. A cell that says "nan" is empty.

    Args:
        needed: columns that it must have.
        optional: columns that it may have; there a cell that says "n/a", "none" or "unknown", say, is empty.
        as_written: columns whose cells only lose the blanks around them; all else is normalised.
        may_lack: needed columns whose cells are read as those of optional ones.
        prefix: all columns whose names begin so are optional ones.
        faults: where given, takes the lines that would be misread, which are left out.
        others: where given, takes the names of columns that are not read.
        without: how to do without a needed column, said where it is missing.

    Raises: UserError that lists what is wrong with the file.
    """
    lines = list(_lines(path, _text(path, needed)))
    first, header = lines[0] if lines else (1, [])
    names = [_column(normalise(cell), prefix) for cell in header]
    while names and not names[-1]:
        names.pop()
    if header and (fault := _fault(header, names)):
        refuse_faults(path, [f"line {first}: {fault}"])
    if prefix is not None:
        optional = (*optional, *dict.fromkeys(name for name in names if name.startswith(prefix)))
    _check_header(path, names, needed, optional, without)  # under a broken header, every line would look broken
    broken = {n: f"line {n}: {fault}" for n, cells in lines[1:] if (fault := _fault(cells, names))}
    if faults is None:
        refuse_faults(path, list(broken.values()))
    else:
        faults += broken.values()
    columns = {name: names.index(name) for name in (*needed, *optional) if name in names}
    if others is not None:
        others += [name for name in names if name not in columns]
    lenient = {*optional, *may_lack}
    rows = []
    for number, cells in lines[1:]:
        if number in broken:
            continue
        row = {}
        for name, column in columns.items():
            cell = cells[column] if column < len(cells) else ""
            cell = cell.strip() if name in as_written else normalise(cell)
            is_empty = cell in _NO_VALUE or (name in lenient and cell.casefold() in _UNKNOWN)
            row[name] = "" if is_empty else cell
        rows.append((number, row))
    return rows


def _column(name: str, prefix: str | None) -> str:
    """Return a column's name in lower case; what follows ``prefix`` is a label, and stays as it is written."""
    n_lowered = len(prefix) if prefix is not None and name.lower().startswith(prefix) else len(name)
    return name[:n_lowered].lower() + name[n_lowered:]


def column_faults(column: str, cells: Sequence[tuple[int, str]], *, what: str, remedy: str) -> list[str]:
    """Return one line on the wrong cells of a column: the first of them, how many there are, and what to do."""
    if not cells:
        return []
    line, text = cells[0]
    further = f", and so on in {counted(len(cells) - 1, 'more line')}" if cells[1:] else ""
    return [f"line {line}: {column} is {text!r}, {what}{further}: {remedy}"]


def repetitions(cells: Iterable[tuple[int, str, str]], what: str) -> list[str]:
    """Name the lines that mean the same, of (line, what it means, how that is written), and ``what`` it is."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for line, meaning, written in cells:
        groups.setdefault(meaning, []).append((line, written))
    return [
        f"lines {some([str(line) for line, _ in group])}: {group[0][1]} {what} {len(group)} times"
        for group in groups.values()
        if len(group) > 1
    ]


def refuse_faults(path: Path, *kinds: Sequence[str]) -> None:
    """Refuse a table with faults. Raises: UserError that names the first of each kind."""
    kinds = tuple(filter(None, kinds))
    n_named = NAMED if len(kinds) == 1 else _NAMED_OF_EACH
    lines = []
    for faults in kinds:
        lines += [printable(fault) for fault in faults[:n_named]]
        if len(faults) > n_named:
            lines.append(f"and {len(faults) - n_named:,} more like this")
    if lines:
        raise UserError("\n  ".join([f"{path} cannot be used:", *lines]))


def _text(path: Path, needed: Sequence[str]) -> str:
    """Return the text of a file, with line breaks as ``\\n``.

    Raises: UserError for what cannot be read, or is no text in UTF-8.
    """
    try:
        raw = read_bytes(path, most_bytes=_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): give a CSV with the columns "
            f"{_in_words(needed)}"
        ) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "UTF-16, not UTF-8 text"
        else:
            encoding = f"not UTF-8 text, as line {1 + raw.count(_NEWLINE, 0, error.start)} shows"
        raise UserError(f"{path} cannot be read (it is {encoding}): save it as CSV UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        number = 1 + text.count("\n", 0, text.index("\0"))
        raise UserError(
            f"{path} cannot be read (line {number} holds a NUL byte, so it is damaged, or UTF-16): save it as CSV "
            "UTF-8"
        )
    return text


def _lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of every line with text; each is read alone, so that no quote runs into the next."""
    delimiter = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not normalise(line):
            continue
        if not delimiter and (declaration := _SEPARATOR.fullmatch(line)):
            delimiter = declaration[1]
            continue
        delimiter = delimiter or max(",;\t|", key=line.count)
        try:
            cells = next(csv.reader([line + "\n"], delimiter=delimiter, skipinitialspace=True))
        except csv.Error as error:
            raise UserError(f"{path} cannot be read (line {number}: {error}): save it as CSV UTF-8") from error
        if any(map(normalise, cells)):
            yield number, cells


def _fault(cells: Sequence[str], names: Sequence[str]) -> str:
    """Return what is wrong with a line, or "". Only a quote that is still open takes the end of the line along."""
    if "\n" in cells[-1]:
        return "a quote is opened and not closed: close it, and write every clip in a line of its own"
    if any(map(normalise, cells[len(names) :])):
        return f"{len(cells)} cells, but {len(names)} columns: put a cell that holds a separator in quotes"
    return ""


def _check_header(
    path: Path, names: Sequence[str], needed: Sequence[str], optional: Sequence[str], without: str
) -> None:
    """Check the names of columns. Raises: UserError for needed ones that are missing, and for those there twice."""
    missing = [name for name in needed if name not in names]
    if missing:
        may = f" (and may have {', '.join(optional)})" if optional else ""
        raise UserError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {_in_words(missing)}: its first line needs the "
            f"columns {_in_words(needed)}{may}; it names {', '.join(names) or 'nothing'}{without}"
        )
    twice = [name for name in (*needed, *optional) if names.count(name) > 1]
    if twice:
        raise UserError(f"{path} has two columns called {_in_words(twice)}: rename or remove one of them")


def as_number(text: str) -> float | None:
    """Return a finite number, with a decimal point or comma; None for anything else."""
    try:
        number = float(_DECIMAL_COMMA.sub(r"\1.\2", text))
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None  # Python reads 1_5 as 15


def decimal_faults(column: str, cells: Sequence[tuple[int, str]]) -> list[str]:
    """Name cells with a comma that may part decimals or thousands: 1,234, where no other cell tells which."""
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell[1])]
    remedy = "write all decimals with a point, and thousands without a comma"
    if any("." in text for _, text in cells):
        return column_faults(column, commas, what="and a decimal point is in other lines", remedy=remedy)
    large = any(_HUNDREDS.fullmatch(text) for _, text in cells)  # 950 beside 1,234
    if large and all(_THOUSANDS.fullmatch(text) for _, text in commas):
        return column_faults(column, commas, what="whose comma may part thousands or decimals", remedy=remedy)
    return []


def _in_words(names: Sequence[str]) -> str:
    """Return names as "a, b and c"."""
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])
