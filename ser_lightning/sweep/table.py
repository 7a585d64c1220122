"""The end of a sweep, for people: a table of what finished, what did not and why, and what to do next."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ser_lightning.runs.monitor import monitored
from ser_lightning.sweep.record import Outcome, outcomes, read_plan
from ser_lightning.utils.command_line import assignment, shell_quoted, train_command
from ser_lightning.utils.errors import counted

if TYPE_CHECKING:
    from ser_lightning.runs.result import Result

_SHOWN = 40  # finished jobs that are listed


def print_outcomes(sweep: Path, console: Console) -> bool:
    """Say how every job ended, what failed and why, and what to do next. Returns whether all of them finished."""
    found, planned = outcomes(sweep), read_plan(sweep)
    overrides = {each.name: planned["overrides"].get(each.name, each.name.split(",")) for each in found}
    shown = _what_varies(overrides)
    finished = [each for each in found if each.status == "finished"]
    others = [each for each in found if each.status != "finished"]
    console.print()
    if planned["monitor"] is not None and finished:
        finished = _best_first(finished, **planned["monitor"])
        _print_search(console, finished, shown, planned["monitor"]["metric"], overrides[finished[0].name])
    elif 0 < len(finished) <= _SHOWN:
        console.print(_finished_table(finished, shown))
        console.print()
    for each in others:
        reason = each.reason.partition("\n")[0]
        console.print(f"{each.status}: {shown[each.name]}{': ' if reason else ''}{reason}", soft_wrap=True)
    counts = Counter(each.status for each in (*finished, *others))
    said = ", ".join(f"{n} {status}" for status, n in counts.items()) or "none"
    console.print(f"{counted(found, 'job')} in {sweep}: {said}", soft_wrap=True)
    if finished and planned["monitor"] is None:  # a search is not to be ranked by its tests
        console.print(f"compare   ser compare {shell_quoted(str(sweep))}", soft_wrap=True)
    if others:
        console.print(f"go on     {_again(sweep)}", soft_wrap=True)
    return not others


def _what_varies(overrides: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What to write for each name of a job: its overrides, short of what all of them have in common."""
    common = set.intersection(*map(set, overrides.values())) if len(overrides) > 1 else set()
    return {name: ",".join(part for part in each if part not in common) or name for name, each in overrides.items()}


def _best_first(finished: Sequence[Outcome], metric: str, mode: str) -> list[Outcome]:
    """Trials by what the search is by, never by the test; those for which it was not measured come last."""

    def rank(each: Outcome) -> tuple[bool, float]:
        value = monitored(_result(each).metrics, metric)
        return value is None, 0.0 if value is None else (-value if mode == "max" else value)

    return sorted(finished, key=rank)


def _print_search(
    console: Console, ranked: Sequence[Outcome], shown: Mapping[str, str], metric: str, overrides: Sequence[str]
) -> None:
    """The best trials by the monitored metric; of the first one, the test, and the command that trains it."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("finished, the best first", overflow="fold")
    for column in (metric, "minutes"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in ranked[:_SHOWN]:
        result = _result(each)
        value = monitored(result.metrics, metric)
        text = "–" if value is None else f"{value:.4f}"
        table.add_row(Text(_short(shown[each.name])), text, _minutes(result))
    console.print(table)
    console.print()
    test = _result(ranked[0]).metrics.test
    console.print(f"best      {_short(shown[ranked[0].name])}", soft_wrap=True)
    console.print(f"          test UAR {test.uar:.1%}, accuracy {test.accuracy:.1%}: the test of this trial alone")
    console.print(f"train it  {train_command(*overrides)}", soft_wrap=True)


def _short(text: str) -> str:
    """With four digits of each number that has more."""
    return re.sub(r"\d+\.\d{5,}(e-?\d+)?", lambda number: f"{float(number[0]):.4g}", text)


def _finished_table(finished: Sequence[Outcome], shown: Mapping[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("finished", overflow="fold")
    for column in ("test UAR", "accuracy", "validation UAR", "minutes"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in finished:
        result = _result(each)
        test, val = result.metrics.test, result.metrics.val
        table.add_row(
            Text(shown[each.name]),
            f"{test.uar:.1%}",
            f"{test.accuracy:.1%}",
            f"{val.uar:.1%}" if val else "–",
            _minutes(result),
        )
    return table


def _minutes(result: "Result") -> str:
    return "–" if result.seconds is None else f"{result.seconds / 60:.1f}"


def _result(finished: Outcome) -> "Result":
    assert finished.result is not None
    return finished.result


def _again(sweep: Path) -> str:
    """The same command on the same directory."""
    return train_command("-m", *read_plan(sweep)["command"], assignment("hydra.sweep.dir", sweep))
