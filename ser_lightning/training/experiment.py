"""An experiment is a value: a config goes in, a run directory comes out."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig, OmegaConf

from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.data.leakage import plain_records
from ser_lightning.data.prepare.preparation_report import write_excluded_csv
from ser_lightning.models.module import EmotionModule
from ser_lightning.runs.directory import STAMP, RunDirectory
from ser_lightning.runs.environment import describe
from ser_lightning.runs.monitor import check_monitor, check_validation, monitored
from ser_lightning.runs.predictions import write_predictions
from ser_lightning.runs.result import Failure, Result, make_result, write_record
from ser_lightning.runs.result_parts import Throughput
from ser_lightning.sweep.job import sweep_name
from ser_lightning.tracking import run as wandb_run
from ser_lightning.tracking.environment import wanted_group, wanted_tags
from ser_lightning.training.callbacks import (
    Clock,
    FirstCheckpoint,
    History,
    MoveCheckpoints,
    SeedEpochs,
    StampCheckpoints,
    TrimMemory,
    progress,
)
from ser_lightning.training.checkpoints import AtomicCheckpoints, StayStopped, resumable_checkpoint
from ser_lightning.training.config_types import check_parts
from ser_lightning.training.distillation import Teacher, distil, read_teacher
from ser_lightning.training.parts import cache_features, fit_statistics, made, make_module
from ser_lightning.training.resuming import check_same_config, check_same_data, check_same_teacher
from ser_lightning.training.test_checkpoint import evaluate_best
from ser_lightning.training.trainer import check_callbacks, check_trainer, is_first_process, make_trainer
from ser_lightning.utils.errors import UserError, check, why
from ser_lightning.utils.files import write_json
from ser_lightning.utils.malloc import kept_memory
from ser_lightning.utils.text import is_file_name

log = logging.getLogger(__name__)


def train(cfg: DictConfig, run: RunDirectory, overrides: Sequence[str] = ()) -> float | None:
    """Train, and test the best epoch, as ``cfg`` says, leaving everything in ``run``.

    An interrupted run of the same config in that directory is resumed; a finished one is left as it is.
    Returns: the metric that ``cfg.monitor`` names, of the best checkpoint; None without a validation set, and in
        all but the first of several processes.
    Raises: whatever went wrong, after writing it to result.json; UserError for what a person can mend.
    """
    if not is_first_process(run.planned(cfg, overrides).trainer):
        config = run.agree_on(cfg, overrides)
        _train_and_test(config, run)
        return None
    with run.claimed():
        config = run.agree_on(cfg, overrides)
        result = run.read_result()
        if isinstance(result, Result):
            log.info("this run is finished already")
            _print_summary(run)
        else:
            result = _run_and_record(config, run)
            _print_summary(run, data_warnings_said=True)
        return monitored(result.metrics, config.monitor.metric)


def make_data(config: DictConfig) -> EmotionDataModule:
    """Return the data of a config, prepared and split."""
    data = unsplit_data(config)
    data.setup()
    return data


def unsplit_data(config: DictConfig) -> EmotionDataModule:
    """Return the data of a config, neither prepared nor split yet."""
    return made(config.data)


def stamp(
    config: DictConfig, data: EmotionDataModule, module: EmotionModule, teacher: Teacher | None = None
) -> dict[str, Any]:
    """Return what a checkpoint carries to be used and evaluated without its run, as plain data."""
    arguments = OmegaConf.create({"model": {"net": module.checkpoint_arguments()}})
    record, of_teacher = data.training_record(), {}
    if teacher is not None:  # what it was trained on reached the student through its answers
        own = plain_records(record)
        others = [other for other in plain_records(teacher.stamp) if other not in own]
        of_teacher = {"teacher": teacher.record.plain(), "other_records": others}
    return {
        "config": OmegaConf.to_container(OmegaConf.merge(config, arguments), resolve=True),
        **data.task.entry(),
        "sample_rate_hz": data.sample_rate_hz,
        "protocol": data.protocol() | module.protocol,
        "contamination": module.contamination,
        "corpora": [facts.plain() for facts in data.clips.corpus_facts() if facts.name != data.clips.test_corpus],
        **record,
        **of_teacher,
    }


def _checkpoint_to_resume(
    run: RunDirectory, data: EmotionDataModule, module: EmotionModule, now: Mapping[str, Any]
) -> Path | None:
    """Return the checkpoint that a run goes on from.

    Raises: UserError where settings, data or teacher are not its own.
    """
    checkpoint = resumable_checkpoint(run)
    if checkpoint is not None:
        before = torch.load(checkpoint, map_location="cpu", weights_only=True)[STAMP]
        check_same_config(before, now, arguments=module.checkpoint_arguments())
        check_same_data(before, data)
        check_same_teacher(before, now)
        log.info("going on from %s", checkpoint)
    return checkpoint


def _run_and_record(config: DictConfig, run: RunDirectory) -> Result:
    """Train and test, and record the result or the failure in the directory."""
    started = time.perf_counter()

    def facts() -> dict[str, Any]:
        return {
            "seed": config.seed,
            "config": run.config.name,
            "overrides": run.read_overrides() or None,
            "seconds": round(time.perf_counter() - started, 1),
        }

    try:
        result = make_result(**facts() | _train_and_test(config, run))
        _illustrate(run, result)
        write_record(run.result, result)  # the last: a run that says finished is left as it is, and lacks nothing
    except BaseException as error:
        run.release_reserve()
        failure = Failure(reason=why(error), **facts())
        write_record(run.result, failure)
        _illustrate(run, failure)
        wandb_run.finish(exit_code=1)
        raise
    wandb_run.finish(exit_code=0)  # whatever stops it, the run is finished
    return result


def _print_summary(run: RunDirectory, *, data_warnings_said: bool = False) -> None:
    from ser_lightning.report.console import print_summary

    print_summary(run.path, data_warnings_said=data_warnings_said)


def _import_report() -> None:
    """Import beside the first steps what draws and describes the result: that takes the better part of a second.

    The interpreter waits for its end: it may abort where a thread still imports while it shuts down.
    """
    names = ("ser_lightning.report.console", "ser_lightning.report.model_card")
    threading.Thread(target=lambda: [import_module(name) for name in names]).start()


def _illustrate(run: RunDirectory, result: Result | Failure) -> None:
    """Make figures, the model card, and the entry in W&B. A figure that fails is logged; the result stays."""
    from ser_lightning.report.console import finish
    from ser_lightning.report.model_card import write_card

    try:
        finish(run.path, result)
        if isinstance(result, Result) and run.last.is_file():
            write_card(run.path, result)
    except OSError:
        if isinstance(result, Result):  # the disk is full, say: to be done again
            raise
    except Exception as error:
        log.error("pictures or model card could not be made: %s", why(error))
        logging.getLogger("traceback").error("full traceback:", exc_info=error)  # to the file alone
    patience_s = None if isinstance(result, Result) else wandb_run.PATIENCE_AFTER_FAILURE_S
    wandb_run.log_result(wandb_run.current_run(patience_s), run.path, result)


def _train_and_test(config: DictConfig, run: RunDirectory) -> dict[str, Any]:
    """Train, and test the best checkpoint. Return fields of the `Result`."""
    clock, history = Clock(), History(run.metrics)
    _check_config(config)
    seed_everything(config.seed, verbose=False)
    teacher = read_teacher(config.model.get("teacher"))
    data = _checked_data(config, teacher)
    module = make_module(
        config, task=data.task, sample_rate_hz=data.sample_rate_hz, training_targets=data.training_targets()
    )
    if data.clips.pieces.several:
        module.join_pieces(data.clips.pieces.clip, data.clips.reference)
    its_stamp = stamp(config, data, module, teacher)
    checkpoint = _checkpoint_to_resume(run, data, module, its_stamp)
    trainer = _trainer(config, run, data, module, [StampCheckpoints(its_stamp), clock, history])
    its_stamp["precision"] = str(trainer.precision)  # as Lightning understood it
    environment = describe(trainer.strategy.root_device, its_stamp["precision"])
    if trainer.is_global_zero:  # before training: a run that goes on keeps its number of threads
        write_json(run.environment, environment.plain())
    if not config.trainer.get("fast_dev_run"):
        cache_features(trainer, module, data)
    fit_statistics(module, data)
    if teacher is not None:
        of_teacher = distil(teacher, module, trainer, data)
        its_stamp["contamination"] = module.contamination or of_teacher  # no checkpoint is written before
    if not config.data.num_workers:  # they are forked, and no thread may hold a lock then
        _import_report()
    with kept_memory():
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    facts, predictions = evaluate_best(trainer, module, data, run, history.validated)
    if trainer.is_global_zero:
        write_predictions(run.predictions, predictions)
        write_excluded_csv(run.excluded, data.clips.reports)
    return {
        **facts,
        "teacher": teacher.record if teacher is not None else None,
        "contamination": its_stamp["contamination"],
        "history": history.columns(),
        "throughput": Throughput(train_clips_per_s=clock.clips_per_s, train_s=round(clock.train_s, 1)),
        "environment": environment,
        "seconds": round(clock.elapsed_s, 1),
    }


def _checked_data(config: DictConfig, teacher: Teacher | None) -> EmotionDataModule:
    """Return the data, prepared and split. Raises: UserError where the validation set or the teacher do not fit."""
    data = unsplit_data(config)
    check_validation(config, data.listed_clips("val"))  # before anything is decoded
    data.setup()
    if teacher is not None:
        teacher.check(data)
    check_validation(config, data.clips_by_output("val"))
    return data


def _check_config(config: DictConfig) -> None:
    """Refuse what cannot work before any audio is read. Raises: UserError that names the setting."""
    check("", integer=True, at_least=0, at_most=2**32 - 1, seed=config.seed)
    callbacks = _callback_configs(config)
    named = {f"callbacks.{name}": part for name, part in callbacks.items()}
    check_parts({"model": config.model, "data": config.data, **named})
    if not is_file_name(str(config.model.name)):
        raise UserError(f"model.name={config.model.name} cannot be used: folders are called so; leave out / and \\")
    check_monitor(config)
    check_callbacks(callbacks)
    check_trainer(config)
    for part in (config.model, *callbacks.values()):
        made(part)  # constructors check their arguments


def _logger(config: DictConfig, run: RunDirectory, protocol: Mapping[str, Any]) -> WandbLogger | None:
    """Make the W&B logger, where one is asked for."""
    make = made(config.logger).get("wandb")
    if make is None or config.trainer.get("fast_dev_run"):
        return None
    split, fold = protocol["split"], protocol["fold"]
    corpora = [protocol[key] for key in ("corpus", "test_corpus") if key in protocol]
    logger = config.logger.wandb
    started = make(
        run_dir=run.path,
        config=OmegaConf.to_container(config),
        group=logger.group or wanted_group() or sweep_name() or "-".join([*corpora, split]),
        tags=[config.model.name, *corpora, f"fold{fold}", *(logger.tags or wanted_tags())],
    )
    if started is not None and config.data.num_workers:
        started.wait()  # workers are forked, and no thread may hold a lock then
    return started


def _trainer(
    config: DictConfig, run: RunDirectory, data: EmotionDataModule, module: EmotionModule, meters: list[Callback]
) -> Trainer:
    """Make the trainer, with our callbacks and those of the config."""
    callbacks = [SeedEpochs(config.seed), *meters, MoveCheckpoints(run.checkpoints)]
    for name, part in _callback_configs(config).items():
        if name == "average_weights" and not module.can_be_averaged:
            continue
        callback = made(part)
        if isinstance(callback, ModelCheckpoint):
            callback.dirpath = str(run.checkpoints)
        callbacks.append(callback)
    if not config.trainer.get("fast_dev_run"):
        callbacks += [FirstCheckpoint(run.last), StayStopped(), TrimMemory()]
    if config.trainer.get("enable_progress_bar", True):
        callbacks.append(progress())
    return make_trainer(
        config,
        callbacks=callbacks,
        logger=_logger(config, run, data.protocol()) or False,
        plugins=[*(config.trainer.get("plugins") or ()), AtomicCheckpoints()],
        default_root_dir=str(run.path),
    )


def _callback_configs(config: DictConfig) -> dict[str, DictConfig]:
    """Return the configs of the callbacks that are not switched off."""
    configs = {str(name): part for name, part in config.callbacks.items() if part is not None}
    average = configs.get("average_weights")
    if isinstance(average, DictConfig) and average.epochs is None:
        del configs["average_weights"]
    return configs
