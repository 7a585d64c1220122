"""Opens the corpora that are asked for, and joins their labels."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ser_lightning.data.corpora import Corpus
from ser_lightning.data.labelled_clips import LabelledClips, Part
from ser_lightning.data.labels import (
    by_intention,
    by_values,
    by_votes,
    check_labels,
    map_emotions,
    read_label_map,
)
from ser_lightning.data.long_clips import LongClips
from ser_lightning.data.prepare.cache import bad_list, pack, pack_part, undecoded
from ser_lightning.data.prepare.packed_corpus import PackedCorpus
from ser_lightning.data.prepare.scan import Scan
from ser_lightning.data.source import Source, check_speakers, named_apart
from ser_lightning.data.values import check_targets, check_values, joint_ranges
from ser_lightning.data.votes import Votes, is_votes_table, read_votes_table
from ser_lightning.runs.label_sources import INTENDED, LABEL_SOURCES, SOFT, current_name
from ser_lightning.tasks.registry import task_for, task_of
from ser_lightning.tasks.task import Task
from ser_lightning.utils.errors import UserError, check_choice


class Sources:
    """The corpora of a data module, opened when they are needed.

    Args:
        training: corpora that are split.
        test: one that is only tested on; then the test folds of the others train.
        label_map: joint label by a corpus's own, or "drop"; needed for more than one corpus.
        labels: one of `LABEL_SOURCES`; those of votes are for corpora that have annotators' votes.
        votes: table of votes on one corpus, or of what else annotators said; None: looked for beside it.
        targets: numbers to predict instead of labels, by name.
        ranges: of such numbers, where the corpora have none of their own: the lowest and highest there may be.
        on_bad: "error" or "exclude", for files that cannot be used.
        fetch: download what is not there.
        same_speakers: whether speakers of the same name in two users' lists are the same people; None is no answer.
        long_clips: what becomes of long ones.

    Raises: UserError for corpora that do not go together, and where that answer is needed and missing.
    """

    def __init__(
        self,
        *,
        training: Sequence[Source],
        test: Source | None = None,
        label_map: Mapping[str, str] | None = None,
        labels: str = "intended",
        votes: Path | None = None,
        targets: Sequence[str] = (),
        ranges: Mapping[str, tuple[float, float]] | None = None,
        on_bad: str = "error",
        fetch: bool = False,
        same_speakers: bool | None = None,
        long_clips: LongClips | None = None,
    ):
        self._all = named_apart([*training, *([test] if test else [])])
        self._test_corpus = self._all[-1].corpus.name if test else None
        self._same_speakers = same_speakers
        self._long_clips = long_clips or LongClips()
        self._label_map = read_label_map(label_map or {})
        self._label_source = current_name(labels)
        self._votes = votes
        self._targets = tuple(targets)
        self._ranges = dict(ranges or {})
        self._on_bad = on_bad
        self._fetch = fetch
        if targets:
            check_labels(self._targets, fewest=1)
            check_targets([source.corpus for source in self._all], labels, self._targets)
        else:
            _check(self._all, self._label_source, self._label_map)
        if votes is not None and len(self._all) > 1:
            raise UserError(f"data.votes={votes} names votes of one corpus, and there are {len(self._all)}")
        if votes is not None and targets and self._all[0].corpus.read_values is None:
            raise UserError(
                f"data.votes={votes} has no effect with data.targets: {self._all[0].corpus.title} has its "
                "numbers in its own tables"
            )
        check_speakers(self._all, same_speakers)

    @property
    def test_corpus(self) -> str | None:
        """Return the name of the corpus that is only tested on."""
        return self._test_corpus

    @cached_property
    def _scans(self) -> list[Scan]:
        return [source.find(fetch=self._fetch) for source in self._all]

    def listed(self) -> LabelledClips:
        """Label what file names and lists say, before anything is decoded. Raises: as `open`."""
        return self._labelled([undecoded(source.corpus, scanned) for source, scanned in self._with_files()])

    def open(self) -> LabelledClips:
        """Prepare what is not prepared, and label it. Raises: UserError for what a person can mend."""
        refused_from_s = self._long_clips.refused_from_s
        return self._labelled(
            [
                pack(source.corpus, scanned, on_bad=self._on_bad, refused_from_s=refused_from_s)
                for source, scanned in self._with_files()
            ]
        )

    def prepare_part(self, number: int, n_parts: int) -> int:
        """Decode one of ``n_parts`` of each corpus, for `open` to join; return how many files it has."""
        refused_from_s = self._long_clips.refused_from_s
        return sum(
            pack_part(source.corpus, scanned, number, n_parts, refused_from_s=refused_from_s)
            for source, scanned in self._with_files()
        )

    def complaints(self) -> list[str]:
        """Name the files that are known to be unusable before anything is decoded, unless these are left out."""
        if self._on_bad != "error":
            return []
        with_bad = [(source.corpus, scanned) for source, scanned in self._with_files() if scanned.bad]
        listed = [(corpus, undecoded(corpus, scanned)) for corpus, scanned in with_bad]
        return [packed.report.complaint(bad_list(corpus)) for corpus, packed in listed]

    def _with_files(self) -> Iterator[tuple[Source, Scan]]:
        return zip(self._all, self._scans, strict=True)

    def _labelled(self, packed: Sequence[PackedCorpus]) -> LabelledClips:
        parts, task = self._with_numbers(packed) if self._targets else self._with_labels(packed)
        return LabelledClips(
            parts=parts,
            task=task,
            facts=self._facts(),
            test_corpus=self._test_corpus,
            same_speakers=self._same_speakers,
            long_clips=self._long_clips,
        )

    def _with_labels(self, packed: Sequence[PackedCorpus]) -> tuple[list[Part], Task]:
        parts, labels = self._mapped(packed) if self._label_map else self._single(packed[0])
        if not labels:
            titles = " and ".join(source.corpus.title for source in self._all)
            if not sum(len(one.manifest) for one in packed):
                raise UserError(f"no file of {titles} can be used")
            raise UserError(f"no clip of {titles} that can be used has a label")
        check_labels(labels, fewest=1)
        won = set().union(*(part.labelling.reference.tolist() for part in parts)) - {-1}
        if self._label_source != INTENDED and len(won) == 1:
            raise UserError(
                f"data.labels={self._label_source}: in every clip most annotators chose {labels[won.pop()]}, so "
                "nothing can be learnt: add clips of other emotions"
            )
        return parts, task_of({"task": task_for(None).name, "labels": labels})

    def _with_numbers(self, packed: Sequence[PackedCorpus]) -> tuple[list[Part], Task]:
        """Give each clip the numbers that are to be predicted, whatever its emotion.

        Raises: UserError for numbers that are out of range, and for one that no clip of a corpus has.
        """
        ranges = joint_ranges([source.corpus for source in self._all], self._targets, self._ranges)
        values = [self._values(source, one) for source, one in zip(self._all, packed, strict=True)]
        for source, of_clips in zip(self._all, values, strict=True):
            check_values(source.corpus, of_clips, self._targets, ranges)
        parts = [
            Part(corpus=source.corpus, packed=one, labelling=by_values(list(of_clips.values()), self._targets))
            for source, one, of_clips in zip(self._all, packed, values, strict=True)
        ]
        entry = {"targets": self._targets, "ranges": [ranges.get(name) for name in self._targets]}
        return parts, task_of({"task": task_for(self._targets).name, **entry})

    def _values(self, source: Source, packed: PackedCorpus) -> dict[str, Mapping[str, float]]:
        """Return the numbers of each clip by its id, out of the corpus's own tables where it has such."""
        corpus = source.corpus
        if corpus.read_values is None:
            return {clip.id: clip.values for clip in packed.manifest}
        table = corpus.read_values(source.root or Path(packed.report.folder), self._votes)
        if table is None:
            raise UserError(
                f"data.targets={_listed(self._targets)} needs annotators' numbers, and no table of them is "
                f"found for {corpus.title}: point to it with data.votes=FILE"
            )
        return {clip.id: table.get(clip.id, {}) for clip in packed.manifest}

    def _single(self, packed: PackedCorpus) -> tuple[list[Part], tuple[str, ...]]:
        corpus, votes = self._all[0].corpus, self._votes_on(self._all[0], packed)
        emotions = packed.manifest.column("emotion")
        labels = corpus.labels
        if corpus.listing is not None:  # what only files that were left out have is no class
            labels = tuple(label for label in labels if label in set(emotions))
            if self._label_source != INTENDED and votes is not None:
                labels = tuple(sorted(votes.labels))
        return [self._part(corpus, packed, emotions, labels, votes)], labels

    def _mapped(self, packed: Sequence[PackedCorpus]) -> tuple[list[Part], tuple[str, ...]]:
        named, voted, trained_on = [], [], set()
        for source, one in zip(self._all, packed, strict=True):
            joint = partial(map_emotions, label_map=self._label_map, corpus=source.corpus.title)
            names = choices = joint(one.manifest.column("emotion"))
            votes = self._votes_on(source, one)
            if votes is not None:
                on = joint(votes.labels)
                votes = votes.renamed(on)
                if source.corpus.listing is not None and self._label_source != INTENDED:
                    choices = on  # a list with votes needs no emotions
            named.append(names)
            voted.append(votes)
            if source.corpus.name != self._test_corpus:
                trained_on |= {name for name in choices if name is not None}
        labels = tuple(sorted(trained_on))
        self._refuse_untrained(named[-1], labels)
        parts = [
            self._part(source.corpus, one, names, labels, votes)
            for source, one, names, votes in zip(self._all, packed, named, voted, strict=True)
        ]
        return parts, labels

    def _part(
        self,
        corpus: Corpus,
        packed: PackedCorpus,
        emotions: Sequence[str | None],
        labels: tuple[str, ...],
        votes: Votes | None,
    ) -> Part:
        if self._label_source == INTENDED:
            labelling = by_intention(emotions, labels)
        elif votes is None:
            raise UserError(
                f"data.labels={self._label_source} needs annotators' votes, and none are found for {corpus.title}: "
                "point to a table of id and votes.EMOTION with data.votes=FILE (for CREMA-D, also "
                "processedResults/tabulatedVotes.csv)"
            )
        else:
            ids = packed.manifest.column("id")
            labelling = by_votes(votes, ids, labels, soft=self._label_source == SOFT)
        return Part(corpus=corpus, packed=packed, labelling=labelling, votes=votes)

    def _votes_on(self, source: Source, packed: PackedCorpus) -> Votes | None:
        """Read the votes on a corpus: of the table that was given, or its own."""
        own = source.corpus.read_votes
        if self._votes is not None and (own is None or is_votes_table(self._votes)):
            votes = read_votes_table(self._votes, source.corpus.labels)
            ids = packed.manifest.column("id")
            if not set(ids) & set(votes.by_clip):
                raise UserError(
                    f"data.votes={self._votes} has votes on no clip of {source.corpus.title}: its ids are like "
                    f"{next(iter(votes.by_clip))}, and those of clips like {ids[0]}"
                )
            return votes
        return own(source.root or Path(packed.report.folder), self._votes) if own is not None else None

    def _refuse_untrained(self, names: Sequence[str | None], labels: tuple[str, ...]) -> None:
        untrained = sorted({name for name in names if name is not None} - set(labels))
        if untrained:
            raise UserError(
                f"{self._test_corpus} has clips of {', '.join(untrained)}, which no training clip is: "
                f"map {'it' if len(untrained) == 1 else 'them'} to a label that is trained on, or to drop"
            )

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"label_source": "values" if self._targets else self._label_source}
        if self._label_map and not self._targets:
            facts["label_map"] = self._label_map
        if self._test_corpus:
            facts["test_corpus"] = self._test_corpus
        return facts


def _listed(names: Sequence[str]) -> str:
    return f"[{','.join(names)}]"


def _check(sources: Sequence[Source], labels: str, label_map: Mapping[str, str]) -> None:
    check_choice("data.", LABEL_SOURCES, labels=labels)
    names = [source.corpus.name for source in sources]
    if len(sources) > 1 and not label_map:
        raise UserError(
            f"{' and '.join(names)} have labels of their own: join them with data/label_map=six, "
            "or write data.label_map yourself"
        )
