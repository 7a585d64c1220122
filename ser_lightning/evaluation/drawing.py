"""What the pictures share: colours, a blank figure, where things are put on it, titles.

Matplotlib's object interface, so nothing global is touched and no display is needed. Positions and sizes are in
inches from the lower left corner; the saved picture is cropped to what was drawn.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ser_lightning.files import replacing

DPI = 200
INK, MUTED, FAINT, ACCENT, BLUE = "#1b2430", "#66717f", "#dde3ea", "#d4691e", "#245795"


def new_figure() -> Figure:
    """Blank, and large enough: it is cropped when it is saved."""
    figure = Figure(figsize=(12, 12), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def place(
    figure: Figure, *, left: float, bottom: float, width: float, height: float, sharey: Axes | None = None
) -> Axes:
    """New axes of that size, there."""
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
    """Write the PNG, cropped to what was drawn."""
    with replacing(path) as partial:
        figure.savefig(partial, format="png", bbox_inches="tight", pad_inches=0.3)
