"""The rules that splits are made by, named in conf/data.

Every rule depends on ids, speakers and labels alone, so the same clips give the same split, and the same hash, on
every machine.
"""

import hashlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ser_lightning.data.csv_table import read_table, refuse_faults
from ser_lightning.data.manifest import Manifest
from ser_lightning.data.spelling import normalise
from ser_lightning.data.splits.fold_names import folds_by_number, parts_by_name
from ser_lightning.utils.errors import UserError, check, some

log = logging.getLogger(__name__)
_VAL_SHARE = 0.1  # of one speaker's clips, where no other speaker can validate
_MOST_SPEAKERS = 100_000  # of a range
_RANGE = re.compile(r"(\D*)(\d+)-\1(\d+)")


class SpeakerFolds:
    """Given groups of speakers: one tests, the next (wrapping) validates, the others train."""

    speaker_independent = True

    def __init__(self, *, folds: Sequence[Sequence[str | int]]):
        """``folds``: for each fold its speakers, singly or as a range: ``["1001-1018"]`` or ``["03", "08"]``."""
        if len(folds) < 3:
            raise UserError(
                f"a split by folds of speakers has {len(folds)}: it needs 3, to test, validate and train"
            )
        self._fold_of: dict[str, int] = {}
        self._n_folds = len(folds)
        for number, fold in enumerate(folds):
            for name in _speakers(fold):
                if self._fold_of.setdefault(name, number) != number:
                    raise UserError(
                        f"speaker {name} is in two folds of a split, {self._fold_of[name]} and {number}"
                    )

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return the numbers of the given folds."""
        return range(self._n_folds)

    def speakers(self, fold: int | str) -> set[str]:
        """Return the speakers that a fold tests on."""
        return {name for name, number in self._fold_of.items() if number == fold}

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the part of each clip. Raises: UserError for a speaker in none of the folds."""
        unknown = sorted(set(manifest.column("speaker")) - set(self._fold_of))
        if unknown:
            raise UserError(
                f"speakers in no fold of the split: {', '.join(unknown)}; data.split=kfold takes any speakers"
            )
        return _by_speaker(manifest, self._fold_of, fold, self._n_folds)


class SpeakerParts:
    """Given speakers who test and some who validate: one fold, in which all others train."""

    speaker_independent = True

    def __init__(self, *, test: Sequence[str | int], val: Sequence[str | int]):
        """``test`` and ``val``: speakers, singly or as a range, as in `SpeakerFolds`."""
        self._part_of: dict[str, str] = {}
        for part, items in (("test", test), ("val", val)):
            for name in _speakers(items):
                if self._part_of.setdefault(name, part) != part:
                    raise UserError(f"speaker {name} is in two parts of a split, test and val")

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return the only one."""
        return (0,)

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the part of each clip."""
        return [self._part_of.get(row.speaker, "train") for row in manifest]


class LeaveOneSpeakerOut:
    """Each speaker tests once; the next one (wrapping, in the order of their names) validates.

    Of two speakers, the one who does not test trains, and validates with a tenth of the clips: whole sentences,
    which no training clip has. A clip whose sentence is not known counts as one of its own.
    """

    speaker_independent = True

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return a fold for each speaker."""
        return range(len(set(manifest.column("speaker"))))

    def testing(self, manifest: Manifest) -> dict[str, int]:
        """Return the fold that each speaker tests in."""
        return {name: number for number, name in enumerate(sorted(set(manifest.column("speaker"))))}

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the part of each clip; see the class."""
        fold_of = self.testing(manifest)
        if len(fold_of) != 2:
            return _by_speaker(manifest, fold_of, fold, len(fold_of))
        tested = [*fold_of][fold]
        clips_of = Counter(row.sentence or row.id for row in manifest if row.speaker != tested)
        validating: set[str] = set()
        n_val = 0
        for sentence in sorted(clips_of, key=lambda text: _rank(0, text))[1:]:  # the first one trains in any case
            if n_val >= _VAL_SHARE * clips_of.total():
                break
            validating.add(sentence)
            n_val += clips_of[sentence]
        return [
            "test" if row.speaker == tested else "val" if (row.sentence or row.id) in validating else "train"
            for row in manifest
        ]


