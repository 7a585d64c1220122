"""Measure what a job costs besides its training, and how fast it trains beside other processes.

Every job is a process of its own, ``python train.py`` on toy data that are prepared already.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from rich.table import Table

from ser_lightning.bench.timed_job import STEP
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.utils.cores import usable_cores
from ser_lightning.utils.project import ROOT, TRAIN_PY

ROUNDS = 3
_TOY = ("data=toy", "trainer.enable_progress_bar=false")
_SPINNER = (sys.executable, "-c", "import time\nend = time.time() + 300\nwhile time.time() < end: pass")
_AS_OPENMP_DOES = {"GOMP_SPINCOUNT": "300000"}  # threads spin longer; the user's variables are left alone


_FIRST, _LAST = "from the command to the end of the first step", "from the end of the last step to the exit"


def costs() -> Table:
    """Show the time from the command to the first step and from the last step to the exit, and where it goes."""
    rounds = [_timed_job() for _ in range(ROUNDS + 1)][1:]
    imports = [wall_s([sys.executable, "-c", "import torch, lightning"]) for _ in range(ROUNDS + 1)][1:]
    table = Table("a job of one epoch", "median s", title=f"{ROUNDS} jobs")
    middle = {name: statistics.median(spans.get(name, 0.0) for spans in rounds) for name in rounds[0]}
    first, last, reference = middle.pop(_FIRST), middle.pop(_LAST), statistics.median(imports)
    table.add_row(_FIRST, f"{first:.2f}")
    table.add_row("python -c 'import torch, lightning'", f"{reference:.2f}")
    table.add_row("ratio (aim ≤ 1.3)", f"{first / reference:.2f}")
    table.add_row(f"{_LAST} (aim ≤ 1.5)", f"{last:.2f}")
    table.add_section()
    for name, seconds in middle.items():
        table.add_row(name, f"{seconds:.2f}")
    return table


def _timed_job() -> dict[str, float]:
    """Return the seconds of each part of a job, and before its first and after its last step."""
    with tempfile.TemporaryDirectory() as folder:
        spans_json = Path(folder) / "spans.json"
        command = [sys.executable, "-m", "ser_lightning.bench.timed_job", str(spans_json)]
        start = time.time()
        _run([*command, *_TOY, "trainer.max_epochs=1", f"hydra.run.dir={folder}/run"])
        end = time.time()
        spans = json.loads(spans_json.read_text(encoding="utf-8"))
    steps = [until for name, _, until in spans if name == STEP]
    parts: dict[str, float] = {_FIRST: min(steps) - start, _LAST: end - max(steps)}
    for name, begin, until in spans:
        if name != STEP:
            parts[name] = parts.get(name, 0.0) + until - begin
    return parts


def peer(cremad: str) -> Table:
    """Show the time of a whole process that prepares these clips and trains the notebook's CNN for four epochs."""
    table = Table("whole process, empty cache", "s", title="the notebook's CNN, preparation and four epochs")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(TRAIN_PY), "model=notebook_cnn", "data=cremad"]
        command.append("callbacks.average_weights=null")  # the peer averages none
        places = [f"data.root={cremad}", "trainer.max_epochs=4", f"hydra.run.dir={folder}/run"]
        start = time.perf_counter()
        _run([*command, *places], {"SER_CACHE": f"{folder}/cache"})
        table.add_row("ours (aim ≤ 14; autrainer took 138)", f"{time.perf_counter() - start:.1f}")
    return table


def shared() -> Table:
    """Show training beside one busy process a core against training alone, and two jobs at once against one."""
    n_cores = usable_cores()
    half_of_the_cores = {"OMP_NUM_THREADS": str(n_cores // 2 or 1)}
    table = Table("training", "clips/s", "of alone", title=f"{ROUNDS} jobs of two epochs each, in turns")
    jobs: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, n_spinners, n_jobs, environment in (
            ("alone", 0, 1, {}),
            ("alone, threads wait as OpenMP has it", 0, 1, _AS_OPENMP_DOES),
            ("beside one busy process a core (aim ≥ 0.45)", n_cores, 1, {}),
            ("two jobs at once, a half of the cores each (aim ≥ 1.2)", 0, 2, half_of_the_cores),
        ):
            with _spinning(n_spinners):
                jobs.setdefault(name, []).append(sum(_rates(n_jobs, environment)))
    alone = statistics.median(jobs["alone"])
    for name, rates in jobs.items():
        rate = statistics.median(rates)
        table.add_row(name, f"{rate:.0f}", f"{rate / alone:.2f}")
    return table


def _rates(n_jobs: int, environment: dict[str, str]) -> list[float]:
    """Return the clips a second of each of several jobs that are started together."""
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(number) for number in range(n_jobs)]
        command = [sys.executable, str(TRAIN_PY), *_TOY, "trainer.max_epochs=2", "logger=none"]
        processes = [
            subprocess.Popen(
                [*command, f"hydra.run.dir={place}"],
                env=_environment(environment),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for place in places
        ]
        if any([process.wait() for process in processes]):
            raise SystemExit("failed: a job of the measurement failed; run python train.py data=toy to see why")
        results = [json.loads(RunDirectory(place).result.read_text(encoding="utf-8")) for place in places]
    return [result["throughput"]["train_clips_per_s"] for result in results]


@contextmanager
def _spinning(n_processes: int) -> Iterator[None]:
    """Keep so many processes busy; they end by themselves after five minutes at the latest."""
    processes = [subprocess.Popen(_SPINNER) for _ in range(n_processes)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wall_s(command: Sequence[str]) -> float:
    """Return the seconds that a command takes, start to end."""
    start = time.perf_counter()
    _run(command)
    return time.perf_counter() - start


def _run(command: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=_environment(environment))


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without what it settled for itself, and with ``added``."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    return {**plain, **added}
