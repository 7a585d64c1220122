"""Prepare a sweep, and print its outcome, whichever sweeper makes it."""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from ser_lightning.runs.monitor import check_monitor
from ser_lightning.sweep import record
from ser_lightning.sweep.job import announce_sweep
from ser_lightning.sweep.resolvers import varying_keys
from ser_lightning.utils import signals
from ser_lightning.utils.errors import UserError

_IMPLIED = ("hydra.mode=", "hydra.sweep.dir=")  # by -m, and by where the record lies

log = logging.getLogger("ser_lightning.sweep")

_running: Path | None = None  # the sweep that this process is making


class Watch(Callback):
    """Prepares the sweep's directory, and prints how every job ended."""

    def __init__(self, *, varying: Sequence[str] = ()):
        """Take the keys that differ between jobs, which name the jobs; they are filled in when a sweep starts."""
        self.varying = varying

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Plan the sweep, and resume a search where one was begun."""
        global _running
        log_to_screen()
        sweep = Path(config.hydra.sweep.dir)
        announce_sweep()
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")  # of joblib, after a signal
        threading.excepthook = _say_unless_stopped
        overrides = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
        command = [text for text in overrides if not text.startswith(_IMPLIED)]
        # every job's config is composed anew, with these overrides
        config.hydra.overrides.hydra.append(f"hydra.callbacks.sweep.varying={varying_keys(config.hydra)}")
        try:
            search = is_search(config.hydra.sweeper)
            if search:
                check_monitor(config)
            settings = [text for text in command if not text.startswith("hydra")]
            record.plan(sweep, command=command, monitor=dict(config.monitor) if search else None, settings=settings)
            if search:
                from ser_lightning.sweep.optuna_resume import resume_search

                _say_what_differs(record.read_plan(sweep).get("searched", []))
                with open_dict(config.hydra.sweeper):
                    resume_search(config.hydra.sweeper)
        except UserError as error:
            sys.exit(f"failed: {error}")
        except OSError as error:
            sys.exit(
                f"failed: hydra.sweep.dir={sweep} cannot be written ({error.strerror}): name another directory"
            )
        _running = sweep

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the run's directory ready. Raises: SystemExit where it cannot be written."""
        HydraConfig.instance().set_config(config)  # which the name of the directory is made from
        place = Path(config.hydra.run.dir)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=place):
                pass
        except OSError as error:
            sys.exit(f"failed: hydra.run.dir={place} cannot be written ({error.strerror}): name another directory")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the outcome. Raises: SystemExit where a job did not finish."""
        global _running
        _running = None
        if not _print_outcomes(Path(config.hydra.sweep.dir)):
            sys.exit(1)


def is_search(sweeper: DictConfig) -> bool:
    """Return whether jobs depend on the results of others, rather than being listed beforehand."""
    return "storage" in sweeper


def _say_what_differs(searched: Sequence[Sequence[str]]) -> None:
    """Say where a search went on with other settings: its study has the trials of all of them."""
    if len(searched) > 1:
        in_all = set(searched[0]).intersection(*searched[1:])
        own = [", ".join(text for text in texts if text not in in_all) or "none of these" for texts in searched]
        log.warning(
            "trials of this search have different settings (%s): the best is that of all of them; "
            "give another search its own hydra.sweep.dir",
            "; ".join(own),
        )


def _say_unless_stopped(problem: threading.ExceptHookArgs) -> None:
    """Print an exception of a launcher's thread, unless a signal has ended its processes along with this one."""
    if signals.received() is None:
        threading.__excepthook__(problem)


def print_stopped() -> bool:
    """Print how the jobs stand of the sweep that was stopped. Returns whether there is one."""
    if _running is not None:
        _print_outcomes(_running)
    return _running is not None


def _print_outcomes(sweep: Path) -> bool:
    from ser_lightning.sweep.table import print_outcomes
    from ser_lightning.utils.terminal import SafeConsole

    return print_outcomes(sweep, SafeConsole(highlight=False, markup=False))


def log_to_screen() -> None:
    """Show the log of this package on stderr, in plain words."""
    log = logging.getLogger("ser_lightning")
    if not log.handlers:
        screen = logging.StreamHandler(sys.stderr)
        screen.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(screen)
        log.setLevel(logging.INFO)
        log.propagate = False
