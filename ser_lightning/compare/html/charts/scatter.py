"""Draw UAR against what a model costs, each point with its name or, where names are too many, with its rank.

Names are placed for a chart of a usual width; a narrower one shows ranks instead, which the style sheet chooses.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ser_lightning.compare.comparison import Group
from ser_lightning.compare.html.charts.axes import even, logarithmic
from ser_lightning.compare.html.charts.plot import height, plot
from ser_lightning.compare.html.charts.svg import across, colour, element, mark, upright
from ser_lightning.report.metric_style import SHARE, Style
from ser_lightning.report.numbers import shortened
from ser_lightning.utils.errors import counted

_WIDTH_PX, _HEIGHT_PX = 440, 300
_LETTER_PX, _LINE_PX, _POINT_PX = 6.6, 14, 6
_MAX_LETTERS = 28
MAX_NAMES = 16  # of more groups, the ranks are shown


@dataclass(frozen=True)
class _Box:
    """A box of the chart, in pixels from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: "_Box") -> bool:
        """Return whether they have a place in common."""
        return not (
            self.right <= other.left
            or other.right <= self.left
            or self.bottom <= other.top
            or other.bottom <= self.top
        )


@dataclass(frozen=True)
class _Place:
    """Where a text goes beside its point, in pixels, and which of its ends is there."""

    dx: float
    dy: float
    anchor: str

    def box(self, x: float, y: float, letters: int) -> _Box:
        """Return the box of a text of so many letters beside a point."""
        width = letters * _LETTER_PX
        left = x + self.dx - width * {"start": 0, "middle": 0.5, "end": 1}[self.anchor]
        return _Box(left, y + self.dy - 11, left + width, y + self.dy - 11 + _LINE_PX)


_PLACES = (
    _Place(9, 4, "start"),
    _Place(-9, 4, "end"),
    _Place(0, -10, "middle"),
    _Place(0, 19, "middle"),
    _Place(7, -7, "start"),
    _Place(-7, -7, "end"),
    _Place(7, 15, "start"),
    _Place(-7, 15, "end"),
)


def scatter(
    groups: Sequence[Group],
    costs: Sequence[float | None],
    name: str,
    write: Callable[[float], str],
    *,
    score: str = "UAR",
    style: Style = SHARE,
) -> Markup:
    """Draw the headline with its interval against ``costs``, on a logarithmic axis, of groups of known cost."""
    known = [
        (rank, group, cost)
        for rank, (group, cost) in enumerate(zip(groups, costs, strict=True))
        if cost and math.isfinite(group.headline.value)
    ]
    x = logarithmic(cost for _, _, cost in known)
    y = even(
        (end for _, group, _ in known for end in (group.headline.low, group.headline.value, group.headline.high)),
        span=0.1,
        floor=style.lowest,
        ceiling=1,
    )
    spots = _apart([(x.share(cost), height(y, group.headline.value, _HEIGHT_PX)) for _, group, cost in known])
    names = _labels([group.name for _, group, _ in known])
    texts = [names[group.name] if len(known) <= MAX_NAMES else str(rank + 1) for rank, group, _ in known]
    places = _place(texts, [(share * _WIDTH_PX, at) for share, at in spots])
    drawn = []
    for (rank, group, cost), (share, at), text, place in zip(known, spots, texts, places, strict=True):
        at_score = f"{score} {style.value(group.headline.value)} ({style.interval(group.headline)})"
        tip = f"{group.name}: {at_score}, {write(cost)} {name}"
        if math.isfinite(group.headline.low):
            low, high = (height(y, end, _HEIGHT_PX) for end in (group.headline.low, group.headline.high))
            drawn.append(upright(share, f"whisker {colour(rank)}", top=low, bottom=high))
        drawn.append(mark(rank, share, at, tip=tip, shipped=group.reference))
        if place is not None:  # the name where it fits, and the rank for where it does not
            where = {"x": across(share), "y": at, "dx": place.dx, "dy": place.dy, "text_anchor": place.anchor}
            drawn.append(element("text", text, class_="label wide", **where))
            drawn.append(element("text", str(rank + 1), class_="label narrow", **where))
    title = f"{score} against {name}: {counted(known, 'model')}"
    return plot(title, *drawn, x=(name, x, write), y=(score, y, style.tick), height_px=_HEIGHT_PX)


def _apart(spots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Move points that would lie on each other side by side."""
    step = 2 * _POINT_PX / _WIDTH_PX
    placed: list[tuple[float, float]] = []
    for share, at in spots:
        while (
            any(abs(share - x) < step - 1e-9 and abs(at - y) < 2 * _POINT_PX for x, y in placed)
            and share + step <= 1
        ):
            share += step
        placed.append((share, at))
    return placed


def _place(texts: Sequence[str], spots: Sequence[tuple[float, float]]) -> list[_Place | None]:
    """Choose places greedily, the best first: a place whose box touches no point, no other text and no edge."""
    taken = [_Box(x - _POINT_PX, y - _POINT_PX, x + _POINT_PX, y + _POINT_PX) for x, y in spots]
    places: list[_Place | None] = []
    for text, (x, y) in zip(texts, spots, strict=True):
        chosen = None
        for place in _PLACES:
            box = place.box(x, y, len(text))
            is_inside = min(box.left, box.top) >= 0 and box.right <= _WIDTH_PX + 10 and box.bottom <= _HEIGHT_PX
            if is_inside and not any(map(box.touches, taken)):
                chosen = place
                taken.append(box)
                break
        places.append(chosen)
    return places


def _labels(names: Sequence[str]) -> dict[str, str]:
    """Return what to write of each name: settings without their sections, then values alone, and then it is cut."""
    brief: dict[str, str] = {}
    for model in dict.fromkeys(name.partition(" (")[0] for name in names):
        of_model = [name for name in names if name.partition(" (")[0] == model]
        for left_out in (r"(?!)", r"(?<=[ (])(\w+\.)+(?=\w+=)", r"(?<=[ (])[\w.]+="):
            tries = [re.sub(left_out, "", name) for name in of_model]
            if len(set(tries)) == len(tries):
                brief |= dict(zip(of_model, tries, strict=True))
            if max(map(len, tries)) <= _MAX_LETTERS:
                break
    short = shortened(brief.values(), _MAX_LETTERS)
    return {name: short[text] for name, text in brief.items()}
