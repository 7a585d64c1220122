"""What a description out of a file may make: parts of this package, torch's optimisers and schedules, nothing else.

A checkpoint, or a run's directory, may come from anywhere, and a ``_target_`` in it can name whatever Python can
call. Here is the closed list, and the one place that says no. What a person types on the command line does not come
this way.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from ser_lightning.utils.errors import UserError, first_line, some

_NAMED = frozenset(
    """
    ser_lightning.models.module.EmotionModule
    ser_lightning.models.frontend.LogMel
    ser_lightning.models.raw_waveform.RawWaveform
    ser_lightning.models.schedule.warmup_cosine
    ser_lightning.data.factories.one_corpus
    ser_lightning.data.factories.user_csv
    ser_lightning.data.factories.pooled_corpora
    ser_lightning.training.callbacks.AverageWeights
    ser_lightning.tracking.run.wandb_logger
    lightning.pytorch.Trainer
    lightning.pytorch.callbacks.EarlyStopping
    lightning.pytorch.callbacks.ModelCheckpoint
    """.split()
)
_CLASSES = {  # modules whose own classes of a kind are on the list
    r"ser_lightning\.models\.nets\.[a-z]\w*": "torch.nn.Module",
    r"ser_lightning\.models\.augment": "torch.nn.Module",
    r"ser_lightning\.data\.splits\.(rules|official)": "builtins.object",
    r"torch\.optim": "torch.optim.Optimizer",
    r"torch\.optim\.lr_scheduler": "torch.optim.lr_scheduler.LRScheduler",
}
_DEEPEST = 30  # levels of a description; ours have six
_MOST = 100_000  # values in it; ours have some two hundred

_MOVED = {  # what stands in configs and checkpoints of older versions, and where it is now
    "ser_lightning.data.make": "ser_lightning.data.factories",
    "ser_lightning.data.split_rules": "ser_lightning.data.splits.rules",
    "ser_lightning.callbacks": "ser_lightning.training.callbacks",
    "ser_lightning.tracking.wandb_logger": "ser_lightning.tracking.run.wandb_logger",
}

log = logging.getLogger(__name__)


def with_current_names(description: Any) -> Any:
    """Return plain data out of a file with each ``_target_`` of an older version by its name of today."""
    if isinstance(description, Mapping):
        return {
            key: _current_name(value) if key == "_target_" else with_current_names(value)
            for key, value in description.items()
        }
    return list(map(with_current_names, description)) if isinstance(description, list) else description


def _current_name(target: Any) -> Any:
    for old, new in _MOVED.items():
        if isinstance(target, str) and (target == old or target.startswith(f"{old}.")):
            return new + target.removeprefix(old)
    return target


def check_description(description: Any, *, source: str, trust: bool) -> None:
    """Refuse a description, plain data out of a file, that asks for code which is not on the list.

    Args:
        description: of parts to be made, by ``_target_``, at any depth.
        source: what it comes from, for people.
        trust: let it run all the same, and say what that is.

    Raises: UserError that names what would run, and for interpolations, which could read the environment.
    """
    unlisted = sorted(set(_unlisted(description)))
    if not unlisted:
        return
    if not trust:
        raise UserError(
            f"{source} asks to run {some(unlisted)}, which {'is' if len(unlisted) == 1 else 'are'} not of this "
            "package: if you know where it comes from, allow it with trust=true (of `ser`: --trust)"
        )
    log.warning("trusted: %s runs %s", source, some(unlisted))


def make_part(description: Mapping[str, Any], *, source: str, trust: bool, **arguments: Any) -> Any:
    """Make what a description's ``_target_`` names, with its other values and ``arguments``.

    Raises: UserError for what is not on the list, is not there, or does not take these arguments.
    """
    check_description(description, source=source, trust=trust)
    target = str(description.get("_target_"))
    module, _, name = target.rpartition(".")
    try:
        make = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{source} was made by another version: there is no {target} here") from error
    described = {key: value for key, value in description.items() if key not in ("_target_", "_partial_")}
    try:
        return make(**described, **arguments)
    except UserError:
        raise
    except Exception as error:  # of whatever kind a constructor has for what it was not made for
        raise UserError(f"{source} has settings that {target} does not take ({first_line(error)})") from error


def _unlisted(description: Any) -> Iterator[str]:
    """Yield what a description would run that is not on the list."""
    waiting, n_values = [(description, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        n_values += 1
        if depth > _DEEPEST or n_values > _MOST:
            raise UserError("the description is nested too deeply, or too large, to be one of ours")
        if isinstance(value, Mapping):
            if "_target_" in value and not _is_listed(value["_target_"]):
                yield str(value["_target_"])
            yield from (str(key) for key in value if key in ("_args_", "_recursive_", "_convert_"))
            waiting += [(part, depth + 1) for part in value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += [(part, depth + 1) for part in value]
        elif isinstance(value, str) and "${" in value:
            yield value


def _is_listed(target: Any) -> bool:
    """Return whether a dotted name is on the list; only modules of ours and of torch are imported for that."""
    if not isinstance(target, str):
        return False
    if target in _NAMED:
        return True
    module, _, name = target.rpartition(".")
    kind = next((kind for pattern, kind in _CLASSES.items() if re.fullmatch(pattern, module)), None)
    if kind is None or not re.fullmatch(r"[A-Z]\w*", name):
        return False
    try:
        named = getattr(import_module(module), name, None)
    except ImportError:
        return module.startswith("ser_lightning.")  # of another version: said where it is made
    base_module, _, base = kind.rpartition(".")
    return (
        isinstance(named, type)
        and issubclass(named, getattr(import_module(base_module), base))
        and named.__module__.startswith(module)  # defined there or below, not imported from elsewhere
    )
