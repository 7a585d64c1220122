"""Resolvers for the configs of sweeps: the name of a job's directory, and a machine's resources for each job."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from ser_lightning.runs.monitor import direction, headline_metric
from ser_lightning.utils.cores import usable_cores
from ser_lightning.utils.text import as_file_name, cut

_PLACES = (
    "data.root",
    "data.roots.",
    "data.manifest",
    "data.test_root",
    "data.download",
    "hydra.",
    "logger",
    "trainer.enable_",
)
_LONGEST = 120  # bytes of UTF-8; a digest follows, and file systems take 143 to 255


def job_name(overrides: Sequence[str], varying: Sequence[str] = ()) -> str:
    """Return the directory of a job, ``model=cnn,data.fold=1,seed=0``: what was asked for.

    Where things lie, and what is logged, is left out unless it is ``varying`` in the sweep. A long name keeps what
    varies alone, the ends of its keys, rounded numbers, then both ends of its values. What no directory should be
    called is replaced. A digest keeps apart the names that were changed.
    """
    parts = [text for text in overrides if _key(text) in varying or not _key(text).startswith(_PLACES)]
    if not parts:
        return "job"
    full = ",".join(parts)
    name = as_file_name(full)
    if len(name.encode()) > _LONGEST:
        parts = [text for text in parts if _key(text) in varying] or parts
        keys = _shortest_ends([_key(text) for text in parts])
        values = [as_file_name(text.partition("=")[2]) for text in parts]
        for longest in (_LONGEST, 60, 40, 25, 15, 8, 4):
            pairs = zip(keys, values, strict=True)
            name = ",".join(f"{key}={cut(value, longest)}" for key, value in pairs)
            if len(name.encode()) <= _LONGEST:
                break
            values = [_rounded(value) for value in values]
        name = cut(name, _LONGEST)
    if name != full:
        name += "-" + hashlib.sha256(full.encode()).hexdigest()[:8]
    return name


def varying_keys(hydra: Any) -> list[str]:
    """Return the keys that differ between the jobs of a sweep, as its ``hydra`` config says."""
    parsed = OverridesParser.create().parse_overrides(list(hydra.overrides.task))
    swept = [override.key_or_group for override in parsed if override.is_sweep_override()]
    return sorted({*swept, *map(str, hydra.sweeper.get("params") or ())})


def _key(override: str) -> str:
    """Return the key of an override, without the package of a group: model.net of ``+model.net=…``."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _rounded(value: str) -> str:
    """Return a number of many digits, as a search draws it, with four; any other text as it is."""
    return f"{float(value):.4g}" if re.fullmatch(r"-?\d+\.\d{5,}(e-?\d+)?", value) else value


def _shortest_ends(keys: Sequence[str]) -> list[str]:
    """Return the shortest end of every dotted key that no other key ends with: lr of model.optimizer.lr."""
    ends = []
    for key in keys:
        parts = re.split(r"[./]", key)
        candidates = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        others = [re.sub("/", ".", other) for other in keys if other != key]
        alone = (end for end in candidates if not any(f".{other}".endswith(f".{end}") for other in others))
        ends.append(next(alone, candidates[-1]))
    return ends


def gpus_each() -> int:
    """Return the GPUs that a job on this machine takes: one, or none where there are none."""
    import torch

    return min(1, torch.cuda.device_count())


def cores_each() -> int:
    """Return the cores that a job on this machine takes: an equal share for each GPU, or one."""
    import torch

    n_gpus = torch.cuda.device_count()
    return max(1, usable_cores() // n_gpus) if n_gpus else 1


def register() -> None:
    """Register the resolvers with OmegaConf."""
    OmegaConf.register_new_resolver("job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("headline_metric", headline_metric, replace=True)
    OmegaConf.register_new_resolver("search_direction", direction, replace=True)
    OmegaConf.register_new_resolver("gpus_each", gpus_each, replace=True)
    OmegaConf.register_new_resolver("cores_each", cores_each, replace=True)
