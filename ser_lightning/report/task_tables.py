"""Make the tables of a result for a terminal, by the names that its task gives them."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ser_lightning.report.metric_style import style_of
from ser_lightning.report.numbers import decimal
from ser_lightning.report.table_cells import confused_with
from ser_lightning.runs.result import ClassificationResult, RegressionResult, Result
from ser_lightning.runs.result_parts import Annotators
from ser_lightning.utils.terminal import number_table


def result_table(name: str, result: Result) -> Table:
    """Return a table of a result. Raises: ValueError for a name that none has."""
    match name, result:
        case "labels", ClassificationResult():
            table = _table("class", ("recall", "test clips"))
            table.add_column("most often confused with", overflow="fold")
            for index, (label, row) in enumerate(zip(result.labels, result.confusion_matrix, strict=True)):
                others = Text(confused_with(row, index, result.labels))
                table.add_row(Text(label), _percent(result.metrics.test.recall[label]), f"{sum(row):,}", others)
            return table
        case "targets", RegressionResult():
            metrics = {name: metric for name, metric in result.predicts.metrics.items() if name != "loss"}
            table = _table("target", [metric.title for metric in metrics.values()])
            for target, scores in result.metrics.test.targets.items():
                cells = [style_of(metric).value(getattr(scores, name)) for name, metric in metrics.items()]
                table.add_row(Text(target), *cells)
            return table
        case "overall", _:
            return _overall_table(result)
        case _:
            raise ValueError(f"no table is called {name}")


def _overall_table(result: Result) -> Table:
    """Return validation and test, and below them how annotators agreed, where that is known."""
    metrics = result.predicts.metrics
    table = _table("overall", [metric.title for metric in metrics.values()])
    for name, scores, style in (("validation", result.metrics.val, ""), ("test", result.metrics.test, "bold")):
        if scores is not None:
            values = [(getattr(scores, key), metric.is_share) for key, metric in metrics.items()]
            cells = [_percent(value) if is_share else decimal(value, 3) for value, is_share in values]
            table.add_row(name, *cells, style=style)
    annotators = result.annotators or Annotators()
    for name, agreement in (("one annotator", annotators.single), ("most annotators", annotators.majority)):
        if agreement is not None:  # on the very clips of the test
            table.add_row(name, _percent(agreement.uar), _percent(agreement.accuracy), style="dim")
    return table


def _table(first: str, numbers: Sequence[str]) -> Table:
    table = number_table(first, numbers=numbers, gap=3, title_justify="left")
    table.columns[0].min_width = 12  # as those of the table above it
    return table


def _percent(share: float | None) -> str:
    return "absent" if share is None else f"{share:.1%}"
