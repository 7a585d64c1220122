"""Draw the confusion matrix and the learning curves of a run: confusion.png and curves.png.

K classes, J epochs.
Positions and sizes are in inches from the lower left corner; the saved picture is cropped to what was drawn.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from ser_lightning.report.drawing import (
    ACCENT,
    BLUE,
    DASHED,
    FAINT,
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
from ser_lightning.report.heat_map import BLUES, name_rows_and_columns, readable_on
from ser_lightning.report.metric_style import headline_style, headline_title
from ser_lightning.tasks.classification import Classification
from ser_lightning.tasks.registry import all_tasks
from ser_lightning.tasks.task import Task
from ser_lightning.utils.files import read_text

_TRAIN, _SECOND = "#98a2af", "#2a8c80"

History = Sequence[Mapping[str, float]]


def task_of_history(history: History) -> type[Task]:
    """Return the kind of task whose scores a history has: all that is known of a run that failed."""
    kinds = all_tasks().values()
    return next((kind for kind in kinds if any(f"val/{kind.headline}" in row for row in history)), Classification)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read metrics.csv: one dict an epoch, without the cells that are empty."""
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    return [{column: float(text) for column, text in row.items() if column and text} for row in rows]


@written_as_given()
def draw_confusion(path: Path, *, matrix: ArrayLike, labels: Sequence[str], title: str, subtitle: str) -> None:
    """Draw a confusion matrix: per cent of each true class, counts below, and a recall bar per class.

    Args:
        path: the PNG to write.
        matrix: (K, K) counts, rows = true class.
        labels: K class names.
        title: one line.
        subtitle: one or several lines.
    """
    counts = np.asarray(matrix)
    support = counts.sum(axis=1, keepdims=True)  # (K, 1)
    shares = counts / np.maximum(support, 1)  # (K, K)
    cell = float(np.clip(5.2 / len(labels), 0.8, 1.2))
    side = cell * len(labels)

    figure = new_figure()
    axes = place(figure, left=2.0, bottom=1.5, width=side, height=side)
    axes.pcolormesh(shares, cmap=BLUES, vmin=0, vmax=1, edgecolors="white", linewidth=1.5)
    axes.invert_yaxis()
    name_rows_and_columns(axes, labels, cell=cell, rows="true", columns="predicted")
    _fill_cells(axes, counts, shares)
    _draw_recall(figure, axes, shares.diagonal(), support[:, 0], left=2.0 + side + 0.15, height=side)
    entitle(figure, axes, title, subtitle, gap=0.4)
    save(figure, path)


