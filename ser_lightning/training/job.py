"""From the command line to a run: its directory, its log, and its exit status.

Nothing heavy is imported until a job runs, so that help and ``--cfg job`` answer at once.
"""

import atexit
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from ser_lightning.runs.directory import InUse, RunDirectory, check_resumed_alone, no_run
from ser_lightning.sweep import extras_check, hydra_callback, resolvers, sweepers
from ser_lightning.sweep.hydra_callback import is_search, log_to_screen
from ser_lightning.sweep.job import end_with_sweep, run_apart
from ser_lightning.tasks.registry import task_for
from ser_lightning.utils import cores, signals
from ser_lightning.utils.command_line import assignment, readable, train_command
from ser_lightning.utils.errors import UserError, cause, check, is_interrupt, why
from ser_lightning.utils.files import has_content, read_json
from ser_lightning.utils.hydra_errors import in_a_line
from ser_lightning.utils.project import TRAIN_PY
from ser_lightning.utils.text import as_far_as_it_is_read, print_what_can_be_printed, printable
from ser_lightning.utils.user import name_user

log = logging.getLogger("ser_lightning")


def _run_directory(resume: str | None, fresh: str) -> str:
    """Return what ``${run_directory:RESUME,FRESH}`` in the config stands for."""
    if resume is None:
        return fresh
    if not has_content(RunDirectory(Path(resume)).config):  # checked before Hydra makes the folder
        sys.exit(f"failed: {printable(no_run(Path(resume)))}")
    for path in Path(resume).rglob("*"):
        if path.exists() and not (path.is_file() or path.is_dir()):  # a log that is a pipe would be waited for
            sys.exit(f"failed: {printable(str(path))} is a pipe or a device, and no file of a run: remove it")
    return resume


name_user()
# data.roots takes any corpus's name: a mapping that stays open where Hydra closes the others, as YAML cannot say
ConfigStore.instance().store(group="data/roots", name="open", node=DictConfig({}, flags={"struct": False}))
OmegaConf.register_new_resolver("run_directory", _run_directory, replace=True)
resolvers.register()
sweepers.register()
extras_check.check(sys.argv[1:])


def accept_dashes() -> None:
    """Let ``--a.b=c`` on the command line be the override ``a.b=c``, as W&B's sweep agents write it.

    Flags of Hydra's own, such as ``--cfg=job``, stay what they are.
    """
    flags = {name for action in get_args_parser()._actions for name in action.option_strings}
    for position, text in enumerate(sys.argv):
        name, equals, _ = text.partition("=")
        if position > 0 and equals and name.startswith("--") and name not in flags:
            sys.argv[position] = text.removeprefix("--")


def start(main: Callable[[], None]) -> None:
    """Run Hydra's ``main`` on the command line.

    A config that Hydra cannot compose ends in one line, a sweep that is stopped in its table.
    """
    signals.catch()
    finished = False

    def leave() -> None:
        """Leave a million objects to the system, which takes a fifth of the time."""
        if finished:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    atexit.register(leave)  # comes after whatever is registered later
    atexit.register(gc.freeze)  # no search for cycles among what goes anyway: most of a second
    accept_dashes()
    # the flag goes first wherever it is typed: argparse takes no overrides on both of its sides
    arguments = sorted(sys.argv[1:], key=lambda text: text not in ("-m", "--multirun"))
    shows_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        multirun = bool({"-m", "--multirun"} & set(arguments))
        _check_arguments(arguments, multirun=multirun)
        sys.argv[1:] = readable(arguments, multirun=multirun)
        if not multirun:
            check_resumed_alone([text for text in arguments if not text.startswith("-")])
        os.environ["HYDRA_FULL_ERROR"] = "1"  # leaves its errors to us
        with as_far_as_it_is_read():
            main()
        signals.ignore()  # nothing is left to be ended in order
        finished = not multirun  # launchers have processes of their own
    except (HydraException, OmegaConfBaseException, UserError) as error:
        if shows_traceback:
            raise
        sys.exit(f"failed: {why(error) if isinstance(error, UserError) else in_a_line(error)}")
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        number, is_sweep = signals.received(), hydra_callback.print_stopped()
        if number is None:
            if shows_traceback or isinstance(error, SystemExit):
                raise
            sys.exit(f"failed: {why(error)}")
        signals.ignore()
        if is_sweep:
            if "ray" in sys.modules:
                sys.modules["ray"].shutdown()
            sys.stdout.flush()
            os._exit(128 + number)  # launchers would wait for processes that the signal has ended, too
        if not isinstance(error, SystemExit):
            print(f"stopped: {why(error)}", file=sys.stderr)
        sys.exit(128 + number)


