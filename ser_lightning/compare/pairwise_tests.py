"""Test groups in pairs, on the clips, folds and seeds that both have.

N: clips of a run.  S: speakers.  R: repetitions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from ser_lightning.compare.comparison import ALL_PAIRS_TESTED_UP_TO, Pair
from ser_lightning.compare.grid import Cell, Runs, folds, is_reference
from ser_lightning.compare.speaker_counts import Clips
from ser_lightning.evaluation import bootstrap, significance
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.utils.errors import counted, some

SIGNIFICANT = 0.05
_Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Results:
    """The results of two groups on the clips that both were tested on, before p values are corrected.

    ``sums`` (S, 2, R, ...): what each speaker adds to the sums of either. ``recognised_alone``: clips that were
    recognised by the first alone, and by the second alone; None where clips are not simply right or wrong.
    """

    n_clips: int
    difference: Estimate
    sums: NDArray
    recognised_alone: tuple[float, float] | None


def make_pairs(groups: Mapping[str, Runs], clips: Clips) -> tuple[list[Pair], list[str]]:
    """Test groups, the best first, against each other. Returns: the pairs, and what must be known of them.

    Two references are not tested: that would make the tests of others' runs stricter.
    """
    names = list(combinations(groups, 2))
    if len(groups) > ALL_PAIRS_TESTED_UP_TO:
        names = names[: len(groups) - 1]  # those with the first
    names = [pair for pair in names if not all(is_reference(groups[name]) for name in pair)]
    sides = {(first, second): _sides(groups[first], groups[second]) for first, second in names}
    common = {pair: _common(*of_pair) for pair, of_pair in sides.items()}
    results = {pair: _results(*sides[pair], rows, clips) for pair, rows in common.items() if rows}
    permutation = clips.task.permutation_p([both.sums for both in results.values()])
    alone = [both.recognised_alone for both in results.values()]
    mcnemar = [None if counts is None else significance.mcnemar_p(*counts) for counts in alone]
    of_clips = [p for p in mcnemar if p is not None]
    corrected = significance.holm(of_clips) if of_clips else mcnemar
    columns = zip(permutation, significance.holm(permutation), mcnemar, corrected, strict=True)
    pairs = [
        _pair(pair, both, p_values, clips.task.differences(both.sums), n_tests=len(results))
        for (pair, both), p_values in zip(results.items(), columns, strict=True)
    ]
    return pairs, [*_remarks(sides, common, len(groups)), *_too_few_speakers(pairs)]


def _sides(first: Runs, second: Runs) -> tuple[Runs, Runs]:
    """Return both, with the same seeds for runs that are paired.

    A reference's seeds are nobody else's: beside one, on each fold, every seed is paired with every seed.
    """
    if not (is_reference(first) or is_reference(second)):
        return first, second
    ours = {cell: run for cell, run in first.items() if cell[0] not in folds(second)}
    theirs = {cell: run for cell, run in second.items() if cell[0] not in folds(first)}
    for fold in [fold for fold in folds(first) if fold in folds(second)]:
        of_fold = [[run for (name, _), run in sorted(runs.items()) if name == fold] for runs in (first, second)]
        for number, (our_run, their_run) in enumerate(product(*of_fold)):
            ours[fold, number], theirs[fold, number] = our_run, their_run
    return ours, theirs


def _common(first: Runs, second: Runs) -> dict[Cell, tuple[_Rows, _Rows]]:
    """Return, for each fold and seed that both have, the rows of either that hold the same clips."""
    rows: dict[Cell, tuple[_Rows, _Rows]] = {}
    for cell in (cell for cell in first if cell in second):
        ours, theirs = first[cell].ids, second[cell].ids  # both sorted, so that rows are in the same order
        if ours == theirs:
            rows[cell] = np.arange(len(ours)), np.arange(len(theirs))
        else:
            rows[cell] = np.flatnonzero(np.isin(ours, theirs)), np.flatnonzero(np.isin(theirs, ours))
    return {cell: of_cell for cell, of_cell in rows.items() if len(of_cell[0])}


def _results(first: Runs, second: Runs, rows: Mapping[Cell, tuple[_Rows, _Rows]], clips: Clips) -> _Results:
    """Score two groups on the rows of each fold and seed that both have."""
    sides = [
        clips.pooled({cell: runs[cell] for cell in rows}, {cell: of_cell[side] for cell, of_cell in rows.items()})
        for side, runs in enumerate((first, second))
    ]
    sums = np.stack(sides, axis=1)  # (S, 2, R, ...)
    sums = sums[clips.task.n_clips(sums[:, 0]) > 0]
    (difference,) = bootstrap.interval(sums, clips.task.headline_difference)
    return _Results(
        n_clips=len({first[cell].ids[row] for cell, (ours, _) in rows.items() for row in ours.tolist()}),
        difference=difference,
        sums=sums,
        recognised_alone=_recognised_alone(first, second, rows, clips),
    )


def _recognised_alone(
    first: Runs, second: Runs, rows: Mapping[Cell, tuple[_Rows, _Rows]], clips: Clips
) -> tuple[float, float] | None:
    """Count the clips that were recognised by one of two alone, mean over repetitions."""
    only_first = only_second = 0
    for cell, (ours, theirs) in rows.items():
        by_first, by_second = (
            clips.task.recognised(run.truth, run.predicted) for run in (first[cell], second[cell])
        )
        if by_first is None or by_second is None:
            return None
        only_first += int((by_first[ours] & ~by_second[theirs]).sum())
        only_second += int((by_second[theirs] & ~by_first[ours]).sum())
    n_repetitions = len({clips.repetition(cell) for cell in rows})
    return only_first / n_repetitions, only_second / n_repetitions


def _pair(
    names: tuple[str, str],
    both: _Results,
    p_values: tuple[float, float, float | None, float | None],
    differences: NDArray[np.float64],
    *,
    n_tests: int,
) -> Pair:
    permutation, permutation_holm, mcnemar, mcnemar_holm = p_values
    only_first, only_second = both.recognised_alone or (None, None)
    return Pair(
        first=names[0],
        second=names[1],
        n_clips=both.n_clips,
        n_speakers=len(differences),
        difference=both.difference,
        permutation_p=permutation,
        permutation_holm_p=permutation_holm,
        only_first=only_first,
        only_second=only_second,
        mcnemar_p=mcnemar,
        mcnemar_holm_p=mcnemar_holm,
        smallest_p=significance.smallest_p(len(differences), n_tests),
        effect_size=significance.cohens_d(differences),
    )


def _too_few_speakers(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a warning for each number of speakers that is too small for any difference to be significant."""
    smallest_by_count = {pair.n_speakers: pair.smallest_p for pair in reversed(pairs)}
    for n_speakers, smallest in sorted(smallest_by_count.items()):
        corrected = min(1.0, smallest * len(pairs))  # of the smallest p, Holm's method makes this
        if corrected < SIGNIFICANT:
            continue
        if n_speakers < bootstrap.FEWEST_SPEAKERS:
            few = counted(n_speakers, "test speaker")
            yield (
                f"with {few}, it cannot be said which model is better: no intervals, no effect sizes; "
                "test more speakers (more folds)"
            )
            continue
        least = f"{corrected:.3g}" if len(smallest_by_count) == 1 else "more"
        holm = f", and {least} once corrected for {len(pairs)} tests" if len(pairs) > 1 else ""
        yield (
            f"with {n_speakers} test speaker{'s' if n_speakers > 1 else ''}, the smallest p over speakers that "
            f"is possible is {smallest:.4g}{holm}: test more speakers (more folds) to tell models apart"
        )


def _remarks(
    sides: Mapping[tuple[str, str], tuple[Runs, Runs]],
    common: Mapping[tuple[str, str], Mapping[Cell, object]],
    n_groups: int,
) -> Iterator[str]:
    """Yield which groups were not tested against each other, or on a part of their runs alone."""
    if n_groups > ALL_PAIRS_TESTED_UP_TO:
        yield (
            f"{n_groups} groups are too many to test every pair: each is tested against the best alone, "
            "which was selected on these very clips, so that small p values come easily"
        )
    apart = [f"{first} and {second}" for (first, second), rows in common.items() if not rows]
    if apart:
        yield f"no fold and seed in common, hence no test: {some(apart)}"
    partly = [
        f"{first} and {second}"
        for (first, second), rows in common.items()
        if rows and any(set(rows) != set(runs) for runs in sides[first, second])
    ]
    if partly:
        yield f"tested on the folds and seeds that both have, which are not all of either's: {some(partly)}"
