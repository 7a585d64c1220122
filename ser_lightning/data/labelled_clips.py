"""Clips of one or of several packed corpora, under one set of labels.

N: clips.  P: pieces of them.  K: classes.  B: pieces of a batch.  T: samples of its longest.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ser_lightning.data.corpora import Corpus
from ser_lightning.data.labels import Labelling
from ser_lightning.data.long_clips import LongClips
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ
from ser_lightning.data.prepare.packed_corpus import PackedCorpus
from ser_lightning.data.spelling import loose_key
from ser_lightning.data.votes import Votes, annotator_scores
from ser_lightning.runs.label_sources import INTENDED, MAJORITY, SOFT
from ser_lightning.runs.result_parts import Annotators, CorpusFacts
from ser_lightning.tasks.task import Task, TestClips
from ser_lightning.utils.text import digest_of


@dataclass(frozen=True, kw_only=True)
class Part:
    """The clips of one corpus, how each is labelled, and what annotators voted for, if that is known."""

    corpus: Corpus
    packed: PackedCorpus
    labelling: Labelling
    votes: Votes | None = None

    @property
    def rows(self) -> np.ndarray:
        """Return the rows of the corpus's manifest that are used."""
        return np.flatnonzero(self.labelling.keep)


class LabelledClips:
    """Clips that are trained or tested on: a manifest, a target for each clip, and the samples.

    Clip ids and speakers carry the corpus's name (``cremad:1001``) where several corpora are split, and in a corpus
    that is for the test alone, so that none is taken for another. Where speakers of the same name in users' lists
    are the same people, all of them carry the name of a corpus of ours that has them, or of the first list. An
    utterance's ``emotion`` is the label that it is tested by.

    Args:
        parts: the corpora.
        task: what is predicted of them.
        facts: what the protocol of a result says of the labels.
        test_corpus: the name of the part that is for the test alone, if there is one.
        same_speakers: whether speakers of the same name in users' lists, or in one and a corpus of ours, are the
            same people; None: not known.
        long_clips: what becomes of long ones.

    Attributes:
        name: the corpora's names, joined by "+"; one that is for the test alone is not among them.
        title: the names of all corpora for people.
        labels: the classes that the clips are of; none where numbers are predicted.
        synthetic: whether any of it was made rather than recorded.
        reports: what preparation found, corpus by corpus.
        manifest: the N clips; every index below points into it, but for those of pieces.
        people: the N speakers, each with the corpus's name.
        pieces: the P pieces of clips that models are run on: the clips themselves, where none is too long.
        target: (N, K) float32, what a clip is trained as.
        reference: (N,) int64, the class a clip is tested by, -1 where it can only train; or (N, K) float32 numbers.
        testable: (N,) bool, which clips there is something to test by.
    """

    def __init__(
        self,
        *,
        parts: Sequence[Part],
        task: Task,
        facts: Mapping[str, Any] | None = None,
        test_corpus: str | None = None,
        same_speakers: bool | None = None,
        long_clips: LongClips | None = None,
    ):
        self.parts = tuple(parts)
        self.task = task
        self.facts = dict(facts or {})
        self.test_corpus = test_corpus
        self.same_speakers = same_speakers
        self.long_clips = long_clips or LongClips()
        self._split_corpora = [part.corpus.name for part in self.parts if part.corpus.name != test_corpus]
        self.name = "+".join(self._split_corpora)
        self.title = " + ".join(part.corpus.title for part in self.parts)
        self.labels = task.labels
        self.synthetic = any(part.corpus.synthesise is not None for part in self.parts)
        self.reports = tuple(part.packed.report for part in self.parts)
        self.people = self._people()
        self.manifest = Manifest(self._utterances())
        n_samples = np.array([row.n_samples for row in self.manifest], dtype=np.int64)
        self.pieces = self.long_clips.pieces(n_samples, SAMPLE_RATE_HZ)
        self.target = np.concatenate([part.labelling.target[part.rows] for part in self.parts])
        self.reference = np.concatenate([part.labelling.reference[part.rows] for part in self.parts])
        self.testable = np.concatenate([part.labelling.testable[part.rows] for part in self.parts])
        self._part = np.repeat(np.arange(len(self.parts)), [len(part.rows) for part in self.parts])
        self._row = np.concatenate([part.rows for part in self.parts])

    def _people(self) -> list[str]:
        """Return who speaks in each clip: the corpus's name, and the speaker's."""
        people: list[str] = []
        first = self._of_corpora() if self.same_speakers else {}
        for part in self.parts:
            for row in part.rows.tolist():
                speaker = part.packed.manifest[row].speaker
                who = f"{part.corpus.name}:{speaker}"
                if self.same_speakers and part.corpus.listing is not None:
                    who = first.setdefault(loose_key(speaker), who)
                people.append(who)
        return people

    def _of_corpora(self) -> dict[str, str]:
        """Return the speakers of corpora that are no users' lists, by `loose_key`."""
        return {
            loose_key(clip.speaker): f"{part.corpus.name}:{clip.speaker}"
            for part in self.parts
            if part.corpus.listing is None
            for clip in part.packed.manifest
        }

    def _utterances(self) -> Iterator[Utterance]:
        """Yield the clips with the labels that they are tested by, ids and speakers with the corpus's name."""
        alone = f"{self.name}:" if len(self._split_corpora) == 1 else ""  # of one corpus the name says nothing
        people = iter(self.people)
        for part in self.parts:
            prefix = f"{part.corpus.name}:".removeprefix(alone)
            emotions = self.task.emotions(part.labelling.reference)
            for row in part.rows.tolist():
                clip, speaker = part.packed.manifest[row], next(people).removeprefix(alone)
                emotion = clip.emotion if emotions is None else emotions[row]
                if prefix or (speaker, emotion) != (clip.speaker, clip.emotion):  # copying thousands takes time
                    clip = replace(clip, id=prefix + clip.id, speaker=speaker, emotion=emotion)
                yield clip

    def origin(self, index: int) -> tuple[str, str]:
        """Return the name of the corpus that a clip is of, and what that calls the speaker."""
        part = self.parts[self._part[index]]
        return part.corpus.name, part.packed.manifest[self._row[index]].speaker

    @cached_property
    def lists(self) -> dict[str, str]:
        """Return the name of each user's list and a digest of its speakers and sounds, wherever the files lie."""
        return {
            part.corpus.name: digest_of(sorted(f"{row.speaker} {row.audio_hash}" for row in part.packed.manifest))
            for part in self.parts
            if part.corpus.listing is not None
        }

    def warnings(self) -> dict[str, int]:
        """Count clips with a warning, by kind; "namesakes" are speakers, not clips."""
        counts = Counter[str]()
        for report in self.reports:
            counts.update(report.warnings())
        for part in self.parts:
            counts[self.task.left_out] += len(part.labelling.keep) - len(part.rows)
        counts["tied_votes"] += int((~self.testable).sum())
        counts["unknown_speaker"] += sum(not clip.speaker_is_known for clip in self.manifest)
        for part in self.parts:
            if part.corpus.listing is not None and part.corpus.listing.has_times:
                counts["whole_files"] += len(part.rows)
        if self.same_speakers is None and len(self.parts) > 1:
            # who is called like one of a corpus may be that person
            of_corpora = self._of_corpora()
            listed = {
                (part.corpus.name, clip.speaker)
                for part in self.parts
                if part.corpus.listing is not None
                for clip in part.packed.manifest
            }
            counts["namesakes"] += sum(loose_key(speaker) in of_corpora for _, speaker in listed)
        counts[self.long_clips.warning] += len(self.long)
        return {kind: count for kind, count in counts.items() if count}

    def pieces_of(self, rows: Sequence[int]) -> list[int]:
        """Return the pieces of clips: one of each in the order of ``rows``, then all others."""
        return self.pieces.of(rows)

    def pieces_by_speaker(self, rows: Sequence[int]) -> list[list[int]]:
        """Return the pieces of clips by who speaks, a list each; each clip of an unknown speaker has its own."""
        return [self.pieces_of(own) for own in self.manifest.by_speaker(rows)]

    @cached_property
    def piece_hashes(self) -> list[str]:
        """Return a hash of the sound of each of the P pieces: the clip's own where it is all of the clip."""
        hashes = self.manifest.column("audio_hash")
        columns = (self.pieces.clip, self.pieces.start, self.pieces.n_samples)
        return [
            hashes[row] if n_samples == self.manifest[row].n_samples else f"{hashes[row]}-{start}-{n_samples}"
            for row, start, n_samples in zip(*(column.tolist() for column in columns), strict=True)
        ]

    @property
    def long(self) -> list[str]:
        """Return the ids of the clips that are cut."""
        pieces = self.pieces.n_samples.tolist()  # the first N are of the N clips
        return [
            clip.id for clip, n_samples in zip(self.manifest, pieces, strict=False) if clip.n_samples != n_samples
        ]

    def test_clips(self, indices: Sequence[int], task: Task) -> TestClips:
        """Return what is needed to evaluate ``task`` on these clips, whose labels it has, and maybe others."""
        truth, shares = self.reference[np.asarray(indices, dtype=np.int64)], self._vote_shares(indices)
        if task.labels:
            number_of = np.array([task.labels.index(name) for name in self.labels])  # (K,), of these clips' labels
            truth = np.where(truth < 0, -1, number_of[truth])
            if shares is not None:
                shares = shares @ np.eye(len(task.labels))[number_of]
        clips = [self.manifest[index] for index in indices]
        return TestClips(
            ids=[clip.id for clip in clips],
            speakers=[clip.speaker for clip in clips],
            truth=truth,
            columns={
                "emotion": [clip.emotion for clip in clips],
                "corpus": [clip.corpus for clip in clips],
                "sex": [clip.sex for clip in clips],
                "age": [clip.age_group for clip in clips],
                "intensity": [clip.intensity for clip in clips],
                "sentence": [clip.sentence for clip in clips],
            },
            vote_shares=shares,
        )

    def _vote_shares(self, indices: Sequence[int]) -> np.ndarray | None:
        """Return the shares of votes (N, K) on clips that are labelled by votes, all on one of the labels."""
        if self.facts.get("label_source") not in (MAJORITY, SOFT):
            return None
        shares = []
        for index in indices:
            part = self.parts[self._part[index]]
            if part.votes is None or not part.votes.counted:
                return None
            votes = part.votes.on(self.labels, [part.packed.manifest[self._row[index]].id])[0, :-1]
            shares.append(votes / votes.sum())
        return np.array(shares)

    def result_facts(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return what result.json says of clips that were tested, beside the scores."""
        return {
            "annotators": self.annotator_scores(indices),
            "synthetic": self.synthetic,
            "corpora": self.corpus_facts(),
        }

    def corpus_facts(self) -> list[CorpusFacts]:
        """Return what result.json says of each corpus."""
        return [
            CorpusFacts(name=corpus.name, title=corpus.title, licence=corpus.licence, source=corpus.where_to_get)
            for corpus in (part.corpus for part in self.parts)
        ]

    def file(self, index: int) -> Path:
        """Return the path of a clip's own file."""
        return Path(self.parts[self._part[index]].packed.report.folder) / self.manifest[index].path

    def gather(self, pieces: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Copy pieces out of memory: (B, T) int16, padded with zeros to the longest, and (B,) int64 lengths."""
        chosen = np.asarray(pieces)
        rows, start, lengths = (
            array[chosen] for array in (self.pieces.clip, self.pieces.start, self.pieces.n_samples)
        )
        if len(self.parts) == 1:
            return self.parts[0].packed.gather(self._row[rows], start, lengths)
        waveform = np.zeros((len(rows), int(lengths.max())), dtype=np.int16)  # (B, T)
        for number, part in enumerate(self.parts):
            places = np.flatnonzero(self._part[rows] == number)  # in the batch, of clips of this part
            if len(places):
                clips, _ = part.packed.gather(self._row[rows[places]], start[places], lengths[places])
                waveform[places, : clips.shape[1]] = clips
        return waveform, lengths

    def annotator_scores(self, indices: Sequence[int]) -> Annotators | None:
        """Return how well annotators do on these clips; None where any of them is of a corpus without votes."""
        rows = np.asarray(indices)
        parts = {int(number) for number in self._part[rows]}
        part = self.parts[parts.pop()] if len(parts) == 1 else None
        if part is None or part.votes is None:
            return None
        votes = part.votes
        ids = [part.packed.manifest[row].id for row in self._row[rows]]
        scores = annotator_scores(
            votes.on(self.labels, ids),
            self.reference[rows],
            self.labels,
            counted=votes.counted,
            majority=votes.majority_on(self.labels, ids),
        )
        if scores is None:
            return None
        changes: dict[str, Any] = {"source": votes.source}
        if self.facts.get("label_source") != INTENDED:
            changes["majority"] = None  # it is the label itself
        return scores.model_copy(update=changes)
