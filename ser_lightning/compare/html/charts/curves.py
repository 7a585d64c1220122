"""Draw learning curves: a line per run, or, of many runs, a group's mean within the band of its runs."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from markupsafe import Markup

from ser_lightning.compare.comparison import Group, Run
from ser_lightning.compare.html.charts.axes import Scale, even
from ser_lightning.compare.html.charts.plot import height, plot
from ser_lightning.compare.html.charts.svg import colour, element, mark

MAX_LINES = 40
MAX_RUNS_SHOWN_ALONE = 6
_MAX_POINTS = 150
_BOX = 1000  # the lines' own coordinates, stretched to the chart's size

Curve = dict[int, float]  # epoch → value


@dataclass(frozen=True)
class Line:
    """What is drawn of a run or a group: its curve, its runs' lowest and highest, and the epoch that was tested."""

    name: str
    curve: Curve
    band: dict[int, tuple[float, float]]
    best: int


def are_drawn_alone(groups: Sequence[Group]) -> bool:
    """Return whether every run gets its line: few enough in each group, and in all."""
    most = max(len(group.runs) for group in groups)
    return most <= MAX_RUNS_SHOWN_ALONE and sum(len(group.runs) for group in groups) <= MAX_LINES


def curve_of(run: Run, column: str) -> Curve:
    """Return what is known of a column, by epoch."""
    epochs, values = run.history.get("epoch", ()), run.history.get(column, ())
    return {
        int(epoch): value
        for epoch, value in zip(epochs, values, strict=False)
        if epoch is not None and value is not None and math.isfinite(value)
    }


def mean_curve(group: Group, column: str) -> Line:
    """Return the mean of a group's runs while at least half of them train: a few that go on are not the group."""
    curves = [curve for run in group.runs if (curve := curve_of(run, column))]
    by_epoch = {
        epoch: [curve[epoch] for curve in curves if epoch in curve] for epoch in sorted(set().union(*curves))
    }
    kept = {epoch: values for epoch, values in by_epoch.items() if 2 * len(values) >= len(curves)}
    return Line(
        name=group.name,
        curve={epoch: fmean(values) for epoch, values in kept.items()},
        band={epoch: (min(values), max(values)) for epoch, values in kept.items()} if len(curves) > 1 else {},
        best=round(median(run.best for run in group.runs)),
    )


def panel(
    groups: Sequence[Group], column: str, name: str, write: Callable[[float], str], *, height_px: int, shown: int
) -> Markup | None:
    """Draw a column of the histories over epochs; None where it is not known.

    Groups beyond the first ``shown`` are drawn but switched off.
    """
    alone = are_drawn_alone(groups)
    by_group = [list(_lines(group, column, alone)) for group in groups]
    lines = [line for of_group in by_group for line in of_group]
    if not lines:
        return None
    epochs = [epoch for line in lines for epoch in line.curve]
    x = _whole(even(epochs, span=2, floor=0), min(epochs), max(epochs))
    values = [value for line in lines for value in line.curve.values()]
    values += [end for line in lines for ends in line.band.values() for end in ends]
    y = even(_within_reason(values), span=0.1)
    curves, marks = [], []
    for group, of_group in enumerate(by_group):
        switch = {"data_group": group, "class_": f"{colour(group)} {'' if group < shown else 'off'}".rstrip()}
        curves.append(element("g", *(path for line in of_group for path in _paths(line, x, y)), **switch))
        marks.append(element("g", *(_best(group, line, x, y, write, height_px) for line in of_group), **switch))
    stretched = element(  # the best drawn last, over the others
        "svg",
        *reversed(curves),
        viewBox=f"0 0 {_BOX} {_BOX}",
        preserveAspectRatio="none",
        width="100%",
        height=height_px,
    )
    title = f"{name} over epochs, {'a line per run' if alone else 'the mean of each model'}"
    return plot(
        title, stretched, *reversed(marks), x=("epoch", x, "{:.0f}".format), y=(name, y, write), height_px=height_px
    )


def _lines(group: Group, column: str, alone: bool) -> Iterator[Line]:
    """Yield the lines of a group's runs, ``alone`` each or all in one; none where the column is not known."""
    curves = [(run, curve) for run in group.runs if (curve := curve_of(run, column))]
    if alone:
        for run, curve in curves:
            yield Line(f"{group.name}, fold {run.fold}, seed {run.seed}", curve, {}, run.best)
    elif curves:
        yield mean_curve(group, column)


def _within_reason(values: Iterable[float]) -> list[float]:
    """Return all values but those far above nearly all others: a loss that ran away must not flatten the rest."""
    ordered = sorted(values)
    usual, low = ordered[int(0.98 * (len(ordered) - 1))], ordered[0]
    return [value for value in ordered if value <= low + 1.6 * (usual - low)] or ordered


def _whole(scale: Scale, first: int, last: int) -> Scale:
    """Mark integer epochs alone, and none that was not trained."""
    ticks = [tick for tick in scale.ticks if tick == round(tick) and first <= tick <= last]
    return replace(scale, ticks=ticks or [first])


def _paths(line: Line, x: Scale, y: Scale) -> Iterator[Markup]:
    """Yield the band and the curve, of at most so many epochs, evenly, with the best and the last."""
    step = math.ceil(len(line.curve) / _MAX_POINTS)
    epochs = list(line.curve)
    kept = {*epochs[::step], epochs[-1], line.best}
    curve = {epoch: value for epoch, value in line.curve.items() if epoch in kept}
    if line.band:
        there = [(epoch, line.band[epoch][1]) for epoch in curve]
        back = [(epoch, line.band[epoch][0]) for epoch in reversed(curve)]
        yield element("path", d=_path([*there, *back], x, y) + "Z", class_="band")
    yield element("path", d=_path(list(curve.items()), x, y), class_="line")


def _path(points: Sequence[tuple[int, float]], x: Scale, y: Scale) -> str:
    at = [f"{round(_BOX * x.share(epoch))} {round(_BOX * (1 - y.share(value)))}" for epoch, value in points]
    return "M" + "L".join(at) + ("h0" if len(at) == 1 else "")


def _best(group: int, line: Line, x: Scale, y: Scale, write: Callable[[float], str], height_px: int) -> Markup:
    """Mark the best epoch, where the line reaches it."""
    value = line.curve.get(line.best)
    if value is None:
        return Markup()
    tip = f"{line.name}: {write(value)} at epoch {line.best}, the best epoch"
    return mark(group, x.share(line.best), height(y, value, height_px), tip=tip)
