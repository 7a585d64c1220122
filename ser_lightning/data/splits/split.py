"""Splits clips into train, validation and test by a rule, and checks that it keeps speakers apart as declared."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from ser_lightning.data.manifest import Manifest
from ser_lightning.utils.errors import UserError, some
from ser_lightning.utils.text import digest_of

SUBSETS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Indices into a manifest; ``val`` is empty where a protocol has no validation set.

    A corpus's own partition may leave clips out of all three: a second test set, say.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    speaker_independent: bool

    def hash(self, manifest: Manifest) -> str:
        """Return 16 hexadecimal digits of a sha256 over which clip is in which subset."""
        return digest_of(
            f"{subset} {id}"
            for subset in SUBSETS
            for id in sorted(manifest[index].id for index in getattr(self, subset))
        )


class SplitRule(Protocol):
    """A way of splitting. ``speaker_independent`` is what it promises, and `split` holds it to that."""

    speaker_independent: bool

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return the numbers of the folds that it has on these clips, in order."""

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Name the subset of every utterance in one of these folds: "train", "val" or "test", "" for none."""


class TestedElsewhere:
    """A rule on some corpora, and another corpus for the test: what the rule would test on trains as well."""

    __test__ = False  # no test class, whatever its name begins with

    def __init__(self, rule: SplitRule, *, test_corpus: str):
        self._rule = rule
        self._test_corpus = test_corpus
        self.speaker_independent = rule.speaker_independent

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return the folds of the rule."""
        return self._rule.folds(self._training(manifest))

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the part of each clip; see the class."""
        training = self._training(manifest)
        parts = assign(training, self._rule, fold)
        train, val, test = (
            {training[i].speaker for i, part in enumerate(parts) if part == name} for name in SUBSETS
        )
        if self.speaker_independent and not shared_speakers(train, val, test):
            # a speaker who had to train and validate need not: whom the rule would test on trains
            roles = ["val" if row.speaker in val else "train" for row in training]
            parts = [part and role for part, role in zip(parts, roles, strict=True)]
        following = iter(parts)
        subset = {"train": "train", "val": "val", "test": "train", "": ""}
        return ["test" if row.corpus == self._test_corpus else subset[next(following)] for row in manifest]

    def _training(self, manifest: Manifest) -> Manifest:
        return Manifest(row for row in manifest if row.corpus != self._test_corpus)


def split(manifest: Manifest, rule: SplitRule, fold: int) -> Split:
    """Split ``manifest`` by ``rule``.

    Raises: UserError for a fold that the rule does not have, where nothing is left to train or to test on, and for
    speakers in several subsets of a rule that promises to keep them apart.
    """
    folds = rule.folds(manifest)
    if type(fold) is not int or fold not in folds:
        remedy = f"; choose one, as in data.fold={folds[0]}" if folds else ""
        raise UserError(f"data.fold={fold} is not there: this split has {_in_words(folds)}{remedy}")
    parts = assign(manifest, rule, fold)
    assert len(parts) == len(manifest)
    subsets = {name: tuple(index for index, part in enumerate(parts) if part == name) for name in SUBSETS}
    result = Split(**subsets, speaker_independent=rule.speaker_independent)
    refuse_empty(result, fold)
    if result.speaker_independent:
        known = [index for index, row in enumerate(manifest) if row.speaker_is_known]
        train, val, test = ({manifest[i].speaker for i in known if parts[i] == name} for name in SUBSETS)
        shared = shared_speakers(train, val, test)
        if isinstance(rule, TestedElsewhere) and shared & test:
            raise UserError(
                f"speakers of the test corpus are in training, too: {some(sorted(shared & test), 12)}. Leave their "
                "clips out of one of the two; if they are meant to be shared, data.split=random"
            )
        if shared:
            raise UserError(
                f"a speaker-independent split shares speakers between its parts: {some(sorted(shared), 12)}. Give "
                "all clips of a speaker one fold, in every list that names them, or choose data.split=kfold; if "
                "they are meant to be shared, data.splits.file.speaker_independent=false"
            )
    return result


def assign(manifest: Manifest, rule: SplitRule, fold: int) -> list[str]:
    """Name the subset of every utterance, by ``rule``; "" for one that it does not use.

    Raises: UserError where there is one speaker alone, and the rule is to keep speakers apart.
    """
    speakers = set(manifest.column("speaker"))
    if rule.speaker_independent and len(speakers) == 1 and manifest[0].speaker_is_known:
        raise UserError(
            f"there is one speaker alone, {speakers.pop()}, and nobody to test on: data.split=random splits the "
            "clips instead, which says nothing about new speakers"
        )
    return rule.assign(manifest, fold)


def shared_speakers(train: AbstractSet[str], val: AbstractSet[str], test: AbstractSet[str]) -> set[str]:
    """Return the speakers that are in more than one subset of a split that should keep them apart.

    Unknown speakers are to be left out of all three: they may be anybody. Where all but the test is of one speaker,
    validation has to be on that one, who is not counted.
    """
    return set(train & test | val & test | (train & val if len(train | val) > 1 else set()))


def refuse_empty(result: Split, fold: int) -> None:
    """Raise UserError where a split leaves nothing to train or to test on."""
    if not result.train or not result.test:
        missing = "train" if not result.train else "test"
        raise UserError(
            f"the split leaves no clip to {missing} on in fold {fold}: choose another fold or split; "
            "`ser data splits` shows them"
        )


def _in_words(folds: Sequence[int]) -> str:
    """Return the numbers of folds as a message names them, a range where they follow each other."""
    if not folds:
        return "no folds"
    if len(folds) == 1:
        return f"fold {folds[0]} alone"
    if list(folds) == list(range(folds[0], folds[-1] + 1)):
        return f"folds {folds[0]} to {folds[-1]}"
    return f"folds {some([str(fold) for fold in folds], 12)}"
