"""The errors whose text is meant for people, and how any error is put in one line."""

from collections.abc import Sequence, Sized


class UserError(ValueError):
    """Something a person can mend: the message says what is wrong and what to do about it."""


def cause(error: BaseException) -> BaseException:
    """What a constructor raised, out of the wrapper that Hydra puts around it."""
    while error.__cause__ is not None and type(error).__name__ == "InstantiationException":
        error = error.__cause__
    return error


def why(error: BaseException) -> str:
    """Why a run ended, for people: a `ValueError` in its own words, anything else with its name."""
    error = cause(error)
    if is_interrupt(error):
        return "interrupted"
    if isinstance(error, SystemExit):
        return "terminated"
    return str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"


def first_line(error: BaseException) -> str:
    """What a library's error begins with, which is enough in a sentence of ours."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def some(names: Sequence[str], n: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - n:,} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def counted(things: int | Sized, noun: str, plural: str = "") -> str:
    """Say how many: ``"1 clip"``, ``"1,271 clips"``; ``plural`` where it does not end in s."""
    n = things if isinstance(things, int) else len(things)
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def is_interrupt(error: BaseException) -> bool:
    """Whether somebody pressed Ctrl-C; Lightning turns that into a SystemExit."""
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)
