"""reliability.png: whether a model is right as often as it says, and what its most confident answers are worth."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ser_lightning.evaluation.calibration import N_BINS
from ser_lightning.evaluation.records import Calibration
from ser_lightning.report.drawing import (
    ACCENT,
    BLUE,
    FAINT,
    INK,
    MUTED,
    entitle,
    new_figure,
    place,
    save,
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
    diagram.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    for (name, values), colour in zip(curves.items(), _COLOURS, strict=False):
        _draw_bins(diagram, counts, values, name, colour, alone=len(curves) == 1)
        _draw_selective(selective, values, colour)
    _finish_diagram(diagram, counts)
    _finish_selective(selective)
    selective.set_title("where only the most confident are answered", loc="left", fontsize=10, color=INK, pad=6)
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


def _draw_bins(diagram: Axes, counts: Axes, values: Calibration, name: str, colour: str, *, alone: bool) -> None:
    n_clips = sum(each.n for each in values.bins)
    bins = [each for each in values.bins if each.n / n_clips >= _RARE]
    confidence, accuracy = [each.confidence for each in bins], [each.accuracy for each in bins]
    for x, y in zip(confidence, accuracy, strict=True):  # what it is off by
        diagram.plot([x, x], [x, y], color=colour, linewidth=4, alpha=0.2, solid_capstyle="butt")
    diagram.plot(  # points are whole at 0 and 100 %, too
        confidence, accuracy, color=colour, linewidth=1.6, marker="o", markersize=2, label=name, clip_on=False
    )
    areas = [_AREA * each.n / n_clips for each in bins]  # a point that stands for few clips is small
    diagram.scatter(confidence, accuracy, areas, color=colour, zorder=3, clip_on=False)
    shares = np.zeros(N_BINS)
    for each in values.bins:
        shares[round(each.low * N_BINS)] = each.n / n_clips
    counts.stairs(shares, np.linspace(0, 1, N_BINS + 1), color=colour, linewidth=1.4, fill=alone, alpha=0.8)


def _draw_selective(axes: Axes, values: Calibration, colour: str) -> None:
    points = values.selective
    coverage = [each.coverage for each in points]
    axes.plot(coverage, [each.accuracy for each in points], color=colour, linewidth=1.8)
    last = points[-1]
    axes.plot([last.coverage], [last.accuracy], color=colour, marker="o", markersize=4.5, clip_on=False)


def _finish_diagram(diagram: Axes, counts: Axes) -> None:
    diagram.set(xlim=(0, 1), ylim=(0, 1))
    diagram.set_ylabel("share that is right", color=MUTED, fontsize=10)
    counts.set_xlim(0, 1)
    counts.set_xlabel("confidence: the highest probability", color=MUTED, fontsize=10)
    counts.set_ylabel("clips", color=MUTED, fontsize=10)
    counts.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (diagram, counts):
        _quiet(axes)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    diagram.tick_params(labelbottom=False)
    diagram.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _finish_selective(axes: Axes) -> None:
    lowest = min(float(np.min(line.get_ydata())) for line in axes.get_lines())
    axes.set(xlim=(0, 1), ylim=(max(0.0, np.floor(lowest * 10 - 0.5) / 10), 1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))  # whole per cent, as they are written
    axes.set_xlabel("share of clips that are answered, the most confident first", color=MUTED, fontsize=10)
    axes.set_ylabel("accuracy of these answers", color=MUTED, fontsize=10)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _quiet(axes)


def _quiet(axes: Axes) -> None:
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(length=0, colors=INK, labelsize=9)
    axes.tick_params(axis="x", pad=8)  # clear of the first number beside the other axis
