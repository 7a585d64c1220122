"""Rename the weights of checkpoints of older versions."""

from typing import Any


def rename_keys(state: dict[str, Any], old: str, new: str) -> None:
    """Replace the beginning ``old`` of keys by ``new``, in place; for a module's ``_load_from_state_dict``."""
    for key in [key for key in state if key.startswith(old)]:
        state[new + key.removeprefix(old)] = state.pop(key)
