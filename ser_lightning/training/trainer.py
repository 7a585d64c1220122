"""Make Lightning's Trainer from conf/trainer, and refuse what cannot work before anything is prepared."""

import logging
import os
import re
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from ser_lightning.training.parts import made
from ser_lightning.utils.errors import UserError, cause, check, first_line
from ser_lightning.utils.precision import choose_precision

log = logging.getLogger(__name__)

_ELSEWHERE = {"logger": "logger=", "callbacks": "callbacks.", "default_root_dir": "hydra.run.dir="}
# Lightning's settings with the values that change nothing: of a trainer, those that cut epochs or validate within
# them; of the two checkpoints that a run needs, those that write one within an epoch, or a part of it.
_WITHIN_EPOCHS = {"max_steps": -1, "min_steps": None, "overfit_batches": 0, "val_check_interval": 1}
_COMPLETE = {"save_top_k": 1, "save_weights_only": False, "every_n_train_steps": 0, "train_time_interval": None}
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")  # the weights stay in 32 bits
_MOST_PROCESSES = 16  # that anyone tries a distributed training with on a small machine without GPUs
_FILENAME = re.compile(r"(?!\.)(?:[\w=.-]|\{(?:epoch|step)\})+")  # of a checkpoint


def make_trainer(config: DictConfig, **options: Any) -> Trainer:
    """Make the trainer of a config; ``options`` are Lightning's, beside those of ``config.trainer``."""
    if _is_launched_alone(config.trainer):
        options["plugins"] = [*options.get("plugins", ()), LightningEnvironment()]
    precision = choose_precision(config.trainer.precision, config.trainer.accelerator)
    # trainer.threads is ours alone
    settings = OmegaConf.masked_copy(config.trainer, [name for name in config.trainer if name != "threads"])
    return made(settings, _partial_=True)(precision=precision, **options)


def is_first_process(trainer: DictConfig) -> bool:
    """Return whether this process is the first of its training, or all of it.

    Lightning takes a rank from whatever launched the process. Where each training is one process, that launched
    several, as ``srun bash -c 'python train.py data.fold=$SLURM_PROCID'`` does, and each is the first of its own.
    """
    if _is_one_process(trainer):
        setattr(rank_zero_only, "rank", 0)  # noqa: B010  a function, on which Lightning hangs it
    return getattr(rank_zero_only, "rank", 0) == 0


def check_directory_is_shared(trainer: DictConfig) -> None:
    """Refuse to be one of several processes of a training that were launched together and named no directory.

    Raises: UserError.
    """
    if _is_launched_alone(trainer):
        return
    if SLURMEnvironment.detect() or TorchElasticEnvironment.detect():
        raise UserError(
            "srun and torchrun start every process of a training, and each would name a directory of its own: give "
            "them one, hydra.run.dir=DIR"
        )


def _is_launched_alone(trainer: DictConfig) -> bool:
    """Return whether a training is one process, or one task of SLURM, which starts the other processes itself."""
    return _is_one_process(trainer) or os.environ.get("SLURM_NTASKS") == "1"


def _is_one_process(trainer: DictConfig) -> bool:
    return _n_devices(trainer.devices) == 1 and trainer.get("num_nodes") in (None, 1)


def check_callbacks(callbacks: Mapping[str, Any]) -> None:
    """Refuse callbacks that would write checkpoints elsewhere or under other names, and numbers out of range.

    Raises: UserError.
    """
    for name, callback in callbacks.items():
        if str(callback.get("_target_")).endswith("ModelCheckpoint"):
            _check_checkpoint(name, callback)
        for key, least in (("patience", 0), ("every_n_epochs", 1), ("every_n_train_steps", 1)):
            if callback.get(key) is not None:
                check(f"callbacks.{name}.", integer=True, at_least=least, **{key: callback[key]})


