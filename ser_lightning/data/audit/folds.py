"""Counts clips and speakers in every fold of a split, and what its subsets share."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.splits.rules import LeaveOneSpeakerOut
from ser_lightning.data.splits.split import SUBSETS, Split, SplitRule, assign, shared_speakers
from ser_lightning.utils.errors import UserError

_MOST_ROWS = 20_000_000  # clips of all folds of a rule: half a minute or so
MOST_FOLDS = 100  # of a rule that an audit looks at: each is as much work as the corpus is large


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Who is in one of train, val and test."""

    n_clips: int
    speakers: tuple[str, ...]
    clips_by_sex: dict[str, int]
    clips_by_label: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class FoldAudit:
    """One fold, as a run on it would have it. A reading is a speaker with a sentence.

    ``n_trained_…`` counts what the test has and the training set has too. ``shared_speakers`` are in more than one
    subset, and so are the clips of each group of ``torn_duplicates``.
    """

    fold: int
    hash: str
    train: Subset
    val: Subset
    test: Subset
    shared_speakers: tuple[str, ...]
    n_trained_speakers: int
    n_readings: int
    n_trained_readings: int
    n_sentences: int
    n_trained_sentences: int
    torn_duplicates: tuple[tuple[str, ...], ...]

    @property
    def subsets(self) -> dict[str, Subset]:
        """Return train, val and test by name."""
        return {name: getattr(self, name) for name in SUBSETS}

    @property
    def leaks(self) -> bool:
        """Return whether a speaker or a sound is in two subsets."""
        return bool(self.shared_speakers or self.torn_duplicates)


@dataclass(frozen=True, kw_only=True)
class SplitAudit:
    """A named split over its folds; ``trouble`` says why there are none.

    Of very many folds ``folds`` are those that were looked at; there are ``n_folds``.
    """

    name: str
    speaker_independent: bool
    folds: tuple[FoldAudit, ...]
    n_folds: int
    n_unknown: int = 0  # clips of unknown speakers
    trouble: str = ""

    @property
    def keeps_its_promise(self) -> bool:
        """Return whether no speaker or sound is on two sides, where it is declared speaker-independent."""
        return not (self.speaker_independent and any(fold.leaks for fold in self.folds))

    def empty_parts(self, *, needs_validation: bool) -> dict[str, list[str]]:
        """Return the parts that are empty in some fold, and these folds; val is one where it is needed or usual."""
        has_val = needs_validation or any(fold.val.n_clips for fold in self.folds)
        empty = {
            name: [str(fold.fold) for fold in self.folds if not fold.subsets[name].n_clips]
            for name in SUBSETS
            if name != "val" or has_val
        }
        return {name: folds for name, folds in empty.items() if folds}

    @property
    def shares_test_speakers(self) -> bool:
        """Return whether any speaker that tests also trains."""
        return any(fold.n_trained_speakers for fold in self.folds)


def audit_splits(
    manifest: Manifest, labels: Sequence[str], rules: Mapping[str, SplitRule], *, most_folds: int | None = None
) -> tuple[SplitAudit, ...]:
    """Audit every fold of every rule. A broken promise is reported here, where `splits.split` would raise.

    Of a large corpus, rules after the first one that have very many folds are passed over.

    Args:
        most_folds: how many of a rule are looked at; those come first in which something may be wrong.
    """
    duplicates = manifest.same_sound()
    audited: list[SplitAudit] = []
    for name, rule in rules.items():
        folds: tuple[FoldAudit, ...] = ()
        trouble, n_folds = "", 0
        try:
            numbers = rule.folds(manifest)
            n_folds = len(numbers)
            if audited and len(manifest) * n_folds > _MOST_ROWS:
                continue
            if most_folds is not None and n_folds > most_folds:
                numbers = _most_suspicious(numbers, most_folds, rule, manifest, labels, duplicates)
            folds = tuple(_audit_fold(number, rule, manifest, labels, duplicates) for number in numbers)
            trouble = "" if folds else "it has no folds"
        except UserError as error:
            trouble = str(error)
        split = SplitAudit(
            name=name,
            speaker_independent=rule.speaker_independent,
            folds=folds,
            n_folds=n_folds,
            n_unknown=sum(not row.speaker_is_known for row in manifest),
            trouble=trouble,
        )
        audited.append(split)
    return tuple(audited)


