"""Print the end of a sweep: a table of what finished, what did not and why, and what to do next."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ser_lightning.report.metric_style import style_of, two_metrics, written_scores
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.monitor import monitored
from ser_lightning.sweep.record import Outcome, outcomes, read_plan
from ser_lightning.utils.command_line import assignment, shell_quoted, train_command
from ser_lightning.utils.errors import UserError, counted, some
from ser_lightning.utils.files import read_settings, read_text
from ser_lightning.utils.terminal import number_table

if TYPE_CHECKING:
    from ser_lightning.runs.result import Result

_SHOWN = 40  # finished jobs that are listed
_WAITING = 5  # jobs that have a line each
# settings of the data that change neither clips nor labels; the fold is compared itself
_NOT_OF_THE_CLIPS = "fold seed batch_size eval_batch_size batch_seconds num_workers pool_batches".split()
_TRUE = ("id", "speaker", "label")  # columns of predictions.csv, beside "true.…" of numbers


def print_outcomes(sweep: Path, console: Console) -> bool:
    """Print how every job ended, what failed and why, and what to do next.

    Returns: whether all finished that the present command asks for.
    """
    jobs, planned = outcomes(sweep), read_plan(sweep)
    overrides = {  # as the sweep or else the run recorded them
        job.name: planned["overrides"].get(job.name) or RunDirectory(sweep / job.name).read_overrides()
        for job in jobs
    }
    shown = _what_varies({name: texts or name.split(",") for name, texts in overrides.items()})
    finished = [job for job in jobs if job.status == "finished"]
    unfinished = [job for job in jobs if job.status != "finished"]
    others = [job for job in unfinished if job.name in planned.get("asked", overrides)]
    not_asked = [job for job in unfinished if job not in others]
    console.print()
    if planned["monitor"] is not None and finished:
        finished = _best_first(finished, **planned["monitor"])
        _print_search(console, finished, shown, planned["monitor"]["metric"], overrides[finished[0].name])
    elif 0 < len(finished) <= _SHOWN:
        console.print(_finished_table(finished, shown))
        console.print()
    waiting = [shown[job.name] for job in others if job.status == "waiting"]
    many_wait = len(waiting) > _WAITING
    if many_wait:
        console.print(f"waiting: {some(waiting, _WAITING)}", soft_wrap=True)
    for job in (job for job in others if not (many_wait and job.status == "waiting")):
        reason = job.reason.partition("\n")[0]
        console.print(f"{job.status}: {shown[job.name]}{': ' if reason else ''}{reason}", soft_wrap=True)
    counts = Counter(job.status for job in (*finished, *others))
    totals = ", ".join(f"{n} {status}" for status, n in counts.items()) or "none"
    console.print(f"{counted((*finished, *others), 'job')} in {sweep}: {totals}", soft_wrap=True)
    if not_asked:
        names = some([f"{shown[job.name]} ({job.status})" for job in not_asked])
        console.print(f"not of this command: {names}: their directories can be removed", soft_wrap=True)
    if changed := _on_changed_data(sweep, finished):
        names = some([shown[name] for name in changed])
        console.print(
            f"not comparable: {names} had other clips or labels than the jobs before, under the same settings: the "
            f"data have changed. Remove the directories of one kind in {sweep}, and repeat the command",
            soft_wrap=True,
        )
    protocols = [_result(job).protocol for job in finished]
    pairs = {(protocol.corpus, protocol.test_corpus) for protocol in protocols}
    if len(pairs) > 1 and all(protocol.test_corpus for protocol in protocols):
        _print_cross_corpus(sweep, console)
    elif finished and planned["monitor"] is None:  # a search is not to be ranked by its tests
        console.print(f"compare   ser compare {shell_quoted(str(sweep))}", soft_wrap=True)
    if others:
        command = train_command("-m", *planned["command"], assignment("hydra.sweep.dir", sweep))
        console.print(f"go on     {command}", soft_wrap=True)
    return not others


def _what_varies(overrides: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return what to write for each job by name: its overrides without those that all have in common."""
    common = set.intersection(*map(set, overrides.values())) if len(overrides) > 1 else set()
    return {
        name: ",".join(text for text in texts if text not in common) or name for name, texts in overrides.items()
    }


