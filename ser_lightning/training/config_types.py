"""Check a config's values against the constructors that take them, before anything is prepared.

Constructors are the schema: their names of arguments and their annotations are read, nothing is called.
"""

import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from ser_lightning.utils.errors import UserError, did_you_mean

_PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_OURS = ("ser_lightning.", "torch.optim.", "lightning.pytorch.callbacks.")


def check_parts(parts: Mapping[str, Any]) -> None:
    """Check the parts of a resolved config, by their names in it. Raises: UserError, see `check_types`."""
    for name, part in parts.items():
        if not isinstance(part, DictConfig):
            raise UserError(f"{name}={part} cannot be used: it must be settings of its own or null")
        check_types(cast(dict[str, Any], OmegaConf.to_container(part)), name)


def check_types(description: Mapping[str, Any], name: str, values: Any = Any) -> None:
    """Refuse values that the constructors named in a description, at any depth, do not take.

    Args:
        description: plain data, parts of it with a ``_target_``.
        name: what it is called in the config.
        values: the type of its values, where it has no ``_target_``.

    Raises: UserError that names the setting, its value and what it must be.
    """
    target = description.get("_target_")
    takes = _parameters(str(target)) if target is not None else {}
    for key, value in description.items():
        setting = f"{name}.{key}"
        if key in ("_target_", "_partial_"):
            continue
        if takes and key not in takes and "**" not in takes:
            guess = did_you_mean(key, takes)
            raise UserError(f"{setting}={value} has no effect: {target} takes no {key}{guess}")
        expected = takes.get(key, Any if takes else values)
        if isinstance(value, Mapping):
            check_types(value, setting, _values(expected))
        elif not _fits(value, expected):
            wanted = " or ".join(dict.fromkeys(_described(expected)))
            raise UserError(f"{setting}={'null' if value is None else value} cannot be used: it must be {wanted}")


def _values(expected: Any) -> Any:
    """Return the type of the values of a mapping, where an argument is one."""
    options = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    inside = [get_args(option) for option in options if get_origin(option) in (Mapping, dict)]
    return inside[0][1] if inside else Any


def _parameters(target: str) -> dict[str, Any]:
    """Return the arguments of what a config names, with their types; ``**`` where it takes any."""
    if not target.startswith(_OURS):
        return {}
    make = get_object(target)
    try:
        hints = get_type_hints(inspect.getattr_static(make, "__init__") if isinstance(make, type) else make)
    except (NameError, TypeError):  # names that are imported for a type checker alone
        hints = {}
    return {
        "**" if argument.kind is argument.VAR_KEYWORD else name: hints.get(name, Any)
        for name, argument in inspect.signature(make).parameters.items()
    }


def _fits(value: Any, expected: Any) -> bool:
    """Return whether a plain value, which describes no other part, is of the expected type."""
    origin, inside = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in inside)
    if origin is Literal:
        return value in inside
    if expected in (None, type(None)):
        return value is None
    if expected is bool:
        return isinstance(value, bool)
    if expected in (int, float):
        return isinstance(value, int | float if expected is float else int) and not isinstance(value, bool)
    if expected is str:
        return isinstance(value, str)
    if _is_list(origin or expected):
        items = inside[:1] if inside and (origin is not tuple or inside[-1:] == (...,)) else ()
        return isinstance(value, list) and all(_fits(item, kind) for kind in items for item in value)
    # only a description with a ``_target_``, or other settings, can make these
    kind = origin or expected
    is_part = isinstance(kind, type) and kind.__module__.startswith(("ser_lightning.", "torch"))
    return not (is_part or kind in (Callable, Mapping, dict))


def _is_list(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Sequence) and kind is not str


def _described(expected: Any) -> Iterator[str]:
    """Yield the expected types in words."""
    origin, inside = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        for option in inside:
            yield from _described(option)
    elif origin is Literal:
        yield from map(str, inside)
    elif expected in (None, type(None)):
        yield "null"
    elif expected in _PLAIN:
        yield _PLAIN[expected]
    elif _is_list(origin or expected):
        kinds = " or ".join(text for item in inside[:1] for text in _described(item))
        yield f"a list, each item {kinds}" if kinds else "a list"
    elif expected is not Tensor:
        yield "settings of its own"