class StratifiedSpeakerFolds:
    """k groups of speakers with about the same share of every emotion and sex: one tests, the next validates.

    Speakers are dealt one by one, those with the most clips first, each to the group that then stays nearest to an
    equal share of everything. Whole numbers alone decide, and a hash of seed and name where they tie: the same
    groups everywhere.
    """

    speaker_independent = True

    def __init__(self, *, n_folds: int = 5, seed: int = 0):
        check("data.splits.kfold.", integer=True, at_least=3, n_folds=n_folds)  # to test, to validate, to train
        self._n_folds = n_folds
        self._seed = seed

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return as many folds as were asked for."""
        return range(self._n_folds)

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the part of each clip. Raises: UserError where there are fewer speakers than folds."""
        clips: dict[str, Counter[str]] = defaultdict(Counter)
        for row in manifest:
            clips[row.speaker].update([f"emotion {row.emotion}", f"sex {row.sex}", f"corpus {row.corpus}", "clips"])
        if len(clips) < self._n_folds:
            remedy = "lower data.splits.kfold.n_folds"
            if len(clips) < 3:
                remedy = "data.split=loso takes two"
            if len(clips) < 2:
                remedy = "data.split=random deals clips, whose speakers are then shared"
            raise UserError(f"{self._n_folds} folds need as many speakers, and there are {len(clips)}: {remedy}")
        total = sum(clips.values(), Counter())
        groups = [Counter[str]() for _ in range(self._n_folds)]
        fold_of = {}
        for speaker in sorted(clips, key=lambda name: (-clips[name]["clips"], _rank(self._seed, name))):
            growth = [_growth(group, clips[speaker], total) for group in groups]
            fold_of[speaker] = growth.index(min(growth))
            groups[fold_of[speaker]] += clips[speaker]
        return _by_speaker(manifest, fold_of, fold, self._n_folds)