def _check_arguments(arguments: Sequence[str], *, multirun: bool) -> None:
    """Refuse what would not do what it says: a search that is no sweep, runs resumed by one, an unnamed place."""
    if "hydra/sweeper=search" in arguments and not multirun:
        raise UserError("hydra/sweeper=search is a sweep: python train.py -m hydra/sweeper=search …")
    for text in arguments:
        name, equals, value = text.partition("=")
        if multirun and name.lstrip("+") == "resume" and value != "null":
            raise UserError(
                f"{text} goes without -m alone: resume one run after the other (for run in DIRS; do "
                'python train.py resume="$run"; done), or repeat the command of their sweep'
            )
        if multirun and name == "hydra.sweep.subdir":
            raise UserError(
                f"{name} cannot be set: jobs are named by what varies, so that the same command goes on with them"
            )
        if equals and not value.strip("'\" ") and name.startswith("hydra.") and name.endswith(".dir"):
            raise UserError(f"{name}= names no directory")


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Keep the garbage collector from what is imported meanwhile, now and later, if this is the first import."""
    is_first = "torch" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
    if is_first:  # what an earlier job of a sweep left would never be collected
        gc.freeze()


def run_job(cfg: DictConfig) -> float | None:
    """Train as ``cfg`` says in the directory that Hydra made. A failure is a line here and a traceback in the log.

    Returns: what a sweep optimises.
    Raises: SystemExit after a failure; in a sweep, where every job is a process of its own, it is None instead.
    """
    hydra: Any = HydraConfig.get()
    run = RunDirectory(Path(hydra.runtime.output_dir))
    os.chdir(hydra.runtime.cwd)  # paths begin where the command was typed, whatever hydra.job.chdir says
    if hydra.mode == RunMode.MULTIRUN:
        return _run_apart(cfg, run)
    end_with_sweep()
    with read_write(hydra):  # processes that are started for this job get its directory, not the rule that made it
        hydra.run.dir = str(run.path)
    _set_up_logging(run)
    began_from = _changed_at(run.last)
    try:
        _settle_threads(cfg, run)
        with _no_search_for_cycles():
            from ser_lightning.training.experiment import train
            from ser_lightning.training.trainer import check_directory_is_shared
        _redirect_lightning_log()
        _say_what_has_no_effect(cfg, hydra.overrides.task)
        if cfg.resume is None and not any(text.startswith("hydra.run.dir=") for text in hydra.overrides.hydra):
            check_directory_is_shared(cfg.trainer)
        return train(cfg, run, hydra.overrides.task)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        _log_failure(error, run, went_on=_changed_at(run.last) != began_from)
        sys.exit(128 + (signals.received() or signal.SIGINT) if is_interrupt(error) else 1)


def _run_apart(cfg: DictConfig, run: RunDirectory) -> float | None:
    """Run one job of a sweep as a process of its own. Returns: what the sweep optimises."""
    hydra = HydraConfig.get()
    search = is_search(hydra.sweeper)
    log_to_screen()
    return run_apart(
        cfg,
        run,
        hydra.overrides.task,
        train=TRAIN_PY,
        cwd=Path(hydra.runtime.cwd),
        aloud=hydra.launcher._target_.endswith("BasicLauncher") and not search,
        search=search,
    )


def _settle_threads(cfg: DictConfig, run: RunDirectory) -> None:
    """Choose threads, and how they wait, before torch is imported; a run that goes on keeps its number of them."""
    number = OmegaConf.select(cfg, "trainer.threads")
    if number is not None:
        check("trainer.", integer=True, at_least=1, at_most=1024, threads=number)
    before = (read_json(run.environment) or {}).get("threads") if run.last.is_file() else None
    threads = cores.settle(number, kept=before if isinstance(before, int) else None)
    is_unusual = threads.waiting == "sleeping"  # which the screen shows, too
    (log if is_unusual else logging.getLogger("threads")).info("%s", threads)
    if number is not None and number != threads.number:
        log.warning("OMP_NUM_THREADS=%d is set in the environment, and goes before trainer.threads", threads.number)


def _set_up_logging(run: RunDirectory) -> None:
    """Log this package to the screen in plain words, and everything, warnings too, to the run's log."""
    print_what_can_be_printed()
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # of a terminal that was closed, or a disk that is full
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(logging.INFO)
    if int(os.environ.get("LOCAL_RANK", 0)) != 0:
        root.addHandler(logging.NullHandler())
        return
    screen = logging.StreamHandler(sys.stderr)
    screen.addFilter(lambda record: record.name.startswith("ser_lightning"))
    screen.setFormatter(_Printable("%(message)s"))
    file = logging.FileHandler(run.log, encoding="utf-8")
    file.setFormatter(_Printable("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(screen)
    root.addHandler(file)


class _Printable(logging.Formatter):
    """Formats records so that whatever is in them can be shown."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)


def _redirect_lightning_log() -> None:
    """Send Lightning's messages to the log in place of its own handlers."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _say_what_has_no_effect(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Log settings that were asked for and that what is predicted makes no use of: recipes have them for labels."""
    unused = task_for(OmegaConf.select(cfg, "data.targets")).unused
    names = [name for name in unused if any(text.lstrip("+").startswith(f"{name}=") for text in overrides)]
    if names:
        log.warning("no effect: %s, with data.targets", ", ".join(names))


def _changed_at(path: Path) -> float | None:
    return path.stat().st_mtime if path.is_file() else None


def _log_failure(error: BaseException, run: RunDirectory, *, went_on: bool) -> None:
    """Say why the run ended and how to go on; ``went_on``: a checkpoint was written since this process began."""
    log.error("%s: %s", "stopped" if is_interrupt(error) else "failed", why(error))
    if not (isinstance(cause(error), UserError) or is_interrupt(error)):
        logging.getLogger("traceback").error("full traceback:", exc_info=error)  # to the file alone
        log.info("the details are in %s", run.log)
    if isinstance(cause(error), InUse) or (isinstance(cause(error), UserError) and not went_on):
        return  # it says itself what to do: the same again would end as this did
    command = train_command(assignment("resume", run.path))
    if run.last.is_file() and has_content(run.metrics):  # else there is but the one from before the first step
        log.info("to resume from the last finished epoch: %s", command)
    elif is_interrupt(error) and has_content(run.config):
        log.info("to start it again: %s", command)
