"""Annotators' votes by clip, and how well people do on the clips that a model is tested on.

N: clips.  K: classes.  V: what annotators could choose from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ser_lightning.data.csv_table import (
    as_number,
    column_faults,
    decimal_faults,
    read_table,
    refuse_faults,
    repetitions,
)
from ser_lightning.data.spelling import spelling_faults
from ser_lightning.evaluation.metrics import scores
from ser_lightning.runs.result_parts import Agreement, Annotators
from ser_lightning.utils.files import read_text

PREFIX = "votes."  # of the columns that a table has for each emotion
_SEPARATORS = " ,;\t|"
_BEGINNING = 1_000_000  # letters, in which a header is looked for


@dataclass(frozen=True, kw_only=True)
class Votes:
    """Votes by clip id, each (V,) in the order of ``labels``, counts or shares.

    ``counted`` is false where only the winners are known: each of them then has one vote.
    """

    labels: tuple[str, ...]
    by_clip: Mapping[str, Sequence[float]]
    counted: bool
    source: str

    def table(self, ids: Sequence[str]) -> np.ndarray:
        """Return (N, V) float64 votes; zeros for a clip that has none."""
        none = (0,) * len(self.labels)
        return np.array([self.by_clip.get(id, none) for id in ids], dtype=np.float64).reshape(-1, len(self.labels))

    def on(self, labels: Sequence[str], ids: Sequence[str]) -> np.ndarray:
        """Return (N, K + 1) votes: for each of these labels, and last for anything else."""
        return self._on_labels(self.table(ids), labels)

    def majority_on(self, labels: Sequence[str], ids: Sequence[str]) -> np.ndarray:
        """Return (N, K + 1): what most chose, 1, shared out where choices tie, in the order of `on`.

        What is no label is several choices still: three votes on one and three on another are no majority of six.
        """
        return self._on_labels(_majority(self.table(ids)), labels)

    def _on_labels(self, table: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Return the columns of (N, V) by label, (N, K + 1): those of anything else are summed in the last."""
        joined = np.zeros((len(table), len(labels) + 1))
        for column, name in enumerate(self.labels):
            joined[:, labels.index(name) if name in labels else -1] += table[:, column]
        return joined

    def renamed(self, joint_labels: Sequence[str | None]) -> "Votes":
        """Return votes on joint labels, one for each of ``labels``; dropped ones (None) stay apart."""
        names = [f"({own})" if name is None else name for own, name in zip(self.labels, joint_labels, strict=True)]
        joint = tuple(dict.fromkeys(names))
        to_joint = np.array([[name == other for other in joint] for name in names], dtype=np.float64)
        by_clip = {
            id: (np.asarray(votes, dtype=np.float64) @ to_joint).tolist() for id, votes in self.by_clip.items()
        }
        return replace(self, labels=joint, by_clip=by_clip)


def is_votes_table(path: Path) -> bool:
    """Return whether a table has columns of votes, as far as can be told from its header."""
    return PREFIX in header_of(path)


def header_of(path: Path) -> str:
    """Return the line that names a table's columns, in lower case: the first with any text but "sep=;".

    It is empty where there is none, or the file cannot be read: whoever reads it says why.
    """
    try:
        beginning = read_text(path).removeprefix("\ufeff")[:_BEGINNING].lower()
    except (OSError, ValueError):
        return ""
    lines = (line.strip(_SEPARATORS) for line in beginning.splitlines())
    return next((line for line in lines if line and not line.lstrip('"').startswith("sep=")), "")


def read_votes_table(path: Path, emotions: Sequence[str] = ()) -> Votes:
    """Read a CSV with the column ``id`` and a column ``votes.EMOTION`` of counts or shares for each emotion.

    Those that differ from one of ``emotions`` by case alone are spelt as that.

    Raises: UserError that lists what is wrong with it.
    """
    rows = read_table(path, needed=("id",), prefix=PREFIX)
    twice = repetitions(((line, row["id"], row["id"]) for line, row in rows), "has votes")
    refuse_faults(path, twice, vote_faults(rows))
    return votes_of({row["id"]: row for _, row in rows}, emotions, source=path.name)


