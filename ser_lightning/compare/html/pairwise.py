"""Compare any two groups: what the page shows of the first two, and page.js of all others.  K: labels."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ser_lightning.compare.comparison import Comparison, Group, Pair
from ser_lightning.compare.pairwise_tests import SIGNIFICANT
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report.metric_style import Style, headline_style
from ser_lightning.report.numbers import MISSING, decimal, p_value, percent, points
from ser_lightning.utils.errors import counted

_STRONG = 0.3  # a difference of confusions that gets the strongest colour

Cell = tuple[str, float, str]  # text, strength of its colour, and whether the first has more or less


def against_best(comparison: Comparison) -> list[Pair | None]:
    """Return the tests of each group against the best, the best first; None for the best itself."""
    best = comparison.groups[0].name
    by_names = {frozenset((pair.first, pair.second)): pair for pair in comparison.pairs}
    return [by_names.get(frozenset((best, group.name))) for group in comparison.groups]


def too_few_speakers(comparison: Comparison) -> bool:
    """Return whether there are pairs and no test over speakers could have told any of them apart."""
    n_tests = len(comparison.pairs)
    return n_tests > 0 and all(n_tests * pair.smallest_p >= SIGNIFICANT for pair in comparison.pairs)


def first_pair(comparison: Comparison) -> dict[str, Any]:
    """Return the texts and pictures of two groups, as page.js has them for any two.

    They are the two highest; where these are references, which are not tested, the two highest that were.
    """
    first, second = comparison.groups[:2]
    if first.reference and second.reference and comparison.pairs:
        named = {group.name: group for group in comparison.groups}
        first, second = named[comparison.pairs[0].first], named[comparison.pairs[0].second]
    pair = _turned(comparison.pairs, first.name, second.name)
    gaps = [pair.difference for pair in comparison.pairs]
    ends = [abs(end) for gap in gaps for end in (gap.low, gap.value, gap.high) if math.isfinite(end)]
    return {
        "limit": math.ceil(100 * max([0.05, *ends])) / 100,  # of the axis of differences, on both sides
        "estimate": pair.difference if pair else None,
        "groups": (first, second),
        "ranks": [comparison.groups.index(group) for group in (first, second)],
        **_texts(pair, headline_style(comparison.task)),
        "confusions": _confusions(first, second),
    }


def _turned(pairs: Sequence[Pair], first: str, second: str) -> Pair | None:
    """Return the pair of these two, in this order."""
    for pair in pairs:
        if (pair.first, pair.second) == (first, second):
            return pair
        if (pair.second, pair.first) == (first, second):
            gap = pair.difference
            return replace(
                pair,
                first=first,
                second=second,
                difference=Estimate(-gap.value, -gap.high, -gap.low),
                only_first=pair.only_second,
                only_second=pair.only_first,
                effect_size=-pair.effect_size,
            )
    return None


def _texts(pair: Pair | None, style: Style) -> dict[str, str]:
    """Return what is written of a pair, by the names that page.js knows; of two that were not tested, a dash."""
    names = "difference interval significance permutation permutation_holm mcnemar mcnemar_holm effect only_first"
    if pair is None:
        return dict.fromkeys([*names.split(), "only_second", "n_clips", "n_speakers"], MISSING)
    return {
        "difference": style.difference(pair.difference.value),
        "interval": style.difference_interval(pair.difference),
        "significance": "significant" if pair.permutation_holm_p < SIGNIFICANT else "not significant",
        "permutation": p_value(pair.permutation_p),
        "permutation_holm": p_value(pair.permutation_holm_p),
        "mcnemar": p_value(pair.mcnemar_p),
        "mcnemar_holm": p_value(pair.mcnemar_holm_p),
        "effect": decimal(pair.effect_size, 2),
        "only_first": percent(_share(pair.only_first, pair)),
        "only_second": percent(_share(pair.only_second, pair)),
        "n_clips": counted(pair.n_clips, "clip"),
        "n_speakers": counted(pair.n_speakers, "speaker"),
    }


def _share(n_clips: float | None, pair: Pair) -> float | None:
    return None if n_clips is None else n_clips / pair.n_clips


def _confusions(first: Group, second: Group) -> dict[str, list[list[Cell]]]:
    """Return (K, K) cells of either group, and of the first minus the second; nothing of numbers."""
    if first.confusion is None or second.confusion is None:
        return {}
    gaps = [
        [_difference_cell(*shares) for shares in zip(*rows, strict=True)]
        for rows in zip(_shares(first), _shares(second), strict=True)
    ]
    return {"first": confusion_cells(first), "second": confusion_cells(second), "difference": gaps}


def confusion_cells(group: Group) -> list[list[Cell]]:
    """Return (K, K) of a group's confusion matrix, in per cent of each true label."""
    absent = (MISSING, 0.0, "")
    return [
        [absent if share is None else (decimal(100 * share), round(share, 3), "") for share in row]
        for row in _shares(group)
    ]


def _shares(group: Group) -> list[list[float | None]]:
    """Return (K, K) shares of each true label; None where it never occurred."""
    return [[clips / sum(row) if sum(row) else None for clips in row] for row in group.confusion or ()]


def _difference_cell(first: float | None, second: float | None) -> Cell:
    """Return the cell of a difference of two shares."""
    if first is None or second is None:
        return MISSING, 0.0, ""
    sign = "more" if first > second else "less" if first < second else ""
    return points(first - second), round(min(abs(first - second) / _STRONG, 1.0), 3), sign


def pair_data(comparison: Comparison) -> dict[str, Any]:
    """Return what page.js needs to show any two groups: plain numbers, groups by their rank from 0."""
    ranks = {group.name: rank for rank, group in enumerate(comparison.groups)}
    groups = []
    for group in comparison.groups:
        scores = [group.by_output.get(name) for name in comparison.task.outputs]
        groups.append(
            {
                "name": group.name,
                "confusion": None if group.confusion is None else [list(row) for row in group.confusion],
                "recall": [None if at is None else _numbers(at.value, at.low, at.high) for at in scores],
            }
        )
    pairs = []
    for pair in comparison.pairs:  # in the order in which page.js unpacks it
        gap, effect = pair.difference, pair.effect_size
        tests = (pair.permutation_p, pair.permutation_holm_p, pair.mcnemar_p, pair.mcnemar_holm_p)
        alone = (_share(pair.only_first, pair), _share(pair.only_second, pair))
        numbers = _numbers(gap.value, gap.low, gap.high, *tests, effect, *alone)
        pairs.append([ranks[pair.first], ranks[pair.second], pair.n_clips, pair.n_speakers, *numbers])
    return {
        "groups": groups,
        "pairs": pairs,
        "significant": SIGNIFICANT,
        "strong": _STRONG,
        "share": headline_style(comparison.task).is_share,
    }


def _numbers(*values: float | None) -> list[float | None]:
    """Return numbers as JSON can hold them, and short: seven digits are more than are shown."""
    return [float(f"{value:.7g}") if value is not None and math.isfinite(value) else None for value in values]
