"""The end of a sweep, for people: a table of what finished, what did not and why, and what to do next."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ser_lightning.errors import counted
from ser_lightning.sweep.record import Outcome, outcomes, read_plan

_SHOWN = 40  # finished jobs that are listed


def print_outcomes(sweep: Path, console: Console) -> bool:
    """Say how every job ended, what failed and why, and what to do next. Returns whether all of them finished."""
    found = outcomes(sweep)
    shown = _what_varies([each.name for each in found])
    finished = [each for each in found if each.status == "finished"]
    others = [each for each in found if each.status != "finished"]
    console.print()
    if 0 < len(finished) <= _SHOWN:
        console.print(_finished_table(finished, shown))
        console.print()
    for each in others:
        reason = each.reason.partition("\n")[0]
        console.print(f"{each.status}: {shown[each.name]}{': ' if reason else ''}{reason}", soft_wrap=True)
    counts = Counter(each.status for each in (*finished, *others))
    said = ", ".join(f"{n} {status}" for status, n in counts.items()) or "none"
    console.print(f"{counted(found, 'job')} in {sweep}: {said}", soft_wrap=True)
    if finished:
        console.print(f"compare   ser compare {shlex.quote(str(sweep))}", soft_wrap=True)
    if others:
        console.print(f"go on     {_again(sweep)}", soft_wrap=True)
    return not others


def _what_varies(names: Sequence[str]) -> dict[str, str]:
    """What to write for each name of a job: it, short of what all of them have in common."""
    parts = [name.split(",") for name in names]
    common = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    return {
        name: ",".join(part for part in each if part not in common) or name
        for name, each in zip(names, parts, strict=True)
    }


def _finished_table(finished: Sequence[Outcome], shown: Mapping[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("finished", overflow="fold")
    for column in ("test UAR", "accuracy", "validation UAR", "minutes"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in finished:
        result = each.result or {}
        test, val = result["metrics"]["test"], result["metrics"]["val"]
        table.add_row(
            Text(shown[each.name]),
            f"{test['uar']:.1%}",
            f"{test['accuracy']:.1%}",
            f"{val['uar']:.1%}" if val else "–",
            f"{result['seconds'] / 60:.1f}",
        )
    return table


def _again(sweep: Path) -> str:
    """The same command on the same directory."""
    return shlex.join(["python", "train.py", "-m", *read_plan(sweep)["command"], f"hydra.sweep.dir={sweep}"])
