"""Check that the extra ``sweep`` is installed where a launcher or sweeper needs it."""

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
    """Check the command line's launcher and sweeper. Raises: SystemExit that names what to install."""
    for text in arguments:
        package = _PACKAGES.get(text)
        if package is None:
            continue
        try:
            is_installed = find_spec(f"hydra_plugins.{package}") is not None
        except ModuleNotFoundError:  # not even the package around it
            is_installed = False
        if not is_installed:
            sys.exit(f"failed: {text} needs more packages: pip install -c constraints.txt -e '.[sweep]'")
