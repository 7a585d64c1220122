"""The findings of an audit: errors, warnings and notes, a sentence each."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ser_lightning.data.audit.folds import SplitAudit
from ser_lightning.data.corpora import Corpus
from ser_lightning.data.long_clips import LongClips
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.prepare.preparation_report import (
    CLIPPED_SHARE,
    SHORT_S,
    SQUARE_WAVES,
    Report,
    clipped,
    square_waves,
)
from ser_lightning.utils.errors import counted, some

FEW_CLIPS = 2  # of a speaker: suspect where the median of those with more is
MANY_TIMES = 20  # times as many, and where such speakers have
RARE_SHARE = 0.05  # of the clips at most: with more of them, few clips are usual there
_EMPTY = {"train": "training", "val": "validation", "test": "test"}
_SEVERAL = 5  # speakers at least, before their column is asked about
_MOST = 0.9  # of them, where it is
_REASONS = 10  # for unusable files that get a finding each

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know. An error: results would be wrong. A warning: they need a word of caution. A note: normal.

    ``text`` can be read alone; ``names`` are all the files, clips or speakers that it is about.
    """

    severity: Severity
    kind: str
    text: str
    names: tuple[str, ...] = ()


def finding(severity: Severity, kind: str, text: str, names: Sequence[str] = ()) -> Finding:
    """Return a finding, a sentence on these names."""
    return Finding(severity=severity, kind=kind, text=text, names=tuple(names))


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """Clips that are the same sound, bit for bit, and the label of each."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def contradictory(self) -> bool:
        """Return whether one sound is called two things."""
        return len(set(self.labels) - {""}) > 1

    def __str__(self) -> str:
        return " = ".join(f"{id} ({label or 'no label'})" for id, label in zip(self.ids, self.labels, strict=True))


def file_findings(reports: Sequence[Report]) -> Iterator[Finding]:
    """Yield findings on files that cannot be used, missing clips, and files that were counted once."""
    by_reason: dict[str, list[str]] = {}
    for report in reports:
        for file in report.bad:
            by_reason.setdefault(file.reason, []).append(file.path)
    for reason, paths in list(by_reason.items())[:_REASONS]:
        who = "it" if len(paths) == 1 else "each"
        yield finding("error", "unusable", f"{counted(paths, 'file')} cannot be used: {who} {reason}", paths)
    others = [f"{path}: {reason}" for reason, paths in list(by_reason.items())[_REASONS:] for path in paths]
    if others:
        yield finding("error", "unusable", f"{counted(others, 'file')} cannot be used for other reasons", others)
    n_missing = sum(report.n_missing for report in reports)
    if n_missing:
        text = f"{counted(n_missing, 'clip')} missing: results are on a part of the corpus"
        yield finding("warning", "missing", text)
    copies = [path for report in reports for path in report.copies]
    if copies:
        yield finding("note", "copies", f"{counted(copies, 'file')} there twice, and counted once", copies)


def clip_findings(manifest: Manifest, *, silent: Sequence[str]) -> Iterator[Finding]:
    """Yield findings on clips that can be decoded and yet look wrong."""
    if silent:
        yield finding("warning", "silent", counted(silent, "silent clip"), silent)
    flat_tops = clipped(manifest)
    if flat_tops:
        text = f"{counted(flat_tops, 'clipped clip')}: more than {CLIPPED_SHARE:.1%} of the samples at full scale"
        yield finding("warning", "clipped", text, flat_tops)
    square = square_waves(manifest)
    if square:
        yield finding("warning", "square_waves", f"{counted(square, 'clip')} {SQUARE_WAVES}", square)
    short = [row.id for row in manifest if row.duration_s < SHORT_S]
    if short:
        yield finding("warning", "short", f"{counted(short, 'clip')} shorter than {SHORT_S} s", short)


def long_findings(names: Sequence[str], long_clips: LongClips, *, refused: bool) -> Iterator[Finding]:
    """Yield findings on clips that are longer than a network should take at once; ``refused``: as they are now."""
    longer = f"{counted(names, 'clip')} longer than {long_clips.max_clip_seconds:g} s"
    if names and refused:
        remedy = "data.on_long=split trains on pieces of them, data.on_long=crop on their middle"
        yield finding("error", "long", f"{longer}: {remedy}", names)
    elif names:
        yield finding("note", "long", f"{longer}: data.on_long={long_clips.on_long} cuts them", names)


def speaker_findings(manifest: Manifest, *, n_unknown: int = 0) -> Iterator[Finding]:
    """Yield findings on speakers who are none, or are misspelt: a clip or a label each, two sexes, few clips.

    ``n_unknown`` clips of speakers who are not known are not in ``manifest``.
    """
    if n_unknown:
        text = (
            f"{counted(n_unknown, 'clip')} of unknown speakers: in no count of speakers, and in no claim about them"
        )
        yield finding("note", "unknown_speakers", text)
    for corpus in dict.fromkeys(manifest.column("corpus")):
        rows = [row for row in manifest if row.corpus == corpus]
        clips_of = Counter(row.speaker for row in rows)
        yield from _column_findings(rows)
        usual = statistics.median([n_clips for n_clips in clips_of.values() if n_clips > FEW_CLIPS] or [0])
        few = {who: n_clips for who, n_clips in clips_of.items() if n_clips <= min(FEW_CLIPS, usual / MANY_TIMES)}
        if 0 < sum(few.values()) <= RARE_SHARE * clips_of.total():
            text = f"{counted(len(few), 'speaker')} with 1 or 2 clips where {usual:,.0f} are usual, maybe misspelt"
            names = [f"{who} ({counted(n_clips, 'clip')})" for who, n_clips in few.items()]
            yield finding("warning", "few_clips", text, names)


def _column_findings(rows: Sequence[Utterance]) -> Iterator[Finding]:
    """Yield findings on a column of speakers that looks like something else."""
    n_clips = Counter(row.speaker for row in rows)
    labels, sexes = defaultdict(set), defaultdict(set)
    for row in rows:
        labels[row.speaker].add(row.emotion)
        sexes[row.speaker].add(row.sex)
    several = [who for who, n in n_clips.items() if n > 1]
    one_label = [who for who in several if len(labels[who]) == 1]
    n_single = len(n_clips) - len(several)
    n_labels = len(set().union(*labels.values()))
    is_label = len(n_clips) == len(one_label) == n_labels  # each has a label of its own
    question = "is this column the speaker? If not, speakers may be in training and in the test"
    if n_single >= _SEVERAL and n_single > _MOST * len(n_clips) and n_single > len(rows) / 2:
        yield finding(
            "warning", "one_clip_each", f"nearly every one of {len(n_clips):,} speakers has one clip: {question}"
        )
    elif len(one_label) > _MOST * len(several) and n_labels > 1 and (len(several) >= _SEVERAL or is_label):
        yield finding("warning", "one_label_each", f"nearly every speaker has clips of one label alone: {question}")
    two_sexes = sorted(who for who, of_clips in sexes.items() if len(of_clips - {""}) > 1)
    if two_sexes:
        yield finding("warning", "two_sexes", f"{counted(two_sexes, 'speaker')} of more than one sex", two_sexes)


def release_findings(corpus: Corpus, manifest: Manifest) -> Iterator[Finding]:
    """Say which release of a corpus these clips are, by the sizes of its official parts."""
    counts = Counter(manifest.column("fold"))
    for release, parts in corpus.releases.items():
        if all(counts[part] == n_clips for part, n_clips in parts.items()):
            yield finding("note", "release", f"its parts have as many clips as those of release {release}")
            return
    known = [
        f"{release}: " + ", ".join(f"{n_clips:,} {part}" for part, n_clips in parts.items())
        for release, parts in corpus.releases.items()
    ]
    sizes = ", ".join(f"{counts[part]:,} {part}" for part in sorted(counts) if part)
    text = f"{sizes} are the parts of no release whose sizes are known ({'; '.join(known)}): check that it is whole"
    yield finding("warning", "release", text)


def duplicate_findings(duplicates: Sequence[Duplicate]) -> Iterator[Finding]:
    """Yield findings on sounds that are there under more than one name."""
    contradictory = [str(duplicate) for duplicate in duplicates if duplicate.contradictory]
    if contradictory:
        text = f"{counted(contradictory, 'sound')} under more than one name, and with more than one label"
        yield finding("warning", "contradictory_duplicates", text, contradictory)
    agreeing = [str(duplicate) for duplicate in duplicates if not duplicate.contradictory]
    if agreeing:
        yield finding("warning", "duplicates", f"{counted(agreeing, 'sound')} under more than one name", agreeing)


def label_findings(
    clips_of: Mapping[str, int],
    speakers_without: Mapping[str, Sequence[str]],
    *,
    n_left_out: int,
    n_unlabelled: int,
) -> Iterator[Finding]:
    """Yield findings on labels that nobody, or not everybody, conveys, and on clips without a label."""
    if len(clips_of) < 2:
        yield finding("error", "single_label", f"{', '.join(clips_of)} is the only label: nothing is told apart")
    absent = [label for label, n_clips in clips_of.items() if not n_clips]
    if absent:
        yield finding("error", "label_without_clips", f"{counted(absent, 'label')} without any clip", absent)
    lacking = {label: names for label, names in speakers_without.items() if names and label not in absent}
    for label, names in lacking.items():
        yield finding("note", "speaker_without_label", f"{counted(names, 'speaker')} without {label}", names)
    if n_left_out:
        text = f"{counted(n_left_out, 'clip')} left out: the label map drops them, or annotators did not agree"
        yield finding("note", "left_out_by_label", text)
    if n_unlabelled:
        yield finding("note", "unlabelled", f"{counted(n_unlabelled, 'clip')} without a majority: they only train")


def value_findings(*, n_left_out: int) -> Iterator[Finding]:
    """Yield how many clips lack a number that is to be predicted."""
    if n_left_out:
        text = f"{counted(n_left_out, 'clip')} left out: without a value of every target"
        yield finding("note", "left_out_without_value", text)


def split_findings(split: SplitAudit, *, needs_validation: bool) -> Iterator[Finding]:
    """Say that a split cannot be made, that a part is empty, that it leaks.

    ``needs_validation``: a fold without validation clips is an error, since a run would be refused.
    """
    if split.trouble:
        yield finding("error", "no_split", f"split {split.name} cannot be made: {split.trouble}")
    empty = split.empty_parts(needs_validation=needs_validation)
    if empty:
        where = "; ".join(f"no {_EMPTY[part]} clips in fold {some(folds, 12)}" for part, folds in empty.items())
        yield finding("error", "empty_fold", f"split {split.name}: {where}")
    if len(split.folds) < split.n_folds and not split.trouble:
        text = f"split {split.name}: {len(split.folds)} of {split.n_folds:,} folds were looked at"
        yield finding("note", "folds_left_out", f"{text}, those first in which something may be wrong")
    yield from _broken_promise(split) if split.speaker_independent else _declared_leak(split)
    if not split.speaker_independent:
        return
    trained = {name for fold in split.folds for name in {*fold.train.speakers} & {*fold.val.speakers}}
    if trained and not split.empty_parts(needs_validation=False):
        text = f"split {split.name}: validation is on speakers who train, not on new ones"
        yield finding("warning", "validation_on_training_speakers", text, sorted(trained))
    most = max(split.folds, key=lambda fold: fold.n_trained_sentences, default=None)
    if most and most.n_trained_sentences:
        n = f"{most.n_trained_sentences} of {most.n_sentences}"
        text = f"{n} test sentences are read in training by other speakers: usual with fixed sentences"
        yield finding("note", "shared_sentences", text)


def _broken_promise(split: SplitAudit) -> Iterator[Finding]:
    """Yield findings on speakers and sounds that are in several parts, though the split promises otherwise."""
    shared = [f"fold {fold.fold}: {name}" for fold in split.folds for name in fold.shared_speakers]
    if shared:
        n = len({name for fold in split.folds for name in fold.shared_speakers})
        text = f"split {split.name} is declared speaker-independent: {counted(n, 'speaker')} in more than one part"
        yield finding("error", "broken_promise", text, shared)
    torn = [f"fold {fold.fold}: {' = '.join(ids)}" for fold in split.folds for ids in fold.torn_duplicates]
    if torn:
        n = len({ids for fold in split.folds for ids in fold.torn_duplicates})
        text = f"split {split.name} is declared speaker-independent: {counted(n, 'sound')} in more than one part"
        yield finding("error", "duplicates_across_split", text, torn)


def _declared_leak(split: SplitAudit) -> Iterator[Finding]:
    """Yield how much of the test is in training, of a split that does not promise to keep speakers apart."""
    parts = []
    if split.shares_test_speakers:
        worst = max(split.folds, key=lambda fold: (fold.n_trained_speakers, fold.n_trained_readings))
        shared = f"{worst.n_trained_speakers} of {len(worst.test.speakers)} test speakers also train"
        if worst.n_readings:
            shared += f", and so do {worst.n_trained_readings:,} of {worst.n_readings:,} of their sentences"
        parts.append(shared)
    elif any(fold.shared_speakers for fold in split.folds):
        parts.append("speakers are shared outside the test set")
    n_torn = len({ids for fold in split.folds for ids in fold.torn_duplicates})
    if n_torn:
        parts.append(f"{counted(n_torn, 'duplicate')} on two sides")
    if parts:
        yield finding("warning", "shared_speakers", f"split {split.name}: {'; '.join(parts)}")