def _check_checkpoint(name: str, callback: Mapping[str, Any]) -> None:
    if callback.get("dirpath") is not None:
        raise UserError(
            f"callbacks.{name}.dirpath={callback['dirpath']} has no effect: checkpoints lie in the run's directory"
        )
    file, kind = callback.get("filename"), name.removesuffix("_checkpoint")
    if name in ("best_checkpoint", "last_checkpoint"):
        if file != kind:
            purpose = {"best": "what is tested", "last": "what a run goes on from"}[kind]
            raise UserError(f"callbacks.{name}.filename={file}: {purpose} is {kind}.ckpt; leave it out")
        complete = f"{kind}.ckpt is one complete file, written after an epoch"
        remedy = "leave it out, or give it to a ModelCheckpoint of another name"
        _refuse_changed(f"callbacks.{name}.", callback, _COMPLETE, f": {complete}; {remedy}")
    elif file is not None and (file in ("best", "last") or not _FILENAME.fullmatch(file)):
        raise UserError(
            f"callbacks.{name}.filename={file} cannot be used: it must be a name without folders that is neither "
            "best nor last, of letters, digits, - _ = . {epoch} and {step}"
        )


def _refuse_changed(prefix: str, settings: Mapping[Any, Any], defaults: Mapping[str, Any], reason: str) -> None:
    for name, default in defaults.items():
        if settings.get(name) not in (None, default):
            raise UserError(f"{prefix}{name}={settings[name]} cannot be used{reason}")


def _n_devices(asked: Any) -> int:
    """Return how many devices are asked for, by number, text or list; 0 for auto and all."""
    if isinstance(asked, str):
        return int(asked) if asked.isdecimal() else sum(map(str.isdecimal, asked.replace(" ", "").split(",")))
    return asked if isinstance(asked, int) else len(asked or ())


def check_trainer(config: DictConfig) -> None:
    """Refuse a trainer that could not be made on this machine, or that would train or test nothing.

    Raises: UserError.
    """
    settings = config.trainer
    for name, remedy in _ELSEWHERE.items():
        if name in settings:
            raise UserError(f"trainer.{name} has no effect: use {remedy}")
    whole = "epochs are trained and validated as a whole"
    remedy = "use trainer.max_epochs and trainer.limit_train_batches"
    _refuse_changed("trainer.", settings, _WITHIN_EPOCHS, f", as {whole}: {remedy}")
    if re.search("spawn|fork|notebook", str(settings.strategy)):
        raise UserError(
            f"trainer.strategy={settings.strategy} cannot be used, as its processes keep what they measure to "
            "themselves: use trainer=ddp"
        )
    check("trainer.", integer=True, at_least=1, max_epochs=settings.max_epochs)
    check("trainer.", integer=True, at_least=1, accumulate_grad_batches=settings.accumulate_grad_batches)
    if settings.limit_train_batches is not None:
        check("trainer.", above=0, limit_train_batches=settings.limit_train_batches)
    for name in ("limit_val_batches", "limit_test_batches", "gradient_clip_val"):
        if settings[name] is not None:
            check("trainer.", at_least=0, **{name: settings[name]})
    _check_devices(settings)
    if settings.get("num_nodes") is not None:
        check("trainer.", integer=True, at_least=1, at_most=10_000, num_nodes=settings.num_nodes)
    try:
        precision = str(make_trainer(config, logger=False, enable_checkpointing=False).precision)
    except Exception as error:
        raise UserError(f"this trainer cannot be made: {first_line(cause(error))}") from error
    if precision not in _PRECISIONS:
        raise UserError(
            f"trainer.precision={settings.precision} is not supported: use auto, {', '.join(_PRECISIONS)}"
        )


def _check_devices(settings: DictConfig) -> None:
    """Refuse more devices than there are, and GPUs where there are none. Raises: UserError."""
    n_gpus = torch.cuda.device_count()
    if settings.accelerator in ("gpu", "cuda") and not n_gpus and not torch.backends.mps.is_available():
        raise UserError(
            f"trainer.accelerator={settings.accelerator}: torch finds no GPU here; leave it at auto, or cpu"
        )
    on_gpus = settings.accelerator in ("gpu", "cuda", "auto") and n_gpus
    most = n_gpus if on_gpus else max(_MOST_PROCESSES, os.cpu_count() or 1)
    if _n_devices(settings.devices) > most:
        limit = f"torch finds {n_gpus} here" if on_gpus else f"this machine has room for {most} processes"
        raise UserError(f"trainer.devices={settings.devices}: {limit}; ask for no more than that")
    if not on_gpus and _n_devices(settings.devices) > 1:
        log.warning(
            "trainer.devices=%s: torch finds no GPU here, and as many processes share the CPU", settings.devices
        )
