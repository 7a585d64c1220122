"""Make runs that a reference can be made of: two folds of a corpus that is none of ours, by no rule of ours."""

from pathlib import Path
from typing import Any

from comparable_runs import make_grid
from comparable_runs import make_run as make_any_run

from ser_lightning.reference.add import add

PROTOCOL = {"corpus": "mine", "n_train": 38}  # with 10 that validate and 48 that test, the 96 clips of both folds
CHANGES: dict[str, Any] = {"leakage": {"train/test": {"speakers": [], "n_sounds": 0}}}


def make_runs(root: Path, accuracy: float = 0.7, **changes: Any) -> Path:
    """Both folds, by default with one seed."""
    return make_grid(root, {"cnn": accuracy}, protocol=PROTOCOL, **CHANGES, **changes)


def make_run(place: Path, *, protocol: dict[str, Any] | None = None, **changes: Any) -> Path:
    """One run of them, with changes as `comparable_runs` takes them."""
    return make_any_run(place, protocol={**PROTOCOL, **(protocol or {})}, **{**CHANGES, **changes})


def make_reference(place: Path, name: str = "base", accuracy: float = 0.7, **changes: Any) -> Path:
    """The file of a reference, in ``place``."""
    runs = make_runs(place / f"runs-{name}", accuracy, **changes)
    return add([runs], name, to=place)[0]
