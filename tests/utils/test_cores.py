"""What others use is measured, threads sleep beside them, and what a user has set stays."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ser_lightning.utils import cores

BUSY = [sys.executable, "-c", "while True: pass"]
VARIABLES = ("OMP_NUM_THREADS", *cores._WAITING)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No variable of OpenMP is set before, and none stays set."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "to be deleted")  # so that it is put back at the end
        monkeypatch.delenv(name)
    monkeypatch.setattr(cores, "settled", None)


def beside(monkeypatch, others: float | None, n_cores: int = 8) -> None:
    monkeypatch.setattr(cores, "_bound_to", lambda: set(range(n_cores)))
    monkeypatch.setattr(cores, "_cores_of_others", lambda: others)
    monkeypatch.setattr(cores, "_quotas", lambda: [])


@pytest.mark.parametrize("others", [None, 0.0, 0.2])
def test_alone_threads_spin_for_a_bounded_time(monkeypatch, others):
    beside(monkeypatch, others)
    assert cores.settle().waiting == "spinning"
    assert os.environ["GOMP_SPINCOUNT"] == "100000"
    assert "OMP_WAIT_POLICY" not in os.environ
    assert "OMP_NUM_THREADS" not in os.environ


def test_beside_others_threads_sleep_and_are_as_many(monkeypatch):
    beside(monkeypatch, 1.5)
    threads = cores.settle()
    assert threads == (None, "sleeping", 8, 1.5)
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    assert "OMP_NUM_THREADS" not in os.environ
    assert str(threads) == ("threads: sleeping while they wait for each other; 8 cores, of which others use 1.5")
    assert cores.settled == threads


def test_threads_that_fit_beside_the_others_spin(monkeypatch):
    beside(monkeypatch, 4.0)
    assert cores.settle(4).waiting == "spinning"
    assert os.environ["OMP_NUM_THREADS"] == "4"


def test_one_thread_waits_for_no_other(monkeypatch):
    beside(monkeypatch, 1.5)
    assert str(cores.settle(1)) == "threads: 1; 8 cores, of which others use 1.5"


def test_a_quota_bounds_the_threads_of_a_large_machine(monkeypatch):
    beside(monkeypatch, 40.0, n_cores=64)
    monkeypatch.setattr(cores, "_quotas", lambda: [2.0, 16.0])
    assert cores.settle() == (2, "spinning", 2, 40.0)


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "7")])
def test_how_threads_wait_is_the_users_to_say(monkeypatch, name, value):
    beside(monkeypatch, 8.0)
    monkeypatch.setenv(name, value)
    assert cores.settle().waiting == "as the environment says"
    assert {variable: os.environ.get(variable) for variable in cores._WAITING if variable in os.environ} == {
        name: value
    }


def test_the_users_number_of_threads_goes_before_all_others(monkeypatch):
    beside(monkeypatch, 0.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert cores.settle(5, kept=6).number == 3
    assert os.environ["OMP_NUM_THREADS"] == "3,2"


@pytest.mark.parametrize(("kept", "number"), [(5, 5), (9, None)])
def test_a_training_that_goes_on_keeps_its_threads_where_there_are_cores(monkeypatch, kept, number):
    beside(monkeypatch, 0.0)
    assert cores.settle(kept=kept).number == number


@pytest.mark.parametrize(
    ("files", "quotas"),
    [
        ({"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}, [1.5]),
        ({"a/b/cpu.max": "max 100000"}, []),
        ({"a/b/cpu.cfs_quota_us": "50000", "a/b/cpu.cfs_period_us": "100000"}, [0.5]),
        ({"a/b/cpu.cfs_quota_us": "-1", "a/b/cpu.cfs_period_us": "100000"}, []),
        ({"a/b/cpu.max": "nonsense"}, []),
        ({}, []),
    ],
)
def test_quotas_are_read_as_linux_writes_them(tmp_path, files, quotas):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    found = [quota for folder in ("a/b", "a") for quota in cores._quota(tmp_path / folder)]
    assert found == quotas


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(cores._use() is None, reason="this system does not tell how much is used")
def test_a_busy_process_is_seen_and_our_own_work_is_not(monkeypatch):
    monkeypatch.setattr(cores, "_SHORTEST_S", 0.5)
    core = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {core})  # the busy process inherits it, and no other test's work is counted twice
        with running(BUSY):
            monkeypatch.setattr(cores, "_AT_START", cores._use())
            others = cores._cores_of_others()
    finally:
        os.sched_setaffinity(0, before)
    assert others is not None
    assert 0.3 < others <= 1.1
