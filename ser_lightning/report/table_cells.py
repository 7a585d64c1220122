"""Numbers and names as the cells of tables hold them, on a terminal and in Markdown."""

import math
import re
from collections.abc import Sequence

from ser_lightning.evaluation.bootstrap import Estimate

_MARKUP = re.compile(r"[\\`*|<>\[\]~$#]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is none


def percent(share: float | None) -> str:
    """With one digit, and no sign."""
    return "–" if share is None else f"{100 * share:.1f}"


def bracketed(estimate: Estimate, sign: str = "") -> str:
    """Per cent, and the interval behind it."""
    numbers = (round(100 * each, 1) + 0.0 for each in (estimate.value, estimate.low, estimate.high))  # no -0.0
    value, low, high = (f"{each:{sign}.1f}" for each in numbers)
    return f"{value} [{low}, {high}]" if math.isfinite(estimate.low) else value


def spread(sd: float | None) -> str:
    """Over seeds."""
    return "–" if sd is None else f"± {100 * sd:.1f}"


def p_text(p: float) -> str:
    """Three digits."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def plain(text: str) -> str:
    """In one line, and without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def markdown(text: str) -> str:
    """So that Markdown shows it letter by letter."""
    escaped = _MARKUP.sub(lambda match: "\\" + match[0], plain(text).replace("&", "&amp;"))
    return escaped.replace("\\<", "&lt;").replace("\\>", "&gt;")


def confused_with(row: Sequence[int], index: int, labels: Sequence[str]) -> str:
    """Return the label that clips of label ``index`` were most often given instead, with their share.

    ``row`` (K,): how often each label was given to them.
    """
    wrong = max((other for other in range(len(row)) if other != index), key=lambda other: row[other])
    return f"{labels[wrong]} ({row[wrong] / sum(row):.1%})" if row[wrong] else "–"
