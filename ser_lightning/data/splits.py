"""Who trains, who chooses, who is tested: named rules that turn a manifest and a fold into three disjoint subsets.

Every rule here depends on clip ids and speakers alone, so the same clips give the same split, and the same hash,
on every machine.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ser_lightning.data.manifest import Manifest
from ser_lightning.errors import UserError

_RANGE = re.compile(r"(\D*)(\d+)-\1(\d+)")


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
            for subset in ("train", "val", "test")
            for id in sorted(manifest[index].id for index in getattr(self, subset))
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


class SplitRule(Protocol):
    """A way of splitting. ``speaker_independent`` is what it promises, and `split` holds it to that."""

    speaker_independent: bool
    n_folds: int

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Name the subset of every utterance: "train", "val" or "test"."""


class SpeakerFolds:
    """Given groups of speakers: one tests, the next (wrapping) validates, the others train."""

    speaker_independent = True

    def __init__(self, *, folds: Sequence[Sequence[str | int]]):
        """``folds``: for each fold its speakers, singly or as a range: ``["1001-1018"]`` or ``["03", "08"]``."""
        self._fold_of = {name: i for i, fold in enumerate(folds) for item in fold for name in _speakers(str(item))}
        self.n_folds = len(folds)

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Raises: UserError for a speaker in none of the folds."""
        unknown = sorted(set(manifest.column("speaker")) - set(self._fold_of))
        if unknown:
            raise UserError(f"speakers in no fold of the split: {', '.join(unknown)}")
        roles = {fold: "test", (fold + 1) % self.n_folds: "val"}
        return [roles.get(self._fold_of[row.speaker], "train") for row in manifest]


class RandomClips:
    """Clips at random: speakers are on both sides, so this measures recognition of voices already heard.

    Fold k tests on the k-th of ``n_folds`` equal parts; ``val_fraction`` of the rest validates (0: no validation
    set). The order is that of a hash of seed and id: no generator, the same everywhere.
    """

    speaker_independent = False

    def __init__(self, *, n_folds: int = 5, val_fraction: float = 0.1, seed: int = 0):
        self.n_folds = n_folds
        self._val_fraction = val_fraction
        self._seed = seed

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """See the class."""
        order = sorted(range(len(manifest)), key=lambda index: self._key(manifest[index].id))
        parts = ["" for _ in manifest]
        rest = []
        for rank, index in enumerate(order):
            if rank * self.n_folds // len(order) == fold:
                parts[index] = "test"
            else:
                rest.append(index)
        n_val = round(self._val_fraction * len(rest))
        for rank, index in enumerate(rest):
            parts[index] = "val" if rank < n_val else "train"
        return parts

    def _key(self, id: str) -> str:
        return hashlib.sha256(f"{self._seed} {id}".encode()).hexdigest()


def split(manifest: Manifest, rule: SplitRule, fold: int) -> Split:
    """Split ``manifest`` by ``rule``.

    Raises: UserError for a fold the rule does not have and for a subset left empty.
    """
    if not 0 <= fold < rule.n_folds:
        raise UserError(f"data.fold={fold} is not there: this split has folds 0 to {rule.n_folds - 1}")
    parts = rule.assign(manifest, fold)
    subsets = {
        name: tuple(index for index, part in enumerate(parts) if part == name) for name in ("train", "val", "test")
    }
    result = Split(**subsets, speaker_independent=rule.speaker_independent)
    _check(result, manifest)
    return result


def _check(result: Split, manifest: Manifest) -> None:
    if not result.train or not result.test:
        missing = "train" if not result.train else "test"
        raise UserError(
            f"the split leaves no clip to {missing} on: too few speakers are there, or choose another fold"
        )
    assert len(result.train) + len(result.val) + len(result.test) == len(manifest)
    if result.speaker_independent:
        train, val, test = (
            {manifest[index].speaker for index in subset} for subset in (result.train, result.val, result.test)
        )
        shared = (train & val) | (train & test) | (val & test)
        if shared:
            raise UserError(f"a speaker-independent split shares speakers: {', '.join(sorted(shared))}")


def _speakers(item: str) -> list[str]:
    """``"1001-1003"`` and ``"s1-s3"`` are three speakers, numbered as wide as written; anything else is one."""
    match = _RANGE.fullmatch(item)
    if match is None:
        return [item]
    prefix, first, last = match.groups()
    return [f"{prefix}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
