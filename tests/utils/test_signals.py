"""Signals: the first one ends a run in order, others are passed over, and those that were to be ignored stay so."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, time
{before}
from ser_lightning.utils import errors
from ser_lightning.utils import signals
signals.catch()
try:
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.1)
    print("went on")
except KeyboardInterrupt as error:
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGINT)
    print(errors.why(error))
    try:
        signals.check()
    except signals.Stopped:
        print("still stopped")
{after}
"""


def run(name, before="", after=""):
    script = SCRIPT.format(name=name, before=before, after=after)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SIGINT", "interrupted"),
        ("SIGTERM", "terminated"),
        ("SIGHUP", "ended by SIGHUP"),
        ("SIGUSR1", "ended by SIGUSR1"),
    ],
)
def test_the_first_one_stops_and_the_others_are_passed_over(name, reason):
    done = run(name)
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == ([reason, "still stopped"], "", 0)


def test_one_that_was_to_be_ignored_stays_so():
    assert run("SIGHUP", before="signal.signal(signal.SIGHUP, signal.SIG_IGN)").stdout == "went on\n"


def test_one_that_comes_much_later_ends_the_process():
    later = "signals._when -= 60; os.kill(os.getpid(), signal.SIGTERM); time.sleep(5); print('never')"
    done = run("SIGINT", after=later)
    assert done.returncode == 128 + signal.SIGTERM
    assert "never" not in done.stdout and "Traceback" not in done.stderr
