"""Give all pictures one look: colours, a blank figure, where things are put on it, titles, axes.

Matplotlib's object interface, so no display is needed, and what is global is put back. Positions and sizes are in
inches from the lower left corner; the saved picture is cropped to what was drawn.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import PercentFormatter
from PIL import Image

from ser_lightning.utils.files import replacing

DPI = 200
_MARGIN = 0.3
INK, MUTED, FAINT, ACCENT, BLUE = "#1b2430", "#66717f", "#dde3ea", "#d4691e", "#245795"
DASHED = (0, (4, 3))  # matplotlib's on and off, in points
# Fonts with letters that matplotlib's own lacks; whichever are installed are taken.
_OTHER_SCRIPTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic"),
    *(
        "IPAexGothic",
        "Droid Sans Fallback",
        "Arial Unicode MS",
        "Noto Sans Devanagari",
        "Nirmala UI",
        "Noto Sans Thai",
    ),
)


@contextmanager
def written_as_given() -> Iterator[None]:
    """Draw names letter by letter: no $ begins a formula, and other scripts are shown where a font is installed."""
    # without a height of titles it is searched for, among all ticks
    settings: Any = {"text.parse_math": False, "font.family": _families(), "axes.titley": 1.0}
    with warnings.catch_warnings(), rc_context(settings):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # boxes in their place show it
        yield


@cache
def _families() -> list[str]:
    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


def new_figure() -> Figure:
    """Return a blank figure, large enough: it is cropped when it is saved."""
    figure = Figure(figsize=(13, 12), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def place(
    figure: Figure, *, left: float, bottom: float, width: float, height: float, sharey: Axes | None = None
) -> Axes:
    """Return new axes of that size, put there."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up), sharey=sharey)


def style_axes(
    axes: Axes,
    *,
    grid: Literal["x", "y", "both"] | None,
    grid_width: float = 0.7,
    spines: Sequence[str] = (),
    tick_size: float = 8.5,
    tick_colour: str = MUTED,
) -> None:
    """Style axes: a faint grid behind what is drawn, faint spines at the named sides alone, no ticks."""
    axes.spines[:].set_visible(False)
    for side in spines:
        axes.spines[side].set(visible=True, color=FAINT)
    if grid is not None:
        axes.grid(axis=grid, color=FAINT, linewidth=grid_width)
        axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=tick_size, colors=tick_colour)


def name_axes(axes: Axes, *, x: str | None = None, y: str | None = None, pad: float | None = None) -> None:
    """Write what lies along an axis, ``pad`` points from its numbers."""
    for write, name in ((axes.set_xlabel, x), (axes.set_ylabel, y)):
        if name is not None:
            write(name, color=MUTED, fontsize=10, labelpad=pad)


def in_per_cent(*axis: Axis) -> None:
    """Write the shares along these axes in whole per cent."""
    for shares in axis:
        shares.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def entitle(figure: Figure, axes: Axes, title: str, subtitle: str, *, gap: float) -> None:
    """Set title and subtitle above the axes, flush with the leftmost thing drawn beside it."""
    across, up = figure.get_size_inches()
    box = axes.get_tightbbox()
    left = box.x0 / DPI if box else 0.0
    top = axes.get_position().y1 * up + gap
    lines = subtitle.count("\n") + 1
    figure.text(left / across, top / up, subtitle, color=MUTED, fontsize=10, va="bottom", linespacing=1.45)
    figure.text(
        left / across,
        (top + 0.21 * lines + 0.08) / up,
        title,
        color=INK,
        fontsize=15,
        weight="bold",
        va="bottom",
    )


def save(figure: Figure, path: Path) -> None:
    """Write the PNG, cropped to what was drawn and a margin.

    It is drawn once: matplotlib's own cropping draws twice, and is for a figure that leaves its canvas.
    """
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())  # (height, width, 4)
    is_drawn = drawn.view(np.uint32)[..., 0] != 0xFFFFFFFF  # not white: a pixel is compared as one number
    rows, columns = np.flatnonzero(is_drawn.any(axis=1)), np.flatnonzero(is_drawn.any(axis=0))
    box, (width, height) = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    leaves = not rows.size or min(box.x0, box.y0) < 0 or box.x1 > width or box.y1 > height
    with replacing(path) as partial:
        if leaves:
            figure.savefig(partial, format="png", bbox_inches="tight", pad_inches=_MARGIN)
            return
        cropped = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, :3]
        margin = round(DPI * _MARGIN)
        framed = np.full((cropped.shape[0] + 2 * margin, cropped.shape[1] + 2 * margin, 3), 255, np.uint8)
        framed[margin:-margin, margin:-margin] = cropped
        lightly = {"compress_level": 2}  # half the time of 6, and a few per cent larger
        Image.fromarray(framed).save(partial, "png", dpi=(DPI, DPI), **lightly)
