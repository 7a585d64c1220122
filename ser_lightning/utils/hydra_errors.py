"""Explain errors of Hydra and OmegaConf in a line."""

import re

from hydra.errors import OverrideParseException
from omegaconf import DictConfig

from ser_lightning.utils.errors import did_you_mean
from ser_lightning.utils.project import CONF

_DELETE = "one that is not to stay with a tilde (~NAME)"
_SHOW = "`python train.py --cfg job` shows those there are"


def in_a_line(error: Exception) -> str:
    """Return in a line what Hydra and OmegaConf explain over several, the first of which says it."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return (
            f"the override {error.override!r} cannot be read: it takes a form like data.fold=1, and a value with "
            "brackets, quotes, = or a comma is quoted twice, as in \"data.root='/data/a,b'\""
        )
    unknown = re.match(r"Could not override '(.+?)'", text)
    if unknown:
        key = str(getattr(error.__cause__, "full_key", ""))
        if key.startswith(f"{unknown[1]}."):  # a mapping is given, of which this is new
            return f"there is no setting {key}: a new one begins with a plus (+{key}=…), and {_DELETE}"
        group, _, name = unknown[1].partition(".")
        if owners := _configs_with(group, name):
            chosen = ", ".join(f"{group}={owner}" for owner in owners)
            return f"there is no setting {unknown[1]} in the {group} that was chosen, but with {chosen}"
        return f"there is no setting {unknown[1]}{_similar_setting(unknown[1], error.__cause__) or ':'} {_SHOW}"
    missing = re.search(r"Could not find '(.+?)'\s+Available options in '.+?':\n((?:\t\S+\n?)+)", text)
    if missing:
        known = [name for name in missing[2].split() if not name.startswith("_")]
        guess = did_you_mean(missing[1].rpartition("/")[2], known)
        return f"there is no {missing[1]}{guess or ':'} known are {', '.join(known)}"
    lines = [line for line in text.splitlines() if line and not line.startswith("See http")]
    return ": ".join(lines[:2]) or f"the config cannot be composed ({type(error).__name__}): see what was changed"


def _similar_setting(setting: str, cause: BaseException | None) -> str:
    """Say which setting is spelt like one that is not there, by what the config has in its place."""
    parent = getattr(cause, "parent_node", None)
    place = str(getattr(cause, "full_key", "")).rpartition(".")[0]
    if not isinstance(parent, DictConfig):
        return ""
    names = [name for name in map(str, parent) if not name.startswith("_")]
    groups = [path.name for path in CONF.iterdir() if path.is_dir()]  # of which some are chosen by no default
    known = [f"{place}.{name}" for name in names] if place else [*names, *groups]
    depth = place.count(".") + 2 if place else 1  # where it parts from the settings that there are
    return did_you_mean(".".join(setting.split(".")[:depth]), known)


def _configs_with(group: str, setting: str) -> list[str]:
    """Return the configs of a group that have such a setting, of their own or of the recipe they begin with."""
    if not setting.isidentifier():
        return []
    names = []
    for path in sorted((CONF / group).glob("[!_]*.yaml")):
        text = path.read_text(encoding="utf-8")
        if base := re.match(r"defaults: \[(_\w+)\]", text):
            text += path.with_name(f"{base[1]}.yaml").read_text(encoding="utf-8")
        if re.search(rf"^{setting}:", text, re.MULTILINE):
            names.append(path.stem)
    return names