def _fill_cells(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    """Write share and count into each cell."""
    for (row, column), count in np.ndenumerate(counts):
        share = float(shares[row, column])
        write = partial(
            axes.annotate, xy=(column + 0.5, row + 0.5), textcoords="offset points", ha="center", va="center"
        )
        if not count:
            write("0" if counts[row].any() else "–", xytext=(0, 0), color=MUTED, fontsize=8)
            continue
        percent = f"{share:.1%}" if share >= 0.0005 else "<0.1%"
        weight = "bold" if row == column else "normal"
        write(percent, xytext=(0, 4), color=readable_on(share), fontsize=11, weight=weight)
        write(f"{count:,}", xytext=(0, -10), color=readable_on(share), fontsize=7.5)


def _draw_recall(
    figure: Figure,
    beside: Axes,
    recall: NDArray[np.float64],
    support: NDArray[np.int64],
    *,
    left: float,
    height: float,
) -> None:
    """Draw a bar of each class's recall right of the matrix."""
    axes = place(figure, left=left, bottom=1.5, width=0.95, height=height, sharey=beside)
    axes.axis("off")
    axes.set_xlim(0, 1)
    rows = np.arange(len(recall)) + 0.5
    axes.barh(rows, np.ones_like(recall), height=0.13, color=FAINT)
    axes.barh(rows, recall, height=0.13, color=BLUE)
    for row, share, total in zip(rows, recall, support, strict=True):
        text = f"{share:.1%}" if total else "absent"
        axes.text(0, row - 0.14, text, color=INK, fontsize=9.5, va="bottom")
        axes.text(0, row + 0.12, f"of {total:,}", color=MUTED, fontsize=7.5, va="top")
    axes.text(0, 1.01, "recall", color=MUTED, fontsize=10, va="bottom", transform=axes.transAxes)


@written_as_given()
def draw_curves(
    path: Path,
    *,
    history: History,
    best_epoch: int | None,
    task: Task | type[Task] = Classification,
    title: str,
    subtitle: str,
) -> None:
    """Draw a training: loss, two scores of the validation set, learning rate and speed over epochs.

    Args:
        path: the PNG to write.
        history: J rows of metrics.csv, as `read_history` gives them; validation columns may be missing.
        best_epoch: the epoch whose weights were tested, marked in the curves; None marks nothing.
        task: what is predicted.
        title: one line.
        subtitle: one or several lines.
    """
    figure = new_figure()
    loss, scores = (place(figure, left=left, bottom=1.5, width=4.5, height=2.7) for left in (1.0, 7.1))
    strips = [place(figure, left=left, bottom=0.6, width=4.5, height=0.5) for left in (1.0, 7.1)]
    _draw_lines(loss, history, {"train/loss": ("train", _TRAIN), "val/loss": ("validation", BLUE)}, span=0.2)
    _head(loss, "loss")
    titles = {f"val/{name}": task.metrics[name].title for name in task.curves}
    lines = {column: (name, colour) for (column, name), colour in zip(titles.items(), (BLUE, _SECOND), strict=True)}
    _draw_lines(scores, history, lines, span=0.1)
    if headline_style(task).is_share:
        in_per_cent(scores.yaxis)
    _head(scores, f"validation {' and '.join(titles.values())}")
    if not scores.lines:
        scores.set_yticks([])
        scores.text(0.5, 0.5, "no validation set", color=MUTED, ha="center", transform=scores.transAxes)
    _draw_strip(strips[0], history, "lr", "learning rate")
    _draw_strip(strips[1], history, "train/clips_per_s", "clips/s in training")
    for axes in (loss, scores, *strips):
        _frame_epochs(axes, history)
        axes.tick_params(labelbottom=axes in strips)
    if best_epoch is not None:
        _mark_epoch(loss, scores, history, best_epoch, task)
    entitle(figure, loss, title, subtitle, gap=0.35)
    save(figure, path)


def _series(history: History, column: str) -> tuple[list[float], list[float]]:
    """Return epochs and values of a column, where it has a finite one."""
    points = [(row["epoch"], row[column]) for row in history if math.isfinite(row.get(column, math.nan))]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _draw_lines(axes: Axes, history: History, columns: Mapping[str, tuple[str, str]], *, span: float) -> None:
    """Draw and name a line per column; the axis covers at least ``span``, so that noise does not fill it."""
    ends: list[tuple[float, str, str]] = []
    drawn: list[tuple[list[float], list[float]]] = []
    for column, (name, colour) in columns.items():
        epochs, values = _series(history, column)
        if not values:
            continue
        dot = 3.5 if len(values) <= 25 else 0
        hides = (epochs, values) in drawn  # a line of the same values: it is dashed, and both are visible
        style: Any = (0, (4, 4)) if hides else "-"
        axes.plot(
            epochs, values, color=colour, linewidth=1.8, linestyle=style, marker="o", markersize=0 if hides else dot
        )
        drawn.append((epochs, values))
        ends.append((values[-1], name, colour))
    if not ends:
        return
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    slack = max(span - (high - low), 0) / 2
    axes.set_ylim(low - slack, high + slack)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    _label_ends(axes, ends)


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Name each line at its right end, pushing names apart that would touch."""
    low, high = axes.get_ylim()
    floor = -1.0
    for value, name, colour in sorted(ends):
        floor = height = max((value - low) / (high - low), floor + 0.08)
        axes.text(
            1.01,
            height,
            name,
            color=colour,
            fontsize=9.5,
            weight="bold",
            va="center",
            transform=axes.transAxes,
        )


def _draw_strip(axes: Axes, history: History, column: str, name: str) -> None:
    """Draw a column in a low panel, from 0 to its highest value, which is written beside it."""
    epochs, values = _series(history, column)
    if values:
        axes.fill_between(epochs, values, color=FAINT)
        axes.plot(epochs, values, color=MUTED, linewidth=1.2, marker="o", markersize=2 if len(values) == 1 else 0)
        axes.set_ylim(0, max(values) * 1.15 or 1)
        axes.set_yticks([0, max(values)], ["0", _brief(max(values))])
    else:
        axes.set_yticks([])
    _head(axes, name, size=9)
    axes.set_xlabel("epoch", color=MUTED, fontsize=9)


def _brief(value: float) -> str:
    """Write a number in few characters, whatever its size."""
    return f"{value:,.0f}" if 99.5 <= value < 1e6 else f"{value:.2g}"


def _head(axes: Axes, text: str, *, size: float = 10.5) -> None:
    """Write the title of a panel, and style its axes."""
    axes.set_title(text, loc="left", fontsize=size, color=MUTED, pad=6)
    style_axes(axes, grid="y", spines=["bottom"])


def _frame_epochs(axes: Axes, history: History) -> None:
    """Give every panel the same whole-numbered epochs, however few they are."""
    epochs = [row["epoch"] for row in history] or [0.0]
    margin = max(0.03 * (max(epochs) - min(epochs)), 0.5 if len(epochs) == 1 else 0.1)
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _mark_epoch(loss: Axes, scores: Axes, history: History, epoch: int, task: Task | type[Task]) -> None:
    """Mark the epoch that was tested, with its headline where that is known."""
    monitored = scores if scores.lines else loss
    for axes in {loss, monitored}:
        axes.axvline(epoch, color=ACCENT, linewidth=1, linestyle=DASHED, zorder=1)
    note = f"epoch {epoch} tested"
    value = dict(zip(*_series(history, f"val/{task.headline}"), strict=True)).get(epoch)
    if value is not None:
        scores.plot(epoch, value, marker="o", markersize=7, color=BLUE, markeredgecolor=ACCENT, mew=1.8)
        note = f"best epoch {epoch}, {headline_title(task)} {headline_style(task).value(value)}"
    monitored.set_title(note, loc="right", fontsize=9, color=ACCENT, pad=6)
