"""A comparison for people on a terminal: what was compared under which protocol, the ranking, the pairs."""

from collections.abc import Iterator, Sequence
from textwrap import shorten

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ser_lightning.compare.comparison import ALL_PAIRS_SHOWN_UP_TO, Comparison, Group, Pair
from ser_lightning.report.numbers import bracketed, decimal, minutes, p_value, percent, spread
from ser_lightning.report.protocol import corpora, known_of_speakers, label_source
from ser_lightning.report.table_cells import plain
from ser_lightning.utils.errors import counted

_MOST_ROWS = 40  # of a table on a terminal
_FAILED = 10  # that are named
_REASON = 110  # letters of it
_WIDE = 110  # columns, from which on there is room for everything


def print_comparisons(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print each with its protocol above and its warnings below, then the runs that could not be compared."""
    for number, comparison in enumerate(comparisons):
        if number:
            console.print()
        for part in _parts(comparison, wide=console.width >= _WIDE):
            console.print(part)
    for line in failures(comparisons):
        console.print(Text(plain(line), style="yellow"), soft_wrap=True)


def headline(comparison: Comparison) -> str:
    """Return the protocol in a line."""
    known = comparison.protocol
    speakers = "unseen speakers" if comparison.speaker_independent else "SPEAKERS SHARED"
    parts = [
        corpora(known),
        f"split {known['split']}",
        speakers,
        *filter(None, [known_of_speakers(known.get("speaker_clips"))]),
        f"{counted(comparison.labels, 'label')} ({label_source(known['label_source'])})",
        f"epoch by {known['selection']}",
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
    return "UAR of" if _every_pair(comparison) else f"UAR of {plain(comparison.groups[0].name)} minus that of"


def pair_cells(comparison: Comparison, pair: Pair) -> list[str]:
    """Return the names, the difference and its interval, both p, the effect size."""
    return [
        plain(f"{pair.first} − {pair.second}" if _every_pair(comparison) else pair.second),
        bracketed(pair.difference, signed=True),
        p_value(pair.permutation_holm_p),
        p_value(pair.mcnemar_holm_p),
        decimal(pair.effect_size, 2),
    ]


def _every_pair(comparison: Comparison) -> bool:
    return len(comparison.groups) <= ALL_PAIRS_SHOWN_UP_TO


def failures(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line for each of the first runs that could not be compared, the same in every comparison."""
    failed = comparisons[0].failed
    others = [f"and {len(failed) - _FAILED:,} more"] if len(failed) > _FAILED else []
    return [f"not compared: {place}: {_brief(reason)}" for place, reason in failed[:_FAILED]] + others


def _brief(reason: str) -> str:
    """Return the beginning of a reason; result.json, and ``--json``, have all of it."""
    return shorten(reason, _REASON, placeholder=" …")


def legend(comparison: Comparison) -> str:
    """Return what the numbers are."""
    n_tests = len(comparison.pairs)
    text = "Per cent; in brackets 95 % intervals by a bootstrap over speakers; ± standard deviation over seeds."
    if not n_tests:
        return text
    corrected = f" Both p after Holm's correction for {n_tests} tests." if n_tests > 1 else ""
    left_out = (
        f" Of {n_tests} pairs, those with the best are shown." if len(shown_pairs(comparison)) < n_tests else ""
    )
    return (
        f"{text} p speakers: paired permutation test over speakers. p clips: McNemar's test, which takes clips "
        f"of a speaker for independent.{corrected} d: Cohen's, of what each speaker adds to the difference."
        f"{left_out}"
    )


def grid_text(group: Group) -> str:
    """Return how many folds and seeds were run, with a star where some are missing."""
    return f"{len(group.folds)}×{len(group.seeds)}" + ("*" if group.incomplete else "")


def _parts(comparison: Comparison, *, wide: bool) -> Iterator[RenderableType]:
    yield Text(plain(headline(comparison)), style="bold")
    yield ""
    yield _groups(comparison, wide=wide)
    if comparison.pairs:
        yield ""
        yield _pairs(comparison)
    yield ""
    yield Text(legend(comparison), style="dim")
    if len(comparison.groups) > _MOST_ROWS:
        yield Text(
            f"{len(comparison.groups)} groups, {_MOST_ROWS} of them shown: --csv FILE lists all", style="yellow"
        )
    for line in comparison.warnings:
        yield Text(f"note: {plain(line)}", style="yellow")


def _groups(comparison: Comparison, *, wide: bool) -> Table:
    if_wide = ["macro-F1", "clips", "speakers", "minutes"] * wide
    table = _table("", "model", "UAR", "seeds ±", "accuracy", *if_wide, "folds×seeds", "parameters")
    for rank, group in enumerate(comparison.groups[:_MOST_ROWS], start=1):
        table.add_row(
            str(rank),
            plain(group.name),
            bracketed(group.uar),
            spread(group.uar_sd),
            percent(group.accuracy.value, unit=""),
            *[percent(group.macro_f1, unit=""), f"{group.n_clips:,}", str(group.n_speakers)] * wide,
            *[minutes(group.minutes)] * wide,
            grid_text(group),
            f"{group.parameters:,}" if group.parameters is not None else "–",
            style="bold" if rank == 1 else "",
        )
    if comparison.annotators is not None:
        table.add_row("", "annotators", percent(comparison.annotators, unit=""), style="dim")
    return table


def _pairs(comparison: Comparison) -> Table:
    table = _table("", pair_heading(comparison), "difference", "p speakers", "p clips", "d")
    for pair in shown_pairs(comparison)[:_MOST_ROWS]:
        table.add_row("", *pair_cells(comparison, pair))
    return table


def _table(first: str, second: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, no_wrap=True, justify="right")
    table.add_column(second, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
