"""Log a run to Weights & Biases, which can never stop or cost a training.

Offline by default, never a login prompt, nothing outside the run directory. Whatever goes wrong with W&B is
one logged warning, and the training goes on without it: metrics.csv and result.json are the record, W&B is a
copy.
"""

import logging
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities import rank_zero_only

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import Failure, Result, read_record
from ser_lightning.tracking.content import charts, flat, pictures, summary
from ser_lightning.tracking.environment import Mode, has_credentials, wanted, wanted_mode, wanted_run_id
from ser_lightning.tracking.logger import TolerantWandbLogger, one_line
from ser_lightning.utils.files import has_content, read_text, written_whole
from ser_lightning.utils.text import is_file_name

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

_log = logging.getLogger(__name__)
_UPLOAD_PATIENCE_S = 300.0
PATIENCE_AFTER_FAILURE_S = 5.0  # with a W&B that is still starting

# No console capture, source code, git diff or description of the machine: environment.json has what matters.
_QUIET: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "host": "",
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


_latest: TolerantWandbLogger | None = None  # that was made in this process


def wandb_logger(
    *,
    run_dir: Path,
    config: Mapping[str, Any],
    project: str | None = None,
    mode: str | None = None,
    usual_mode: str = "offline",
    entity: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    name: str | None = None,
    job_type: str = "train",
) -> TolerantWandbLogger | None:
    """Start, or resume, the W&B run of a run directory, in a thread: that takes a second.

    Its id is kept in ``run_dir/wandb_id.txt``: a resumed training continues the same W&B run. Only rank zero
    starts one. Online without credentials, or without a server that answers, becomes offline.

    Args:
        run_dir: where everything W&B writes is kept, under ``wandb/``.
        config: plain nested data; it is logged flat, with keys like ``model/dropout``, and with ``run_dir``.
        project: W&B project; where None, that of WANDB_PROJECT, or ser_lightning.
        mode: ``online``, ``offline`` or ``disabled``; where None, that of WANDB_DISABLED or WANDB_MODE, or
            ``usual_mode``.
        entity: W&B user or team; where None, that of WANDB_ENTITY, or the account's default.
        group: what W&B groups runs by.
        tags: W&B tags.
        name: shown in W&B; where None, that of WANDB_NAME, or the directory's name.
        job_type: ``train``, ``eval`` and so on.

    Returns:
        A Lightning logger, which logs nothing where W&B does not work; None where W&B is disabled.

    Raises:
        ValueError: if the mode is none of the three.
    """
    chosen = wanted_mode(mode, usual_mode)
    if chosen == "disabled":
        return None
    shared: dict[str, Any] = {
        "project": project or wanted("WANDB_PROJECT") or "ser_lightning",
        "save_dir": run_dir,
        "name": name or wanted("WANDB_NAME") or run_dir.name,
    }
    if getattr(rank_zero_only, "rank", 0) != 0:  # Lightning hangs it on the function
        return TolerantWandbLogger(**shared)
    options = {
        "project": shared["project"],
        "entity": entity or wanted("WANDB_ENTITY"),
        "run_group": group,
        "run_tags": tuple(tags),
        "run_name": shared["name"],
        "run_job_type": job_type,
    }
    global _latest
    current_run()  # one starts after the other
    starting: futures.Future[Run | None] = futures.Future()
    all_config = {**flat(config), "run_dir": str(run_dir.resolve())}
    _latest = TolerantWandbLogger(starting=starting, **shared)

    def start() -> None:
        starting.set_result(_start(run_dir, chosen, options, all_config))

    threading.Thread(target=start, daemon=True).start()
    return _latest


