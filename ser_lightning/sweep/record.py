"""What a sweep directory says: which jobs there are, and how each ended."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_lightning.files import has_content
from ser_lightning.run import RunDirectory, read_json, write_json
from ser_lightning.sweep.job import REFUSED

_PLAN = "sweep.json"


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
    return {"command": [], "jobs": [], **(read_json(path) or {})}


def outcomes(sweep: Path) -> list[Outcome]:
    """How every job that was planned stands, and every other directory with a run in it."""
    found = {path.parent.name: None for path in sorted(sweep.glob("*/config.yaml"))}
    return [_outcome(sweep / name) for name in {**dict.fromkeys(read_plan(sweep)["jobs"]), **found}]


def _outcome(path: Path) -> Outcome:
    run = RunDirectory(path)
    refused = read_json(path / REFUSED)
    if refused is not None:
        return Outcome(path.name, "failed", refused["reason"])
    result = run.read_result()
    if result is None:
        return Outcome(path.name, "interrupted" if has_content(run.config) else "waiting")
    if result["status"] == "finished":
        return Outcome(path.name, "finished", result=result)
    return Outcome(path.name, "failed", result.get("reason", ""))
