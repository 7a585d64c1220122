"""Hydra's sweepers over all combinations and by Optuna, but such as no job can bring down."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal import core_plugins
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.sweep.job import refuse
from ser_lightning.sweep.record import plan
from ser_lightning.sweep.resolvers import job_name, varying_keys
from ser_lightning.utils.errors import first_line
from ser_lightning.utils.hydra_errors import in_a_line

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


class Search(Sweeper):
    """Optuna's sweeper: what stops it is said in a line, and the sweep ends in its table all the same."""

    def __init__(self, **settings: Any):
        from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

        self._sweeper = OptunaSweeper(**settings)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Put a guard before whichever launcher was chosen."""
        self._sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        optuna = self._sweeper.sweeper
        assert optuna.launcher is not None
        optuna.launcher = self._guard = _Guard(optuna.launcher, hydra_context, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the trials."""
        try:
            return self._sweeper.sweep(arguments)
        except Exception as error:
            if self._guard.n_finished:  # else Optuna stumbles over there being no best trial
                log.error("the search stopped: %s", first_line(error))


class _Guard(Launcher):
    """Gives a launcher the jobs that can be composed, and outlives it."""

    def __init__(self, launcher: Launcher, context: HydraContext, config: DictConfig):
        self._launcher = launcher
        self._context = context
        self._config = config
        self.sweep = Path(config.hydra.sweep.dir)
        self.n_finished = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """The launcher is set up already."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """As the launcher does, with None for each job that came to nothing, in the same order.

        Jobs that it did not get to are found to be waiting, in the end.
        """
        by_name = {self._name(overrides): overrides for overrides in job_overrides}
        plan(self.sweep, by_name, overrides=by_name)
        legal = [self._can_be_composed(overrides) for overrides in job_overrides]
        jobs = [overrides for overrides, is_legal in zip(job_overrides, legal, strict=True) if is_legal]
        done: list[JobReturn] = []
        if jobs:
            log.info("%d jobs, in %s", len(jobs), self.sweep)
            try:
                done = list(self._launcher.launch(jobs, initial_job_idx=initial_job_idx))
            except Exception as error:
                log.error("the launcher stopped: %s", error)
        nothing = JobReturn(status=JobStatus.COMPLETED)
        for number, each in enumerate(done):
            if each.status != JobStatus.COMPLETED:
                log.error("a job did not come back: %s", first_line(each._return_value))
                done[number] = nothing
        self.n_finished += sum(each.return_value is not None for each in done)
        values = iter(done)
        return [next(values, nothing) if is_legal else nothing for is_legal in legal]

    def _name(self, overrides: Sequence[str]) -> str:
        return job_name(overrides, varying_keys(self._config.hydra))

    def _can_be_composed(self, overrides: Sequence[str]) -> bool:
        try:
            self._context.config_loader.load_sweep_config(self._config, list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            run, reason = RunDirectory(self.sweep / self._name(overrides)), in_a_line(error)
            log.error("%s: %s", run.path.name, reason)
            refuse(run, reason)
            return False
        return True


def register() -> None:
    """Make the sweeper known to Hydra, which takes plugins from packages of its own alone: it is shown as one."""
    module = f"{core_plugins.__name__}.ser_lightning"
    sys.modules[module] = sys.modules[__name__]
    core_plugins.ser_lightning = sys.modules[__name__]  # type: ignore[attr-defined]
    for sweeper in (Grid, Search):
        sweeper.__module__ = module
        Plugins.instance().register(sweeper)
