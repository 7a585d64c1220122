"""What the numbers that a network is made from may be, by the names that all networks share."""

from collections.abc import Callable, Sequence
from typing import Any

from ser_lightning.errors import UserError, check

_BY_STAGE = ("channels", "blocks", "time_strides")
_SIZES = ("expand", "stem_kernel", "average_frames")  # beside all that begin with n_ or d_


def check_arguments(make: Callable[..., Any]) -> None:
    """Refuse sizes below 1, stages that are empty and shares outside [0, 1) among what a partial network was given.

    One place for all networks: each is made by a partial, whose arguments are the keys of ``model.net``.
    """
    for name, value in getattr(make, "keywords", {}).items():
        if value is None:
            continue
        if name.endswith("dropout"):
            check("model.net.", at_least=0, below=1, **{name: value})
        elif name in _SIZES or name.startswith(("n_", "d_")):
            check("model.net.", whole=True, at_least=1, **{name: value})
        elif name in _BY_STAGE:
            if isinstance(value, str) or not isinstance(value, Sequence) or not value:
                raise UserError(f"model.net.{name}={value} must list a whole number for each stage, as in [32,64]")
            for number, size in enumerate(value):
                check("model.net.", whole=True, at_least=1, **{f"{name}[{number}]": size})
        elif name in ("backbone_lr_scale", "layer_lr_decay"):
            check("model.net.", at_least=0, at_most=1, **{name: value})
