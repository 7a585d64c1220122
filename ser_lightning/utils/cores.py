"""The cores that this process may use, and how its threads wait for each other.

Threads of OpenMP spin while they wait for each other. That is fastest where they have their cores to themselves;
beside anybody else who computes it makes a training up to thirty times slower, and they do better to sleep. What
others use is measured from the import of this module to `settle`, which comes before torch is imported: OpenMP
reads the environment once, when it is loaded. The number of threads does not follow what others do, since the last
digits of results depend on it.
"""

import math
import os
import time
from pathlib import Path
from typing import NamedTuple

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # a user who sets one has decided
_SHORTEST_S = 0.1  # over which use is measured, since the system counts in hundredths of a second
_NEGLIGIBLE = 0.25  # cores, as an editor and a desktop use them
# About a hundredth of what GOMP spins by itself if told to: all that a training alone needs, and where others come
# while it runs, it loses a factor of six rather than thirty.
_SPINS = "100000"


class Threads(NamedTuple):
    """The settled threads. ``number`` is None where torch chooses, ``others`` where it cannot be measured."""

    number: int | None
    waiting: str  # "spinning", "sleeping", or "as the environment says"
    cores: int
    others: float | None  # cores that other processes used

    def __str__(self) -> str:
        beside = "" if self.others is None else f", of which others use {self.others:.1f}"
        number = "" if self.number is None else f"{self.number} of them, "
        threads = "1" if self.number == 1 else f"{number}{self.waiting} while they wait for each other"
        return f"threads: {threads}; {self.cores} cores{beside}"


settled: Threads | None = None


def usable_cores() -> int:
    """Return how many cores this process may use: those it is bound to, within the quota of its control groups."""
    quota = min(_quotas(), default=math.inf)
    return max(1, round(min(len(_bound_to()), quota)))


def settle(number: int | None = None, *, kept: int | None = None) -> Threads:
    """Set the environment variables of OpenMP, as far as a user has not; torch must not be imported yet.

    Args:
        number: of threads, as asked for.
        kept: those of the training that goes on, taken where none are asked for and there are as many cores.
    """
    global settled
    cores, others = usable_cores(), _cores_of_others()
    if number is None and kept is not None and kept <= cores:
        number = kept
    if number is None and cores < len(_bound_to()):
        number = cores  # torch knows nothing of quotas
    if number is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(number))
    in_environment = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if in_environment.isdecimal():  # the user's go before all others
        number = int(in_environment)
    if any(name in os.environ for name in _WAITING):
        waiting = "as the environment says"
    elif others is not None and others > _NEGLIGIBLE and others + (number or cores) > len(_bound_to()):
        waiting = "sleeping"
        os.environ["OMP_WAIT_POLICY"] = "passive"
    else:
        waiting = "spinning"
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    settled = Threads(number, waiting, cores, others)
    return settled


def _bound_to() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quotas() -> list[float]:
    """Return the cores that each control group above this process allows it, both versions of Linux's interface."""
    quotas = []
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers not in ("", "cpu", "cpu,cpuacct"):
            continue
        root = Path("/sys/fs/cgroup") / ("cpu" if controllers else "")
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            quotas += _quota(root / folder)
    return quotas


def _quota(group: Path) -> list[float]:
    """Return what a control group allows: one number, or none where there is no limit."""
    try:
        if (group / "cpu.max").is_file():
            allowed, period = (group / "cpu.max").read_text(encoding="ascii").split()
        else:
            allowed, period = (
                (group / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip() for name in ("quota", "period")
            )
        return [int(allowed) / int(period)] if allowed not in ("max", "-1") else []
    except (OSError, ValueError):
        return []


class _Use(NamedTuple):
    at_s: float
    all_s: float  # of every process, on the cores that this one is bound to
    own_s: float


def _use() -> _Use | None:
    """Return the processor time used so far; None on systems that do not tell it."""
    bound_to = {f"cpu{number}" for number in _bound_to()}
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
    # user, nice, system, idle, waiting for disks, interrupts twice, and taken by other machines on the same host
    counts = [[int(text) for text in line[1:9]] for line in lines if line and line[0] in bound_to]
    busy_s = sum(sum(of_core) - of_core[3] - of_core[4] for of_core in counts) / ticks
    return _Use(time.monotonic(), busy_s, sum(os.times()[:4]))


def _cores_of_others() -> float | None:
    """Return how many cores other processes used since this module was imported."""
    if _AT_START is None:
        return None
    time.sleep(max(0.0, _SHORTEST_S - (time.monotonic() - _AT_START.at_s)))
    now = _use()
    assert now is not None
    others_s = now.all_s - _AT_START.all_s - (now.own_s - _AT_START.own_s)
    return round(max(0.0, others_s / (now.at_s - _AT_START.at_s)), 2)


_AT_START = _use()
