"""Make the file of a reference from finished runs, and refuse those that nobody could compare with."""

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from ser_lightning.compare.one_model import contradiction
from ser_lightning.compare.protocol import by_fold_and_seed, difference, protocol_key, sections
from ser_lightning.compare.read import read_checked, run_directories
from ser_lightning.data.corpora import Corpus, MisnamedFile, own_corpus
from ser_lightning.data.leakage import keeps_test_apart
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.splits.official import OfficialParts
from ser_lightning.data.splits.rules import SpeakerParts
from ser_lightning.data.splits.split import split
from ser_lightning.evaluation.metrics import confusion, scores
from ser_lightning.reference.files import (
    MOST_BYTES,
    NAME,
    SHIPPED,
    Reference,
    check_scores,
    pack,
    read_reference,
    unpack,
)
from ser_lightning.reference.record import kept_settings
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.finished import FinishedRun, why_not
from ser_lightning.runs.label_sources import INTENDED
from ser_lightning.runs.predictions import read_predictions
from ser_lightning.runs.result_parts import Protocol
from ser_lightning.tasks.classification import Classification
from ser_lightning.tasks.predictions import Predictions
from ser_lightning.utils.errors import UserError, some
from ser_lightning.utils.files import replacing
from ser_lightning.utils.nested import differing
from ser_lightning.utils.safe_instantiate import make_part
from ser_lightning.utils.text import as_file_name

_ONE_FOLD = (SpeakerParts, OfficialParts)  # splits that have no other


