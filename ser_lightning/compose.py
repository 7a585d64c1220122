"""Configs composed outside ``python train.py``: for the `ser` command and the benchmark."""

from difflib import get_close_matches

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ser_lightning.command_line import readable
from ser_lightning.entry import CONF  # which registers the resolvers that the configs use
from ser_lightning.errors import UserError
from ser_lightning.hydra_errors import in_a_line


def compose_config(*overrides: str) -> DictConfig:
    """What ``python train.py`` with these overrides would be given.

    Raises: UserError for a name or an override that Hydra does not take.
    """
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("train", overrides=readable(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(in_a_line(error)) from error


def config_names(group: str) -> list[str]:
    """The configs of a group that a person can choose.

    Raises: UserError where the directory conf/ does not lie beside the package.
    """
    if not CONF.is_dir():
        raise UserError(f"{CONF} is not there: install from a clone of the repository, with pip install -e")
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_"))


def check_name(group: str, name: str) -> None:
    """Raises: UserError where no config of the group has that name; it lists those there are."""
    names = config_names(group)
    if name not in names:
        guess = did_you_mean(name, names)
        raise UserError(f"there is no {name} in conf/{group}{guess} (known: {', '.join(names)})")


def did_you_mean(word: str, known: list[str]) -> str:
    """``": did you mean audit?"`` where something known is spelt like ``word``, else nothing."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f": did you mean {close[0]}?" if close else ""
