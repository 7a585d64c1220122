"""Write values of a metric for people: shares in per cent, other numbers with three decimals."""

from dataclasses import dataclass
from typing import Any

from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report import numbers
from ser_lightning.report.numbers import MISSING
from ser_lightning.tasks.task import Metric, Task

_DECIMALS = 3


@dataclass(frozen=True)
class Style:
    """How a metric's values are written."""

    is_share: bool

    @property
    def lowest(self) -> float:
        """Return the lowest value that there may be: of a share 0, of a correlation -1."""
        return 0 if self.is_share else -1

    def value(self, value: float | None, *, unit: str = "%") -> str:
        """Write 66.1% or 0.661; ``unit`` is empty in tables whose legend has it."""
        return numbers.percent(value, unit=unit) if self.is_share else numbers.decimal(value, _DECIMALS)

    def tick(self, value: float) -> str:
        """Write a value beside an axis."""
        return numbers.percent(value, 0) if self.is_share else numbers.decimal(value, 2)

    def interval(self, estimate: Estimate | None) -> str:
        """Write an estimate's interval."""
        if self.is_share:
            return numbers.interval(estimate)
        if estimate is None or numbers.decimal(estimate.low) == MISSING:
            return MISSING
        return f"{self.value(estimate.low)} to {self.value(estimate.high)}"

    def bracketed(self, estimate: Estimate, *, signed: bool = False) -> str:
        """Write an estimate without its unit, and its interval behind it where it has one."""
        if self.is_share:
            return numbers.bracketed(estimate, signed=signed)
        write = self.difference if signed else self.value
        ends = [write(end) for end in (estimate.low, estimate.high) if numbers.decimal(end) != MISSING]
        return f"{write(estimate.value)} [{', '.join(ends)}]" if len(ends) == 2 else write(estimate.value)

    def spread(self, sd: float | None) -> str:
        """Write a standard deviation without its unit."""
        text = self.value(sd, unit="")
        return text if text == MISSING else f"± {text}"

    def difference(self, value: float | None) -> str:
        """Write a difference of two values, in points where these are shares, always with its sign."""
        if self.is_share:
            return numbers.points(value)
        text = numbers.decimal(value, _DECIMALS)
        return text if text[0] in "−–" or not float(text) else "+" + text

    def difference_interval(self, estimate: Estimate) -> str:
        """Write a difference's interval."""
        if self.is_share:
            return numbers.points_interval(estimate)
        if numbers.decimal(estimate.low) == MISSING:
            return MISSING
        return f"{self.difference(estimate.low)} to {self.difference(estimate.high)}"


SHARE = Style(is_share=True)


def style_of(metric: Metric) -> Style:
    """Return how a metric's values are written."""
    return Style(metric.is_share)


def headline_style(task: Task | type[Task]) -> Style:
    """Return how the headline of a task is written."""
    return style_of(task.metrics[task.headline])


def headline_title(task: Task | type[Task]) -> str:
    """Return what the headline of a task is called."""
    return task.metrics[task.headline].title


def two_metrics(task: Task | type[Task]) -> list[tuple[str, Metric]]:
    """Return the two metrics to show where there is room for no more, by name."""
    return [(name, task.metrics[name]) for name in (task.headline, task.second)]


def written_scores(scores: Any, task: Task | type[Task]) -> list[str]:
    """Return two scores of a record with their names: UAR 66.1%, accuracy 70.2%."""
    return [f"{metric.title} {style_of(metric).value(getattr(scores, name))}" for name, metric in two_metrics(task)]
