"""What the configs of sweeps ask for: the name of a job's directory, and what a machine has for each job."""

import hashlib
import os
import re
from collections.abc import Sequence

from omegaconf import OmegaConf

from ser_lightning.monitor import direction

_PLACES = ("data.root", "data.roots.", "data.test_root", "data.download", "hydra.", "logger", "trainer.enable_")
_STRANGE = re.compile(r"[^\w.,=+~\[\]-]+")
_LONGEST = 120


def job_name(overrides: Sequence[str]) -> str:
    """The directory of a job, ``model=cnn,data.fold=1,seed=0``: what was asked for, but not where things lie.

    What no directory should be called is replaced, and a digest keeps such names apart.
    """
    said = [text for text in overrides if not text.lstrip("+~").startswith(_PLACES)]
    whole = ",".join(said)
    name = _STRANGE.sub("_", whole).lstrip(".")[:_LONGEST]
    if name != whole:
        name += "-" + hashlib.sha256(whole.encode()).hexdigest()[:8]
    return name if said else "job"


def gpus_each() -> int:
    """GPUs of this machine that a job of it takes: one, or none where there are none."""
    import torch

    return min(1, torch.cuda.device_count())


def cores_each() -> int:
    """Processor cores of this machine that a job of it takes: as many for each GPU, or one."""
    import torch

    n_gpus = torch.cuda.device_count()
    return max(1, (os.cpu_count() or 1) // n_gpus) if n_gpus else 1


def register() -> None:
    """Make these known to the configs."""
    OmegaConf.register_new_resolver("job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("search_direction", direction, replace=True)
    OmegaConf.register_new_resolver("gpus_each", gpus_each, replace=True)
    OmegaConf.register_new_resolver("cores_each", cores_each, replace=True)
