"""Write numbers for people: on the page, whose page.js has the same, on a terminal and in Markdown."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from ser_lightning.evaluation.bootstrap import Estimate

MISSING = "–"
_MINUS = "−"
_ENDS = " ,(["  # where a word of a setting ends


def percent(share: float | None, decimals: int = 1, *, unit: str = "%") -> str:
    """Write 0.6612 as 66.1%; ``unit`` is empty in tables whose legend has it."""
    return f"{share:.{decimals}%}"[:-1] + unit if _known(share) else MISSING


def bracketed(estimate: "Estimate", *, signed: bool = False) -> str:
    """Write an estimate in per cent, without the unit, and its interval behind it where it has one."""
    ends = [estimate.low, estimate.high] if _known(estimate.low) and _known(estimate.high) else []
    value, *bounds = (points(at) if signed else percent(at, unit="") for at in (estimate.value, *ends))
    return f"{value} [{', '.join(bounds)}]" if bounds else value


def interval(estimate: "Estimate | None") -> str:
    """Write an estimate's interval in per cent."""
    if estimate is None or not (_known(estimate.low) and _known(estimate.high)):
        return MISSING
    return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}%"


def points(share: float | None, decimals: int = 1) -> str:
    """Write a difference of two shares in percentage points, always with its sign."""
    if not _known(share):
        return MISSING
    text = _signed(100 * share, decimals)
    return text if text[0] == _MINUS or not float(text) else "+" + text


def points_interval(difference: "Estimate") -> str:
    """Write a difference's interval in percentage points."""
    if not (_known(difference.low) and _known(difference.high)):
        return MISSING
    return f"{points(difference.low)} to {points(difference.high)}"


def p_value(p: float | None) -> str:
    """Write three decimals, or that it is smaller."""
    if not _known(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def decimal(value: float | None, decimals: int = 1) -> str:
    """Write a plain number."""
    return _signed(value, decimals) if _known(value) else MISSING


def count(number: int | None) -> str:
    """Write a whole number with separators."""
    return MISSING if number is None else f"{number:,}"


def minutes(number: float | None) -> str:
    """Write one decimal, or two digits of what is less than a minute."""
    if not _known(number):
        return MISSING
    return f"{number:.1f}" if number >= 0.95 else f"{number:.2g}"


def duration(seconds: float) -> str:
    """Write a time in hours, minutes and seconds: 1 h 5 min, 2 min 32 s."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0) + [f"{left} s"] * (hours == 0)
    return " ".join(parts)


def short(number: float) -> str:
    """Write a number for an axis or a narrow column: 1.2 M, 250 k, 40."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}\u00a0{letter}"
    return f"{number:.3g}"


def shortened(texts: Iterable[str], longest: int) -> dict[str, str]:
    """Cut what is longer, in the middle or wherever it takes to leave what tells two of the texts apart.

    Returns: what to write, of at most ``longest`` letters, by text.
    """
    middle = longest // 2
    short: dict[str, str] = {}
    left = list(dict.fromkeys(texts))
    for between_words in (True, False):
        for head in sorted(range(longest // 4, longest), key=lambda head: abs(head - middle)):
            tries = {text: _cut(text, head, longest, between_words) for text in left}
            taken = [*short.values(), *tries.values()]
            short |= {text: cut for text, cut in tries.items() if taken.count(cut) == 1}
            left = [text for text in left if text not in short]
    return short | {text: _around_difference(text, left, longest) for text in left}


def _cut(text: str, head: int, longest: int, between_words: bool) -> str:
    """Return the first ``head`` letters, and the last for which there is room; fewer, to end ``between_words``."""
    if len(text) <= longest:
        return text
    tail = len(text) - (longest - 1 - head)
    if between_words:
        few = longest // 5  # letters of a word that are given up for it
        head -= next((n for n in range(few) if text[head - n] in _ENDS or text[head - n - 1] in _ENDS), 0)
        tail += next((n for n in range(few) if tail + n < len(text) and text[tail + n - 1] in _ENDS), 0)
    return f"{text[:head].rstrip(_ENDS)}…{text[tail:].lstrip()}"


def _around_difference(text: str, others: Sequence[str], longest: int) -> str:
    """Return its beginning, and what stands where it first differs from the one that it has most in common with."""
    common = max((_n_shared(text, other) for other in others if other != text), default=0)
    lead = longest // 3
    word = re.search(rf"[^\s,(\[=]{{0,{lead}}}$", text[lead : max(lead, common)])
    tail = text[max(lead, common) - len(word[0] if word else "") :]
    room = longest - lead - 1
    return text[:lead] + "…" + (tail if len(tail) <= room else tail[: room - 1] + "…")


def _n_shared(one: str, other: str) -> int:
    """Count the letters that both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def setting(value: Any) -> str:
    """Write a value of a config as YAML's users know it."""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _signed(value: float, decimals: int = 1) -> str:
    """Write a real minus sign, and none before what rounds to zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", _MINUS)


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def clock(seconds: float) -> str:
    """Write 1:02:03.4, without the hours where there are none."""
    minutes, left = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{left:04.1f}" if hours else f"{minutes}:{left:04.1f}"
