"""Front-end and network of a checkpoint, made from the plain data in it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from ser_lightning.errors import UserError

_OURS = "ser_lightning.models."


def make_part(config: Mapping[str, Any], *, trust: bool, **more: Any) -> nn.Module:
    """What a config's ``_target_`` makes, given its other values and ``more``.

    A checkpoint may come from anywhere, and could name anything that can be called: nothing is that is not ours,
    unless the caller says ``trust``.

    Raises: UserError for a class that is not there, or not to be trusted.
    """
    target = str(config["_target_"])
    if not trust and not target.startswith(_OURS):
        raise UserError(f"the checkpoint asks to run {target}, which is not of this package: allow it with trust")
    module, _, name = target.rpartition(".")
    try:
        make = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"the checkpoint was made by another version: there is no {target} here") from error
    arguments = {key: value for key, value in config.items() if key not in ("_target_", "_partial_")}
    return make(**arguments, **more)