def by_sex(rows: Iterable[Utterance]) -> dict[str, int]:
    """Return how many clips are of each sex."""
    return dict(sorted(Counter(row.sex or "unknown" for row in rows).items()))


def _most_suspicious(
    folds: Sequence[int],
    most: int,
    rule: SplitRule,
    manifest: Manifest,
    labels: Sequence[str],
    duplicates: Sequence[Sequence[int]],
) -> list[int]:
    """Return as many folds, those first that test on speakers who share a sound with others, or lack labels."""
    suspects: set[int] = set()
    if isinstance(rule, LeaveOneSpeakerOut):
        speakers = manifest.column("speaker")
        labelled = {row.speaker for row in manifest if row.emotion} if labels else {*speakers}
        groups = [{speakers[index] for index in group} for group in duplicates]
        suspicious = set().union({*speakers} - labelled, *(group for group in groups if len(group) > 1))
        suspects = {fold for name, fold in rule.testing(manifest).items() if name in suspicious}
    return sorted([*sorted(suspects), *(fold for fold in folds if fold not in suspects)][:most])


def _audit_fold(
    fold: int, rule: SplitRule, manifest: Manifest, labels: Sequence[str], duplicates: Sequence[Sequence[int]]
) -> FoldAudit:
    """Count one fold. A clip without a label can only train, unless numbers are predicted."""
    parts = assign(manifest, rule, fold)
    indices = {
        name: tuple(
            index
            for index, part in enumerate(parts)
            if part == name and (name == "train" or not labels or manifest[index].emotion)
        )
        for name in SUBSETS
    }
    train, val, test = ([manifest[index] for index in indices[name]] for name in SUBSETS)
    speakers = [_known_speakers(rows) for rows in (train, val, test)]
    readings, trained_readings = _readings(test), _readings(train)
    sentences, trained_sentences = {text for _, text in readings}, {text for _, text in trained_readings}
    return FoldAudit(
        fold=fold,
        hash=Split(**indices, speaker_independent=rule.speaker_independent).hash(manifest),
        train=_subset(train, labels),
        val=_subset(val, labels),
        test=_subset(test, labels),
        shared_speakers=tuple(sorted(shared_speakers(*speakers))),
        n_trained_speakers=len(speakers[0] & speakers[2]),
        n_readings=len(readings),
        n_trained_readings=len(readings & trained_readings),
        n_sentences=len(sentences),
        n_trained_sentences=len(sentences & trained_sentences),
        torn_duplicates=tuple(
            tuple(manifest[index].id for index in group)
            for group in duplicates
            if len({parts[index] for index in group} - {""}) > 1
        ),
    )


def _subset(rows: Sequence[Utterance], labels: Sequence[str]) -> Subset:
    """Count the clips of a subset by sex and label, and name its speakers."""
    by_label = Counter(row.emotion for row in rows)
    return Subset(
        n_clips=len(rows),
        speakers=tuple(sorted(_known_speakers(rows))),
        clips_by_sex=by_sex(rows),
        clips_by_label={label: by_label[label] for label in labels},
    )


def _known_speakers(rows: Iterable[Utterance]) -> set[str]:
    return {row.speaker for row in rows if row.speaker_is_known}


def _readings(rows: Sequence[Utterance]) -> set[tuple[str, str]]:
    """Return which speaker reads which sentence, as far as sentences are known."""
    return {(row.speaker, row.sentence) for row in rows if row.sentence}
