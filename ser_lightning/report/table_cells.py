"""Write names as the cells of tables hold them, on a terminal and in Markdown."""

import re
from collections.abc import Sequence

_MARKUP = re.compile(r"[\\`*|<>\[\]~$#]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is none


def plain(text: str) -> str:
    """Write a text in one line, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def markdown(text: str) -> str:
    """Write a text so that Markdown shows it letter by letter."""
    escaped = _MARKUP.sub(lambda match: "\\" + match[0], plain(text).replace("&", "&amp;"))
    return escaped.replace("\\<", "&lt;").replace("\\>", "&gt;")


def confused_with(row: Sequence[int], index: int, labels: Sequence[str]) -> str:
    """Return the label that clips of label ``index`` were most often given instead, with their share.

    ``row`` (K,): how often each label was given to them.
    """
    wrong = max((other for other in range(len(row)) if other != index), key=lambda other: row[other])
    return f"{labels[wrong]} ({row[wrong] / sum(row):.1%})" if row[wrong] else "–"
