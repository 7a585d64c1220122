"""Who trains, who chooses, who is tested: three disjoint subsets, by a rule that is held to its word."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ser_lightning.data.manifest import Manifest
from ser_lightning.utils.errors import UserError, some

SUBSETS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Indices into a manifest; ``val`` is empty where a protocol has no validation set."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    speaker_independent: bool

    def hash(self, manifest: Manifest) -> str:
        """16 hexadecimal digits of a sha256 over which clip is in which subset."""
        lines = [
            f"{subset} {id}\n"
            for subset in SUBSETS
            for id in sorted(manifest[index].id for index in getattr(self, subset))
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


class SplitRule(Protocol):
    """A way of splitting. ``speaker_independent`` is what it promises, and `split` holds it to that."""

    speaker_independent: bool

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return the numbers of the folds that it has on these clips, in order."""

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Name the subset of every utterance in one of these folds: "train", "val" or "test"."""


def split(manifest: Manifest, rule: SplitRule, fold: int) -> Split:
    """Split ``manifest`` by ``rule``.

    Raises: UserError for a fold the rule does not have and for a subset left empty.
    """
    folds = rule.folds(manifest)
    if type(fold) is not int or fold not in folds:
        one = f"; choose one, as in data.fold={folds[0]}" if folds else ""
        raise UserError(f"data.fold={fold} is not there: this split has {_in_words(folds)}{one}")
    parts = rule.assign(manifest, fold)
    subsets = {name: tuple(index for index, part in enumerate(parts) if part == name) for name in SUBSETS}
    result = Split(**subsets, speaker_independent=rule.speaker_independent)
    _check(result, manifest, fold)
    return result


def refuse_empty(result: Split, fold: int) -> None:
    """Raises: UserError where there is nothing to train or to test on."""
    if not result.train or not result.test:
        missing = "train" if not result.train else "test"
        raise UserError(
            f"the split leaves no clip to {missing} on in fold {fold}: choose another fold or split; "
            "`ser data splits` shows them"
        )


def _check(result: Split, manifest: Manifest, fold: int) -> None:
    refuse_empty(result, fold)
    assert len(result.train) + len(result.val) + len(result.test) == len(manifest)
    if result.speaker_independent:
        train, val, test = (
            {manifest[index].speaker for index in subset} for subset in (result.train, result.val, result.test)
        )
        shared = (train & val) | (train & test) | (val & test)
        if shared:
            raise UserError(
                f"a speaker-independent split shares speakers between its parts: {some(sorted(shared), 12)}. Give "
                "all clips of a speaker one fold, in every list that names them, or choose data.split=kfold"
            )


def _in_words(folds: Sequence[int]) -> str:
    if not folds:
        return "no folds"
    if len(folds) == 1:
        return f"fold {folds[0]} alone"
    if list(folds) == list(range(folds[0], folds[-1] + 1)):
        return f"folds {folds[0]} to {folds[-1]}"
    return f"folds {some([str(fold) for fold in folds], 12)}"
