"""Write comparisons as CSV, JSON and Markdown. Text of configs and file names is never markup."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ser_lightning.compare.comparison import Comparison, Group
from ser_lightning.compare.tables import (
    failures,
    grid_text,
    headline,
    legend,
    pair_cells,
    pair_columns,
    pair_heading,
    score_cell,
    score_columns,
    shown_pairs,
)
from ser_lightning.report.metric_style import headline_style, headline_title
from ser_lightning.report.numbers import count
from ser_lightning.report.table_cells import markdown, plain

SCHEMA = 1  # of the JSON
_NO_COLUMNS = ("labels", "targets", "split_hash")  # of the protocol
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_json(comparisons: Sequence[Comparison]) -> str:
    """Return everything that the comparisons hold, as JSON."""
    record = {"schema": SCHEMA, "comparisons": [_without_nan(_plain(comparison)) for comparison in comparisons]}
    return json.dumps(record, indent=2, allow_nan=False, default=str) + "\n"


def _plain(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values, scores by their own names."""
    values, task = asdict(comparison), comparison.task
    del values["task"]
    values = {"protocol": values.pop("protocol"), **task.entry(), **values}
    for group, plain_group in zip(comparison.groups, values["groups"], strict=True):
        for run, plain_run in zip(group.runs, plain_group["runs"], strict=True):
            del plain_run["scores"]
            plain_run |= {**run.scores, f"val_{task.headline}": plain_run.pop("val_headline")}
        scores, sds = plain_group.pop("scores"), plain_group.pop("sds")
        plain_group |= {name: scores[name] if name in sds else scores[name]["value"] for name in scores}
        plain_group |= {f"{name}_sd": sd for name, sd in sds.items()}
        by_target = "_by_target" * (task.by_output in task.metrics)  # recall of labels, but ccc_by_target
        plain_group[f"{task.by_output}{by_target}"] = plain_group.pop("by_output")
    return values


def _without_nan(value: Any) -> Any:
    """Return a value with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """Return a CSV with a row a group, shares between 0 and 1; the protocol in the first columns."""
    rows = [
        _row(comparison, rank, group)
        for comparison in comparisons
        for rank, group in enumerate(comparison.groups, start=1)
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, [_cell(name) for name in columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows({_cell(name): _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return Markdown tables to paste."""
    lines = [line for comparison in comparisons for line in _section(comparison)]
    lines += [f"- {markdown(line)}" for line in failures(comparisons)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _row(comparison: Comparison, rank: int, group: Group) -> dict[str, Any]:
    """Return a group's cells by column; scores with their interval and standard deviation where they have such."""
    scores: dict[str, float | None] = {}
    for name, estimate in group.scores.items():
        scores[name] = estimate.value
        if name in group.sds:
            scores |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high, f"{name}_sd": group.sds[name]}
    by_output = {name: group.by_output.get(name) for name in comparison.task.outputs}
    return {
        **{name: text for name, text in comparison.protocol.items() if name not in _NO_COLUMNS},
        "synthetic": "yes" if comparison.synthetic else "no",
        "rank": rank,
        "name": group.name,
        "model": group.model,
        **scores,
        **{f"{comparison.task.by_output}.{name}": score and score.value for name, score in by_output.items()},
        "folds": " ".join(group.folds),
        "seeds": " ".join(map(str, group.seeds)),
        "missing": len(group.incomplete),
        "clips": group.n_clips,
        "speakers": group.n_speakers,
        "parameters": group.parameters,
        "minutes": group.minutes,
    }


def _cell(value: Any) -> Any:
    """Return a cell, with an apostrophe before text that a spreadsheet would take for a formula."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _section(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of a comparison: protocol, groups, pairs, what the numbers are, warnings."""
    style, scores = headline_style(comparison.task), score_columns(comparison)
    titles = [title for _, title in scores]
    headings = ["", "model", headline_title(comparison.task), "seeds ±", *titles, "folds×seeds", "parameters"]
    rows = [
        [
            str(rank),
            markdown(group.name),
            style.bracketed(group.headline),
            style.spread(group.headline_sd),
            *[score_cell(comparison, group, name) for name, _ in scores],
            markdown(grid_text(group)),
            count(group.parameters),
        ]
        for rank, group in enumerate(comparison.groups, start=1)
    ]
    if comparison.annotators is not None:
        uar = style.value(comparison.annotators, unit="")
        rows.append(["", "annotators", uar, *[""] * (len(headings) - 3)])
    yield f"**{markdown(headline(comparison))}**"
    yield ""
    yield from _table(headings, rows, names=1)
    if comparison.pairs:
        pairs = [pair_cells(comparison, pair) for pair in shown_pairs(comparison)]
        rows = [[markdown(names), *(text.replace("<", "&lt;") for text in texts)] for names, *texts in pairs]
        yield ""
        yield from _table([markdown(pair_heading(comparison)), *pair_columns(comparison)], rows, names=0)
    yield ""
    yield legend(comparison)
    yield ""
    if comparison.warnings:
        yield from (f"- {markdown(line)}" for line in comparison.warnings)
        yield ""


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, names: int) -> Iterator[str]:
    """Yield the lines of a table whose column ``names`` is text, and the others numbers."""
    alignment = ["---" if number == names else "--:" for number in range(len(headings))]
    for cells in (headings, alignment, *rows):
        yield f"| {' | '.join(cells)} |"
