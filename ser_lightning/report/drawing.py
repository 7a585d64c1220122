"""What the pictures share: colours, a blank figure, where things are put on it, titles.

Matplotlib's object interface, so no display is needed, and what is global is put back. Positions and sizes are in
inches from the lower left corner; the saved picture is cropped to what was drawn.
"""

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from numpy.typing import NDArray

from ser_lightning.utils.files import replacing

DPI = 200
_MARGIN = 0.3
INK, MUTED, FAINT, ACCENT, BLUE = "#1b2430", "#66717f", "#dde3ea", "#d4691e", "#245795"
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
    across, up = figure.get_size_inches()
    box = figure.get_tightbbox(canvas.get_renderer())
    if box.x0 < 0 or box.y0 < 0 or box.x1 > across or box.y1 > up:
        with replacing(path) as partial:
            figure.savefig(partial, format="png", bbox_inches="tight", pad_inches=_MARGIN)
        return
    drawn = np.asarray(canvas.buffer_rgba())[..., :3]
    left, right = math.floor(DPI * box.x0), math.ceil(DPI * box.x1)
    top, bottom = math.floor(DPI * (up - box.y1)), math.ceil(DPI * (up - box.y0))
    margin = round(DPI * _MARGIN)
    pixels = np.full((bottom - top + 2 * margin, right - left + 2 * margin, 3), 255, np.uint8)
    pixels[margin:-margin, margin:-margin] = drawn[top:bottom, left:right]
    if _beside is None:
        _write(pixels, path)
    else:
        _pending.append(_beside.submit(_write, pixels, path))


@contextmanager
def written_beside() -> Iterator[None]:
    """Compress and write each picture in a thread, while the next one is drawn; all are written at the end."""
    global _beside
    with futures.ThreadPoolExecutor(1) as _beside:
        try:
            yield
        finally:
            _beside = None
            pending = [*_pending]
            _pending.clear()
    for picture in pending:
        picture.result()


_beside: futures.ThreadPoolExecutor | None = None
_pending: list[futures.Future[None]] = []


def _write(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG of pixels (height, width, 3).

    Each row is written as its difference from the one above, and zlib works beside other threads: Pillow tries five
    ways for each row, in twice the time, and nothing else runs meanwhile.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = 2  # says so
    rows[:, 1:] = pixels.reshape(height, -1)
    rows[1:, 1:] -= pixels.reshape(height, -1)[:-1]
    dots_a_metre = round(DPI / 0.0254)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"pHYs", struct.pack(">IIB", dots_a_metre, dots_a_metre, 1)),
        (b"IDAT", zlib.compress(rows.tobytes(), 2)),
        (b"IEND", b""),
    )
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in parts:
            checked = kind + content
            file.write(struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked)))
