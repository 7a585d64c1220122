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
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}
_NUMBERED = re.compile(r"(\D*[^\W\d_][ _-]*)?([0-9]+)(?:\.0+)?")  # 3, "fold 3", and 3.0 as spreadsheets write it


def parts_by_name(values: Collection[str]) -> dict[str, str] | None:
    """Return "train", "val" or "test" for each value, where that is what they say; None where none does.

    ``values`` may map each to the line of a list that has it first.
    Raises: UserError where only some do, or where one part has two names.
    """
    parts = {value: _PART_OF[value.casefold()] for value in values if value.casefold() in _PART_OF}
    if not parts:
        return None
    others = sorted(set(values) - set(parts))
    if others:
        raise UserError(
            f"the column fold mixes {_listed(parts, values)} with {_listed(others, values)}: name every part "
            f"({'; '.join(', '.join(names) for names in _PARTS.values())}), or number every fold"
        )
    for part in _PARTS:
        names = sorted({value.casefold() for value in parts if parts[value] == part})
        if len(names) > 1:
            raise UserError(f"the column fold calls one part {' and '.join(names)}: name it in one way")
    return parts


def folds_by_number(values: Collection[str]) -> dict[int, str]:
    """Return the folds by their numbers: those that the values say, or else their places in the order of names.

    Raises: UserError where only some are numbers, and for one fold that is written in two ways.
    """
    faults = spelling_faults(values, "fold")
    if faults:
        raise UserError(f"the column fold cannot be used: {'; '.join(faults)}")
    numbered = {value: match for value in values if (match := _NUMBERED.fullmatch(value))}
    if len(numbered) == len(values) and len({(match[1] or "").casefold() for match in numbered.values()}) == 1:
        return dict(sorted((int(match[2]), value) for value, match in numbered.items()))
    plain = sorted(value for value, match in numbered.items() if not match[1])
    if plain:
        others = sorted(set(values) - set(plain))
        raise UserError(
            f"the column fold mixes {_listed(plain, values)} with {_listed(others, values)}: "
            "number every fold, or none"
        )
    return dict(enumerate(sorted(values)))


def _listed(some_values: Iterable[str], values: Collection[str]) -> str:
    lines = values if isinstance(values, Mapping) else {}
    return some([at_line(value, lines) for value in sorted(some_values)], 6)
