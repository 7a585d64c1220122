"""Reads a user's column of folds: names of parts of one fold, or folds with numbers."""

import re
from collections.abc import Collection, Iterable, Mapping

from ser_lightning.data.spelling import at_line, spelling_faults
from ser_lightning.utils.errors import UserError, some

_PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_ALSO = {  # short, in the ComParE challenges, and in German, French and Spanish
    "train": ("tr", "entraînement", "apprentissage", "entrenamiento"),
    "val": ("va", "vl", "devel", "validierung", "validación"),
    "test": ("te", "ts", "evaluierung", "évaluation", "prueba", "evaluación"),
}
_IN_FULL = {word for words in _PARTS.values() for word in words}
_PART_OF = {name: part for names in (_PARTS, _ALSO) for part in names for name in names[part]}
_HOW_TO_NAME = f"name every part ({'; '.join(', '.join(names) for names in _PARTS.values())}), or number every fold"
_WORD = re.compile(r"[^\W\d_]+")
_NOUN = re.compile(r"(?<=.)(set|split|part|fold|data)s?$")  # "trainset"
_BLANKS = re.compile(r"[ _-]+")
_DECIMAL_ZEROS = re.compile(r"(?<=\d)\.0+$")  # 3.0, as spreadsheets write it
_NUMBER = re.compile(r"([0-9]+)")


def parts_by_name(values: Collection[str]) -> dict[str, str] | None:
    """Return "train", "val" or "test" for each value that has such a word, as "dev-set" has; None where none has.

    ``values`` may map each to the line of a list that has it first.
    Raises: UserError where only some do, where one has two such words, or where one part has two names.
    """
    words_of = {value: [_NOUN.sub("", word) for word in _WORD.findall(value.casefold())] for value in values}
    parts_of = {value: {_PART_OF[word] for word in words if word in _PART_OF} for value, words in words_of.items()}
    if not any(parts_of.values()):
        return None
    unclear = [value for value, parts in parts_of.items() if len(parts) > 1]
    if unclear:
        raise UserError(
            f"the column fold has {_listed(unclear, values)}, which may be one part or another: {_HOW_TO_NAME}"
        )
    others = [value for value, parts in parts_of.items() if not parts]
    named = set(values) - set(others)
    words = {word for value in named for word in words_of[value]}
    if others and not words & _IN_FULL:  # TS and VA are people's initials, too
        return None
    if others:
        raise UserError(
            f"the column fold mixes {_listed(named, values)} with {_listed(others, values)}: {_HOW_TO_NAME}"
        )
    part_of = {value: min(parts) for value, parts in parts_of.items()}
    if len(set(part_of.values())) == 1 and len(part_of) > 2:  # test1, test2, test3
        return None
    for part in _PARTS:
        names = sorted({value.casefold() for value in part_of if part_of[value] == part})
        if len(names) > 1:
            raise UserError(
                f"the column fold calls one part {' and '.join(names[:2])}: name it in one way, or, "
                "where these are folds, number them without such words"
            )
    return part_of


def folds_by_number(values: Collection[str]) -> dict[int, str]:
    """Return the folds by their numbers: those that tell the values apart, or else their places in order.

    The numbers of "fold 2 of 10" and "fold 10 of 10" are 2 and 10. Where values differ by more than one number,
    they are in the order of their names, with numbers in these by size.
    Raises: UserError where only some are numbers, and for one fold that is written in two ways.
    """
    faults = spelling_faults(values, "fold")
    if faults:
        raise UserError(f"the column fold cannot be used: {'; '.join(faults)}")
    pieces_of = {value: _pieces(value) for value in values}
    plain = [value for value, pieces in pieces_of.items() if pieces[::2] == ["", ""]]
    others = set(values) - set(plain)
    if plain and others:
        raise UserError(
            f"the column fold mixes {_listed(plain, values)} with {_listed(others, values)}: "
            "number every fold, or none"
        )
    if len({tuple(pieces[::2]) for pieces in pieces_of.values()}) == 1:
        columns = zip(*(pieces[1::2] for pieces in pieces_of.values()), strict=True)
        differing = [numbers for numbers in columns if len(set(numbers)) > 1]
        if len(differing) == 1:
            return dict(sorted(zip(map(int, differing[0]), values, strict=True)))
    return dict(enumerate(sorted(values, key=pieces_of.__getitem__)))


def _pieces(value: str) -> list[str | int]:
    """Return the text of a value in lower case, with its numbers in every second place."""
    pieces = _NUMBER.split(_BLANKS.sub(" ", _DECIMAL_ZEROS.sub("", value.casefold())))
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)]


def _listed(some_values: Iterable[str], values: Collection[str]) -> str:
    """Return some of the values in a row, each with its line where ``values`` has that."""
    lines = values if isinstance(values, Mapping) else {}
    return some([at_line(value, lines) for value in sorted(some_values)], 6)
