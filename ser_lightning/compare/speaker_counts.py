"""Count, for each speaker, what the scores of a comparison are computed from, over the clips that runs tested.

N: clips of a run.  S: speakers.  R: repetitions.
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ser_lightning.compare.grid import Cell, Runs
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.utils.errors import UserError

Rows = Mapping[Cell, NDArray[np.int64]]  # of runs, that count


class Clips:
    """Everything that runs of one protocol were tested on.

    Attributes:
        task: what is predicted of them.
        speakers: the S names.
        overlap: whether folds test the same clips, as with a test corpus. Every run then is a repetition of its
            own. Else the folds of a seed are one repetition, in which every clip counts once.

    Raises: UserError where a clip has another speaker or label in one run than in another.
    """

    def __init__(self, runs: Sequence[FinishedRun]):
        self.task = runs[0].result.predicts
        self.speakers = sorted({name for run in runs for name in run.speakers})
        numbers = {name: number for number, name in enumerate(self.speakers)}
        self._speaker = {run.path: np.array([numbers[name] for name in run.speakers], np.int64) for run in runs}
        self._sums: dict[Path, NDArray] = {}
        self.overlap = _overlap(runs)

    def repetition(self, cell: Cell) -> Cell | int:
        """Return the name of the repetition that a run belongs to."""
        return cell if self.overlap else cell[1]

    def sums(self, run: FinishedRun) -> NDArray:
        """Return (S, ...), what each speaker adds to the sums of a run; see `Task.sums_by_speaker`."""
        if run.path not in self._sums:
            self._sums[run.path] = self._summed(run, np.arange(len(run.ids)))
        return self._sums[run.path]

    def pooled(self, runs: Runs, rows: Rows | None = None) -> NDArray:
        """Return (S, R, ...), folds summed, with only some ``rows`` of the runs that are named there."""
        parts: dict[Cell | int, NDArray] = {}
        for cell, run in runs.items():
            sums = self._summed(run, rows[cell]) if rows and cell in rows else self.sums(run)
            key = self.repetition(cell)
            parts[key] = parts[key] + sums if key in parts else sums
        return np.stack(list(parts.values()), axis=1)

    def _summed(self, run: FinishedRun, rows: NDArray[np.int64]) -> NDArray:
        speakers = self._speaker[run.path][rows]
        return self.task.sums_by_speaker(run.truth[rows], run.predicted[rows], speakers, len(self.speakers))


def _overlap(runs: Sequence[FinishedRun]) -> bool:
    """Return whether two folds have a clip in common. Raises: UserError where runs differ on a clip."""
    known: dict[str, tuple[Hashable, ...]] = {}
    fold_of: dict[str, str] = {}
    first_of: dict[str, FinishedRun] = {}
    overlap = False
    for run in runs:
        first = first_of.setdefault(run.fold, run)
        same_clips = (first.ids, first.speakers) == (run.ids, run.speakers)
        if first is not run and same_clips and np.array_equal(first.truth, run.truth):
            continue
        for clip, *truth in zip(run.ids, run.speakers, run.truths, strict=True):
            if known.setdefault(clip, tuple(truth)) != tuple(truth):
                raise UserError(
                    f"clip {clip} has another speaker or label in {run.path} than in runs before it: "
                    "name only directories whose runs are of the same corpus"
                )
            overlap = overlap or fold_of.setdefault(clip, run.fold) != run.fold
    return overlap
