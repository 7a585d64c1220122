"""Compose configs outside ``python train.py``: for the `ser` command and the benchmark."""

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import ser_lightning.training.job  # noqa: F401  which registers the resolvers that the configs use
from ser_lightning.utils.command_line import readable
from ser_lightning.utils.errors import UserError, did_you_mean
from ser_lightning.utils.hydra_errors import in_a_line
from ser_lightning.utils.project import CONF


def compose_config(*overrides: str) -> DictConfig:
    """Return the config that ``python train.py`` would get with these overrides.

    Raises: UserError for a name or an override that Hydra does not take.
    """
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("train", overrides=readable(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(in_a_line(error)) from error


def config_names(group: str) -> list[str]:
    """Return the names of the configs in a group, without the partial ones.

    Raises: UserError where the directory conf/ does not lie beside the package.
    """
    if not CONF.is_dir():
        raise UserError(f"{CONF} is not there: install from a clone of the repository, with pip install -e")
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_"))


def check_name(group: str, name: str) -> None:
    """Check that a group has a config of that name. Raises: UserError that lists those there are."""
    names = config_names(group)
    if name not in names:
        guess = did_you_mean(name, names)
        raise UserError(f"there is no {name} in conf/{group}{guess} (known: {', '.join(names)})")
