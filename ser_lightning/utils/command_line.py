"""Write overrides so that Hydra can read them, and commands so that they can be pasted into a shell.

Hydra reads ``a,b``, ``[a]``, ``{a}``, ``(a)``, ``~`` and ``=`` in a value as syntax, and no letters but ASCII's; a
shell reads blanks and more. What holds any of these is quoted once for Hydra and once for the shell.
"""

import os
import re
import shlex
from collections.abc import Sequence

from ser_lightning.utils.errors import UserError

_STRUCTURE = "[^\\[\\]{}()'\"$,:=]*"  # no character that lists, mappings, functions or quotes begin with
_PLAIN = re.compile(rf"~|(\${{[^{{}}]*}})?{_STRUCTURE}(/|$)")  # a path, or a word


def train_command(*overrides: str) -> str:
    """Return the line that runs ``python train.py`` with these overrides, to be pasted into a shell."""
    return " ".join(["python train.py", *map(shell_quoted, overrides)])


def assignment(name: str, value: object) -> str:
    """Return the override that gives a setting this very text, whatever characters are in it."""
    text = str(value)
    # what else has no slash may be a number
    word = re.fullmatch(r"[\w./-]*/[\w./-]*|[A-Za-z][\w.-]*", text, re.ASCII)
    if word and text.lower() not in ("null", "true", "false", "inf", "nan"):
        return f"{name}={text}"
    return f"{name}={_hydra_quoted(text.replace('${', chr(92) + '${'))}"


def readable(arguments: Sequence[str], *, multirun: bool = False) -> list[str]:
    """Return the overrides of a command line as Hydra can read them.

    Paths and words that Hydra's grammar has no place for, as ``data.root=/data/ü (1)`` or ``data.root=~/x``, are
    quoted, and ``~`` becomes the home directory. In a sweep commas go on separating values.

    Raises: UserError for what is no override even so.
    """
    return [_readable(argument, multirun=multirun) for argument in arguments]


def _readable(argument: str, *, multirun: bool) -> str:
    is_override = not argument.startswith("-") and (argument.startswith("~") or "=" in argument)
    problem = _problem(argument) if is_override else ""
    if not problem:
        return argument
    name, _, value = argument.partition("=")
    values = value.split(",") if multirun else [value]
    if all(map(_PLAIN.match, values)):
        values = [
            _hydra_quoted(os.path.expanduser(text)) if _problem(f"{name}={text}") else text for text in values
        ]
        quoted = f"{name}={','.join(values)}"
        if not _problem(quoted):
            return quoted
    raise UserError(problem)


def _problem(text: str) -> str:
    """Return why Hydra cannot read an override; nothing where it can."""
    from hydra.core.override_parser.overrides_parser import OverridesParser  # not needed to print a command
    from hydra.errors import HydraException

    from ser_lightning.utils.hydra_errors import in_a_line

    try:
        OverridesParser.create().parse_overrides([text])
    except HydraException as error:
        return in_a_line(error)
    return ""


def _hydra_quoted(text: str) -> str:
    """Return ``text`` in quotes; there, a backslash means something before a quote alone."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"


def shell_quoted(word: str) -> str:
    """Return ``word`` as a shell takes it, in double quotes where these are enough: Hydra's own are single ones."""
    if shlex.quote(word) == word:
        return word
    if any(char in word for char in '"$`\\!\n'):
        return shlex.quote(word)
    name, sign, value = word.partition("=")
    return f'{name}{sign}"{value}"' if sign and shlex.quote(name) == name else f'"{word}"'
