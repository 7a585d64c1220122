"""Sweepers over all combinations and by Optuna, which a failing job does not stop."""

import itertools
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ser_lightning.data.spelling import list_name
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.sweep.hydra_callback import print_stopped
from ser_lightning.sweep.job import refuse
from ser_lightning.sweep.record import plan
from ser_lightning.sweep.resolvers import job_name, varying_keys
from ser_lightning.tasks.registry import task_for
from ser_lightning.utils.command_line import assignment
from ser_lightning.utils.errors import counted, first_line, some
from ser_lightning.utils.hydra_errors import in_a_line

_ABSENT = object()

log = logging.getLogger("ser_lightning.sweep")


class Grid(Sweeper):
    """Make a job of every combination. One that cannot be composed is recorded as failed, and the others run.

    ``cross_corpora``: each of ``data.corpora`` is trained on alone, with every other one as ``data.test_corpus``.
    """

    def __init__(
        self,
        *,
        max_batch_size: int | None = None,
        params: DictConfig | None = None,
        cross_corpora: bool = False,
    ):
        self._max_batch_size = max_batch_size
        self._params = params
        self._cross_corpora = cross_corpora

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Put a guard before whichever launcher was chosen."""
        launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)
        self._launcher = _Guard(launcher, hydra_context, config)
        self._config = config
        self._parser = OverridesParser.create(config_loader=hydra_context.config_loader)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run the jobs, ``max_batch_size`` at a time. Return what the launcher returned for each batch."""
        settings = (self._params or {}).items()
        params = [f"{key!s}={'null' if value is None else value}" for key, value in settings]
        overrides = self._parser.parse_overrides([*params, *arguments])
        last = {override.get_key_element(): override for override in overrides}  # the last one counts
        pairs = _pairs_of_corpora(last) if self._cross_corpora else [[]]
        values = [_values(override) for override in last.values()]
        jobs = [[*pair, *job] for pair in pairs for job in itertools.product(*values)]
        log.info("%s, in %s", counted(jobs, "job"), self._config.hydra.sweep.dir)
        OmegaConf.save(self._config, Path(self._config.hydra.sweep.dir, "multirun.yaml"))
        size = self._max_batch_size or len(jobs)
        return [self._launcher.launch(jobs[first : first + size], first) for first in range(0, len(jobs), size)]


def _pairs_of_corpora(overrides: dict[str, Override]) -> list[list[str]]:
    """Take the corpora out of the overrides. Return for each pair what is trained on, and what is tested on."""
    corpora = overrides.pop("data.corpora").value()
    overrides.pop("data.test_corpus", None)
    listed = corpora if isinstance(corpora, list) else []
    names = list(dict.fromkeys(str(getattr(name, "text", name)) for name in listed))
    if len(names) < 2:
        raise HydraException("experiment=cross_corpus needs two corpora at least: data.corpora=[cremad,ravdess]")
    called = Counter(list_name(Path(name)) for name in names)
    if alike := [name for name in names if called[list_name(Path(name))] > 1]:
        raise HydraException(f"{some(alike)}: results are told apart by a list's file name, so rename one of them")
    quoted = {name: assignment("", name).removeprefix("=") for name in names}
    return [
        [f"data.corpora=[{quoted[trained]}]", f"data.test_corpus={quoted[tested]}"]
        for trained in quoted
        for tested in quoted
        if trained != tested
    ]


def _values(override: Override) -> list[str]:
    """Return an override for each value that the argument lists."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if not override.is_discrete_sweep():
        raise HydraException(f"{override.input_line} is no list of values: hydra/sweeper=search takes intervals")
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


class Search(Sweeper):
    """Run Optuna's sweeper. An error that stops it ends in a line, below the table of what was done."""

    def __init__(self, **settings: Any):
        from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

        self._sweeper = OptunaSweeper(**settings)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Put a guard before whichever launcher was chosen."""
        self._sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        optuna = self._sweeper.sweeper
        assert optuna.launcher is not None
        optuna.launcher = self._guard = _Guard(optuna.launcher, hydra_context, config)
        _leave_out_what_does_nothing(optuna.params or {}, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the trials."""
        try:
            return self._sweeper.sweep(arguments)
        except Exception as error:
            if not self._guard.n_launched and self._sweeper.sweeper.n_trials > 0:
                reason = f"{first_line(error).rstrip('.')}: give another search its own hydra.sweep.dir"
                raise HydraException(f"the search could not begin: {reason}") from error
            if self._guard.n_finished:  # else Optuna stumbles over there being no best trial
                print_stopped()
                raise HydraException(f"the search stopped: {first_line(error)}") from error


def _leave_out_what_does_nothing(params: Any, config: DictConfig) -> None:
    """Take out of what is searched the settings that this model or this task does not have."""
    unused = task_for(OmegaConf.select(config, "data.targets")).unused
    for key in list(params):
        if key in unused:
            log.info("not searched: %s, which has no effect with data.targets", key)
            del params[key]
        elif OmegaConf.select(config, str(key), default=_ABSENT) is _ABSENT:
            log.info("not searched: %s, which this model does not have", key)
            del params[key]


class _Guard(Launcher):
    """Gives a launcher the jobs that can be composed, and survives its errors."""

    def __init__(self, launcher: Launcher, context: HydraContext, config: DictConfig):
        self._launcher = launcher
        self._context = context
        self._config = config
        self.sweep = Path(config.hydra.sweep.dir)
        self.n_launched = self.n_finished = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Do nothing: the launcher is set up already."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch the jobs and return their values in the same order, None for each that failed.

        Jobs that the launcher did not reach count as waiting.
        """
        by_name = {self._name(overrides): overrides for overrides in job_overrides}
        plan(self.sweep, by_name, overrides=by_name)
        self.n_launched += len(job_overrides)
        legal = [self._can_be_composed(overrides) for overrides in job_overrides]
        jobs = [overrides for overrides, is_legal in zip(job_overrides, legal, strict=True) if is_legal]
        done: list[JobReturn] = []
        if jobs:
            try:
                done = list(self._launcher.launch(jobs, initial_job_idx=initial_job_idx))
            except Exception as error:
                log.error("the launcher stopped: %s", error)
        nothing = JobReturn(status=JobStatus.COMPLETED)
        for number, job in enumerate(done):
            if job.status != JobStatus.COMPLETED:
                log.error("a job did not come back: %s", first_line(job._return_value))
                done[number] = nothing
        self.n_finished += sum(job.return_value is not None for job in done)
        values = iter(done)
        return [next(values, nothing) if is_legal else nothing for is_legal in legal]

    def _name(self, overrides: Sequence[str]) -> str:
        return job_name(overrides, varying_keys(self._config.hydra))

    def _can_be_composed(self, overrides: Sequence[str]) -> bool:
        """Return whether a job's config can be composed; why it cannot is recorded as its failure."""
        try:
            self._context.config_loader.load_sweep_config(self._config, list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            run, reason = RunDirectory(self.sweep / self._name(overrides)), in_a_line(error)
            log.error("%s: %s", run.path.name, reason)
            refuse(run, reason)
            return False
        return True


def register() -> None:
    """Let Hydra find the sweepers in its plugin namespace, which spans every ``hydra_plugins`` on the path."""
    place = str(Path(__file__).parent / "plugin_path")  # holds nothing else that could be imported
    if place not in sys.path:
        sys.path.append(place)
