"""Configs composed outside ``python train.py``: for the `ser` command and the benchmark."""

import re
from difflib import get_close_matches
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import ser_lightning.entry  # registers the resolvers that the configs use
from ser_lightning.errors import UserError

CONF = Path(__file__).resolve().parent.parent / "conf"
assert ser_lightning.entry


def compose_config(*overrides: str) -> DictConfig:
    """What ``python train.py`` with these overrides would be given.

    Raises: UserError for a name or an override that Hydra does not take.
    """
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("train", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_in_a_line(error)) from error


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


def _in_a_line(error: Exception) -> str:
    """Hydra and OmegaConf explain over several lines, the first of which says it."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return f"the override {error.override!r} cannot be read: it takes a form like data.fold=1"
    unknown = re.match(r"Could not override '(.+?)'", text)
    if unknown:
        return f"there is no setting {unknown[1]}: `python train.py --cfg job` shows those there are"
    missing = re.search(r"Could not find '(.+?)'\s+Available options in '.+?':\n((?:\t\S+\n?)+)", text)
    if missing:
        return f"there is no {missing[1]}: known are {', '.join(missing[2].split())}"
    lines = [line for line in text.splitlines() if line and not line.startswith("See http")]
    return ": ".join(lines[:2])