def _on_changed_data(sweep: Path, finished: Sequence[Outcome]) -> list[str]:
    """Return the jobs tested on other clips or labels than an earlier one with the same settings of the data."""
    first: dict[str, str] = {}
    changed = []
    for job in sorted(finished, key=lambda job: RunDirectory(sweep / job.name).result.stat().st_mtime):
        run = RunDirectory(sweep / job.name)
        try:
            data, predictions = read_settings(run.config).get("data") or {}, read_text(run.predictions)
        except (OSError, ValueError):  # of a stranger's making, which `ser compare` says
            continue
        asked = {name: value for name, value in data.items() if name not in _NOT_OF_THE_CLIPS}
        rows = csv.DictReader(io.StringIO(predictions), restkey="")
        truth = [[row[name] for name in row if name in _TRUE or name.startswith("true.")] for row in rows]
        settings, tested = json.dumps([_result(job).protocol.fold, asked], default=str), json.dumps(sorted(truth))
        if first.setdefault(settings, tested) != tested:
            changed.append(job.name)
    return changed


def _best_first(finished: Sequence[Outcome], metric: str, mode: str) -> list[Outcome]:
    """Return trials by the monitored metric, never by the test; those without a value come last."""
    values = {job.name: monitored(_result(job).metrics, metric) for job in finished}
    sign = -1 if mode == "max" else 1
    return sorted(finished, key=lambda job: (values[job.name] is None, sign * (values[job.name] or 0.0)))


def _print_search(
    console: Console, ranked: Sequence[Outcome], shown: Mapping[str, str], metric: str, overrides: Sequence[str]
) -> None:
    """Print the best trials by the monitored metric; of the first one, the test and the training command."""
    table = number_table("finished, the best first", numbers=(metric, "minutes in all"))
    for job in ranked[:_SHOWN]:
        result = _result(job)
        value = monitored(result.metrics, metric)
        text = "–" if value is None else f"{value:.4f}"
        table.add_row(Text(_short(shown[job.name])), text, _minutes(result))
    console.print(table)
    console.print()
    best = _result(ranked[0])
    scores = ", ".join(written_scores(best.metrics.test, best.predicts))
    console.print(f"best      {_short(shown[ranked[0].name])}", soft_wrap=True)
    console.print(f"          test {scores}: the test of this trial alone")
    if overrides:
        console.print(f"train it  {train_command(*overrides)}", soft_wrap=True)


def _short(text: str) -> str:
    """Return a text with four digits of each number that has more."""
    return re.sub(r"\d+\.\d{5,}(e-?\d+)?", lambda number: f"{float(number[0]):.4g}", text)


def _finished_table(finished: Sequence[Outcome], shown: Mapping[str, str]) -> Table:
    (headline, first), (other, second) = two_metrics(_result(finished[0]).predicts)
    columns = (f"test {first.title}", second.title, f"validation {first.title}", "minutes in all")
    table = number_table("finished", numbers=columns)
    for job in finished:
        result = _result(job)
        test, val = result.metrics.test, result.metrics.val
        table.add_row(
            Text(shown[job.name]),
            style_of(first).value(getattr(test, headline, None)),
            style_of(second).value(getattr(test, other, None)),
            style_of(first).value(getattr(val, headline, None)),
            _minutes(result),
        )
    return table


def _print_cross_corpus(sweep: Path, console: Console) -> None:
    """Print a row for each pair of corpora, and write the same as a table and as a picture."""
    from ser_lightning.compare.cross_corpus import cells_of, draw_heat_map, print_cells, write_csv
    from ser_lightning.compare.ranking import compare
    from ser_lightning.compare.read import read_runs

    try:
        cells = cells_of(compare(read_runs([sweep]), separate=True))
    except UserError as error:
        console.print(str(error), soft_wrap=True)
        return
    console.print()
    print_cells(cells, console)
    console.print()
    table, picture = sweep / "cross_corpus.csv", sweep / "cross_corpus.png"
    write_csv(table, cells)
    draw_heat_map(picture, cells)
    console.print(f"written   {table}, {picture}", soft_wrap=True)
    console.print(f"compare   ser compare {shell_quoted(str(sweep))} --separate", soft_wrap=True)


def _minutes(result: "Result") -> str:
    return "–" if result.seconds is None else f"{result.seconds / 60:.1f}"


def _result(finished: Outcome) -> "Result":
    assert finished.result is not None
    return finished.result
