"""Check that a network is as large as the weights that a file holds for it, and load them."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ser_lightning.inference.checkpoint import Checkpoint
from ser_lightning.models.nets.arguments import without_memory
from ser_lightning.utils.errors import UserError

_LARGEST_SETTING = 65_536  # of a network that is ours
_MISFIT = "was made by another version: its weights fit no network here"
_NET = "net."  # begins the names of a network's weights


def check_size(description: Mapping[str, Any], make: Callable[[], nn.Module], checkpoint: Checkpoint) -> None:
    """Make a network without its memory, to check that it is as large as the weights that are there for it.

    Raises: UserError where it is not: what a file claims is bounded by what it holds.
    """
    misfit = UserError(f"{checkpoint.path} {_MISFIT}")
    if any(isinstance(value, int) and value > _LARGEST_SETTING for value in description.values()):
        raise misfit
    if description.get("name") and not description.get("architecture"):
        return  # the network is under another's weights, which are read from where they lie
    held = {name.removeprefix(_NET): weight for name, weight in checkpoint.weights.items() if name.startswith(_NET)}
    n_made = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal n_made
        n_made += 1
        if n_made > 2 * len(held):  # some are shared, and registered more than once
            raise misfit

    with without_memory(count):
        claimed = make()
    try:
        claimed.load_state_dict(held, assign=True)  # names and shapes are compared, nothing is copied
    except (RuntimeError, LookupError, TypeError) as error:
        raise misfit from error


def load_weights(module: nn.Module, checkpoint: Checkpoint) -> None:
    """Load the weights of front-end, network and readout; others belong to training.

    Raises: UserError where they do not fit.
    """
    prefixes = (_NET, "frontend.", "readout.")
    own = {name: tensor for name, tensor in checkpoint.weights.items() if name.startswith(prefixes)}
    try:
        module.load_state_dict(own)
    except RuntimeError as error:
        raise UserError(f"{checkpoint.path} {_MISFIT}") from error
