"""Launchers and sweepers that the extra ``sweep`` brings, and what to say where it is missing."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

_PACKAGES = {
    "hydra/launcher=joblib": "hydra_joblib_launcher",
    "hydra/launcher=ray": "hydra_ray_launcher",
    "hydra/launcher=local_gpus": "hydra_ray_launcher",
    "hydra/launcher=ray_cluster": "hydra_ray_launcher",
    "hydra/launcher=slurm": "hydra_submitit_launcher",
    "hydra/launcher=submitit_local": "hydra_submitit_launcher",
    "hydra/launcher=submitit_slurm": "hydra_submitit_launcher",
    "hydra/sweeper=search": "hydra_optuna_sweeper",
    "hydra/sweeper=optuna": "hydra_optuna_sweeper",
}


def check(arguments: Sequence[str]) -> None:
    """Raises: SystemExit, saying what to install, where the command line asks for what is not there."""
    for text in arguments:
        package = _PACKAGES.get(text)
        if package is not None and not _is_there(f"hydra_plugins.{package}"):
            sys.exit(f"failed: {text} needs more packages: pip install -c constraints.txt -e '.[sweep]'")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False
