"""Place a group's runs in the grid of folds and seeds, and warn about gaps and repeats."""

from collections.abc import Iterator, Mapping, Sequence

from ser_lightning.compare.protocol import by_fold_and_seed
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.utils.errors import some

Cell = tuple[str, int]  # fold, seed
Runs = Mapping[Cell, FinishedRun]


def without_repeats(name: str, runs: Sequence[FinishedRun]) -> tuple[dict[Cell, FinishedRun], list[str]]:
    """Return one run a fold and seed, the last that finished, and a line for each repeat."""
    cells: dict[Cell, list[FinishedRun]] = {}

    def order(run: FinishedRun) -> tuple:
        ended = "training_unfinished" not in run.result.warnings  # else it counts where there is no other
        return *by_fold_and_seed(run), ended, run.finished_s, str(run.path)

    for run in sorted(runs, key=order):
        cells.setdefault((run.fold, run.seed), []).append(run)
    warnings = [
        f"{name}, {say([cell])}: of {len(several)} runs the one that finished last counts, {several[-1].path}"
        for cell, several in cells.items()
        if len(several) > 1
    ]
    return {cell: several[-1] for cell, several in cells.items()}, warnings


def folds(runs: Runs) -> list[str]:
    """Return the folds in their order."""
    return list(dict.fromkeys(fold for fold, _ in runs))


def seeds(runs: Runs) -> list[int]:
    """Return the seeds in their order."""
    return sorted({seed for _, seed in runs})


def is_reference(runs: Runs) -> bool:
    """Return whether the runs are those of a reference, whose seeds are nobody else's."""
    return any(run.reference is not None for run in runs.values())


def incomplete(runs: Runs) -> list[Cell]:
    """Return the cells of the full grid of these folds and seeds that have no run."""
    return [(fold, seed) for fold in folds(runs) for seed in seeds(runs) if (fold, seed) not in runs]


def gaps(groups: Mapping[str, Runs], *, same_clips: bool = False) -> Iterator[str]:
    """Yield a line for each gap in a group's own grid, and for folds and seeds that it lacks and others have.

    ``same_clips``: folds are of the training alone, and test the same clips.
    """
    all_folds = list(dict.fromkeys(fold for runs in groups.values() for fold in folds(runs)))
    trained = {name: runs for name, runs in groups.items() if not is_reference(runs)}
    all_seeds = sorted({seed for runs in trained.values() for seed in seeds(runs)})
    for name, runs in groups.items():
        missing = incomplete(runs)
        if missing:
            yield f"{name} is incomplete: it lacks {say(missing)}"
        no_folds = [fold for fold in all_folds if fold not in folds(runs)]
        if no_folds and same_clips:
            yield f"{name} has no run of {_many('fold', no_folds)}, as others have"
        elif no_folds:
            yield f"{name} was not tested on {_many('fold', no_folds)}, as others were: its clips are others"
        no_seeds = [str(seed) for seed in all_seeds if seed not in seeds(runs) and name in trained]
        if no_seeds:
            yield f"{name} was not trained with {_many('seed', no_seeds)}, as others were"


def say(cells: Sequence[Cell]) -> str:
    """Return cells for people to read."""
    return some([f"fold {fold} seed {seed}" for fold, seed in cells])


def _many(what: str, names: Sequence[str]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {some(names)}"
