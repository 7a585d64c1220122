"""The data that a checkpoint is judged on, or calibrated with: its own, or others."""

from collections.abc import Sequence

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ser_lightning.inference.checkpoint import Checkpoint
from ser_lightning.training.compose import compose_config
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.safe_instantiate import check_description

_NOTHING = object()


def data_config(saved: Checkpoint, overrides: Sequence[str], *, trust: bool) -> DictConfig:
    """The config of a checkpoint with other data, or with such changes to its own.

    ``trust``: see `utils.safe_instantiate`.
    Raises: UserError for overrides that are of anything else, or that nothing can be made of.
    """
    data = {"same_speakers": None, **saved.config["data"]}  # which older ones do not have
    config = OmegaConf.create({**saved.config, "data": data})
    if any(text.startswith("data=") for text in overrides):
        config.data = compose_config(*overrides).data
        return config
    check_description(saved.config["data"], source=str(saved.path), trust=trust)
    groups = [text for text in overrides if "/" in text.partition("=")[0]]
    if groups:
        raise UserError(f"{groups[0]} needs data=NAME beside it: the checkpoint's own data are as they were")
    strange = [text for text in overrides if not text.lstrip("+").startswith("data.") or "=" not in text]
    if strange:
        raise UserError(f"{strange[0]} is no setting of the data, such as data.fold=1 or data.root=DIR")
    for text in overrides:
        _set(config, text)
    return config


def _set(config: DictConfig, text: str) -> None:
    name, _, value = text.lstrip("+").partition("=")
    is_open = text.startswith("+") or name.startswith("data.roots.")  # where a corpus lies, whatever it is called
    if not is_open and OmegaConf.select(config, name, default=_NOTHING) is _NOTHING:
        raise UserError(f"the checkpoint's data have no setting {name}: they have {', '.join(config.data)}")
    try:
        config.merge_with_dotlist([f"{name}={value}"])
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(f"{text} cannot be set: {str(error).splitlines()[0]}") from error
