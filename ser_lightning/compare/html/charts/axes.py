"""Map values to shares of an axis, and round numbers to mark on it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high``, even in the value or, if ``log``, in its logarithm."""

    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def share(self, value: float) -> float:
        """Return where on the axis a value lies, 0 to 1; beyond its ends, at the end."""
        low, high, at = (math.log(part) if self.log else part for part in (self.low, self.high, value))
        return min(max((at - low) / (high - low), 0.0), 1.0)


def even(
    values: Iterable[float],
    *,
    span: float,
    floor: float = -math.inf,
    ceiling: float = math.inf,
    n_ticks: int = 6,
) -> Scale:
    """Return an even axis around all values with a little air; at least ``span`` long, lest noise fill it."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, span]
    low, high = min(finite), max(finite)
    air = max(0.04 * (high - low), (span - (high - low)) / 2)
    low, high = max(low - air, floor), min(high + air, ceiling)
    rough = (high - low) / n_ticks
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    ticks = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return Scale(low, high, [number * step for number in ticks])


def logarithmic(values: Iterable[float]) -> Scale:
    """Return a logarithmic axis around all values, which are above 0.

    It is marked at 1, 10, 100, or where those are few, at 1, 2, 5, 10.
    """
    values = list(values)
    low, high = min(values) / 1.25, max(values) * 1.25
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 3:
            break
    return Scale(low, high, inside, log=True)
