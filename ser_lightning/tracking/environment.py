"""Read what the environment says of Weights & Biases, where the config says nothing."""

import netrc
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["online", "offline", "disabled"]
_MODES: dict[str, Mode] = {
    "online": "online",
    "offline": "offline",
    "disabled": "disabled",
    "run": "online",  # W&B's older names
    "dryrun": "offline",
}


def wanted(name: str) -> str | None:
    """Return a variable of the environment; None where it is empty or not set."""
    return os.environ.get(name) or None


def wanted_group() -> str | None:
    """Return the group that the environment asks for."""
    return wanted("WANDB_RUN_GROUP") or wanted("WANDB_GROUP")


def wanted_run_id() -> str | None:
    """Return the id that a sweep agent of W&B gave to the one run that it started."""
    return wanted("WANDB_RUN_ID") if wanted("WANDB_SWEEP_ID") else None


def wanted_tags() -> list[str]:
    """Return the tags that the environment asks for."""
    return [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]


def wanted_mode(argument: str | None, usual: str) -> Mode:
    """Return the mode of the ``argument``; where that is None, of the environment, or else the usual one.

    Raises: ValueError for a mode that there is not.
    """
    disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on")
    mode = argument or ("disabled" if disabled else os.environ.get("WANDB_MODE") or usual)
    if mode not in _MODES:
        raise ValueError(f"W&B mode {mode!r} is unknown: use online, offline or disabled (logger or WANDB_MODE)")
    return _MODES[mode]


def has_credentials(base_url: str) -> bool:
    """Return whether there is a key for this server, where W&B keeps them."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc").expanduser()
    try:
        entry = netrc.netrc(path).authenticators(urlsplit(base_url).netloc)
    except (OSError, netrc.NetrcParseError):
        return False
    return bool(entry and entry[2])
