"""Make text from elsewhere, such as a file's name, fit to be printed and written."""

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper

# Controls, half characters (bytes of a name that is not UTF-8), and what turns the direction of writing around.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STRANGE_IN_FILES = re.compile(r"[^\w.,=+~\[\]-]+")
_UNPRINTABLE_IN_LINES = re.compile(_UNPRINTABLE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return text with what is no character that can be shown escaped, such as ``\x1b``.

    ``lines``: line breaks and tabs are meant as such.
    """
    return (_UNPRINTABLE_IN_LINES if lines else _UNPRINTABLE).sub(_escaped, text)


def is_file_name(text: str) -> bool:
    """Return whether a file or folder may be called so: it is no path, not hidden, and can be shown."""
    return bool(text) and not re.search(r"[/\\]|^\.", text) and printable(text) == text


def as_file_name(text: str) -> str:
    """Return text with one underscore for whatever a file is better not called by."""
    return _STRANGE_IN_FILES.sub("_", text).lstrip(".")


def digest_of(lines: Iterable[str]) -> str:
    """Return 16 hexadecimal digits of a sha256 over lines, in this order."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:16]


def cut(text: str, longest: int) -> str:
    """Return text in at most so many bytes of UTF-8, without its middle."""
    data = text.encode(errors="surrogateescape")
    if len(data) <= longest:
        return text
    head, tail = (longest - 2) // 2, (longest - 1) // 2
    return data[:head].decode(errors="ignore") + ".." + data[len(data) - tail :].decode(errors="ignore")


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:  # what Python makes of a byte that is not UTF-8
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def print_what_can_be_printed() -> None:
    """Let stdout and stderr escape what their encoding does not have, instead of failing on it.

    One that was closed, as by ``>&-``, takes what is printed and leaves it.
    """
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (until the end)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def as_far_as_it_is_read() -> Iterator[None]:
    """Print in here, and end without a word where whoever reads has left, as ``| head`` does."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        print_no_more()
        sys.exit(0)


def print_no_more() -> None:
    """Let what is printed from here on go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
