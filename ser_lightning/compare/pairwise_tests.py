"""Pairwise tests of groups, on the clips, folds and seeds that both have.

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
class _Both:
    """The scores of two groups on the clips that both were tested on, before p values are corrected.

    ``sums`` (S, 2, R, ...): what each speaker adds to the sums of either. ``only_first``, ``only_second``: clips
    that were recognised by that one alone, None where clips are not simply right or wrong.
    """

    n_clips: int
    difference: Estimate
    sums: NDArray
    only_first: float | None
    only_second: float | None


def make_pairs(groups: Mapping[str, Runs], clips: Clips) -> tuple[list[Pair], list[str]]:
    """Test groups, the best first, against each other. Returns: the pairs, and what must be known of them."""
    names = _asked(groups)
    sides = {(first, second): _sides(groups[first], groups[second]) for first, second in names}
    common = {pair: _common(*of_pair) for pair, of_pair in sides.items()}
    both = {pair: _both(*sides[pair], rows, clips) for pair, rows in common.items() if rows}
    permutation = clips.task.permutation_p([results.sums for results in both.values()])
    mcnemar = [
        None
        if results.only_first is None or results.only_second is None
        else significance.mcnemar_p(results.only_first, results.only_second)
        for results in both.values()
    ]
    of_clips = [p for p in mcnemar if p is not None]
    corrected = significance.holm(of_clips) if of_clips else mcnemar
    columns = zip(permutation, significance.holm(permutation), mcnemar, corrected, strict=True)
    pairs = [
        _pair(pair, results, p_values, clips.task.differences(results.sums), n_tests=len(both))
        for (pair, results), p_values in zip(both.items(), columns, strict=True)
    ]
    return pairs, [*_remarks(sides, common, len(groups)), *_too_few_speakers(pairs)]


def _asked(groups: Mapping[str, Runs]) -> list[tuple[str, str]]:
    """Return which are tested: no two references, whose tests would make those of others' runs stricter."""
    pairs = list(combinations(groups, 2))
    if len(groups) > ALL_PAIRS_TESTED_UP_TO:
        pairs = pairs[: len(groups) - 1]  # those with the first
    return [pair for pair in pairs if not all(is_reference(groups[name]) for name in pair)]


def _sides(first: Runs, second: Runs) -> tuple[Runs, Runs]:
    """Return both, with the same seeds for runs that are paired.

    A reference's seeds are nobody else's: beside one, on each fold, every seed is paired with every seed.
    """
    if not (is_reference(first) or is_reference(second)):
        return first, second
    ones = {cell: run for cell, run in first.items() if cell[0] not in folds(second)}
    others = {cell: run for cell, run in second.items() if cell[0] not in folds(first)}
    for fold in [fold for fold in folds(first) if fold in folds(second)]:
        of_fold = [[run for (name, _), run in sorted(runs.items()) if name == fold] for runs in (first, second)]
        for number, (one, other) in enumerate(product(*of_fold)):
            ones[fold, number], others[fold, number] = one, other
    return ones, others


def _common(first: Runs, second: Runs) -> dict[Cell, tuple[_Rows, _Rows]]:
    """Return, for each fold and seed that both have, the rows of either that hold the same clips."""
    rows = {cell: _same_clips(run.ids, second[cell].ids) for cell, run in first.items() if cell in second}
    return {cell: both for cell, both in rows.items() if len(both[0])}


def _same_clips(first: Sequence[str], second: Sequence[str]) -> tuple[_Rows, _Rows]:
    """Return the rows of the clips in common; both are sorted, so that the rows are in the same order."""
    if first == second:
        return np.arange(len(first)), np.arange(len(second))
    return np.flatnonzero(np.isin(first, second)), np.flatnonzero(np.isin(second, first))


def _both(first: Runs, second: Runs, rows: Mapping[Cell, tuple[_Rows, _Rows]], clips: Clips) -> _Both:
    sides = [
        clips.pooled({cell: runs[cell] for cell in rows}, {cell: both[side] for cell, both in rows.items()})
        for side, runs in enumerate((first, second))
    ]
    sums = np.stack(sides, axis=1)  # (S, 2, R, ...)
    sums = sums[clips.task.n_clips(sums[:, 0]) > 0]
    (difference,) = bootstrap.interval(sums, clips.task.headline_difference)
    only_first, only_second = _recognised_alone(first, second, rows, clips)
    return _Both(
        n_clips=len({first[cell].ids[row] for cell, (ours, _) in rows.items() for row in ours}),
        difference=difference,
        sums=sums,
        only_first=only_first,
        only_second=only_second,
    )


def _recognised_alone(
    first: Runs, second: Runs, rows: Mapping[Cell, tuple[_Rows, _Rows]], clips: Clips
) -> tuple[float | None, float | None]:
    """Count the clips that were recognised by one of two alone, mean over repetitions."""
    only_first = only_second = 0
    for cell, (ours, theirs) in rows.items():
        one, other = (clips.task.recognised(run.truth, run.predicted) for run in (first[cell], second[cell]))
        if one is None or other is None:
            return None, None
        only_first += int((one[ours] & ~other[theirs]).sum())
        only_second += int((other[theirs] & ~one[ours]).sum())
    n_repetitions = len({clips.repetition(cell) for cell in rows})
    return only_first / n_repetitions, only_second / n_repetitions


def _pair(
    names: tuple[str, str],
    both: _Both,
    p_values: tuple[float, float, float | None, float | None],
    differences: NDArray[np.float64],
    *,
    n_tests: int,
) -> Pair:
    permutation, permutation_holm, mcnemar, mcnemar_holm = p_values
    return Pair(
        first=names[0],
        second=names[1],
        n_clips=both.n_clips,
        n_speakers=len(differences),
        difference=both.difference,
        permutation_p=permutation,
        permutation_holm_p=permutation_holm,
        only_first=both.only_first,
        only_second=both.only_second,
        mcnemar_p=mcnemar,
        mcnemar_holm_p=mcnemar_holm,
        smallest_p=significance.smallest_p(len(differences), n_tests),
        effect_size=significance.cohens_d(differences),
    )


def _too_few_speakers(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a warning for each number of speakers that is too small for any difference to be significant."""
    for n_speakers in sorted({pair.n_speakers for pair in pairs}):
        smallest = next(pair.smallest_p for pair in pairs if pair.n_speakers == n_speakers)
        corrected = min(1.0, smallest * len(pairs))  # of the smallest p, Holm's method makes this
        if corrected >= SIGNIFICANT:
            least = f"{corrected:.3g}" if len({pair.n_speakers for pair in pairs}) == 1 else "more"
            holm = f", and {least} once corrected for {len(pairs)} tests" if len(pairs) > 1 else ""
            if n_speakers < bootstrap.FEWEST_SPEAKERS:
                few = counted(n_speakers, "test speaker")
                yield (
                    f"with {few}, it cannot be said which model is better: no intervals, no effect sizes; "
                    "test more speakers (more folds)"
                )
                continue
            yield (
                f"with {n_speakers} test speaker{'s' if n_speakers > 1 else ''}, the smallest p over speakers that "
                f"is possible is {smallest:.4g}{holm}: test more speakers (more folds) to tell models apart"
            )


def _remarks(
    sides: Mapping[tuple[str, str], tuple[Runs, Runs]],
    common: Mapping[tuple[str, str], Mapping[Cell, object]],
    n_groups: int,
) -> Iterator[str]:
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
