"""Print a comparison on a terminal: what was compared under which protocol, the ranking, the pairs."""

from collections.abc import Sequence
from math import comb
from textwrap import shorten

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ser_lightning.compare.comparison import ALL_PAIRS_SHOWN_UP_TO, Comparison, Group, Pair
from ser_lightning.report.metric_style import headline_style, headline_title, style_of
from ser_lightning.report.numbers import count, decimal, minutes, p_value
from ser_lightning.report.protocol import corpora, known_of_speakers, label_source
from ser_lightning.report.table_cells import plain
from ser_lightning.utils.terminal import number_table

_MOST_ROWS = 40  # of a table on a terminal
_FAILED = 10  # that are named
_REASON = 110  # letters of it
_WIDE = 110  # columns, from which on there is room for everything


def print_comparisons(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print each with its protocol above and its warnings below, then the runs that could not be compared."""
    for number, comparison in enumerate(comparisons):
        if number:
            console.print()
        console.print(Text(plain(headline(comparison)), style="bold"))
        console.print()
        console.print(_group_table(comparison, wide=console.width >= _WIDE))
        if comparison.pairs:
            table = _table(pair_heading(comparison), *pair_columns(comparison))
            for pair in shown_pairs(comparison)[:_MOST_ROWS]:
                table.add_row("", *pair_cells(comparison, pair))
            console.print()
            console.print(table)
        console.print()
        console.print(Text(legend(comparison), style="dim"))
        if (n_groups := len(comparison.groups)) > _MOST_ROWS:
            cut = f"{n_groups} groups, {_MOST_ROWS} of them shown: --csv FILE lists all"
            console.print(Text(cut, style="yellow"))
        for line in comparison.warnings:
            console.print(Text(f"note: {plain(line)}", style="yellow"))
    for line in failures(comparisons):
        console.print(Text(plain(line), style="yellow"), soft_wrap=True)


def headline(comparison: Comparison) -> str:
    """Return the protocol in a line."""
    protocol = comparison.protocol
    parts = [
        corpora(protocol),
        f"split {protocol['split']}",
        "unseen speakers" if comparison.speaker_independent else "SPEAKERS SHARED",
        *filter(None, [known_of_speakers(protocol.get("speaker_clips"))]),
        f"{comparison.task.summary} ({label_source(protocol['label_source'])})",
        f"epoch by {protocol['selection']}",
        *["SYNTHETIC SPEECH"] * comparison.synthetic,
    ]
    return " · ".join(parts)


def shown_pairs(comparison: Comparison) -> list[Pair]:
    """Return all pairs, or where there are many those with the best group."""
    if _every_pair(comparison):
        return list(comparison.pairs)
    return [pair for pair in comparison.pairs if pair.first == comparison.groups[0].name]


def pair_heading(comparison: Comparison) -> str:
    """Return the heading above the names of pairs."""
    title = headline_title(comparison.task)
    return (
        f"{title} of" if _every_pair(comparison) else f"{title} of {plain(comparison.groups[0].name)} minus that of"
    )


def tests_clips(comparison: Comparison) -> bool:
    """Return whether pairs are tested over clips, too, which were recognised or not."""
    return any(pair.mcnemar_p is not None for pair in comparison.pairs)


def pair_columns(comparison: Comparison) -> list[str]:
    """Return the headings of what `pair_cells` gives beside the names."""
    return ["difference", "p speakers", *["p clips"] * tests_clips(comparison), "d"]


def pair_cells(comparison: Comparison, pair: Pair) -> list[str]:
    """Return the names, the difference and its interval, each p, the effect size."""
    return [
        plain(f"{pair.first} − {pair.second}" if _every_pair(comparison) else pair.second),
        headline_style(comparison.task).bracketed(pair.difference, signed=True),
        p_value(pair.permutation_holm_p),
        *[p_value(pair.mcnemar_holm_p)] * tests_clips(comparison),
        decimal(pair.effect_size, 2),
    ]


def score_columns(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the name and the title of each score beside the headline."""
    names = list(comparison.groups[0].scores)[1:]
    return [(name, comparison.task.metrics[name].title) for name in names]


def score_cell(comparison: Comparison, group: Group, name: str) -> str:
    """Return a score without unit and interval."""
    return style_of(comparison.task.metrics[name]).value(group.scores[name].value, unit="")


def _every_pair(comparison: Comparison) -> bool:
    """Return whether tables show every pair, and not those with the best group alone."""
    few = comb(ALL_PAIRS_SHOWN_UP_TO, 2)  # two references are no pair
    with_references = any(group.reference for group in comparison.groups)
    return len(comparison.groups) <= ALL_PAIRS_SHOWN_UP_TO or (with_references and len(comparison.pairs) <= few)


def failures(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line for each of the first runs that could not be compared, the same in every comparison.

    Reasons are cut; ``--json`` has all of them.
    """
    failed = comparisons[0].failed
    lines = [f"not compared: {place}: {shorten(why, _REASON, placeholder=' …')}" for place, why in failed[:_FAILED]]
    return lines + [f"and {len(failed) - _FAILED:,} more"] * (len(failed) > _FAILED)


def legend(comparison: Comparison) -> str:
    """Return what the numbers are."""
    n_tests = len(comparison.pairs)
    unit = "Per cent; in" if headline_style(comparison.task).is_share else "In"
    text = f"{unit} brackets 95 % intervals by a bootstrap over speakers; ± standard deviation over seeds."
    if not n_tests:
        return text
    p_values = "Both p" if tests_clips(comparison) else "p"
    corrected = f" {p_values} after Holm's correction for {n_tests} tests." if n_tests > 1 else ""
    clips = " p clips: McNemar's test, which takes clips of a speaker for independent." * tests_clips(comparison)
    left_out = (
        f" Of {n_tests} pairs, those with the best are shown." if len(shown_pairs(comparison)) < n_tests else ""
    )
    return (
        f"{text} p speakers: paired permutation test over speakers.{clips}{corrected} d: Cohen's, of what each "
        f"speaker adds to the difference.{left_out}"
    )


def grid_text(group: Group) -> str:
    """Return how many folds and seeds were run, with a star where some are missing."""
    return f"{len(group.folds)}×{len(group.seeds)}" + ("*" if group.incomplete else "")


def _group_table(comparison: Comparison, *, wide: bool) -> Table:
    """Return the ranking; where the terminal is ``wide``, with all scores, counts and minutes."""
    style, scores = headline_style(comparison.task), score_columns(comparison)
    titles = [title for _, title in scores]
    if_wide = [*titles[1:], "clips", "speakers", "minutes"] * wide
    headings = (headline_title(comparison.task), "seeds ±", titles[0], *if_wide, "folds×seeds", "parameters")
    table = _table("model", *headings)
    for rank, group in enumerate(comparison.groups[:_MOST_ROWS], start=1):
        table.add_row(
            str(rank),
            plain(group.name),
            style.bracketed(group.headline),
            style.spread(group.headline_sd),
            score_cell(comparison, group, scores[0][0]),
            *[score_cell(comparison, group, name) for name, _ in scores[1:]] * wide,
            *[f"{group.n_clips:,}", str(group.n_speakers)] * wide,
            *[minutes(group.minutes)] * wide,
            grid_text(group),
            count(group.parameters),
            style="bold" if rank == 1 else "",
        )
    if comparison.annotators is not None:
        table.add_row("", "annotators", style.value(comparison.annotators, unit=""), style="dim")
    return table


def _table(names: str, *numbers: str) -> Table:
    """Return an empty table: a column of ranks, one of names, and columns of numbers."""
    table = number_table("", names, numbers=numbers)
    ranks = table.columns[0]
    ranks.justify, ranks.no_wrap = "right", True
    return table
