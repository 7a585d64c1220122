"""What is one name: speakers, emotions, sentences, folds, ids and columns, however a list or a file spells them."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

# Zero-width spaces and joiners, marks of direction, soft hyphens, byte order marks: nothing that a reader sees.
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_BLANKS = re.compile(r"[\s\u2800\u3164]+")
_BLANK_IN_WORD = re.compile(r"(?<!\d) | (?!\d)")  # all but those that keep two numbers apart
_DECIMAL_ZERO = re.compile(r"(?<=\d)\.0+$")
_LEADING_ZEROS = re.compile(r"(?<!\d)(?<!\d\.)0+(?=\d)")  # not those of 1.05


def normalise(name: str) -> str:
    """Return a name in Unicode's form NFC, every run of blanks as one space, without what cannot be seen.

    What is compared or stored as somebody's or something's name goes through here; a path by which a file is opened
    stays as it lies on disk.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFC", _INVISIBLE.sub("", name))
    return _BLANKS.sub(" ", name).strip()


def spelling_faults(names: Iterable[str], kind: str) -> list[str]:
    """Name those that differ only by case, blanks, leading zeros or a ".0", a line for each group.

    They may be one speaker (or whatever ``kind`` says) or two, which nothing but their author knows. ``names``
    may map each to the line of a list that has it first.
    """
    groups = defaultdict(set)
    for name in names:
        groups[loose_key(name)].add(name)
    lines = names if isinstance(names, Mapping) else {}
    return [
        _fault([at_line(each, lines) for each in sorted(group)], kind)
        for group in groups.values()
        if len(group) > 1
    ]


def at_line(name: str, lines: Mapping[str, int]) -> str:
    """Return a name with its line, where that is known."""
    return f"{name} (line {lines[name]})" if name in lines else name


def _fault(group: list[str], kind: str) -> str:
    first, *others = group
    return (
        f"the {kind} {first} is also written otherwise, as {' and '.join(others)}: write one {kind} in one way, "
        "or rename one of them if they are different"
    )


def loose_key(name: str) -> str:
    """Return what spellings have in common that may mean one: anna and Anna, 3, 03 and 3.0."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return _LEADING_ZEROS.sub("", _DECIMAL_ZERO.sub("", _BLANK_IN_WORD.sub("", text)))
