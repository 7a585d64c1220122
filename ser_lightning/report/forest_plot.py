"""Draw a forest plot: dots with intervals, in named groups of rows, numbers beside them.

Positions and sizes are in inches from the lower left corner, or in rows from the top of the axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, MultipleLocator

from ser_lightning.report.drawing import (
    ACCENT,
    BLUE,
    DASHED,
    DPI,
    INK,
    MUTED,
    entitle,
    in_per_cent,
    new_figure,
    place,
    save,
    style_axes,
    written_as_given,
)
from ser_lightning.report.metric_style import SHARE, Style

_ROW, _GAP = 0.29, 0.5  # inches; rows between two groups
_WIDTH, _BOTTOM = 4.6, 1.0
_WORDS = 0.2  # of the axis, that the words above a line take


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A row: a value with its interval, where it has one, and what chance would give.

    ``cells`` stand right of it. A hollow one is not to be compared with the others.
    """

    group: str
    name: str
    value: float
    interval: Sequence[float] | None
    chance: float
    cells: Sequence[str]
    hollow: bool = False


@written_as_given()
def draw_dots(
    path: Path,
    dots: Sequence[Dot],
    *,
    headings: Sequence[tuple[str, float]],
    reference: tuple[str, float],
    note: str,
    style: Style = SHARE,
    title: str,
    subtitle: str,
) -> None:
    """Draw them from top to bottom.

    Args:
        path: the PNG to write.
        dots: those of a group one after another.
        headings: of the cells, with the inches from the axes to their right ends.
        reference: name and value of a line through all rows.
        note: what stands below.
        style: how values are written.
        title: one line.
        subtitle: one or several lines.
    """
    gaps = [1 + _GAP * (above.group != dot.group) for above, dot in pairwise(dots)]
    heights = [0.0, *np.cumsum(gaps).tolist()]
    figure = new_figure()
    axes = place(figure, left=3.0, bottom=_BOTTOM, width=_WIDTH, height=_ROW * (heights[-1] + 1))
    _frame(axes, dots, heights, style)
    for dot, height in zip(dots, heights, strict=True):
        if dot.interval:
            axes.plot(dot.interval, [height] * 2, color=BLUE, linewidth=2, alpha=0.45, solid_capstyle="round")
        face = "white" if dot.hollow else BLUE
        axes.plot(dot.value, height, marker="o", markersize=6.5, color=face, markeredgecolor=BLUE, mew=1.4)
    _draw_lines(axes, dots, heights, reference, style)
    _write_names(axes, dots, heights)
    _write_cells(axes, dots, heights, headings)
    axes.annotate(note, (0, 0), (0, -30), "axes fraction", "offset points", color=MUTED, fontsize=8, va="top")
    entitle(figure, axes, title, subtitle, gap=0.5)
    save(figure, path)


def _frame(axes: Axes, dots: Sequence[Dot], heights: Sequence[float], style: Style) -> None:
    """Set the limits, ticks and style of the axes."""
    lowest = min(min(dot.value, 0, *(dot.interval or ())) for dot in dots)
    highest = max(max(dot.value, dot.chance, *(dot.interval or ())) for dot in dots)
    axes.set_xlim(np.floor(10 * lowest) / 10, min(1.0, np.ceil(10 * highest + 0.3) / 10))
    axes.set_ylim(heights[-1] + 0.5, -0.5)
    axes.xaxis.set_major_locator(MultipleLocator(0.1))
    if style.is_share:
        in_per_cent(axes.xaxis)
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:.1f}"))
    axes.set_yticks([])
    style_axes(axes, grid="x")


def _draw_lines(
    axes: Axes, dots: Sequence[Dot], heights: Sequence[float], reference: tuple[str, float], style: Style
) -> None:
    """Draw the reference through all rows; chance by row, since it depends on how many labels there are."""
    name, value = reference
    axes.axvline(value, color=ACCENT, linewidth=1, linestyle=DASHED, zorder=1)
    for number, (dot, height) in enumerate(zip(dots, heights, strict=True)):
        top = heights[number - 1] + 0.5 if number else -0.5
        axes.plot([dot.chance] * 2, [top, height + 0.5], color=MUTED, linewidth=0.8, zorder=1)
    first, *others = {dot.chance: None for dot in dots}
    at_first = f"chance {style.value(first)}"
    chance = f"{at_first} or more" if others and first == min([first, *others]) else at_first
    end = axes.get_xlim()[1]
    if value < first:  # which ends of the words are at the lines, so that they touch nothing
        above, beside = "right", "left"
    else:
        crowded = end - value < _WORDS * end and value - first > _WORDS * end
        above, beside = "right" if crowded else "left", "right"
    for text, at, side, colour in (
        (f"{name} {style.value(value)}", value, above, ACCENT),
        (chance, first, beside, MUTED),
    ):
        aside = (3 if side == "left" else -3, 4)  # of the line, so that two at one place do not touch
        note = axes.annotate(
            text, (at, 1), aside, ("data", "axes fraction"), "offset points", color=colour, ha=side
        )
        note.set_fontsize(8.5)


def _write_names(axes: Axes, dots: Sequence[Dot], heights: Sequence[float]) -> None:
    """Write names in a column left of the axes, and left of them each group's, beside its first row."""
    names = [_write(axes, dot.name, 0, height, color=INK) for dot, height in zip(dots, heights, strict=True)]
    left = _move_left(names, -0.15)
    firsts = [number for number, dot in enumerate(dots) if not number or dots[number - 1].group != dot.group]
    groups = [_write(axes, dots[number].group, 0, heights[number], color=MUTED) for number in firsts]
    _move_left(groups, left - 0.3)


def _write_cells(
    axes: Axes, dots: Sequence[Dot], heights: Sequence[float], headings: Sequence[tuple[str, float]]
) -> None:
    """Write columns right of the axes, flush right."""
    for number, (heading, inches) in enumerate(headings):
        colour = INK if number == 0 else MUTED
        for dot, height in zip(dots, heights, strict=True):
            _write(axes, dot.cells[number], 1, height, color=colour, ha="right", xytext=(72 * inches, 0))
        top = heights[0] - 0.5 - 0.14 / _ROW
        _write(axes, heading, 1, top, color=MUTED, ha="right", xytext=(72 * inches, 0), fontsize=8.5)


def _write(axes: Axes, text: str, side: int, height: float, **options: Any) -> Annotation:
    """Write text beside the axes, left (0) or right (1) of them, at a height in rows."""
    defaults = {"xytext": (0, 0), "fontsize": 10, "va": "center_baseline"}
    return axes.annotate(
        text,
        (side, height),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        annotation_clip=False,
        **{**defaults, **options},
    )


def _move_left(texts: Sequence[Annotation], right: float) -> float:
    """Make a column of texts that ends so many inches right of the axes' edge; returns where it begins."""
    left = right - max(text.get_window_extent().width for text in texts) / DPI
    for text in texts:
        text.xyann = (72 * left, 0)
    return left
