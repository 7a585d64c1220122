"""For whom a model works: scores of parts of the test clips, by what is known of them.

N: clips.  K: labels.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ser_lightning.evaluation.part_scores import Indices, counts_by_speaker, scored

MOST_VALUES = 40  # of a column: one with more, such as sentences said once each, makes no parts
_RANKS = {"low": 0, "normal": 1, "medium": 2, "high": 3, "strong": 4, "unspecified": 5}

Slices = dict[str, dict[str, dict[str, Any]]]


def slices(
    *,
    labels: Indices,
    predicted: Indices,
    speakers: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    names: Sequence[str],
) -> Slices:
    """Scores by column and value, as `scored` gives them: {"sex": {"female": {"n_clips": ..., "uar": ...}, ...}}.

    The UAR of a part is over the labels that it has. Where ``recall`` is None for some, it is another mean than
    that of the other parts and of the whole, with another chance level, and not to be compared with them: in
    CREMA-D, for instance, no neutral clip has an intensity.

    Args:
        labels: (N,) true classes, as indices into ``names``.
        predicted: (N,) the same of the answers.
        speakers: of the N clips.
        columns: N values each, '' where unknown; those clips are in no part. A column with a single value is left
            out, as is one with more than `MOST_VALUES`.
        names: the K labels.
    """
    found: Slices = {}
    for column, values in columns.items():
        whose = np.asarray(values, dtype=object)
        parts = sorted({value for value in values if value}, key=_rank)
        if 1 < len(parts) <= MOST_VALUES:
            found[column] = {
                value: _scored(np.flatnonzero(whose == value), labels, predicted, speakers, names)
                for value in parts
            }
    return found


def lacks_labels(row: Mapping[str, Any], slices: Slices) -> bool:
    """Whether a part is not to be compared with others, since they have labels that it lacks."""
    every = [each["recall"] for parts in slices.values() for each in parts.values()]
    absent = [label for label, share in row["recall"].items() if share is None]
    return any(recall[label] is not None for recall in every for label in absent)


def _scored(
    rows: Indices, labels: Indices, predicted: Indices, speakers: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    who = [speakers[row] for row in rows]
    return scored(counts_by_speaker(labels[rows], predicted[rows], who, len(names)), names)


def _rank(value: str) -> tuple[int, int, str]:
    """Intensities as they rise, ages as they come, the rest by the alphabet."""
    number = re.match(r"\d{1,9}", value)
    return _RANKS.get(value, -1), int(number[0]) if number else -1, value
