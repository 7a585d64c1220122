"""Draw scatter.png: predicted against true numbers, a panel for each target, and the line on which both are equal.

N: clips.  K: targets.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ser_lightning.evaluation.records import TargetScores
from ser_lightning.report.drawing import (
    ACCENT,
    BLUE,
    DASHED,
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
from ser_lightning.report.numbers import decimal
from ser_lightning.tasks.number_predictions import NumberPredictions

_SIDE, _GAP, _A_ROW = 3.4, 1.15, 3  # inches; panels
_MOST_DRAWN = 20_000  # clips of a panel: more cover each other


@written_as_given()
def draw_scatter(
    path: Path,
    predictions: NumberPredictions,
    *,
    scores: Mapping[str, TargetScores],
    title: str,
    subtitle: str,
) -> None:
    """Draw every clip as a point, the line of identity, and the line that fits the points best.

    Args:
        path: the PNG to write.
        predictions: of the test.
        scores: of each target.
        title: one line.
        subtitle: one or several lines.
    """
    figure, first = new_figure(), None
    n_rows = -(-len(predictions.names) // _A_ROW)
    for number, name in enumerate(predictions.names):
        row, column = divmod(number, _A_ROW)
        bottom = 1.0 + (n_rows - 1 - row) * (_SIDE + _GAP)
        axes = place(figure, left=1.0 + column * (_SIDE + _GAP), bottom=bottom, width=_SIDE, height=_SIDE)
        _draw_panel(axes, name, predictions.truth[:, number], predictions.predicted[:, number], scores[name])
        first = first or axes
    assert first is not None, "a run has a target at least"
    lines = "dashed: predicted is true; solid: the straight line that fits best"
    entitle(figure, first, title, f"{subtitle}\n{lines}", gap=0.45)
    save(figure, path)


def _draw_panel(
    axes: Axes, target: str, truth: NDArray[np.float64], predicted: NDArray[np.float64], scores: TargetScores
) -> None:
    """Draw the clips of a target, truth and prediction (N,), with both lines and the scores above."""
    both = np.concatenate([truth, predicted])
    low, high = float(both.min()), float(both.max())
    air = 0.03 * (high - low) or 0.5
    limits = (low - air, high + air)
    step = max(1, -(-len(truth) // _MOST_DRAWN))
    axes.plot(limits, limits, color=ACCENT, linewidth=1.1, linestyle=DASHED, zorder=3)
    opacity = float(np.clip(60 / np.sqrt(len(truth[::step])) / 10, 0.06, 0.6))
    axes.scatter(truth[::step], predicted[::step], s=9, color=BLUE, alpha=opacity, linewidths=0, rasterized=True)
    if np.ptp(truth) > 0:
        slope, intercept = np.polyfit(truth, predicted, 1)
        across = np.array([truth.min(), truth.max()])
        axes.plot(across, slope * across + intercept, color=INK, linewidth=1.4, zorder=4)
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    axes.set_title(target, loc="left", fontsize=11, color=INK, pad=6)
    text = f"CCC {decimal(scores.ccc, 3)}  r {decimal(scores.pearson, 3)}  MAE {decimal(scores.mae, 3)}"
    axes.set_title(text, loc="right", fontsize=8.5, color=MUTED, pad=6)
    name_axes(axes, x="true", y="predicted")
    style_axes(axes, grid="both", grid_width=0.6, spines=["left", "bottom"])