def add(
    folders: Sequence[Path], name: str, *, to: Path | None = None, force: bool = False
) -> tuple[Path, Reference]:
    """Write the reference ``name`` from the runs that lie in ``folders``, and return it as it is read back.

    Raises: UserError that says what is wrong with the runs, and what to do.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name}: up to 40 small letters, digits, - and _, the first no sign")
    if to is None and not (SHIPPED.parent.parent / "pyproject.toml").is_file():
        raise UserError("this is no checkout, whose references could be added to: name a folder with --to DIR")
    folder = to or SHIPPED
    runs = _read(folders)
    first = runs[0].result.protocol
    path = folder / f"{as_file_name(first.corpus)}.{as_file_name(first.split)}.{name}.npz"
    if path.exists() and not force:
        raise UserError(f"{path} is there already: choose another --name, or replace it with --force")
    _check_alike(runs)
    others = [read_reference(other) for other in sorted(folder.glob("*.npz")) if other != path]
    _check_split(runs, [run for reference in others for run in reference.runs])
    predictions = [_predictions(run) for run in runs]
    places = [str(Path.home()), str(Path.cwd()), *(str(run.path.resolve()) for run in runs)]
    data = pack(name, runs, predictions, complete=_is_complete(runs), places=[*places, f"/{getpass.getuser()}/"])
    if len(data) > MOST_BYTES:
        raise UserError(f"{path.name} would have {len(data):,} bytes, and may have {MOST_BYTES:,}: add fewer seeds")
    reference = unpack(data, path.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}): name a folder with --to") from error
    return path, reference


def _read(folders: Sequence[Path]) -> list[FinishedRun]:
    """Read all runs under the folders, checked one by one, sorted by fold and seed. Raises: UserError."""
    for folder in folders:
        if not run_directories([folder]):
            raise UserError(f"no run lies in {folder}: name the directory of one, or one that holds such")
    runs = []
    for place in run_directories(folders):
        try:
            runs.append(read_checked(place))
        except Exception as error:  # whatever a record of another kind leads to
            remedy = "finish it, train it on everything, or leave it out"
            raise UserError(f"{place} can be no reference: {why_not(error)}: {remedy}") from error
        _check_run(runs[-1])
    return sorted(runs, key=by_fold_and_seed)


def _check_run(run: FinishedRun) -> None:
    """Check one run by itself. Raises: UserError."""
    result, protocol = run.result, run.result.protocol
    leakage = result.leakage
    if not isinstance(result.predicts, Classification):
        raise UserError(f"{run.path} predicts numbers, and references hold probabilities of labels: leave it out")
    if result.checkpoint is not None:
        raise UserError(f"{run.path} is an evaluation of a checkpoint: name the directory of its training")
    if leakage is None:
        raise UserError(f"{run.path} does not say what its training shares with its test: train it again")
    if not protocol.speaker_independent or not keeps_test_apart(leakage):
        raise UserError(f"{run.path} was tested on speakers or sounds of its training: choose another data.split")
    try:
        check_scores(result, run.truth, run.predicted)
    except ValueError as error:
        raise UserError(f"{run.path} can be no reference: {error}: test it again") from error
    corpus, n_clips = _corpus_in_full(protocol), _n_clips(protocol)
    if corpus is not None and corpus.n_clips is not None and n_clips != corpus.n_clips:
        remedy = f"`ser data audit {corpus.name}` says what is missing"
        raise UserError(f"{run.path} has {n_clips:,} of the {corpus.n_clips:,} clips of {corpus.title}: {remedy}")


def _corpus_in_full(protocol: Protocol) -> Corpus | None:
    """Return the corpus whose clips are all used, each with the label in its name; None for what is less simple."""
    if protocol.label_map or protocol.test_corpus or protocol.label_source != INTENDED or None in _counts(protocol):
        return None
    corpus = own_corpus(protocol.corpus)  # None for a user's list, or several corpora
    return corpus if corpus is not None and corpus.parse is not None else None


def _counts(protocol: Protocol) -> list[int | None]:
    return [protocol.n_train, protocol.n_val, protocol.n_test]


def _n_clips(protocol: Protocol) -> int:
    return sum(n or 0 for n in _counts(protocol))


def _check_alike(runs: Sequence[FinishedRun]) -> None:
    """Check that runs differ in nothing but fold and seed. Raises: UserError."""
    families = sections(runs, separate=True)
    if len(families) > 1:
        same_fold = (
            (first, second) for second in families[1] for first in families[0] if first.fold == second.fold
        )
        first, second = next(same_fold, (families[0][0], families[1][0]))
        reason = difference(first, second)
        raise UserError(f"{first.path} and {second.path} are of two protocols ({reason}): make a reference of each")
    for run in runs[1:]:
        names = list(differing([kept_settings(runs[0]), kept_settings(run)]))
        if names or run.model != runs[0].model:
            settings = some(names or ["model.name"])
            raise UserError(f"{runs[0].path} and {run.path} differ in {settings}: make a reference of each")
    if (contradicting := contradiction(runs)) is not None:
        first, second, name = contradicting
        raise UserError(f"{first.path} and {second.path} differ in {name}: make a reference of each")
    for first, second in pairwise(runs):
        if (first.fold, first.seed) == (second.fold, second.seed):
            raise UserError(
                f"{first.path} and {second.path} are both fold {first.fold}, seed {first.seed}: "
                "leave out one of them"
            )


def _check_split(runs: Sequence[FinishedRun], others: Sequence[FinishedRun]) -> None:
    """Check that each run has the clips of its split, by what references have, and by the rule where that is known.

    A rule needs all clips of the corpus, which the runs and the references may know together.
    Raises: UserError.
    """
    protocol = runs[0].result.protocol
    on_fold = {(protocol_key(run), run.fold): run for run in others}
    for run in runs:
        other = on_fold.get((protocol_key(run), run.fold), run)
        if other.result.protocol.split_hash != run.result.protocol.split_hash:
            raise UserError(_wrong_hash(run, other.result.protocol.split_hash, f"in {other.reference}"))
    corpus = _corpus_in_full(protocol)
    ids = {id for run in (*runs, *others) if run.result.protocol.corpus == protocol.corpus for id in run.ids}
    rule = _rule(runs[0])
    if corpus is None or rule is None or len(ids) != _n_clips(protocol):
        return
    try:
        manifest = Manifest(
            Utterance(path="", corpus=corpus.name, **asdict(corpus.facts(id))) for id in sorted(ids)
        )
    except MisnamedFile:  # its names say something in their folders alone
        return
    for run in runs:
        expected = split(manifest, rule, int(run.fold)).hash(manifest)
        if expected != run.result.protocol.split_hash:
            raise UserError(_wrong_hash(run, expected, "by its rule"))


def _wrong_hash(run: FinishedRun, expected: str, where: str) -> str:
    """Return what to say of a run whose clips are not those of its split."""
    protocol = run.result.protocol
    return (
        f"{run.path} has the split_hash {protocol.split_hash} for fold {run.fold} of {protocol.split}, which is "
        f"{expected} {where}: its clips are others; train it on all of {protocol.corpus}, by that split"
    )


def _rule(run: FinishedRun) -> Any:
    """Return the rule that split the clips; None where it cannot be made here."""
    description = ((run.config.get("data") or {}).get("splits") or {}).get(run.result.protocol.split)
    try:
        return make_part(description or {}, source=str(run.path), trust=False)
    except UserError:
        return None


def _is_complete(runs: Sequence[FinishedRun]) -> bool:
    """Return whether a seed has every fold of the split: there is one alone, or they test all clips there are."""
    tested = [{id for run in runs if run.seed == seed for id in run.ids} for seed in {run.seed for run in runs}]
    return isinstance(_rule(runs[0]), _ONE_FOLD) or max(map(len, tested)) == _n_clips(runs[0].result.protocol)


def _predictions(run: FinishedRun) -> Predictions:
    """Read the probabilities of a run, its clips in the order of `FinishedRun`."""
    in_file = read_predictions(RunDirectory(run.path).predictions)
    row = {id: number for number, id in enumerate(in_file.ids)}
    order = [row[id] for id in run.ids]
    return Predictions(
        ids=run.ids,
        speakers=run.speakers,
        labels=in_file.labels[order],
        probabilities=in_file.probabilities[order],
        names=in_file.names,
    )


def pooled_scores(runs: Sequence[FinishedRun]) -> dict[str, float]:
    """Return UAR and accuracy of all clips of a seed together, mean over seeds."""
    labels = runs[0].result.predicts.outputs
    matrices = {
        seed: sum(confusion(run.truth, run.predicted, len(labels)) for run in runs if run.seed == seed)
        for seed in {run.seed for run in runs}
    }
    by_seed = [scores(matrix, labels) for matrix in matrices.values()]
    return {name: fmean(getattr(of_seed, name) for of_seed in by_seed) for name in ("uar", "accuracy")}
