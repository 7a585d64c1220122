"""Audits a corpus: what is there against what should be, what looks wrong, and how its splits leak.

It lists and never stops, so it takes clips that were opened without the unusable files.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from ser_lightning.data.audit.findings import (
    Duplicate,
    Finding,
    Severity,
    clip_findings,
    duplicate_findings,
    file_findings,
    label_findings,
    long_findings,
    release_findings,
    speaker_findings,
    split_findings,
    value_findings,
)
from ser_lightning.data.audit.folds import MOST_FOLDS, SplitAudit, audit_splits, by_sex
from ser_lightning.data.audit.speaker_similarity import SpeakerSimilarity
from ser_lightning.data.audit.speakers import similarity_findings
from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.labels import DROP
from ser_lightning.data.manifest import Manifest
from ser_lightning.data.spelling import loose_key
from ser_lightning.data.splits.split import SplitRule
from ser_lightning.runs.label_sources import INTENDED
from ser_lightning.utils.errors import UserError

SCHEMA = 2  # of the JSON


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many there are; ``expected`` is None where nobody says."""

    found: int
    expected: int | None


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The ends and the middle of some numbers."""

    min: float
    median: float
    max: float


@dataclass(frozen=True, kw_only=True)
class LabelAudit:
    """A class: how often, and from whom. The spread counts every speaker, also those without it."""

    clips: Count
    clips_by_sex: dict[str, int]
    clips_per_speaker: Spread
    speakers_without: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SourceFormat:
    """A sample rate and a number of channels that clips come in; ``paths`` are named of all but the commonest."""

    rate_hz: int
    channels: int
    n_clips: int
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TargetAudit:
    """How the numbers of a target are spread."""

    min: float
    mean: float
    sd: float
    max: float


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All that was found out about labelled clips and their splits."""

    name: str
    title: str
    synthetic: bool
    folders: tuple[str, ...]
    clips: Count
    speakers: Count
    speakers_by_sex: dict[str, int]
    clips_per_speaker: Spread
    labels: dict[str, LabelAudit]
    targets: dict[str, TargetAudit]
    formats: tuple[SourceFormat, ...]
    duration_s: Spread
    total_s: float
    duplicates: tuple[Duplicate, ...]
    splits: tuple[SplitAudit, ...]
    findings: tuple[Finding, ...]
    speaker_similarity: SpeakerSimilarity | None = None

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    @property
    def passed(self) -> bool:
        """Return whether nothing here makes results wrong."""
        return not self.of("error")

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, ``passed`` first."""
        return {"schema": SCHEMA, "passed": self.passed, **asdict(self)}


def audit(
    clips: LabelledClips,
    rules: Mapping[str, SplitRule],
    *,
    chosen: str,
    needs_validation: bool = False,
    refuses_long: bool = False,
    speaker_similarity: SpeakerSimilarity | None = None,
) -> Audit:
    """Audit clips, and every fold of every rule. ``chosen`` is the one to be used: findings are about it alone.

    ``needs_validation``: a run could not do without a validation set; ``refuses_long``: it would not take clips as
    long as those that are cut here.
    Raises: UserError where there is no clip to look at.
    """
    manifest, reports = clips.manifest, clips.reports
    if not len(manifest):
        raise UserError(f"no clip of {clips.title} has a label: look at data.label_map, and, of votes, at ties")
    n_clips, n_speakers, clips_by_label = _expected(clips)
    labels = _audit_labels(manifest, clips.labels, clips_by_label)
    duplicates = tuple(
        Duplicate(
            ids=tuple(manifest[index].id for index in group),
            labels=tuple(manifest[index].emotion for index in group),
        )
        for group in manifest.same_sound()
    )
    splits = audit_splits(manifest, clips.labels, rules, most_folds=MOST_FOLDS)
    audited = [split for split in splits if split.name == chosen]
    known = Manifest(row for row in manifest if row.speaker_is_known)
    clips_of = Counter(known.column("speaker"))
    findings = chain(
        file_findings(reports),
        _output_findings(clips, labels),
        speaker_findings(known, n_unknown=len(manifest) - len(known)),
        *(release_findings(part.corpus, part.packed.manifest) for part in clips.parts if part.corpus.releases),
        clip_findings(manifest, silent=_silent(clips)),
        long_findings(clips.long, clips.long_clips, refused=refuses_long),
        duplicate_findings(duplicates),
        *(split_findings(split, needs_validation=needs_validation) for split in audited),
        similarity_findings(speaker_similarity, audited) if speaker_similarity is not None else (),
    )
    return Audit(
        name=clips.name,
        title=clips.title,
        synthetic=clips.synthetic,
        folders=tuple(report.folder for report in reports),
        clips=Count(found=len(manifest), expected=n_clips),
        speakers=Count(found=len(clips_of), expected=n_speakers),
        speakers_by_sex=by_sex({row.speaker: row for row in known}.values()),
        clips_per_speaker=_spread(clips_of.values()),
        labels=labels,
        targets=_audit_targets(clips),
        formats=_formats(manifest),
        duration_s=_spread(row.duration_s for row in manifest),
        total_s=round(sum(row.duration_s for row in manifest), 1),
        duplicates=duplicates,
        splits=splits,
        findings=tuple(findings),
        speaker_similarity=speaker_similarity,
    )


def _expected(clips: LabelledClips) -> tuple[int | None, int | None, Mapping[str, int]]:
    """Return the clips, speakers and clips by label of complete corpora; None, or no label, where nobody knows."""
    corpora = [part.corpus for part in clips.parts]
    joined = [corpus.listing for corpus in corpora if corpus.listing is not None and clips.same_speakers]
    joins = joined and len(joined) < len(corpora)  # speakers of lists, to those of a corpus
    if joins or any(corpus.n_clips is None for corpus in corpora):  # or releases differ
        return None, None, {}
    n_speakers = sum(corpus.n_speakers or 0 for corpus in corpora if corpus.listing not in joined)
    n_speakers += len({loose_key(name) for listing in joined for name in listing.known_speakers})
    if clips.facts.get("label_source", INTENDED) != INTENDED:  # annotators decide how many
        return None, n_speakers, {}
    label_map = clips.facts.get("label_map") or {}
    clips_by_label = Counter[str]()
    for corpus in corpora:
        for emotion, n_clips in corpus.clips_by_label.items():
            clips_by_label[label_map.get(emotion, DROP if label_map else emotion)] += n_clips or 0
    del clips_by_label[DROP]
    return sum(clips_by_label.values()), n_speakers, clips_by_label


def _silent(clips: LabelledClips) -> list[str]:
    """Return ids of silent clips as the manifest has them; a corpus's own report may say them shorter."""
    silent = {(part.corpus.name, id) for part in clips.parts for id in part.packed.report.silent}
    return [row.id for row in clips.manifest if (row.corpus, row.id.removeprefix(f"{row.corpus}:")) in silent]


