"""What Hydra and OmegaConf complain of, for people."""

import re

from hydra.errors import OverrideParseException


def in_a_line(error: Exception) -> str:
    """What Hydra and OmegaConf explain over several lines, the first of which says it."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return (
            f"the override {error.override!r} cannot be read: it takes a form like data.fold=1, and a value with "
            "brackets, quotes, = or a comma is quoted twice, as in \"data.root='/data/a,b'\""
        )
    unknown = re.match(r"Could not override '(.+?)'", text)
    if unknown:
        return f"there is no setting {unknown[1]}: `python train.py --cfg job` shows those there are"
    missing = re.search(r"Could not find '(.+?)'\s+Available options in '.+?':\n((?:\t\S+\n?)+)", text)
    if missing:
        return f"there is no {missing[1]}: known are {_public(missing[2])}"
    lines = [line for line in text.splitlines() if line and not line.startswith("See http")]
    return ": ".join(lines[:2])


def _public(names: str) -> str:
    """Without those that others are made from."""
    return ", ".join(name for name in names.split() if not name.startswith("_"))
