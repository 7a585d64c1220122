"""The pictures of UAR by acoustic condition, and by parts of the test clips."""

from collections.abc import Sequence
from pathlib import Path

from ser_lightning.evaluation.bootstrap import FEWEST_SPEAKERS
from ser_lightning.evaluation.part_scores import estimate_of
from ser_lightning.evaluation.records import ConditionScores, PartScores
from ser_lightning.evaluation.subgroups import Subgroups, lacks_labels
from ser_lightning.report.forest_plot import Dot, draw_dots
from ser_lightning.report.numbers import count, percent, points, points_interval, shortened

_LONGEST = 44  # letters of a name
_INTERVALS = "bars: 95% intervals by a bootstrap over speakers, where there are enough of them"
_NO_INTERVALS = f"no intervals: they take {FEWEST_SPEAKERS} speakers"


def draw_robustness(path: Path, rows: Sequence[ConditionScores], *, title: str, subtitle: str) -> None:
    """Draw the UAR under each condition, the clean one as a line through all.

    Args:
        path: the PNG to write.
        rows: as `robustness` gives them.
        title: one line.
        subtitle: one or several lines.
    """
    dots = [_dot(row, row.group, row.title, [percent(row.uar), *_lost(row)]) for row in rows]
    draw_dots(
        path,
        dots,
        headings=[("UAR", 0.65), ("against clean", 1.65), ("95% interval", 2.95)],
        reference=("clean", rows[0].uar),
        note=f"{_note(dots)}; against clean, the same speakers under both",
        title=title,
        subtitle=subtitle,
    )


def draw_subgroups(path: Path, subgroups: Subgroups, *, uar: float, title: str, subtitle: str) -> None:
    """Draw the UAR of each part of the test clips.

    Args:
        path: the PNG to write.
        subgroups: as `subgroups` returns them, not empty.
        uar: of all test clips, a line through all.
        title: one line.
        subtitle: one or several lines.
    """
    dots = [
        _dot(row, column, names[value], _sizes(row), hollow=lacks_labels(row, subgroups))
        for column, parts in subgroups.items()
        for names in [shortened(parts, _LONGEST)]
        for value, row in parts.items()
    ]
    missing = "\nhollow: labels are missing there, and the UAR is over the others"
    draw_dots(
        path,
        dots,
        headings=[("UAR", 0.65), ("clips", 1.3), ("speakers", 2.05), ("labels", 2.65)],
        reference=("all clips", uar),
        note=_note(dots) + missing * any(dot.hollow for dot in dots),
        title=title,
        subtitle=subtitle,
    )


def _note(dots: Sequence[Dot]) -> str:
    return _INTERVALS if any(dot.interval for dot in dots) else _NO_INTERVALS


def _dot(row: PartScores, group: str, name: str, cells: Sequence[str], *, hollow: bool = False) -> Dot:
    return Dot(
        group=group,
        name=name,
        value=row.uar,
        interval=row.uar_interval,
        chance=1 / row.n_labels,
        cells=cells,
        hollow=hollow,
    )


def _lost(row: ConditionScores) -> list[str]:
    if row.difference is None:
        return ["", ""]
    difference = estimate_of(row.difference, row.difference_interval)
    return [points(row.difference), points_interval(difference) if difference else ""]


def _sizes(row: PartScores) -> list[str]:
    return [percent(row.uar), count(row.n_clips), count(row.n_speakers), str(row.n_labels)]