class RandomClips:
    """Clips at random: speakers are on both sides, so this measures recognition of training speakers.

    Fold k tests on the k-th of ``n_folds`` equal parts; ``val_fraction`` of the rest validates (0: no validation
    set). The order is that of a hash of seed and id: no generator, the same everywhere.
    """

    speaker_independent = False

    def __init__(self, *, n_folds: int = 5, val_fraction: float = 0.1, seed: int = 0):
        check("data.splits.random.", integer=True, at_least=2, n_folds=n_folds)
        check("data.splits.random.", at_least=0, below=1, val_fraction=val_fraction)
        self._n_folds = n_folds
        self._val_fraction = val_fraction
        self._seed = seed

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return as many folds as were asked for."""
        return range(self._n_folds)

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the part of each clip; see the class."""
        order = sorted(range(len(manifest)), key=lambda index: _rank(self._seed, manifest[index].id))
        untested = [index for rank, index in enumerate(order) if rank * self._n_folds // len(order) != fold]
        n_val = round(self._val_fraction * len(untested))
        parts = ["test" for _ in manifest]
        for rank, index in enumerate(untested):
            parts[index] = "val" if rank < n_val else "train"
        return parts


class SplitFromFile:
    """A user's own split: the column ``fold`` of the manifest, or of a CSV with the columns ``id`` and ``fold``.

    Where the column says train, val and test, or what else these are called, there is one fold; it may do without
    val. Otherwise each value is a fold: it tests, the next one (wrapping) validates, the others train. Folds with
    numbers have these, others are numbered from 0 in the order of their names, which is logged once.

    Args:
        path: of the CSV; None for the manifest's own column.
        speaker_independent: what the split promises; False where speakers are meant to be on two sides.
    """

    def __init__(self, *, path: str | None = None, speaker_independent: bool = True):
        self._path = Path(path).expanduser() if path is not None else None
        self.reads_manifest = path is None
        self.speaker_independent = speaker_independent
        self._order_is_logged = False

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return fold 0 alone, or one for each value of the column."""
        values = set(self._column(manifest))
        return (0,) if parts_by_name(values) else tuple(folds_by_number(values))

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the part of each clip.

        Raises: UserError for a clip that the column leaves out, and values that are neither folds nor parts.
        """
        column = self._column(manifest)
        parts = parts_by_name(set(column))
        if parts is None:
            value_of = folds_by_number(set(column))
            if len(value_of) < 3:
                raise UserError(
                    f"the column fold has only {' and '.join(value_of.values())}: it needs three folds at least "
                    "(one tests, one validates, the rest train), or the parts train, val and test"
                )
            self._log_order(value_of)
            numbers = list(value_of)
            following = numbers[(numbers.index(fold) + 1) % len(numbers)]
            parts = {value: "train" for value in column} | {value_of[fold]: "test", value_of[following]: "val"}
        return [parts[value] for value in column]

    def _log_order(self, value_of: Mapping[int, str]) -> None:
        """Warn, once, of folds without numbers: names of parts in another language would be taken for folds too."""
        if self._order_is_logged or all(str(number) in value for number, value in value_of.items()):
            return
        self._order_is_logged = True
        folds = [f"{number} tests on {value}" for number, value in value_of.items()]
        log.warning(
            "the names in the column fold are taken for folds, in their order: data.fold=%s; if they are parts of "
            "one fold, call them train, val and test",
            some(folds, 3),
        )

    def _column(self, manifest: Manifest) -> list[str]:
        """Return the value of each clip. Raises: UserError for a table with faults, and clips without a value."""
        if self._path is None:
            given = {row.id: row.fold for row in manifest}
            where = "the corpus's list has no fold for"
        else:
            given, faults = {}, []
            for line, row in read_table(self._path, needed=("id", "fold"), may_lack=("fold",)):
                id, fold = row["id"], row["fold"]
                if given.setdefault(id, fold) != fold:
                    faults.append(f"line {line}: {id} is in fold {fold}, and in fold {given[id]} further up")
            refuse_faults(self._path, faults)
            where = f"{self._path} has no line for"
        missing = [row.id for row in manifest if not given.get(row.id)]
        if missing:
            remedy = "fill its column fold, or name a CSV of id and fold with data.splits.file.path=FILE"
            raise UserError(f"{where} {len(missing)} of {len(manifest)} clips, such as {missing[0]}: {remedy}")
        return [given[row.id] for row in manifest]


def _by_speaker(manifest: Manifest, fold_of: Mapping[str, int], fold: int, n_folds: int) -> list[str]:
    """Return parts: the fold's speakers test, those of the next one (wrapping) validate, the others train."""
    roles = {fold: "test", (fold + 1) % n_folds: "val"}
    return [roles.get(fold_of[row.speaker], "train") for row in manifest]


def _rank(seed: int, name: str) -> str:
    """Return what clips or speakers are put in a random order by, the same on every machine."""
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _growth(group: Counter[str], added: Counter[str], total: Counter[str]) -> int:
    """Return how much the squared shares of a group, summed over all that is counted, grow by these clips."""
    scale = max(total.values())
    shares = ((key, scale // count) for key, count in total.items())
    return sum(weight * weight * ((group[key] + added[key]) ** 2 - group[key] ** 2) for key, weight in shares)


def _speakers(items: Sequence[str | int]) -> Iterator[str]:
    """Yield speakers named singly or as a range: ``"1001-1003"`` and ``"s01-s03"`` are three each.

    Raises: UserError for a range that is too long, or runs backwards.
    """
    for item in (normalise(str(item)) for item in items):
        match = _RANGE.fullmatch(item)
        if match is None:
            yield item
            continue
        prefix, first, last = match.groups()
        if len(last) > 9 or int(last) - int(first) > _MOST_SPEAKERS:
            raise UserError(f"{item} are more speakers than a split can name: {_MOST_SPEAKERS:,} are the most")
        if int(last) < int(first):
            raise UserError(f"{item} runs backwards: write the smaller number first")
        yield from (f"{prefix}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))
