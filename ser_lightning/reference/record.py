"""Keep of a run's result and config what a reference needs: nothing that names a place on somebody's machine."""

import re
import shlex
from collections.abc import Sequence
from typing import Any

from ser_lightning.compare.one_model import NOT_OF_THE_MODEL, settings
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.utils.errors import UserError

_RESULT = (
    *("schema", "status", "task", "labels", "metrics", "confusion_matrix", "annotators", "protocol", "leakage"),
    *("contamination", "synthetic", "warnings", "model", "teacher", "epochs", "throughput", "seed", "config"),
)
_ENVIRONMENT = ("ser_lightning", "commit", "python", "packages", "device", "threads", "precision")
_NOT_REPEATED = {*NOT_OF_THE_MODEL, "trust"} - {"data.split", "data.splits", "data.manifest", "data.votes"}
_TEACHER = "model.teacher"
# From a root, a home or a drive on, to the last part, which is kept; behind what a place can stand behind.
_PLACE = re.compile(r"(?:^|(?<=[\s=,'\"\[({]))(?:[A-Za-z]:[/\\]|~?/)(?=\S)(?:[^,'\"\])}]*[/\\])?([^/\\,'\"\])}]*)")


def kept_result(run: FinishedRun) -> dict[str, Any]:
    """Return what is kept of result.json, as plain values that `parse_record` reads.

    Its overrides are those of the training, without fold and seed and what is of one machine.
    """
    result = run.result.plain()
    kept = {name: result[name] for name in _RESULT if result.get(name) is not None}
    environment = result.get("environment") or {}
    kept["environment"] = {name: environment[name] for name in _ENVIRONMENT if environment.get(name) is not None}
    overrides = []
    for text in run.result.overrides or RunDirectory(run.path).read_overrides():
        name = text.partition("=")[0].strip("-+~")
        is_of_machine = name.startswith(("hydra.", "hydra/", "logger."))
        if name not in _NOT_REPEATED and not is_of_machine:
            overrides.append(f"{_TEACHER}=RUN_DIR" if name == _TEACHER else text)
    return _without_places({**kept, "overrides": overrides})


def kept_settings(run: FinishedRun) -> dict[str, Any]:
    """Return the settings that make the model, without places of a machine."""
    return _without_places(settings(run))


def command(runs: Sequence[FinishedRun]) -> str:
    """Return how the runs of a reference are repeated, but for fold and seed; nothing for runs that do not say."""
    overrides = runs[0].result.overrides
    return f"python train.py {shlex.join(overrides)}" if overrides else ""


def _without_places(value: Any) -> Any:
    """Return plain values with the last part alone of whatever is a place on a machine."""
    if isinstance(value, dict):
        return {key: _without_places(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_places(entry) for entry in value]
    return _PLACE.sub(r"…/\1", value) if isinstance(value, str) else value


def refuse_places(text: str, places: Sequence[str]) -> None:
    """Check that a text does not name one of these places. Raises: UserError."""
    for place in places:
        if len(place) > 1 and place in text:
            raise UserError(f"the reference would name {place}: train again without it among the overrides")
