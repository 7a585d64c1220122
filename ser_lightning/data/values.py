"""Check numbers that are to be predicted, such as arousal: that corpora bring them, their ranges, their spread."""

import math
from collections.abc import Mapping, Sequence

from ser_lightning.data.corpora import Corpus
from ser_lightning.runs.label_sources import INTENDED
from ser_lightning.utils.errors import UserError, counted, some


def check_targets(corpora: Sequence[Corpus], labels: str, targets: Sequence[str]) -> None:
    """Raise UserError for numbers that a corpus does not have, and for a choice of labels beside numbers."""
    if labels != INTENDED:
        raise UserError(f"data.labels={labels} has no effect with data.targets: no label is predicted")
    for corpus in corpora:
        missing = [name for name in targets if name not in corpus.value_ranges]
        if missing and corpus.listing is None:
            known = f"it has {', '.join(corpus.value_ranges)}" if corpus.value_ranges else "it has no numbers"
            raise UserError(f"data.targets: {corpus.title} brings no {', '.join(missing)}: {known}")


def joint_ranges(
    corpora: Sequence[Corpus], targets: Sequence[str], given: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Return the range of each target that has one. Raises: UserError where corpora have different ones."""
    ranges: dict[str, tuple[float, float]] = {name: ends for name, ends in given.items() if name in targets}
    if unknown := sorted(set(given) - set(targets)):
        raise UserError(f"data.ranges.{unknown[0]} has no effect: data.targets does not name it")
    for corpus in corpora:
        for name in targets:
            ends = corpus.value_ranges.get(name)
            if ends is not None and ranges.setdefault(name, ends) != ends:
                low, high = ranges[name]
                raise UserError(
                    f"{name} lies between {ends[0]:g} and {ends[1]:g} in {corpus.title}, and between {low:g} and "
                    f"{high:g} elsewhere: these are not one number, and cannot be pooled"
                )
    return ranges


def check_values(
    corpus: Corpus,
    of_clips: Mapping[str, Mapping[str, float]],
    targets: Sequence[str],
    ranges: Mapping[str, tuple[float, float]],
) -> None:
    """Raise UserError that names numbers out of their range, and targets that tell no clips apart."""
    for name in targets:
        values = {clip: numbers[name] for clip, numbers in of_clips.items() if name in numbers}
        if not values:
            raise UserError(f"data.targets: no clip of {corpus.title} has a value of {name}")
        low, high = ranges.get(name, (-math.inf, math.inf))
        outside = [f"{clip} ({value:g})" for clip, value in values.items() if not low <= value <= high]
        if outside:
            raise UserError(
                f"data.targets: {name} lies outside {low:g} to {high:g} in {counted(outside, 'clip')} of "
                f"{corpus.title}: {some(outside)}"
            )
        if len(set(values.values())) == 1:
            raise UserError(
                f"data.targets: {name} is the same in every clip of {corpus.title}: nothing can be learnt"
            )
    if not any(all(name in numbers for name in targets) for numbers in of_clips.values()):
        raise UserError(f"data.targets: no clip of {corpus.title} has a value of each of {', '.join(targets)}")
