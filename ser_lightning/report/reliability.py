"""Draw reliability.png: whether a model is right as often as it says, and what confident answers are worth."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ser_lightning.evaluation.calibration import N_BINS
from ser_lightning.evaluation.records import Calibration
from ser_lightning.report.drawing import (
    ACCENT,
    BLUE,
    INK,
    MUTED,
    entitle,
    in_per_cent,
    name_axes,
    new_figure,
    place,
    save,
    style_axes,
    written_as_given,
)

_COLOURS = (BLUE, ACCENT)
_SIDE = 3.6
_RARE = 0.005  # of the clips: a bin of fewer says nothing, and is left out of the curve
_AREA = 240.0  # of a point that stands for all clips, in square points


@written_as_given()
def draw_reliability(path: Path, *, curves: Mapping[str, Calibration], title: str, subtitle: str) -> None:
    """Draw accuracy over confidence (a reliability diagram: DeGroot and Fienberg, 1983), and over coverage.

    Args:
        path: the PNG to write.
        curves: what `calibration` returns, one or two of them, by what each is called.
        title: one line.
        subtitle: one or several lines.
    """
    figure = new_figure()
    diagram = place(figure, left=1.0, bottom=2.4, width=_SIDE, height=_SIDE)
    counts = place(figure, left=1.0, bottom=1.2, width=_SIDE, height=0.9)
    selective = place(figure, left=6.1, bottom=1.2, width=_SIDE, height=_SIDE + 1.2)
    _draw_diagram(diagram, counts, curves)
    _draw_selective(selective, curves)
    notes = {
        name: f"ECE {values.ece:.1%}, mean confidence {values.confidence:.1%}" for name, values in curves.items()
    }
    if len(curves) > 1:
        handles = diagram.get_legend_handles_labels()[0]
        diagram.legend(
            handles,
            [f"{name}: {note}" for name, note in notes.items()],
            frameon=False,
            fontsize=9,
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.01),
            borderaxespad=0,
            labelcolor=INK,
        )
    else:
        diagram.set_title(next(iter(notes.values())), loc="left", fontsize=10, color=INK, pad=6)
    entitle(figure, diagram, title, subtitle, gap=0.35 + 0.22 * len(curves))
    save(figure, path)


def _draw_diagram(diagram: Axes, counts: Axes, curves: Mapping[str, Calibration]) -> None:
    """Draw accuracy over confidence, a point a bin, and below it how many clips the bins have."""
    diagram.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    for (name, values), colour in zip(curves.items(), _COLOURS, strict=False):
        n_clips = sum(part.n for part in values.bins)
        bins = [part for part in values.bins if part.n / n_clips >= _RARE]
        confidence, accuracy = [part.confidence for part in bins], [part.accuracy for part in bins]
        for x, y in zip(confidence, accuracy, strict=True):  # what it is off by
            diagram.plot([x, x], [x, y], color=colour, linewidth=4, alpha=0.2, solid_capstyle="butt")
        diagram.plot(  # points are whole at 0 and 100 %, too
            confidence, accuracy, color=colour, linewidth=1.6, marker="o", markersize=2, label=name, clip_on=False
        )
        areas = [_AREA * part.n / n_clips for part in bins]  # a point that stands for few clips is small
        diagram.scatter(confidence, accuracy, areas, color=colour, zorder=3, clip_on=False)
        shares = np.zeros(N_BINS)
        for part in values.bins:
            shares[round(part.low * N_BINS)] = part.n / n_clips
        alone, edges = len(curves) == 1, np.linspace(0, 1, N_BINS + 1)
        counts.stairs(shares, edges, color=colour, linewidth=1.4, fill=alone, alpha=0.8)
    diagram.set(xlim=(0, 1), ylim=(0, 1))
    counts.set_xlim(0, 1)
    name_axes(diagram, y="share that is right")
    name_axes(counts, x="confidence: the highest probability", y="clips")
    for axes in (diagram, counts):
        _style(axes)
    diagram.tick_params(labelbottom=False)


def _draw_selective(axes: Axes, curves: Mapping[str, Calibration]) -> None:
    """Draw the accuracy over the share of clips that are answered, the most confident first."""
    for values, colour in zip(curves.values(), _COLOURS, strict=False):
        coverage = [point.coverage for point in values.selective]
        accuracy = [point.accuracy for point in values.selective]
        axes.plot(coverage, accuracy, color=colour, linewidth=1.8)
        axes.plot(coverage[-1:], accuracy[-1:], color=colour, marker="o", markersize=4.5, clip_on=False)
    lowest = min(float(np.min(line.get_ydata())) for line in axes.get_lines())
    axes.set(xlim=(0, 1), ylim=(max(0.0, np.floor(lowest * 10 - 0.5) / 10), 1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))  # whole per cent, as they are written
    name_axes(axes, x="share of clips that are answered, the most confident first", y="accuracy of these answers")
    axes.set_title("where only the most confident are answered", loc="left", fontsize=10, color=INK, pad=6)
    _style(axes)


def _style(axes: Axes) -> None:
    """Style axes on which both are shares."""
    style_axes(axes, grid="both", grid_width=0.8, spines=["left", "bottom"], tick_size=9, tick_colour=INK)
    axes.tick_params(axis="x", pad=8)  # clear of the first number beside the other axis
    in_per_cent(axes.xaxis, axes.yaxis)
