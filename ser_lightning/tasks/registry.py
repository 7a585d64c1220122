"""Choose a kind of task by its name; this is done nowhere else."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser_lightning.tasks.task import Task

HEADLINES = {
    "classification": "uar",
    "regression": "ccc",
}  # as the classes have it, for users that must not import all of them


def all_tasks() -> "dict[str, type[Task]]":
    """Return the kinds of task by their names."""
    from ser_lightning.tasks.classification import (
        Classification,
    )  # late: `ser --help` answers without what they import
    from ser_lightning.tasks.regression import Regression

    return {kind.name: kind for kind in (Classification, Regression)}


def task_class(name: str) -> "type[Task]":
    """Return the kind of task that a result or a checkpoint names. Raises: ValueError for one that is not known."""
    known = all_tasks()
    if name not in known:
        raise ValueError(f"the task {name!r} is not known: there are {', '.join(known)}")
    return known[name]


def task_name(targets: Sequence[str] | None) -> str:
    """Return the name of the kind of task that ``data.targets`` makes a run."""
    return "regression" if targets else "classification"


def task_for(targets: Sequence[str] | None) -> "type[Task]":
    """Return that kind of task."""
    return task_class(task_name(targets))


def task_of(entry: Mapping[str, Any]) -> "Task":
    """Return the task that a checkpoint's stamp names; older ones name none, and are of classification."""
    return task_class(entry.get("task", "classification")).from_entry(entry)
