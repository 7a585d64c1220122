"""Before and after a sweep, whichever sweeper makes it."""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from ser_lightning import signals
from ser_lightning.sweep import record
from ser_lightning.sweep.job import announce_sweep
from ser_lightning.sweep.names import varying_keys

_IMPLIED = ("hydra.mode=", "hydra.sweep.dir=")  # by -m, and by where the record lies


_running: Path | None = None  # the sweep that this process is making


class Watch(Callback):
    """Makes the sweep's directory ready, and in the end says how every job went."""

    def __init__(self, *, varying: Sequence[str] = ()):
        """Take what differs between the jobs, which their names are made from; it is found when a sweep starts."""
        self.varying = varying

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Plan the sweep, and let a search go on where one was begun."""
        global _running
        listen()
        _running = sweep = Path(config.hydra.sweep.dir)
        announce_sweep()
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")  # of joblib, after a signal
        threading.excepthook = _say_unless_stopped
        asked = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
        record.plan(sweep, command=[text for text in asked if not text.startswith(_IMPLIED)])
        # every job's config is composed anew, with these overrides
        config.hydra.overrides.hydra.append(f"hydra.callbacks.sweep.varying={varying_keys(config.hydra)}")
        if "storage" in config.hydra.sweeper:
            from ser_lightning.sweep.search import go_on

            with open_dict(config.hydra.sweeper):
                go_on(config.hydra.sweeper)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the outcome. Raises: SystemExit where a job did not finish."""
        global _running
        _running = None
        if not _print_outcomes(Path(config.hydra.sweep.dir)):
            sys.exit(1)


def _say_unless_stopped(problem: threading.ExceptHookArgs) -> None:
    """Launchers' threads complain of processes that a signal has ended along with this one."""
    if signals.received() is None:
        threading.__excepthook__(problem)


def print_stopped() -> bool:
    """Print how the jobs stand of the sweep that was stopped. Returns whether there is one."""
    if _running is not None:
        _print_outcomes(_running)
    return _running is not None


def _print_outcomes(sweep: Path) -> bool:
    from rich.console import Console

    from ser_lightning.sweep.table import print_outcomes

    return print_outcomes(sweep, Console(highlight=False, markup=False))


def listen() -> None:
    """What sweeps say is shown, in plain words."""
    log = logging.getLogger("ser_lightning")
    if not log.handlers:
        screen = logging.StreamHandler(sys.stderr)
        screen.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(screen)
        log.setLevel(logging.INFO)
        log.propagate = False
