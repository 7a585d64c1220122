"""What a sweep directory says: which jobs there are, how each ended, and how to go on."""

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ser_lightning.run import RunDirectory, write_json
from ser_lightning.sweep.job import REFUSED

_PLAN = "sweep.json"
_SHOWN = 40  # finished jobs that a table lists


@dataclass(frozen=True)
class Outcome:
    """How a job stands: ``status`` is finished, failed, interrupted or waiting; finished ones have a ``result``."""

    name: str
    status: str
    reason: str = ""
    result: dict[str, Any] | None = None


def plan(sweep: Path, jobs: Iterable[str] = (), command: Sequence[str] | None = None) -> None:
    """Write down the command that a sweep is, and which jobs belong to it, beside those that do already."""
    known = read_plan(sweep)
    names = dict.fromkeys((*known["jobs"], *jobs))
    sweep.mkdir(parents=True, exist_ok=True)
    write_json(sweep / _PLAN, {"command": list(command or known["command"]), "jobs": list(names)})


def read_plan(sweep: Path) -> dict[str, Any]:
    """The command and the names of the jobs."""
    path = sweep / _PLAN
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"command": [], "jobs": []}


def outcomes(sweep: Path) -> list[Outcome]:
    """How every job that was planned stands, and every other directory with a run in it."""
    found = {path.parent.name: None for path in sorted(sweep.glob("*/config.yaml"))}
    return [_outcome(sweep / name) for name in {**dict.fromkeys(read_plan(sweep)["jobs"]), **found}]


def _outcome(path: Path) -> Outcome:
    run = RunDirectory(path)
    refused = path / REFUSED
    if refused.is_file():
        return Outcome(path.name, "failed", json.loads(refused.read_text(encoding="utf-8"))["reason"])
    result = run.read_result()
    if result is None:
        return Outcome(path.name, "interrupted" if run.config.is_file() else "waiting")
    if result["status"] == "finished":
        return Outcome(path.name, "finished", result=result)
    return Outcome(path.name, "failed", result.get("reason", ""))


def print_outcomes(sweep: Path, console: Console) -> bool:
    """Say how every job ended, what failed and why, and what to do next. Returns whether all of them finished."""
    found = outcomes(sweep)
    shown = dict(zip((each.name for each in found), _what_varies([each.name for each in found]), strict=True))
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
    console.print(f"{len(found)} jobs in {sweep}: {said}", soft_wrap=True)
    if finished:
        console.print(f"compare   ser compare {shlex.quote(str(sweep))}", soft_wrap=True)
    if others:
        console.print(f"go on     {_again(sweep)}", soft_wrap=True)
    return not others


def _what_varies(names: Sequence[str]) -> list[str]:
    """Names of jobs, short of what all of them have in common."""
    parts = [name.split(",") for name in names]
    common = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    return [
        ",".join(part for part in each if part not in common) or name
        for name, each in zip(names, parts, strict=True)
    ]


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
