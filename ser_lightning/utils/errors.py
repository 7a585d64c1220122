"""The errors whose text is meant for people, and how any error is put in one line."""

import errno
import math
import signal
from collections.abc import Collection, Iterable, Sequence, Sized
from difflib import get_close_matches
from typing import Any

from ser_lightning.utils import signals
from ser_lightning.utils.text import printable

LESS_MEMORY = (
    "lower data.batch_size or data.batch_seconds; where clips are long, data.max_clip_seconds=30 with "
    "data.on_long=split (or crop) cuts them"
)


class UserError(ValueError):
    """An error that a person can mend: the message says what is wrong and what to do about it."""


class NoRoom(UserError, OSError):
    """A full disk: the message says what could not be written."""

    def __init__(self, what: object):
        super().__init__(f"there is no room left for {what}: make some, and go on")


def is_full(error: BaseException | None) -> bool:
    """Return whether a full disk is behind an error; torch hides that in errors of its own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def check(
    prefix: str,
    *,
    integer: bool = False,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    **values: Any,
) -> None:
    """Refuse numbers outside their domain.

    Args:
        prefix: stands before each name, ``"data."`` or ``"Mixup: "``.
        integer: only whole numbers are allowed.
        at_least, above, at_most, below: the bounds, as far as there are any.
        values: the numbers by name.

    Raises: UserError with name, value and domain of the first that does not hold.
    """
    bounds = [("at least", at_least), ("above", above), ("at most", at_most), ("below", below)]
    limits = " and ".join(
        f"{word} {bound:,}" if isinstance(bound, int) else f"{word} {bound:g}"
        for word, bound in bounds
        if bound is not None
    )
    domain = ", ".join(filter(None, ["a whole number" if integer else "a number", limits]))
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (
            is_number
            and (isinstance(value, int) or (math.isfinite(value) and not integer))
            and (at_least is None or value >= at_least)
            and (above is None or value > above)
            and (at_most is None or value <= at_most)
            and (below is None or value < below)
        ):
            problem = "out of range" if isinstance(value, int | float) else "no number"
            raise UserError(f"{prefix}{name}={value} is {problem}: it must be {domain}")


def check_choice(prefix: str, known: Collection[str | None], **values: Any) -> None:
    """Refuse what is none of the ``known`` values. Raises: UserError with name, value and what to use."""
    words = ["null" if choice is None else choice for choice in known]
    for name, value in values.items():
        if value not in known:
            raise UserError(
                f"{prefix}{name}={value} is not known: use {(' or ' if len(words) == 2 else ', ').join(words)}"
            )


def cause(error: BaseException) -> BaseException:
    """Return what a constructor raised, out of the wrapper that Hydra puts around it."""
    while error.__cause__ is not None and type(error).__name__ == "InstantiationException":
        error = error.__cause__
    return error


def why(error: BaseException) -> str:
    """Return why a run ended, for people: a `ValueError` in its own words, anything else with its name."""
    error = cause(error)
    if is_interrupt(error):
        number = signals.received() or signal.SIGINT
        return {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}.get(number, f"ended by {number.name}")
    if isinstance(error, SystemExit):
        return "terminated"
    if isinstance(error, OSError) and not isinstance(error, NoRoom) and is_full(error):
        return str(NoRoom(error.filename or "what is to be written"))
    if is_out_of_memory(error):
        return f"memory ran out ({first_line(error)}): {LESS_MEMORY}"
    return str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, of the machine or of a GPU; torch says the first in a RuntimeError."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error, which is enough in a sentence of ours."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def some(names: Sequence[str], n: int = 5) -> str:
    """Return the first few of many names, and how many others there are."""
    others = f" and {len(names) - n:,} more" if len(names) > n else ""
    return ", ".join(map(printable, names[:n])) + others


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``": did you mean audit?"`` where something known is spelt like ``word``, else nothing."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f": did you mean {close[0]}?" if close else ""


def counted(things: int | Sized, noun: str, plural: str = "") -> str:
    """Return how many there are: ``"1 clip"``, ``"1,271 clips"``; ``plural`` where it does not end in s."""
    n = things if isinstance(things, int) else len(things)
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def is_interrupt(error: BaseException) -> bool:
    """Return whether a signal ended the work; Lightning turns Ctrl-C into SystemExit, libraries into anything."""
    is_ctrl_c = isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)
    return is_ctrl_c or signals.received() is not None