def _start(run_dir: Path, mode: Mode, options: dict[str, Any], config: dict[str, Any]) -> "Run | None":
    """Open a W&B run in the best mode that works: online, else offline, else none."""
    try:
        with _inside(run_dir):
            import wandb

            # else it imports pandas to see that a table is none of pandas'; the name of its type says so, too
            wandb.util.pd_available = False
            if mode == "online" and not has_credentials(wandb.setup().settings.base_url):
                _log.warning("no W&B credentials: logging offline. Set WANDB_API_KEY or run `wandb login`")
                mode = "offline"
            if mode == "online":
                try:
                    return _init(run_dir, mode, options, config)
                except Exception as error:
                    _log.warning("W&B does not answer, logging offline: %s", one_line(error))
                    wandb.teardown()  # its process would hold on to the run's id
            return _init(run_dir, "offline", options, config)
    except Exception as error:
        _log.warning("W&B does not work here, training without it: %s", one_line(error))
        return None


def _init(run_dir: Path, mode: Mode, options: dict[str, Any], config: dict[str, Any]) -> "Run":
    """Open a W&B run in this mode. Raises: whatever W&B does."""
    import wandb

    settings = {
        "mode": mode,
        "root_dir": str(run_dir.resolve()),  # W&B's process may have started in another directory
        "run_id": _run_id(run_dir),
        "resume": "allow",
        "allow_val_change": True,  # a resumed run may have been given more epochs
        "reinit": "finish_previous",  # one process of a sweep trains one run after another
        "finish_timeout": _UPLOAD_PATIENCE_S,
        **_QUIET,
    }
    known = wandb.Settings.model_fields  # W&B refuses settings that another version of it has
    wanted = {key: value for key, value in {**settings, **options}.items() if key in known}
    run = wandb.init(config=config, settings=wandb.Settings(**wanted))
    run.define_metric("trainer/global_step")  # as Lightning does for the runs that it starts itself
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return run


@contextmanager
def _inside(run_dir: Path) -> Iterator[None]:
    """Keep what W&B configures by environment alone in the run directory, and its chatter off the console."""
    place = (run_dir / "wandb").resolve()
    place.mkdir(parents=True, exist_ok=True)
    wanted = {
        "WANDB_DATA_DIR": str(place),
        "WANDB_CACHE_DIR": str(place / "cache"),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    added = {key: value for key, value in wanted.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


def _run_id(run_dir: Path) -> str:
    """Return the id that the directory's W&B run has, or from now on has."""
    path = run_dir / "wandb_id.txt"
    run_id = read_text(path).strip() if has_content(path) else ""
    if not is_file_name(run_id):  # W&B calls a folder so
        run_id = wanted_run_id() or secrets.token_hex(4)
        with written_whole(path) as file:
            file.write(run_id + "\n")
    return run_id


def log_result(run: "Run | None", run_dir: Path, result: Result | Failure | None = None) -> None:
    """Log a run directory to W&B: summary scores, confusion matrix, recall, pictures and predictions.

    Call it on rank zero, after predictions.csv and the pictures are written, and result.json unless ``result`` is
    what it is going to say. What a failed run lacks is left out. Never raises; None is ignored.
    """
    if run is None:
        return
    try:
        result = result or read_record(RunDirectory(run_dir).result)
        with _inside(run_dir):
            media = {**pictures(run_dir), **charts(run_dir, result)}
            if media:
                run.log(media)
            run.summary.update(summary(result))
    except Exception as error:
        _log.warning("the result was not logged to W&B: %s", one_line(error))


def current_run(patience_s: float | None = None) -> "Run | None":
    """Return the W&B run in progress, if there is one; W&B is not imported to find out.

    One that is starting is waited for; None where that takes longer than ``patience_s``.
    """
    if _latest is not None and _latest.wait(patience_s) is None:
        return None
    wandb = sys.modules.get("wandb")
    return None if wandb is None else wandb.run


def finish(exit_code: int = 0) -> None:
    """Close the W&B run in progress, if there is one; never raises, and W&B is not imported to find out."""
    try:
        if (run := current_run(None if exit_code == 0 else PATIENCE_AFTER_FAILURE_S)) is not None:
            run.finish(exit_code=exit_code)
    except Exception as error:
        _log.warning("W&B was not closed properly: %s", one_line(error))
