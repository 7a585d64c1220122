"""Runs and sweeps that are killed at random moments and gone on with: do they end as if nothing had been?

``make crash N=20`` prints how many were killed, and what was lost or doubled.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import ROOT, config, make_cremad

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import Result

SMALL = ("model.net.channels=[4,8]", "model.frontend.n_mels=16", "data.batch_size=16", "logger=none")
_MEASURED = ("train/clips_per_s",)  # columns of metrics.csv that no two runs share


def kill_runs(n: int, where: Path, root: Path, *, seed: int = 0, epochs: int = 3) -> Counter:
    """Kill a run ``n`` times, with up to two kills a directory. Returns runs, kills, lost and doubled."""
    from ser_lightning.training.experiment import (
        train,  # here, so that the processes that are forked have it already
    )

    cfg = config("data=cremad", f"data.root={root}", *SMALL, f"trainer.max_epochs={epochs}")
    chance, tally = random.Random(seed), Counter(runs=0, kills=0, lost=0, doubled=0)
    started = time.perf_counter()
    _forked(lambda: train(cfg, RunDirectory(where / "unbroken")))
    takes_s = time.perf_counter() - started
    expected = outcome(where / "unbroken")
    while tally["kills"] < n:
        path = where / f"broken{tally['runs']}"
        for _ in range(chance.randint(1, 2)):
            killed = _forked(lambda path=path: train(cfg, RunDirectory(path)), chance.uniform(0, takes_s))
            tally["kills"] += killed
        _forked(lambda path=path: train(cfg, RunDirectory(path)))
        tally["runs"] += 1
        _compare(expected, outcome(path), path, tally)
    return tally


def kill_sweeps(n: int, where: Path, root: Path, *, seed: int = 0) -> Counter:
    """Kill sweeps of two jobs ``n`` times: the process that makes them, or the one that makes a job."""
    command = [sys.executable, str(ROOT / "train.py"), "-m", "data=cremad", f"data.root={root}", *SMALL]
    command += ["trainer.max_epochs=2", "seed=0,1", "trainer.enable_progress_bar=false"]
    chance, tally = random.Random(seed), Counter(runs=0, kills=0, lost=0, doubled=0)
    started = time.perf_counter()
    _sweep(command, where / "unbroken")
    takes_s = time.perf_counter() - started
    expected = {path.parent.name: outcome(path.parent) for path in (where / "unbroken").glob("*/config.yaml")}
    assert len(expected) == 2
    while tally["kills"] < n:
        path = where / f"broken{tally['runs']}"
        tally["kills"] += _sweep(command, path, chance.uniform(0, takes_s), job=chance.random() < 0.5)
        _sweep(command, path)
        tally["runs"] += 1
        found = {each.parent.name for each in path.glob("*/config.yaml")}
        tally["doubled"] += len(found - set(expected))
        for name, each in expected.items():
            _compare(each, outcome(path / name), path / name, tally)
    return tally


def outcome(path: Path) -> dict[str, Any] | None:
    """What a run's directory says, short of how long it took; None where nothing is finished."""
    run = RunDirectory(path)
    record = run.read_result()
    if not isinstance(record, Result):
        return None
    result = record.plain()
    header, *rows = (line.split(",") for line in run.metrics.read_text().splitlines())
    measured = {header.index(name) for name in _MEASURED}
    return {
        **{
            key: result[key]
            for key in ("metrics", "protocol", "epochs", "history", "confusion_matrix", "overrides")
        },
        "predictions": run.predictions.read_text().splitlines(),
        "epoch rows": [[cell for column, cell in enumerate(row) if column not in measured] for row in rows],
        "files": sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()),
    }


def _compare(expected: dict[str, Any] | None, found: dict[str, Any] | None, path: Path, tally: Counter) -> None:
    assert expected is not None
    if found is None:
        tally["lost"] += 1
        print(f"{path}: no result: {RunDirectory(path).read_result()}", file=sys.stderr)
        return
    for key in ("predictions", "epoch rows", "files"):
        tally["doubled"] += len(found[key]) > len(expected[key])
    differing = [key for key in expected if found[key] != expected[key]]
    tally["lost"] += bool(differing)
    for key in differing:
        print(f"{path}: {key} differs: {found[key]} in place of {expected[key]}", file=sys.stderr)


def _forked(work: Callable[[], Any], killed_after_s: float | None = None) -> bool:
    """Do the work in a process of its own, which has all imports already. Returns whether it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            work()
            status = 0
        finally:
            os._exit(status)
    if killed_after_s is not None:
        time.sleep(killed_after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _sweep(command: list[str], path: Path, killed_after_s: float | None = None, *, job: bool = False) -> bool:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, f"hydra.sweep.dir={path}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=path.parent,
    )
    if killed_after_s is None:
        process.wait()
        return False
    time.sleep(killed_after_s)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    jobs = children.read_text().split() if job and children.is_file() else []
    os.kill(int(jobs[0]) if jobs else process.pid, signal.SIGKILL)
    return process.wait() != 0


def main() -> None:
    """Kill as often as is said, and print what came of it."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10_000)
    with tempfile.TemporaryDirectory() as place:
        where = Path(place)
        os.environ["SER_CACHE"] = str(where / "cache")
        root = make_cremad(where / "cremad")
        for what, kill, times in (("runs", kill_runs, n), ("sweeps", kill_sweeps, max(1, n // 5))):
            (where / what).mkdir()
            tally = kill(times, where / what, root, seed=seed)
            print(json.dumps({"what": what, "seed": seed, **tally}), flush=True)
            if tally["lost"] or tally["doubled"]:
                sys.exit(1)


if __name__ == "__main__":
    main()
