"""Score parts of the test clips, such as those of women, to see for whom a model works.  N: clips."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from ser_lightning.evaluation.part_scores import Indices
from ser_lightning.evaluation.records import Part

MOST_VALUES = 40  # of a column: one with more, such as sentences said once each, makes no parts
_RANKS = {"low": 0, "normal": 1, "medium": 2, "high": 3, "strong": 4, "unspecified": 5}

Subgroups = Mapping[str, Mapping[str, Part]]  # by column and value
Scored = TypeVar("Scored", bound=Part)


def subgroups(
    columns: Mapping[str, Sequence[str]], score: Callable[[Indices], Scored]
) -> dict[str, dict[str, Scored]]:
    """Return scores by column and value, such as those of women under sex and female.

    The UAR of a part is over the labels that it has. Where ``recall`` is None for some, it is another mean than
    that of the other parts and of all clips, with another chance level, and not to be compared with them: in
    CREMA-D, for instance, no neutral clip has an intensity.

    Args:
        columns: N values each, '' where unknown; those clips are in no part. A column with a single value is left
            out, as is one with more than `MOST_VALUES`.
        score: scores the clips of some rows.
    """
    by_column: dict[str, dict[str, Scored]] = {}
    for column, values in columns.items():
        of_clips = np.asarray(values, dtype=object)  # (N,)
        known_values = sorted({value for value in values if value}, key=_rank)
        if 1 < len(known_values) <= MOST_VALUES:
            by_column[column] = {value: score(np.flatnonzero(of_clips == value)) for value in known_values}
    return by_column


def lacks_labels(part: Part, subgroups: Subgroups) -> bool:
    """Return whether a part is not to be compared with others, since they have labels that it lacks."""
    absent = [label for label, score in part.by_output.items() if score is None]
    others = [other for parts in subgroups.values() for other in parts.values()]
    return any(other.by_output[label] is not None for other in others for label in absent)


def _rank(value: str) -> tuple[int, int, str]:
    """Return a key for sorting: intensities as they rise, ages as they come, the rest by the alphabet."""
    number = re.match(r"\d{1,9}", value)
    return _RANKS.get(value, -1), int(number[0]) if number else -1, value