def vote_faults(rows: Sequence[tuple[int, Mapping[str, str]]]) -> list[str]:
    """Name the columns with cells that are no votes, and say where there are no columns or no votes."""
    columns = [name for name in rows[0][1] if name.startswith(PREFIX)] if rows else []
    if len(columns) < 2:
        return [f"it has fewer than two columns of votes, such as {PREFIX}anger"]
    faults = spelling_faults([name.removeprefix(PREFIX) for name in columns], "emotion")
    for name in columns:
        wrong = [(line, row[name]) for line, row in rows if _number(row[name]) is None]
        faults += column_faults(
            name, wrong, what="which is no count or share of votes", remedy="write 0 or more, or leave it empty"
        )
        faults += decimal_faults(name, [(line, row[name]) for line, row in rows])
    if not faults and not any(_number(row[name]) for _, row in rows for name in columns):
        faults.append(f"{', '.join(columns)} have no vote in any line: fill them")
    return faults


def votes_of(rows: Mapping[str, Mapping[str, str]], emotions: Sequence[str], *, source: str) -> Votes:
    """Return the votes in rows of a table, by clip id; labels are spelt as ``emotions``, where these name them."""
    spelling = {name.casefold(): name for name in emotions}
    columns = [name for name in next(iter(rows.values())) if name.startswith(PREFIX)]
    labels = [spelling.get(name.casefold(), name) for name in (column.removeprefix(PREFIX) for column in columns)]
    by_clip = {id: tuple(_number(row[name]) or 0.0 for name in columns) for id, row in rows.items()}
    return Votes(labels=tuple(labels), by_clip=by_clip, counted=True, source=source)


def _number(text: str) -> float | None:
    """Return a count or a share of votes, 0 of an empty cell; None for anything else."""
    number = as_number(text or "0")
    return number if number is not None and number >= 0 else None


def winners(table: np.ndarray) -> np.ndarray:
    """Return the choice with most of (N, V) votes, (N,) int64; -1 for a tie, and where nobody voted."""
    return np.where(_most_voted(table).sum(axis=1) == 1, table.argmax(axis=1), -1)


def _most_voted(table: np.ndarray) -> np.ndarray:
    """Return which choices have most of (N, V) votes, (N, V) bool: several in a tie, none where nobody voted."""
    return np.isclose(table, table.max(axis=1, keepdims=True)) & (table > 0)


def _majority(table: np.ndarray) -> np.ndarray:
    """Return 1 for the choice with most of (N, V) votes, shared out in a tie: (N, V), zeros where nobody voted."""
    most = _most_voted(table).astype(np.float64)
    return most / most.sum(axis=1, keepdims=True).clip(min=1)


def annotator_scores(
    table: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    *,
    counted: bool,
    majority: np.ndarray | None = None,
) -> Annotators | None:
    """Return how often annotators give the label, one at a time where votes were counted, and by their majority.

    ``table`` (N, K + 1) votes, the last for anything that is no label, ``labels`` (N,) classes. ``majority``
    (N, K + 1) is what most chose, as `Votes.majority_on`; without it, that in ``table``.
    """
    voted = table.sum(axis=1) > 0
    if not voted.any():
        return None
    majority = _majority(table) if majority is None else majority
    table, majority, labels = table[voted], majority[voted], labels[voted]
    return Annotators(
        single=_agreement(table, labels, names) if counted else None,
        majority=_agreement(majority, labels, names),
        n_clips=len(table),
    )


def _agreement(votes: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Agreement:
    """Return how well votes (N, K + 1) agree with labels (N,), as if they were predictions."""
    matrix = np.zeros((votes.shape[1], votes.shape[1]))
    np.add.at(matrix, labels, votes)
    agreement = scores(matrix, [*names, "anything else"])
    return Agreement(uar=agreement.uar, accuracy=agreement.accuracy)
