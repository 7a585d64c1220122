"""Make tables for a terminal: scores by acoustic condition, and by parts of the test clips."""

from collections.abc import Sequence
from math import nan

from rich.console import Group, RenderableType
from rich.text import Text

from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.evaluation.records import Condition
from ser_lightning.evaluation.subgroups import Subgroups, lacks_labels
from ser_lightning.report.metric_style import Style, headline_style, headline_title, style_of
from ser_lightning.report.table_cells import plain
from ser_lightning.tasks.classification import Classification
from ser_lightning.tasks.task import Task
from ser_lightning.utils.terminal import number_table


def robustness_table(rows: Sequence[Condition], task: Task | type[Task] = Classification) -> RenderableType:
    """Return a table with a row a condition, and what its numbers are."""
    style, second = headline_style(task), task.metrics[task.second]
    table = number_table("condition", numbers=(headline_title(task), second.title, "against clean"))
    for number, row in enumerate(rows):
        if number and row.group != rows[number - 1].group:
            table.add_row()
        cells = (
            _with_interval(row.headline, row.headline_interval, style),
            style_of(second).value(getattr(row, task.second), unit=""),
            _with_interval(row.difference, row.difference_interval, style, signed=True),
        )
        table.add_row(Text(row.title), *cells, style="bold" if number == 0 else "")
    paired = f"Against clean: difference in {headline_title(task)}, the same speakers under both."
    return Group(table, "", Text(f"{_units(style)} {paired}", style="dim"))


def subgroups_table(subgroups: Subgroups, task: Task | type[Task] = Classification) -> RenderableType:
    """Return a table with a row a part of the test clips, by column, and what its numbers are."""
    style, second = headline_style(task), task.metrics[task.second]
    table = number_table("", numbers=(headline_title(task), second.title, "clips", "speakers"))
    table.add_column(task.lowest, overflow="fold")
    incomplete = False
    for number, (column, parts) in enumerate(subgroups.items()):
        if number:
            table.add_row()
        table.add_row(Text(plain(column), style="dim"))
        for value, row in parts.items():
            lacks = lacks_labels(row, subgroups)
            incomplete |= lacks
            scores = [(score, name) for name, score in row.by_output.items() if score is not None]
            lowest, name = min(scores) if scores else (None, "")
            table.add_row(
                Text(f"  {plain(value)}{'*' * lacks}"),
                _with_interval(row.headline, row.headline_interval, style),
                style_of(second).value(getattr(row, task.second), unit=""),
                f"{row.n_clips:,}",
                str(row.n_speakers),
                Text(f"{plain(name)} ({style.value(lowest)})" if scores else ""),
            )
    note = " * Some labels have no clip there: not to be compared with the others." * incomplete
    return Group(table, "", Text(_units(style) + note, style="dim"))


def _units(style: Style) -> str:
    unit = "Per cent; in" if style.is_share else "In"
    return f"{unit} brackets 95 % intervals by a bootstrap over speakers."


def _with_interval(
    value: float | None, interval: Sequence[float] | None, style: Style, *, signed: bool = False
) -> str:
    """Write a number of a record with its interval, nothing where it is not known."""
    return "" if value is None else style.bracketed(Estimate(value, *(interval or (nan, nan))), signed=signed)
