"""Turns speaker similarities into findings of an audit, and into a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from ser_lightning.data.audit.findings import Finding, finding
from ser_lightning.data.audit.folds import FoldAudit, SplitAudit
from ser_lightning.data.audit.speaker_encoder import embed_clips
from ser_lightning.data.audit.speaker_similarity import (
    LEAST_CLIPS,
    LEAST_S,
    SpeakerPair,
    SpeakerSimilarity,
    compare_speakers,
)
from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.prepare.decoding import SILENT_PEAK
from ser_lightning.data.splits.split import SUBSETS
from ser_lightning.utils.errors import counted
from ser_lightning.utils.terminal import number_table


def compare_clips_by_speaker(clips: LabelledClips, weights: Path) -> SpeakerSimilarity:
    """Embed every clip that is not silent, and compare the speakers; a sound counts once for a speaker.

    Raises: UserError as `embed_clips`.
    """
    manifest = clips.manifest
    sounding = ((n, row) for n, row in enumerate(manifest) if row.peak >= SILENT_PEAK and row.speaker_is_known)
    rows = sorted({(row.speaker, row.audio_hash): n for n, row in sounding}.values())
    return compare_speakers(
        embed_clips(clips, rows, weights),
        speakers=[manifest[row].speaker for row in rows],
        emotions=[manifest[row].emotion for row in rows],
        durations_s=[manifest[row].duration_s for row in rows],
        silent=[row.id for row in manifest if row.peak < SILENT_PEAK],
    )


def similarity_findings(similarity: SpeakerSimilarity, splits: Sequence[SplitAudit]) -> Iterator[Finding]:
    """Name one person under two names, which fails a split that parts them, and two people under one name."""
    if similarity.cannot_tell:
        text = f"speakers cannot be told apart by embeddings: {similarity.cannot_tell}"
        yield finding("warning", "speakers_not_compared", text)
        return
    crossing: set[SpeakerPair] = set()
    for split in splits:
        if not split.speaker_independent:
            continue
        names = []
        for pair in similarity.same_person:
            folds = [str(fold.fold) for fold in split.folds if _crosses(fold, pair)]
            if folds:
                crossing.add(pair)
                where = f"fold{'s' * (len(folds) > 1)} {', '.join(folds)}"
                names.append(f"{_described(pair, similarity)} ({where})")
        if names:
            text = (
                f"split {split.name} parts {counted(names, 'pair')} of speakers as alike as halves of one speaker"
            )
            yield finding("error", "same_person_across_split", text, names)
    together = [_described(pair, similarity) for pair in similarity.same_person if pair not in crossing]
    if together:
        text = f"{counted(together, 'pair')} of speakers as alike as halves of one speaker, which no split parts"
        yield finding("warning", "same_person", text, together)
    alike = [_described(pair, similarity) for pair in similarity.alike]
    if alike:
        text = f"{counted(alike, 'pair')} of speakers more alike than different speakers are: play clips of both"
        yield finding("warning", "alike_speakers", text, alike)
    if similarity.two_people:
        text = (
            f"{counted(len(similarity.two_people), 'speaker')} may be two people under one name, or recorded in "
            "two ways: the clips fall into groups less alike than those of other speakers "
            f"({similarity.groups_limit:.3f} or more)"
        )
        names = [
            f"{speaker.speaker}: {speaker.n_clips[0]} and {speaker.n_clips[1]} clips, "
            f"similarity {speaker.similarity:.3f}"
            for speaker in similarity.two_people
        ]
        yield finding("warning", "two_people", text, names)
    if similarity.not_compared:
        text = (
            f"{counted(similarity.not_compared, 'speaker')} not compared by embeddings, for less than "
            f"{LEAST_S:.0f} s or {LEAST_CLIPS} clips of speech"
        )
        yield finding("note", "speakers_not_compared", text, similarity.not_compared)


def similarity_table(similarity: SpeakerSimilarity) -> Iterator[RenderableType]:
    """Yield a table of similarities within and between speakers, and the most similar pairs."""
    yield Text("speakers compared by embeddings: 1 is one person, whatever the number of clips", style="bold")
    if similarity.halves is not None and similarity.different is not None:
        table = number_table("similarity", numbers=("lowest", "median", "highest", "limit"), gap=3)
        for name, spread, limit in (
            ("random halves of a speaker", similarity.halves, f"≥ {similarity.halves_limit:.3f}"),
            ("pairs of speakers", similarity.different, f"≤ {similarity.different_limit:.3f}"),
        ):
            table.add_row(name, *(f"{value:.3f}" for value in spread), limit)
        yield table
    for pair in similarity.nearest:
        yield Text(f"next alike: {' and '.join(pair.speakers)}, {pair.similarity:.3f}", style="dim")
    if similarity.silent:
        yield Text(f"{counted(similarity.silent, 'silent clip')} left out", style="dim")


def _described(pair: SpeakerPair, similarity: SpeakerSimilarity) -> str:
    return (
        f"{' = '.join(pair.speakers)}: similarity {pair.similarity:.3f}; halves of one speaker {pair.limit:.3f} or "
        f"more, different speakers up to {similarity.different_limit:.3f}"
    )


def _crosses(fold: FoldAudit, pair: SpeakerPair) -> bool:
    """Return whether one of them is in one subset and the other in another."""
    one, other = ({name for name in SUBSETS if who in getattr(fold, name).speakers} for who in pair.speakers)
    return bool(one and other) and len(one | other) > 1
