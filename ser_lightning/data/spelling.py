"""Normalises names of speakers, emotions, sentences, folds and columns, and finds two spellings of one."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

# Unicode's Default_Ignorable_Code_Point: zero-width spaces and joiners, marks of direction, variation selectors,
# fillers, tags. A reader sees none of them; of other letters, controls and formats (Cc, Cf) are as invisible.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_BLANKS = re.compile(r"[\s\u2800]+")
_QUOTES = "\"'`´‘’‚‛“”„‟‹›«»"
_DASHES = re.compile("[\u2010-\u2015\u2212_]")
_BETWEEN_NUMBERS = re.compile(r"(?<=\d)[\s-]+(?=\d)")
_PUNCTUATION = re.compile(r"(?<!\d)(?<!^)[\s.-]|[\s.-](?!\d)")  # all but what parts two numbers, or begins one
_PLUS = re.compile(r"^\+(?=\d)")
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_DECIMAL_ZERO = re.compile(r"(?<=\d)\.0+$|(^-?\d+\.\d*[1-9])0+$")
_LEADING_ZEROS = re.compile(r"(?<!\d)(?<!\d\.)0+(?=\d)")  # not those of 1.05


def normalise(name: str) -> str:
    """Return a name in Unicode's form NFC, every run of blanks as one space, without what is invisible.

    What is compared or stored as somebody's or something's name goes through here; a path by which a file is opened
    stays as it lies on disk.
    """
    if name.isascii() and name.isprintable():  # as millions of cells are
        return " ".join(name.split())
    visible = [
        letter
        for letter in name
        if letter.isspace() or not (_IGNORABLE.match(letter) or unicodedata.category(letter) in ("Cc", "Cf"))
    ]
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", "".join(visible))).strip()


def list_name(path: Path) -> str:
    """Return what a user's list is called in results: its file's name in lower case, of letters, digits and _."""
    return re.sub(r"\W+", "_", normalise(path.stem)).strip("_").lower() or "csv"


def spelling_faults(names: Iterable[str], kind: str) -> list[str]:
    """Name those that differ only by case, blanks, punctuation or how a number is written, a line for each group.

    They may be one speaker (or whatever ``kind`` says) or two, which nothing but their author knows. ``names``
    may map each to the line of a list that has it first.
    """
    groups = defaultdict(set)
    for name in names:
        groups[loose_key(name)].add(name)
    lines = names if isinstance(names, Mapping) else {}
    faults = []
    for group in groups.values():
        first, *others = (at_line(name, lines) for name in sorted(group))
        if others:
            faults.append(
                f"the {kind} {first} is also written otherwise, as {' and '.join(others)}: write one {kind} in one "
                "way, or rename one of them if they are different"
            )
    return faults


def at_line(name: str, lines: Mapping[str, int]) -> str:
    """Return a name with its line, where that is known."""
    return f"{name} (line {lines[name]})" if name in lines else name


def loose_key(name: str) -> str:
    """Return what spellings have in common that may mean one: anna and Anna, s_01 and S1, 3, 03, +3 and 3.0."""
    letters = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(str(unicodedata.digit(letter, letter)) for letter in letters).strip(_QUOTES)
    text = _BETWEEN_NUMBERS.sub("-", _DASHES.sub("-", text).strip())
    text = _DECIMAL_COMMA.sub(".", _PLUS.sub("", _PUNCTUATION.sub("", text)))
    return _LEADING_ZEROS.sub("", _DECIMAL_ZERO.sub(r"\1", text)) or name
