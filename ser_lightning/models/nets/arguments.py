"""Check the numbers that a network is made from, by the names that all networks share."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from ser_lightning.utils.errors import UserError, check

_MOST_TENSORS = 20_000  # of parameters
_BYTES_EACH = 16  # of a parameter that is trained: itself, its gradient, two moments
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
            check("model.net.", integer=True, at_least=1, **{name: value})
        elif name in _BY_STAGE:
            if isinstance(value, str) or not isinstance(value, Sequence) or not value:
                raise UserError(f"model.net.{name}={value} must list a whole number for each stage, as in [32,64]")
            for number, size in enumerate(value):
                check("model.net.", integer=True, at_least=1, **{f"{name}[{number}]": size})
        elif name in ("backbone_lr_scale", "layer_lr_decay"):
            check("model.net.", at_least=0, at_most=1, **{name: value})


def check_memory(make: Callable[..., nn.Module], **shape: int) -> None:
    """Refuse a network that this machine has no memory to train; it is made without any, to see how large it is.

    A pretrained one, which is read from a file, is as large as that.
    """
    if getattr(make, "keywords", {}).get("name"):
        return
    n_bytes = n_tensors = 0
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal n_bytes, n_tensors
        if isinstance(parameter, torch.Tensor):
            n_bytes, n_tensors = n_bytes + _BYTES_EACH * parameter.numel(), n_tensors + 1
        if n_bytes > memory or n_tensors > _MOST_TENSORS:
            raise UserError(
                f"model.net: this network takes {n_bytes / 1e9:,.0f} GB or more to train, in {n_tensors:,} parts, "
                f"and this machine has {memory / 1e9:,.0f} GB: make it smaller"
            )

    try:
        with torch.random.fork_rng(devices=()), without_memory(count):
            make(**shape)
    except (NotImplementedError, RuntimeError):  # one of a user's own that computes while it is made
        pass


@contextmanager
def without_memory(on_parameter: Callable[[nn.Module, str, nn.Parameter], None]) -> Iterator[None]:
    """Make networks on the device "meta"; ``on_parameter`` gets module, name and value of each parameter."""
    hook = register_module_parameter_registration_hook(on_parameter)
    try:
        with torch.device("meta"):
            yield
    finally:
        hook.remove()
