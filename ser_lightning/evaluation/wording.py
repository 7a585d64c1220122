"""Numbers as the page writes them; page.js has the same for what it fills in."""

import json
import math
from typing import Any, TypeGuard

from ser_lightning.evaluation.comparison import Estimate

MISSING = "–"
_MINUS = "−"


def percent(share: float | None, decimals: int = 1) -> str:
    """0.6612 → 66.1%."""
    return f"{share:.{decimals}%}" if _known(share) else MISSING


def interval(estimate: Estimate | None) -> str:
    """An estimate's interval in per cent."""
    if estimate is None or not (_known(estimate.low) and _known(estimate.high)):
        return MISSING
    return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}%"


def points(share: float | None, decimals: int = 1) -> str:
    """A difference of two shares in percentage points, always with its sign."""
    if not _known(share):
        return MISSING
    text = _signed(100 * share, decimals)
    return text if text[0] == _MINUS or not float(text) else "+" + text


def points_interval(difference: Estimate) -> str:
    """A difference's interval in percentage points."""
    return f"{points(difference.low)} to {points(difference.high)}"


def p_value(p: float | None) -> str:
    """Three decimals; what is smaller is only that."""
    if not _known(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def decimal(value: float | None, decimals: int = 1) -> str:
    """A plain number."""
    return _signed(value, decimals) if _known(value) else MISSING


def count(number: int | None) -> str:
    """A whole number with separators."""
    return MISSING if number is None else f"{number:,}"


def short(number: float) -> str:
    """A number for an axis or a narrow column: 1.2 M, 250 k, 40."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}\u00a0{letter}"
    return f"{number:.3g}"


def setting(value: Any) -> str:
    """A value of a config, as YAML's users know it."""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _signed(value: float, decimals: int = 1) -> str:
    """A real minus sign, and none before what rounds to zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", _MINUS)


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def clock(seconds: float) -> str:
    """1:02:03.4, without the hours where there are none."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
