"""Tables on a terminal: scores by acoustic condition, and by parts of the test clips."""

from collections.abc import Sequence
from math import nan

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.evaluation.records import ConditionScores, PartScores
from ser_lightning.evaluation.subgroups import Subgroups, lacks_labels
from ser_lightning.report.numbers import bracketed, percent
from ser_lightning.report.table_cells import plain

_UNITS = "Per cent; in brackets 95 % intervals by a bootstrap over speakers."
_PAIRED = "Against clean: difference in UAR, the same speakers under both."


def robustness_table(rows: Sequence[ConditionScores]) -> RenderableType:
    """Return a table with a row a condition, and what its numbers are."""
    table = _table("condition", "UAR", "accuracy", "against clean")
    for number, row in enumerate(rows):
        if number and row.group != rows[number - 1].group:
            table.add_row()
        cells = (
            _with_interval(row.uar, row.uar_interval),
            percent(row.accuracy, unit=""),
            _with_interval(row.difference, row.difference_interval, signed=True),
        )
        table.add_row(Text(row.title), *cells, style="bold" if number == 0 else "")
    return Group(table, "", Text(f"{_UNITS} {_PAIRED}", style="dim"))


def subgroups_table(subgroups: Subgroups) -> RenderableType:
    """Return a table with a row a part of the test clips, by column, and what its numbers are."""
    table = _table("", "UAR", "accuracy", "clips", "speakers")
    table.add_column("least recognised", overflow="fold")
    incomplete = False
    for number, (column, parts) in enumerate(subgroups.items()):
        if number:
            table.add_row()
        table.add_row(Text(plain(column), style="dim"))
        for value, row in parts.items():
            lacks = lacks_labels(row, subgroups)
            incomplete |= lacks
            table.add_row(Text(f"  {plain(value)}{'*' * lacks}"), *_cells(row))
    note = " * Some labels have no clip there: not to be compared with the others." * incomplete
    return Group(table, "", Text(_UNITS + note, style="dim"))


def _cells(row: PartScores) -> list[RenderableType]:
    share, label = min((share, label) for label, share in row.recall.items() if share is not None)
    return [
        _with_interval(row.uar, row.uar_interval),
        percent(row.accuracy, unit=""),
        f"{row.n_clips:,}",
        str(row.n_speakers),
        Text(f"{plain(label)} ({percent(share)})"),
    ]


def _with_interval(value: float | None, interval: Sequence[float] | None, *, signed: bool = False) -> str:
    return "" if value is None else bracketed(Estimate(value, *(interval or (nan, nan))), signed=signed)


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
