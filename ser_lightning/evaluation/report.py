"""The page of a comparison: one HTML file that needs nothing beside it, neither network nor JavaScript.

What came from configs and file names reaches the page through Jinja's and MarkupSafe's escaping alone, and a content
security policy lets no script run but page.js.
"""

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ser_lightning.evaluation import wording
from ser_lightning.evaluation.charts import axes, curves, scatter, strips, svg
from ser_lightning.evaluation.comparison import Comparison, Estimate, Group, Pair
from ser_lightning.files import written_whole

_PAGE = Path(__file__).parent / "page"
_SIGNIFICANT = 0.05
_N_CURVES_SHOWN = 8
_MANY_GROUPS = 10


def write_page(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write the page of these comparisons, a section each; their results are never ranked together."""
    with written_whole(path) as file:
        file.write(_render(comparisons))


def _render(comparisons: Sequence[Comparison]) -> str:
    script = (_PAGE / "page.js").read_text(encoding="utf-8")
    return _environment().get_template("page.html.j2").render(
        comparisons=comparisons,
        today=date.today(),
        css=Markup((_PAGE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    for name in ("percent", "interval", "points", "points_interval", "p_value", "decimal", "count", "short", "setting"):
        environment.filters[name] = getattr(wording, name)
    environment.globals.update(
        axes=axes,
        curves=curves,
        scatter=scatter,
        strips=strips,
        svg=svg,
        scale_of=scale_of,
        verdicts=verdicts,
        pair_data=pair_data,
        thin=thin,
        significant=_SIGNIFICANT,
        n_curves_shown=_N_CURVES_SHOWN,
        many_groups=_MANY_GROUPS,
        missing=wording.MISSING,
    )
    return environment


def scale_of(estimates: Iterable[Estimate | None], also: float | None = None) -> axes.Scale:
    """An axis that holds these intervals."""
    ends = [end for at in estimates if at is not None for end in (at.low, at.value, at.high)]
    return axes.even([*ends, *([] if also is None else [also])], span=0.1, floor=0, ceiling=1)


def verdicts(comparison: Comparison) -> list[Pair | None]:
    """What is known of each group against the best: their pair, the best first; None for the best itself."""
    by_names = {frozenset((pair.first, pair.second)): pair for pair in comparison.pairs}
    best = comparison.groups[0].name
    return [by_names.get(frozenset((best, group.name))) for group in comparison.groups]


def thin(values: Sequence[Any], at_most: int) -> list[Any]:
    """At most so many of the values, evenly, with the first and the last."""
    if len(values) <= at_most:
        return list(values)
    return [values[round(number * (len(values) - 1) / (at_most - 1))] for number in range(at_most)]


def pair_data(comparison: Comparison) -> dict[str, Any]:
    """What page.js needs to show any two groups: plain numbers, groups by their rank from 0."""
    ranks = {group.name: rank for rank, group in enumerate(comparison.groups)}
    return {
        "labels": list(comparison.labels),
        "groups": [_group_data(group, comparison.labels) for group in comparison.groups],
        "pairs": [_pair_data(pair, ranks) for pair in comparison.pairs],
    }


def _group_data(group: Group, labels: Sequence[str]) -> dict[str, Any]:
    recall = [group.recall.get(label) for label in labels]
    return {
        "name": group.name,
        "confusion": [list(row) for row in group.confusion],
        "recall": [None if at is None else _numbers(at.value, at.low, at.high) for at in recall],
    }


def _pair_data(pair: Pair, ranks: dict[str, int]) -> list[Any]:
    """In the order that page.js unpacks."""
    numbers = _numbers(
        pair.difference.value,
        pair.difference.low,
        pair.difference.high,
        pair.permutation_p,
        pair.permutation_holm_p,
        pair.mcnemar_p,
        pair.mcnemar_holm_p,
        pair.effect_size,
        pair.only_first,
        pair.only_second,
    )
    return [ranks[pair.first], ranks[pair.second], pair.n_clips, pair.n_speakers, *numbers]


def _numbers(*values: float) -> list[float | None]:
    """As JSON can hold them, short: seven digits are more than are shown."""
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values]
