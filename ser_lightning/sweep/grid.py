"""Hydra's own sweeper over all combinations, but one that no job can bring down."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal import core_plugins
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ser_lightning.hydra_errors import in_a_line
from ser_lightning.run import RunDirectory
from ser_lightning.sweep.job import refuse
from ser_lightning.sweep.names import job_name, varying_keys
from ser_lightning.sweep.record import plan

log = logging.getLogger("ser_lightning.sweep")


class Grid(Sweeper):
    """Every combination is a job. What cannot be composed is recorded as a job that failed; the others run."""

    def __init__(self, *, max_batch_size: int | None = None, params: DictConfig | None = None):
        self._max_batch_size = max_batch_size
        self._params: Any = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Put a guard before whichever launcher was chosen."""
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # Hydra reloads it when it starts

        sweeper = BasicSweeper(self._max_batch_size, self._params)
        sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        assert sweeper.launcher is not None
        sweeper.launcher = _Guard(sweeper.launcher, hydra_context, config)
        sweeper.validate_batch_is_legal = lambda batch: None  # type: ignore[method-assign]  # the guard does
        self._sweeper = sweeper

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs. Returns what the launcher did."""
        return self._sweeper.sweep(arguments)


class _Guard(Launcher):
    """Gives a launcher the jobs that can be composed, and outlives it."""

    def __init__(self, launcher: Launcher, context: HydraContext, config: DictConfig):
        self._launcher = launcher
        self._context = context
        self._config = config

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """The launcher is set up already."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """As the launcher does; jobs that it did not get to are found to be waiting, in the end."""
        sweep = Path(self._config.hydra.sweep.dir)
        plan(sweep, map(self._name, job_overrides))
        legal = [overrides for overrides in job_overrides if self._can_be_composed(overrides, sweep)]
        if not legal:
            return []
        log.info("%d jobs, in %s", len(legal), sweep)
        try:
            return self._launcher.launch(legal, initial_job_idx=initial_job_idx)
        except Exception as error:
            log.error("the launcher stopped: %s", error)
            return []

    def _name(self, overrides: Sequence[str]) -> str:
        return job_name(overrides, varying_keys(self._config.hydra))

    def _can_be_composed(self, overrides: Sequence[str], sweep: Path) -> bool:
        try:
            self._context.config_loader.load_sweep_config(self._config, list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            run, reason = RunDirectory(sweep / self._name(overrides)), in_a_line(error)
            log.error("%s: %s", run.path.name, reason)
            refuse(run, reason)
            return False
        return True


def register() -> None:
    """Make the sweeper known to Hydra, which takes plugins from packages of its own alone: it is shown as one."""
    module = f"{core_plugins.__name__}.ser_lightning"
    sys.modules[module] = sys.modules[__name__]
    core_plugins.ser_lightning = sys.modules[__name__]  # type: ignore[attr-defined]
    Grid.__module__ = module
    Plugins.instance().register(Grid)
