"""Select the references, and those of their runs, that can stand beside other runs."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ser_lightning.compare.protocol import difference, protocol_key
from ser_lightning.reference.files import Reference, read_reference, read_references
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.utils.errors import UserError, counted, did_you_mean, some


def named_references(names: Sequence[str]) -> list[Reference]:
    """Return the references that ship under these names, all without a name; a name in .npz is that of a file.

    Raises: UserError for a name that none has.
    """
    files = [name for name in names if name.endswith(".npz")]
    shipped = read_references()
    known = sorted({reference.name for reference in shipped})
    for name in names:
        if name not in (*known, *files):
            order = "; directories of runs stand before --reference" * Path(name).is_dir()
            guess = did_you_mean(name, known)
            raise UserError(f"no reference is called {name}{guess} (known: {some(known, 20) or 'none'}){order}")
    chosen = [reference for reference in shipped if not names or reference.name in names]
    return chosen + [read_reference(Path(name)) for name in files]


def fitting_runs(references: Sequence[Reference], runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs of references on the clips and under the protocol of one of ``runs``."""
    tested = {_clips(run) for run in runs}
    kept = [[run for run in reference.runs if _clips(run) in tested] for reference in references]
    return [run for of_reference in kept for run in with_all_folds(of_reference)]


def why_none_fits(references: Sequence[Reference], runs: Sequence[FinishedRun]) -> str:
    """Return a line that says what references there are, and in what their protocol is not that of ``runs``."""
    run, names = runs[0], defaultdict[str, list[str]](list)
    for reference in references:
        same_fold = [other for other in reference.runs if other.fold == run.fold]
        names[difference((same_fold or reference.runs)[0], run)].append(reference.name)
    reasons = [f"{some(list(dict.fromkeys(of_reason)))} ({reason})" for reason, of_reason in names.items()]
    said = "no reference fits these runs"
    if n_missing := run.result.warnings.get("missing"):
        said += f", whose copy of {run.result.protocol.corpus} lacks {counted(n_missing, 'clip')}"
    return f"{said}: {some(reasons) or 'there is none'}"


def with_all_folds(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs of seeds that have every fold that any seed has; all runs where no seed does."""
    folds = {run.fold for run in runs}
    of_seed = {seed: {run.fold for run in runs if run.seed == seed} for seed in {run.seed for run in runs}}
    return [run for run in runs if of_seed[run.seed] == folds] or list(runs)


def _clips(run: FinishedRun) -> tuple[str, str, str]:
    """Return what is the same for runs that were tested on the same clips under one protocol."""
    return protocol_key(run), run.fold, run.result.protocol.split_hash
