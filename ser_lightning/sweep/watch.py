"""Before and after a sweep, whichever sweeper makes it."""

import logging
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from ser_lightning.errors import UserError
from ser_lightning.monitor import check_monitor
from ser_lightning.sweep import record

_IMPLIED = ("hydra.mode=", "hydra.sweep.dir=")  # by -m, and by where the record lies


class Watch(Callback):
    """Makes the sweep's directory ready, and in the end says how every job went."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Plan the sweep, and let a search go on where one was begun."""
        listen()
        sweep = Path(config.hydra.sweep.dir)
        asked = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
        command = [text for text in asked if not text.startswith(_IMPLIED)]
        try:
            if not is_search(config.hydra.sweeper):
                record.plan(sweep, command=command)
                return
            check_monitor(config)
            record.plan(sweep, command=command, monitor=dict(config.monitor))
        except UserError as error:
            sys.exit(f"failed: {error}")
        except OSError as error:
            sys.exit(
                f"failed: hydra.sweep.dir={sweep} cannot be written ({error.strerror}): name another directory"
            )
        from ser_lightning.sweep.search import go_on

        with open_dict(config.hydra.sweeper):
            go_on(config.hydra.sweeper)

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
        if not show_outcomes(Path(config.hydra.sweep.dir)):
            sys.exit(1)


def is_search(sweeper: DictConfig) -> bool:
    """Whether jobs are chosen by what came out of others, rather than listed beforehand."""
    return "storage" in sweeper


def show_outcomes(sweep: Path) -> bool:
    """Print the table that a sweep ends in. Returns whether every job finished."""
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
