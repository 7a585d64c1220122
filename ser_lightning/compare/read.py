"""Find runs under directories and read what they left. What cannot be compared is named, with the reason."""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ser_lightning.data.splits.rules import SpeakerFolds
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.finished import FinishedRun, read_run, why_not
from ser_lightning.utils.errors import UserError, counted, some

log = logging.getLogger(__name__)
_Facts = tuple[str, Hashable]  # speaker and truth of a clip
_INSIDE_RUNS = {str(RunDirectory.checkpoints), "wandb"}  # hold no runs
_BEGUN = {str(RunDirectory.config), str(RunDirectory.log)}  # of a run without a result


@dataclass
class RunsRead:
    """Runs that can be compared; directory and reason of those that cannot."""

    runs: list[FinishedRun] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def read_runs(folders: Sequence[Path]) -> RunsRead:
    """Read every run that lies in ``folders``, at any depth; one that is reached twice counts once.

    Raises: UserError where a folder is not there, or there is nothing to compare.
    """
    result = RunsRead()
    for folder in run_directories(folders):
        try:
            result.runs.append(read_checked(folder))
        except Exception as error:  # whatever a record of another kind leads to: the others are compared
            result.failed.append((str(folder), why_not(error)))
    _refuse_contradictions(result)
    places = ", ".join(map(str, folders))
    if not result.runs and not result.failed:
        raise UserError(f"no run lies in {places}: name a directory that holds a result.json, or that holds such")
    if not result.runs:
        first, reason = result.failed[0]
        n = len(result.failed)
        none = f"none of {n:,} runs in {places} can" if n > 1 else f"the one run in {places} cannot"
        raise UserError(f"{none} be compared. {first}: {reason}")
    return result


def read_checked(folder: Path) -> FinishedRun:
    """Read the run of a directory.

    Raises: as `read_run`; ValueError where its split does not test on its speakers, or its config is cut off.
    """
    run = read_run(RunDirectory(folder))
    if absent := [part for part in ("data", "model", "seed") if part not in run.config]:
        raise ValueError(f"{run.result.config} is not whole: there is no {absent[0]} in it")
    protocol = run.result.protocol
    rule = ((run.config.get("data") or {}).get("splits") or {}).get(protocol.split) or {}
    if str(rule.get("_target_")).endswith(".SpeakerFolds") and not protocol.test_corpus:
        tested = SpeakerFolds(folds=rule["folds"]).speakers(protocol.fold)
        others = sorted({name.rpartition(":")[2] for name in run.speakers} - tested)
        if others:
            raise ValueError(f"predictions.csv has speakers whom this split does not test on: {some(others)}")
    return run


def run_directories(folders: Sequence[Path]) -> list[Path]:
    """Return each directory of a run once, in the order they are named and by their names."""
    known: dict[Path, Path] = {}
    for folder in folders:
        if not folder.exists():
            raise UserError(f"{folder} is not there: name the directory of a run, of a sweep, or outputs")
        if not folder.is_dir():
            raise UserError(f"{folder} is a file: name the directory that it lies in")
        for run in _walk(folder):
            known.setdefault(run.resolve(), run)
    return list(known.values())


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the directories of runs under a folder, links followed, none twice."""
    visited: set[Path] = set()

    def warn(error: OSError) -> None:
        log.warning("%s cannot be looked into: %s", error.filename, error.strerror)

    for place, inside, files in os.walk(folder, followlinks=True, onerror=warn):
        real = Path(place).resolve()
        if real in visited:
            inside.clear()
            continue
        visited.add(real)
        inside[:] = sorted(name for name in inside if name not in _INSIDE_RUNS and not name.startswith("."))
        if str(RunDirectory.result) in files or set(files) >= _BEGUN:
            yield Path(place)


def _refuse_contradictions(result: RunsRead) -> None:
    """Move a run to the failed ones where as many others have other speakers or labels for its clips, or more."""
    counts: dict[tuple[str, ...], Counter[_Facts]] = defaultdict(Counter)
    for run in result.runs:
        for clip, facts in _clips(run).items():
            counts[clip][facts] += 1
    for run in list(result.runs):
        wrong = []
        for clip, facts in _clips(run).items():  # of two facts that differ, either may be wrong
            others = [n_runs for other, n_runs in counts[clip].items() if other != facts]
            if counts[clip][facts] <= max(others, default=0):
                wrong.append(clip)
        if wrong:
            result.runs.remove(run)
            reason = f"predictions.csv gives {counted(wrong, 'clip')} other speakers or labels than other runs do"
            result.failed.append((str(run.path), f"{reason}: {some([clip[-1] for clip in wrong])}"))


def _clips(run: FinishedRun) -> dict[tuple[str, ...], _Facts]:
    """Return speaker and truth of each clip, by what is predicted, corpora, split hash and id."""
    protocol, task = run.result.protocol, run.result.predicts
    split = (task.name, *task.outputs, protocol.corpus, protocol.split_hash)
    facts = zip(run.ids, run.speakers, run.truths, strict=True)
    return {(*split, id): (speaker, truth) for id, speaker, truth in facts}
