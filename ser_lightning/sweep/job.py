"""One job of a sweep: a run directory is written, and a process of its own makes it a finished run.

A job that runs out of memory, crashes or is killed takes nothing else with it, and whatever a launcher does, a job
is what ``python train.py resume=DIR`` makes of its directory.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.monitor import monitored
from ser_lightning.utils.command_line import assignment
from ser_lightning.utils.errors import UserError, why
from ser_lightning.utils.files import alone

if TYPE_CHECKING:
    from ser_lightning.runs.result import Failure, Result

REFUSED = RunDirectory.refused.name
_SWEEP_PROCESS = "SER_SWEEP_PROCESS"  # the one that was typed; launchers start others, which make the jobs
_PARENT = "SER_JOB_OF"  # set for a job's process: the sweep that it belongs to
_GRACE_S = 20.0  # that an interrupted job is given to save its state and result

log = logging.getLogger("ser_lightning.sweep")


def run_apart(
    cfg: DictConfig,
    run: RunDirectory,
    overrides: Sequence[str],
    *,
    train: Path,
    cwd: Path,
    aloud: bool,
    search: bool = False,
) -> float | None:
    """Make ``run`` a finished run of ``cfg``, unless it is one, going on from what is there.

    Args:
        overrides: those of the command line.
        train: the program, train.py.
        cwd: where it is started, for paths that are relative.
        aloud: show its output, rather than write it to console.log of the directory.
        search: its test is not to be shown: the monitored metric chooses among the jobs.

    Returns: what a sweep optimises; None after a failure, which result.json explains.
    Raises: what a signal raises here, after it has ended the job.
    """
    name, metric = run.path.name, cfg.monitor.metric
    try:
        result: Result | Failure | None = _finished(cfg, run, overrides)
        if result is not None:
            log.info("%s: finished before, left as it is", name)
        else:
            log.info("%s: started", name)
            result = _result(cfg, run, _started(run, train, cwd, aloud=aloud))
            log.info("%s: %s", name, _outcome(result, metric if search else None))
    except Exception as error:  # no other job is to suffer
        result = refuse(run, why(error), seed=cfg.seed)
        log.error("%s: %s", name, _outcome(result))
    return monitored(result.metrics, metric) if result.status == "finished" else None


def refuse(run: RunDirectory, reason: str, seed: Any = None) -> "Failure":
    """Record why a job could not be run; a finished run that is there, of another config, is left alone."""
    run.path.mkdir(parents=True, exist_ok=True)
    from ser_lightning.runs.result import Failure, write_record  # help is to answer without what it imports

    try:
        result = run.read_result()
        is_finished = result is not None and result.status == "finished"
    except UserError:  # a later version wrote it
        is_finished = True
    failure = Failure(reason=reason, seed=seed, config=run.config.name)
    write_record(run.refused if is_finished else run.result, failure)
    return failure


def _finished(cfg: DictConfig, run: RunDirectory, overrides: Sequence[str]) -> "Result | None":
    """Return the result if nothing is left to do; else make the directory ready to be resumed."""
    run.path.mkdir(parents=True, exist_ok=True)
    with _alone(run):
        run.refused.unlink(missing_ok=True)
        run.agree_on(cfg, overrides)
        result = run.read_result()
        if result is not None and result.status == "failed":
            run.result.unlink()
            return None
        return result


def _alone(run: RunDirectory) -> AbstractContextManager[None]:
    """Hold the directory, once no other process does."""
    waiting = "%s: another process is still at it, waiting for it to end"
    return alone(run.lock, on_wait=lambda: log.info(waiting, run.path.name))


def _started(run: RunDirectory, train: Path, cwd: Path, *, aloud: bool) -> int:
    """Run the program on the directory until it ends. Returns its exit status, negative for a signal."""
    # trusted, since `_finished` has compared what lies there with what was typed
    command = [sys.executable, str(train), assignment("resume", run.path.absolute()), "trust=true"]
    environment = {**os.environ, _PARENT: run.path.parent.name}
    environment.pop("HYDRA_FULL_ERROR", None)  # it is ours, see `training.job.start`
    with nullcontext() if aloud else run.console.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output
        )
        try:
            return _wait(process)
        except BaseException as error:  # Ctrl-C, which reached the job too, or a signal that a launcher takes
            _end(process)
            if isinstance(error, KeyboardInterrupt) and _sweep_process() is not None:
                os._exit(1)  # no launcher is to give this process another job
            raise
        finally:
            assert process.stdin is not None
            process.stdin.close()  # an open one is how it knows that this process lives


def _wait(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a job. Returns its exit status. Raises: KeyboardInterrupt at the end of the sweep."""
    sweep = _sweep_process()
    while True:
        try:
            return process.wait(None if sweep is None else 1.0)
        except subprocess.TimeoutExpired:
            if sweep is not None and not _lives(sweep):
                raise KeyboardInterrupt from None


def announce_sweep() -> None:
    """Tell the processes that launchers start which one they work for."""
    os.environ[_SWEEP_PROCESS] = f"{os.getpid()} {_machine()}"


def _sweep_process() -> int | None:
    """Return the process that this one makes jobs for, and ends with.

    None where that is not on this machine, or not in this job of a cluster: what was sent there goes on by itself.
    """
    number, _, machine = os.environ.get(_SWEEP_PROCESS, "").partition(" ")
    return int(number) if machine == _machine() and int(number) != os.getpid() else None


def _machine() -> str:
    return f"{socket.gethostname()} {os.environ.get('SLURM_JOB_ID', '')}"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Have a job save what it has and end."""
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        process.kill()


def _result(cfg: DictConfig, run: RunDirectory, status: int) -> "Result | Failure":
    """Return the record that the job left, or one that says why it left none.

    Where another process had the directory first, it is waited for.
    """
    result = run.read_result()
    if result is None:
        with _alone(run):
            result = run.read_result()
    if result is not None:
        return result
    reason = f"ended with status {status} and left no result"
    if status == -signal.SIGKILL:
        reason = "killed (SIGKILL), as happens when memory runs out"
    elif status < 0:
        reason = f"ended by {signal.Signals(-status).name}"
    return refuse(run, reason, seed=cfg.seed)


def _outcome(result: "Result | Failure", metric: str | None = None) -> str:
    """Say how a job ended: why it failed, else its value of ``metric``, or without one the scores of its test."""
    from ser_lightning.report.metric_style import written_scores  # which takes NumPy

    if result.status == "failed":
        return f"failed: {(result.reason or 'no reason recorded').splitlines()[0]}"
    took = f", {result.seconds / 60:.1f} min" if result.seconds is not None else ""
    if metric is not None:
        value = monitored(result.metrics, metric)
        return f"{metric} {'none' if value is None else f'{value:.4f}'}{took}"
    test = result.metrics.test
    return f"test {', '.join(written_scores(test, result.predicts))}{took}"


def sweep_name() -> str | None:
    """Return the name of the sweep that this process is a job of, if it is one."""
    return os.environ.get(_PARENT)


def end_with_sweep() -> None:
    """End a job's process as soon as the process that waits for it has ended, however that was.

    What is left is a run to go on with, and no GPU stays taken.
    """
    if sweep_name() is not None:
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written
    os._exit(1)