def _output_findings(clips: LabelledClips, labels: Mapping[str, LabelAudit]) -> Iterator[Finding]:
    """Yield findings on the labels, or on the numbers, that are to be predicted."""
    n_left_out = clips.warnings().get(clips.task.left_out, 0)
    if not clips.labels:
        return value_findings(n_left_out=n_left_out)
    return label_findings(
        {name: label.clips.found for name, label in labels.items()},
        {name: label.speakers_without for name, label in labels.items()},
        n_left_out=n_left_out,
        n_unlabelled=int((~clips.testable).sum()),
    )


def _audit_targets(clips: LabelledClips) -> dict[str, TargetAudit]:
    """Describe the numbers that are to be predicted; nothing of labels."""
    if clips.labels:
        return {}
    return {
        name: TargetAudit(
            min=float(values.min()), mean=float(values.mean()), sd=float(values.std()), max=float(values.max())
        )
        for name, values in zip(clips.task.outputs, clips.reference.T, strict=True)
    }


def _audit_labels(manifest: Manifest, labels: Sequence[str], expected: Mapping[str, int]) -> dict[str, LabelAudit]:
    """Describe how the clips of each label are spread over speakers; ``expected``: how many there should be."""
    speakers = sorted({row.speaker for row in manifest if row.speaker_is_known})
    audited = {}
    for label in labels:
        rows = [row for row in manifest if row.emotion == label]
        clips_of = Counter(row.speaker for row in rows)
        audited[label] = LabelAudit(
            clips=Count(found=len(rows), expected=expected.get(label)),
            clips_by_sex=by_sex(rows),
            clips_per_speaker=_spread(clips_of[speaker] for speaker in speakers),
            speakers_without=tuple(speaker for speaker in speakers if not clips_of[speaker]),
        )
    return audited


def _formats(manifest: Manifest) -> tuple[SourceFormat, ...]:
    """Return the formats that files come in, the commonest first."""
    paths: dict[tuple[int, int], list[str]] = {}
    for row in manifest:
        prefix = f"{row.corpus}:" if row.id.startswith(f"{row.corpus}:") else ""  # one of several corpora
        paths.setdefault((row.source_rate_hz, row.source_channels), []).append(prefix + row.path)
    ordered = sorted(paths.items(), key=lambda item: -len(item[1]))
    return tuple(
        SourceFormat(rate_hz=rate_hz, channels=channels, n_clips=len(files), paths=tuple(files) if rank else ())
        for rank, ((rate_hz, channels), files) in enumerate(ordered)
    )


def _spread(numbers: Iterable[float]) -> Spread:
    values = list(numbers) or [0]
    return Spread(min=min(values), median=statistics.median(values), max=max(values))
