"""Draw squares of shares, darker the higher: their colours, the names of rows and columns, several in a picture.

K: rows, and columns. Positions and sizes are in inches from the lower left corner.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from ser_lightning.report.drawing import (
    INK,
    MUTED,
    entitle,
    name_axes,
    new_figure,
    place,
    save,
    style_axes,
    written_as_given,
)

# Even steps of OKLCH lightness from 0.98 to 0.35 at hue 255°: equal differences look equal, in grey as well.
BLUES = LinearSegmentedColormap.from_list(
    "ser_blues",
    ["#f5f9fe", "#cae2ff", "#a4c9fa", "#80b0ee", "#6097dc", "#457ec5", "#3066a9", "#215089", "#183b66"],
)
_CELL = 1.1


def readable_on(share: float) -> str:
    """Return white or ink, whichever has the higher contrast (WCAG relative luminance) on the cell's colour."""
    channels = np.asarray(BLUES(share)[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "white" if luminance < 0.21 else INK


def name_rows_and_columns(axes: Axes, names: Sequence[str], *, cell: float, rows: str, columns: str) -> None:
    """Write the names at both sides, slanted where they are too long, and what rows and columns are."""
    ticks = np.arange(len(names)) + 0.5
    axes.set_yticks(ticks, names)
    axes.set_xticks(ticks, names)
    if max(map(len, names)) * 0.09 > cell:
        for label in axes.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")
    name_axes(axes, x=columns, y=rows, pad=8)
    style_axes(axes, grid=None, tick_size=10, tick_colour=INK)
    axes.tick_params(pad=6)


@written_as_given()
def draw_heat_maps(
    path: Path,
    *,
    scores_by_name: Mapping[str, NDArray[np.float64]],
    names: Sequence[str],
    rows: str,
    columns: str,
    title: str,
    subtitle: str,
    write: Callable[[float], str],
) -> None:
    """Draw squares of scores side by side, each under its name where there are several.

    Args:
        path: the PNG to write.
        scores_by_name: (K, K) each, 1 at most, NaN where there is none.
        names: of the K rows and columns.
        rows: what rows are; ``columns`` what columns are.
        title: one line.
        subtitle: one or several lines.
        write: writes a score.
    """
    figure, side = new_figure(), _CELL * len(names)
    figure.set_size_inches(3.0 + (side + 0.6) * len(scores_by_name), side + 5.0)
    squares = [
        place(figure, left=2.0 + number * (side + 0.6), bottom=1.8, width=side, height=side)
        for number in range(len(scores_by_name))
    ]
    for axes, (name, scores) in zip(squares, scores_by_name.items(), strict=True):
        axes.pcolormesh(np.ma.masked_invalid(scores), cmap=BLUES, vmin=0, vmax=1, edgecolors="white", linewidth=1.5)
        axes.invert_yaxis()
        name_rows_and_columns(axes, names, cell=_CELL, rows=rows, columns=columns)
        for (row, column), score in np.ndenumerate(scores):
            colour, text = (readable_on(score), write(score)) if np.isfinite(score) else (MUTED, "–")
            axes.text(column + 0.5, row + 0.5, text, color=colour, fontsize=11, ha="center", va="center")
        if len(squares) > 1:
            axes.set_title(name, color=INK, fontsize=11, loc="left")
    for axes in squares[1:]:
        axes.set_yticklabels([])
        axes.set_ylabel("")
    entitle(figure, squares[0], title, subtitle, gap=0.4)
    save(figure, path)
