"""Draw the headline by acoustic condition, and by parts of the test clips."""

from collections.abc import Sequence
from pathlib import Path

from ser_lightning.evaluation.bootstrap import FEWEST_SPEAKERS
from ser_lightning.evaluation.part_scores import estimate_of
from ser_lightning.evaluation.records import Condition, Part
from ser_lightning.evaluation.subgroups import Subgroups, lacks_labels
from ser_lightning.report.forest_plot import Dot, draw_dots
from ser_lightning.report.metric_style import headline_style, headline_title
from ser_lightning.report.numbers import count, shortened
from ser_lightning.tasks.classification import Classification
from ser_lightning.tasks.task import Task

_LONGEST = 44  # letters of a name
_INTERVALS = "bars: 95% intervals by a bootstrap over speakers, where there are enough of them"
_NO_INTERVALS = f"no intervals: they take {FEWEST_SPEAKERS} speakers"


def draw_robustness(
    path: Path,
    rows: Sequence[Condition],
    *,
    task: Task | type[Task] = Classification,
    title: str,
    subtitle: str,
) -> None:
    """Draw the headline under each condition, the clean one as a line through all.

    Args:
        path: the PNG to write.
        rows: as `robustness` gives them.
        task: what is predicted.
        title: one line.
        subtitle: one or several lines.
    """
    style = headline_style(task)
    dots = []
    for row in rows:
        if row.headline is None:
            continue
        lost, interval = "", ""
        if row.difference is not None:
            lost, difference = (
                style.difference(row.difference),
                estimate_of(row.difference, row.difference_interval),
            )
            interval = style.difference_interval(difference) if difference else ""
        dots.append(_dot(row, row.group, row.title, [style.value(row.headline), lost, interval]))
    draw_dots(
        path,
        dots,
        headings=[(headline_title(task), 0.65), ("against clean", 1.65), ("95% interval", 2.95)],
        reference=("clean", rows[0].headline or 0.0),
        style=style,
        note=f"{_note(dots)}; against clean, the same speakers under both",
        title=title,
        subtitle=subtitle,
    )


def draw_subgroups(
    path: Path,
    subgroups: Subgroups,
    *,
    headline: float | None,
    task: Task | type[Task] = Classification,
    title: str,
    subtitle: str,
) -> None:
    """Draw the headline of each part of the test clips.

    Args:
        path: the PNG to write.
        subgroups: as `subgroups` returns them, not empty.
        headline: of all test clips, a line through all.
        task: what is predicted.
        title: one line.
        subtitle: one or several lines.
    """
    style = headline_style(task)
    dots = []
    for column, parts in subgroups.items():
        names = shortened(parts, _LONGEST)
        for value, row in parts.items():
            if row.headline is None:
                continue
            n_scored = sum(score is not None for score in row.by_output.values())
            cells = [style.value(row.headline), count(row.n_clips), count(row.n_speakers), str(n_scored)]
            dots.append(_dot(row, column, names[value], cells, hollow=lacks_labels(row, subgroups)))
    if not dots:
        return
    missing = "\nhollow: labels are missing there, and the UAR is over the others"
    draw_dots(
        path,
        dots,
        headings=[(headline_title(task), 0.65), ("clips", 1.3), ("speakers", 2.05), (task.outputs_word, 2.65)],
        reference=("all clips", headline or 0.0),
        style=style,
        note=_note(dots) + missing * any(dot.hollow for dot in dots),
        title=title,
        subtitle=subtitle,
    )


def _note(dots: Sequence[Dot]) -> str:
    return _INTERVALS if any(dot.interval for dot in dots) else _NO_INTERVALS


def _dot(row: Part, group: str, name: str, cells: Sequence[str], *, hollow: bool = False) -> Dot:
    """Return the row of a picture for a part that has a score."""
    assert row.headline is not None, "a part without a score is not drawn"
    return Dot(
        group=group,
        name=name,
        value=row.headline,
        interval=row.headline_interval,
        chance=row.chance,
        cells=cells,
        hollow=hollow,
    )
