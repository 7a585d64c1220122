"""The signals that end a run in order: those of terminals, of people and of schedulers."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # SLURM and submitit send the last two
_ENDING = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]  # Windows has the first two alone
_PATIENCE_S = 10.0  # for which whoever sends another one waits for the run to end by itself

_received: signal.Signals | None = None
_when = 0.0
_holding = False


class Stopped(KeyboardInterrupt):
    """A signal that ends the run. Lightning takes it for Ctrl-C, and ends a training in order, in all processes."""


def received() -> signal.Signals | None:
    """Return the signal that this process is ending by, if there is one."""
    return _received


def catch() -> None:
    """Raise `Stopped` in the main thread at the first signal that ends a run, and pass over the others.

    One that comes much later ends the process at once. A signal that was to be ignored stays so, as by ``nohup``.
    """
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


@contextmanager
def caught() -> Iterator[None]:
    """Catch signals for a while, as `catch` does; do nothing outside the main thread, where Python allows none."""
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    catch()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received = None


@contextmanager
def held() -> Iterator[None]:
    """Raise for a signal that comes meanwhile at the end: within torch.save it would abort the process."""
    global _holding
    before, _holding = _received, True
    try:
        yield
    finally:
        _holding = False
    if _received is not before:
        check()


def ignore() -> None:
    """Ignore signals from here on: at the interpreter's end a handler of Python's own would be gone already."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def check() -> None:
    """Raise `Stopped` where a signal came whose exception was lost, as happens in callbacks of libraries."""
    if _received is not None:
        raise Stopped(_received.name)


def _stop(number: int, frame: FrameType | None) -> None:
    global _received, _when
    if _received is None:
        _received, _when = signal.Signals(number), time.monotonic()
        warnings.simplefilter("ignore")  # libraries warn of processes that the signal has ended, too
        if not _holding:
            raise Stopped(_received.name)
    elif time.monotonic() - _when > _PATIENCE_S:
        os._exit(128 + number)
