"""Labels of clips: from a corpus's emotions, by a label map, or by annotators' votes.

N: clips.  K: classes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ser_lightning.data.spelling import normalise, spelling_faults
from ser_lightning.data.votes import Votes, winners
from ser_lightning.runs.label_sources import SOFT
from ser_lightning.utils.errors import UserError, counted, some

DROP = "drop"
MOST_LABELS = 64  # pictures and tables have a row for each
_LONGEST_LABEL = 60
_IN_AN_OVERRIDE = re.compile(r"[A-Za-z_][\w-]*|0|[1-9]\d*", re.ASCII)  # what Hydra reads behind a point


@dataclass(frozen=True)
class Labelling:
    """The labels of clips, for training and for the test.

    ``keep`` (N,) bool, false for a clip that has no label at all; ``target`` (N, K) float32, each row's sum 1 where
    kept; ``reference`` (N,) int64, the class it is tested by, -1 where there is none and it can only train. Where
    numbers are predicted, these are both ``target`` and ``reference``, and every clip that is kept can be tested.
    """

    keep: np.ndarray
    target: np.ndarray
    reference: np.ndarray

    @property
    def testable(self) -> np.ndarray:
        """Return (N,) bool, for which clips there is something to test by."""
        return self.reference >= 0 if self.reference.ndim == 1 else self.keep


def check_labels(labels: Sequence[str], *, fewest: int = 2) -> Sequence[str]:
    """Return class names as they are.

    Raises: UserError for fewer than ``fewest``, and for some that no result could be read of.
    """
    for label in labels:
        if not (0 < len(label) <= _LONGEST_LABEL and label.isprintable() and not set(label) & set("<>")):
            raise UserError(
                f"the label {label[:_LONGEST_LABEL]!a} cannot be shown: up to {_LONGEST_LABEL} printable "
                "characters do, without < and >"
            )
    if len(set(labels)) < len(labels):
        raise UserError(f"{some(sorted({name for name in labels if labels.count(name) > 1}))} is there twice")
    if not fewest <= len(labels) <= MOST_LABELS:
        raise UserError(
            f"{counted(labels, 'label')} ({some(labels)}): a model needs at least two, and {MOST_LABELS} at most"
        )
    return labels


def read_label_map(given: Mapping[str, str | None]) -> dict[str, str]:
    """Return a label map with its names normalised, as those of clips are; null stands for "drop".

    Raises: UserError for what is no map, an emotion with two rules, and labels that one label may be meant by.
    """
    if not isinstance(given, Mapping):
        raise UserError(
            f"data.label_map={given} is no map: data/label_map=six takes that of conf/data/label_map, and "
            "+data.label_map.NAME=LABEL adds a rule"
        )
    label_map: dict[str, str] = {}
    for emotion, label in given.items():
        name, joint = normalise(str(emotion)), DROP if label is None else normalise(str(label))
        if label_map.setdefault(name, joint) != joint:
            raise UserError(f"data.label_map has two rules for {name}: {label_map[name]} and {joint}; leave one")
    faults = spelling_faults((*label_map.values(), DROP), "label")
    if faults:
        raise UserError(f"data.label_map cannot be used: {'; '.join(faults)}")
    return label_map


def map_emotions(emotions: Sequence[str], label_map: Mapping[str, str], *, corpus: str) -> list[str | None]:
    """Return the joint label of each clip; None for one that is dropped, or has no emotion.

    Raises: UserError that lists every emotion without a rule.
    """
    missing = sorted(set(emotions) - set(label_map) - {""})
    if missing:
        raise UserError(
            f"the label map has no rule for {', '.join(missing)} of {corpus}: name the joint label of each, or "
            f"drop it, as in {rules_for(missing)}"
        )
    return [None if not name or label_map[name] == DROP else label_map[name] for name in emotions]


def rules_for(names: Sequence[str]) -> str:
    """Return how to add rules to a label map: overrides, or lines of a file for names that none can hold."""
    if all(map(_IN_AN_OVERRIDE.fullmatch, names)):
        return " ".join(f"+data.label_map.{name}={DROP}" for name in names)
    lines = " and ".join(f"{json.dumps(name, ensure_ascii=False)}: {DROP}" for name in names)
    return (
        f"{lines} in a label map of your own (conf/data/label_map/mine.yaml, begun as a copy of one there, which "
        "data/label_map=mine takes)"
    )


def by_intention(emotions: Sequence[str | None], labels: Sequence[str]) -> Labelling:
    """Label each clip by what its speaker meant, or what the corpus calls it; None and "" are no label."""
    reference = np.array([-1 if not name else labels.index(name) for name in emotions], dtype=np.int64)
    return Labelling(keep=reference >= 0, target=_one_hot(reference, len(labels)), reference=reference)


def by_votes(votes: Votes, ids: Sequence[str], labels: Sequence[str], *, soft: bool) -> Labelling:
    """Label each clip by the majority of annotators; ``soft``: it is trained on the shares of their votes.

    A tie has no majority: such a clip is left out, or, soft, kept for training alone. A clip of which the majority
    chose what is no label is left out.
    Raises: UserError where shares are asked for and votes were not counted.
    """
    if soft and not votes.counted:
        raise UserError(
            f"data.labels={SOFT} needs counted votes, and {votes.source} names only the winners: "
            "point to tabulatedVotes.csv with data.votes=FILE"
        )
    best = winners(votes.table(ids))
    is_other = np.array([name not in labels for name in votes.labels])
    number_of = np.array([labels.index(name) if name in labels else -1 for name in votes.labels], dtype=np.int64)
    majority = np.where(best >= 0, number_of[best], -1)
    if not soft:
        return Labelling(keep=majority >= 0, target=_one_hot(majority, len(labels)), reference=majority)
    table = votes.on(labels, ids)[:, :-1]
    total = table.sum(axis=1, keepdims=True)
    target = np.divide(table, total, out=np.zeros_like(table), where=total > 0).astype(np.float32)
    keep = (total[:, 0] > 0) & ~((best >= 0) & is_other[best])
    return Labelling(keep=keep, target=target, reference=majority)


def by_values(values: Sequence[Mapping[str, float]], targets: Sequence[str]) -> Labelling:
    """Give each clip the K numbers that are to be predicted; one that lacks any of them is left out."""
    table = np.array([[clip.get(name, np.nan) for name in targets] for clip in values])  # (N, K)
    numbers = np.nan_to_num(table).astype(np.float32)
    return Labelling(keep=np.isfinite(table).all(axis=1), target=numbers, reference=numbers)


def _one_hot(reference: np.ndarray, n_classes: int) -> np.ndarray:
    return (reference[:, None] == np.arange(n_classes)).astype(np.float32)
