"""The record of a sweep in its directory: which jobs there are, and how each ended."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_lightning.runs.directory import PLAN, RunDirectory, is_plan, read_complete_record
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import has_content, read_json, write_json

if TYPE_CHECKING:
    from ser_lightning.runs.result import Result

_KINDS = {"command": list, "jobs": list, "overrides": dict, "monitor": dict, "searched": list, "asked": list}


@dataclass(frozen=True)
class Outcome:
    """How a job stands: ``status`` is finished, failed, interrupted or waiting; finished ones have a ``result``."""

    name: str
    status: str
    reason: str = ""
    result: "Result | None" = None


def plan(
    sweep: Path,
    jobs: Iterable[str] = (),
    command: Sequence[str] | None = None,
    *,
    overrides: Mapping[str, Sequence[str]] | None = None,
    monitor: Mapping[str, str] | None = None,
    settings: Sequence[str] = (),
) -> None:
    """Write down the command that a sweep is, and which jobs belong to it, beside those that do already.

    With a command, a sweep that is no search begins anew to count which jobs are asked for.

    Args:
        overrides: of the command line, by job, as far as known.
        monitor: of a search, the metric and its mode.
        settings: of a search, what all its trials have; where it goes on with others, they are kept beside.

    Raises: UserError where the directory holds a search by another metric, or one of the two is no search.
    """
    known = read_plan(sweep)
    begins, was_begun = command or monitor, known["command"] or known["monitor"]
    if begins and was_begun and known["monitor"] != monitor:
        kind = "a sweep" if known["monitor"] is None else f"a search by {known['monitor']['metric']}"
        raise UserError(f"{sweep} holds {kind}: give this one its own hydra.sweep.dir")
    sweep.mkdir(parents=True, exist_ok=True)
    jobs = list(jobs)
    content = {
        "command": list(command or known["command"]),
        "jobs": list(dict.fromkeys((*known["jobs"], *jobs))),
        "overrides": known["overrides"] | {name: list(of_job) for name, of_job in (overrides or {}).items()},
        "monitor": monitor or known["monitor"],
    }
    if content["monitor"] is None:
        asked = [] if command else known.get("asked", known["jobs"])
        asked = list(dict.fromkeys((*asked, *jobs)))
        if len(asked) < len(content["jobs"]):
            content["asked"] = asked
    searched = known.get("searched", [])
    if monitor is not None and sorted(settings) not in searched:
        searched = [*searched, sorted(settings)]
    if searched:
        content["searched"] = searched
    write_json(sweep / PLAN, content)


def read_plan(sweep: Path) -> dict[str, Any]:
    """Return the command, the jobs' names and overrides; of a search, metric, mode, and settings that it had.

    ``asked``: the jobs of the present command, where they are not all.
    Raises: UserError for a file that is something else.
    """
    path = sweep / PLAN
    empty: dict[str, Any] = {"command": [], "jobs": [], "overrides": {}, "monitor": None}
    known = read_json(path) or {}
    if known and not is_plan(known):
        raise UserError(f"{path} is no record of a sweep, but another file: remove it, and repeat the command")
    return empty | {key: known[key] for key, kind in _KINDS.items() if isinstance(known.get(key), kind)}


def outcomes(sweep: Path) -> list[Outcome]:
    """Return how every planned job stands, and every other directory with a run in it."""
    begun = (path.parent.name for path in sorted(sweep.glob(f"*/{RunDirectory.config}")))
    return [_outcome(sweep / name) for name in dict.fromkeys((*read_plan(sweep)["jobs"], *begun))]


def _outcome(path: Path) -> Outcome:
    run = RunDirectory(path)
    refused = read_complete_record(run.refused)
    if refused is not None and refused.status == "failed":
        return Outcome(path.name, "failed", refused.reason or "")
    result = run.read_result()
    if result is None:
        return Outcome(path.name, "interrupted" if has_content(run.config) else "waiting")
    if result.status == "failed":
        return Outcome(path.name, "failed", result.reason or "")
    return Outcome(path.name, "finished", result=result)
