"""Before and after a sweep, whichever sweeper makes it."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from ser_lightning.sweep import record
from ser_lightning.sweep.names import varying_keys

_IMPLIED = ("hydra.mode=", "hydra.sweep.dir=")  # by -m, and by where the record lies


class Watch(Callback):
    """Makes the sweep's directory ready, and in the end says how every job went."""

    def __init__(self, *, varying: Sequence[str] = ()):
        """Take what differs between the jobs, which their names are made from; it is found when a sweep starts."""
        self.varying = varying

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Plan the sweep, and let a search go on where one was begun."""
        listen()
        sweep = Path(config.hydra.sweep.dir)
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
        from rich.console import Console

        from ser_lightning.sweep.table import print_outcomes

        if not print_outcomes(Path(config.hydra.sweep.dir), Console(highlight=False, markup=False)):
            sys.exit(1)


def listen() -> None:
    """What sweeps say is shown, in plain words."""
    log = logging.getLogger("ser_lightning")
    if not log.handlers:
        screen = logging.StreamHandler(sys.stderr)
        screen.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(screen)
        log.setLevel(logging.INFO)
        log.propagate = False
