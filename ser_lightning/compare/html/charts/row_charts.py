"""Draw pictures as high as a line of text, one in each row of a table: intervals, and a dot per speaker."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from markupsafe import Markup

from ser_lightning.compare.html.charts.axes import Scale
from ser_lightning.compare.html.charts.svg import across, colour, element, level, mark, picture, upright
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report.metric_style import SHARE, Style
from ser_lightning.report.numbers import points
from ser_lightning.utils.errors import counted

_ROW_PX = 26
_DOTS_PX = 34


def scale_ticks(scale: Scale, style: Style = SHARE) -> Markup:
    """Draw the axis above a column of row charts."""
    texts = [
        element("text", style.tick(tick), x=across(scale.share(tick)), y=11, text_anchor="middle")
        for tick in scale.ticks
    ]
    return element("svg", *texts, class_="chart axis", height=14, aria_hidden="true")


def interval_strip(
    estimates: Sequence[tuple[int, str, Estimate | None]],
    scale: Scale,
    *,
    style: Style = SHARE,
    reference: float | None = None,
) -> Markup:
    """Draw an interval with its value for each (group, name, estimate), one below the other.

    ``reference`` is marked across the row.
    """
    known = [(group, name, at) for group, name, at in estimates if at is not None and math.isfinite(at.value)]
    drawn = _grid(scale)
    if reference is not None:
        drawn.append(upright(scale.share(reference), "reference"))
    gap = _ROW_PX / (len(estimates) + 1) if len(estimates) > 1 else _ROW_PX / 2
    for row, (group, name, at) in enumerate(known, start=1):
        tip = f"{name}: {style.value(at.value)} ({style.interval(at)})"
        if math.isfinite(at.low) and math.isfinite(at.high):
            ends = scale.share(at.low), scale.share(at.high)
            drawn.append(level(*ends, row * gap, f"interval {colour(group)}", data_tip=tip))
        drawn.append(mark(group, scale.share(at.value), row * gap, tip=tip))
    description = (
        "; ".join(f"{name} {style.value(at.value)}, {style.interval(at)}" for _, name, at in known) or "not known"
    )
    return picture(description, *drawn, height_px=_ROW_PX, class_="strip")


def difference_strip(
    difference: Estimate | None, limit: float, *, score: str = "UAR", style: Style = SHARE
) -> Markup:
    """Draw a difference with its interval around a line at no difference, from ``-limit`` to ``limit``."""
    at = difference or Estimate(0.0, 0.0, 0.0)
    if not math.isfinite(at.low):  # too few speakers
        at = Estimate(at.value, at.value, at.value)
    low, value, high = (0.5 + end / (2 * limit) for end in (at.low, at.value, at.high))
    y = _ROW_PX / 2
    ends = [points(end, 0) if style.is_share else style.difference(end) for end in (-limit, limit)]
    parts = [
        upright(0.5, "zero"),
        level(low, high, y, "interval"),
        element("circle", cx=across(value), cy=y, r=5),
    ]
    for share, anchor, text in (
        (0, "start", f"{ends[0]} second better"),
        (0.5, "middle", "0"),
        (1, "end", f"first better {ends[1]}"),
    ):
        parts.append(element("text", text, x=across(share), y=_ROW_PX + 14, text_anchor=anchor))
    return picture(
        f"the difference of {score} with its interval", *parts, height_px=_ROW_PX + 18, class_="strip gap"
    )


def speaker_strip(group: int, by_speaker: Mapping[str, float], scale: Scale, style: Style = SHARE) -> Markup:
    """Draw a dot per speaker at a score of theirs, equal ones side by side; a line at the median."""
    known = {speaker: share for speaker, share in by_speaker.items() if math.isfinite(share)}
    ends = spread(known)
    if ends is None:
        return picture("not known", height_px=_DOTS_PX, class_="strip")
    lowest, middle, highest = ends
    dots = [
        element("circle", cx=across(at), cy=y, r=3, data_tip=f"{speaker}: {style.value(known[speaker])}")
        for speaker, at, y in _heap({speaker: scale.share(share) for speaker, share in known.items()})
    ]
    description = (
        f"{counted(known, 'speaker')} from {style.value(lowest)} to {style.value(highest)}, "
        f"median {style.value(middle)}"
    )
    return picture(
        description,
        *_grid(scale),
        element("g", *dots, class_=f"dots {colour(group)}"),
        upright(scale.share(middle), "median", top=3, bottom=_DOTS_PX - 3),
        height_px=_DOTS_PX,
        class_="strip",
    )


def spread(by_speaker: Mapping[str, float]) -> tuple[float, float, float] | None:
    """Return lowest, median and highest share, if any is known."""
    shares = sorted(share for share in by_speaker.values() if math.isfinite(share))
    if not shares:
        return None
    return shares[0], median(shares), shares[-1]


def _heap(shares: Mapping[str, float], width: float = 0.011) -> list[tuple[str, float, float]]:
    """Return name, x (0 to 1) and y (pixels): dots that would hide each other move up and down from the middle."""
    heaps: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for speaker, share in sorted(shares.items(), key=lambda item: (item[1], item[0])):
        heaps[round(share / width)].append((speaker, share))
    placed = []
    for heap in heaps.values():
        step = min(5.0, (_DOTS_PX - 8) / len(heap))
        for rank, (speaker, share) in enumerate(heap, start=1):
            side = (rank // 2) * (1 if rank % 2 else -1)
            placed.append((speaker, share, _DOTS_PX / 2 + side * step))
    return placed


def _grid(scale: Scale) -> list[Markup]:
    return [upright(scale.share(tick), "grid") for tick in scale.ticks]
