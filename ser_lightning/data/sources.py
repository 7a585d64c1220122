"""Opens the corpora that are asked for, and joins their labels."""

import logging
from collections.abc import Mapping, Sequence
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
from ser_lightning.data.votes import PREFIX, Votes, is_votes_table, read_votes_table, winners
from ser_lightning.runs.label_sources import INTENDED, LABEL_SOURCES, SOFT, current_name
from ser_lightning.tasks.registry import task_for, task_of
from ser_lightning.tasks.task import Task
from ser_lightning.utils.errors import UserError, check_choice, some

log = logging.getLogger(__name__)


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

    Attributes:
        test_corpus: the name of the corpus that is only tested on, if there is one.

    Raises: UserError for corpora that do not go together, and where that answer is needed and missing.
    """

    def __init__(
        self,
        *,
        training: Sequence[Source],
        test: Source | None = None,
        label_map: Mapping[str, str] | None = None,
        labels: str = INTENDED,
        votes: Path | None = None,
        targets: Sequence[str] = (),
        ranges: Mapping[str, tuple[float, float]] | None = None,
        on_bad: str = "error",
        fetch: bool = False,
        same_speakers: bool | None = None,
        long_clips: LongClips | None = None,
    ):
        self._all = named_apart([*training, *([test] if test else [])])
        self.test_corpus = self._all[-1].corpus.name if test else None
        self._same_speakers = same_speakers
        self._long_clips = long_clips or LongClips()
        self._label_map = read_label_map(label_map or {})
        self._label_source = current_name(labels)
        self._votes = votes
        self._targets = tuple(targets)
        self._ranges = dict(ranges or {})
        self._on_bad = on_bad
        self._fetch = fetch
        corpora = [source.corpus for source in self._all]
        if targets:
            check_labels(self._targets, fewest=1)
            check_targets(corpora, labels, self._targets)
        else:
            check_choice("data.", LABEL_SOURCES, labels=self._label_source)
            if len(corpora) > 1 and not self._label_map:
                raise UserError(
                    f"{' and '.join(corpus.name for corpus in corpora)} have labels of their own: join them with "
                    "data/label_map=six, or write data.label_map yourself"
                )
        if votes is not None and len(corpora) > 1:
            raise UserError(f"data.votes={votes} names votes of one corpus, and there are {len(corpora)}")
        if votes is not None and targets and corpora[0].read_values is None:
            raise UserError(
                f"data.votes={votes} has no effect with data.targets: {corpora[0].title} has its numbers in its "
                "own tables"
            )
        check_speakers(self._all, same_speakers)

    @cached_property
    def _scanned(self) -> list[tuple[Source, Scan]]:
        """Return each corpus with its files, which are listed once."""
        return [(source, source.find(fetch=self._fetch)) for source in self._all]

    def listed(self) -> LabelledClips:
        """Label what file names and lists say, before anything is decoded. Raises: as `open`."""
        return self._labelled([undecoded(source.corpus, scan) for source, scan in self._scanned])

    def open(self) -> LabelledClips:
        """Prepare what is not prepared, and label it. Raises: UserError for what a person can mend."""
        refused_from_s = self._long_clips.refused_from_s
        return self._labelled(
            [
                pack(source.corpus, scan, on_bad=self._on_bad, refused_from_s=refused_from_s)
                for source, scan in self._scanned
            ]
        )

    def prepare_part(self, number: int, n_parts: int) -> int:
        """Decode one of ``n_parts`` of each corpus, for `open` to join; return how many files it has."""
        refused_from_s = self._long_clips.refused_from_s
        return sum(
            pack_part(source.corpus, scan, number, n_parts, refused_from_s=refused_from_s)
            for source, scan in self._scanned
        )

    def complaints(self) -> list[str]:
        """Name the files that are known to be unusable before anything is decoded, unless these are left out."""
        if self._on_bad != "error":
            return []
        return [
            undecoded(source.corpus, scan).report.complaint(bad_list(source.corpus))
            for source, scan in self._scanned
            if scan.bad
        ]

    def _labelled(self, packed: Sequence[PackedCorpus]) -> LabelledClips:
        """Label packed corpora, or give their clips numbers, and say in the protocol's facts by what."""
        parts, task = self._with_numbers(packed) if self._targets else self._with_labels(packed)
        facts: dict[str, Any] = {"label_source": "values" if self._targets else self._label_source}
        if self._label_map and not self._targets:
            facts["label_map"] = self._label_map
        if self.test_corpus:
            facts["test_corpus"] = self.test_corpus
        return LabelledClips(
            parts=parts,
            task=task,
            facts=facts,
            test_corpus=self.test_corpus,
            same_speakers=self._same_speakers,
            long_clips=self._long_clips,
        )

    def _with_labels(self, packed: Sequence[PackedCorpus]) -> tuple[list[Part], Task]:
        """Give each clip one of the labels, or shares of several.

        Raises: UserError where no clip has a label, and where votes give all of them the same one.
        """
        parts, labels = self._mapped(packed) if self._label_map else self._single(packed[0])
        if not labels:
            titles = " and ".join(source.corpus.title for source in self._all)
            if not any(len(corpus.manifest) for corpus in packed):
                raise UserError(f"no file of {titles} can be used")
            raise UserError(f"no clip of {titles} that can be used has a label")
        check_labels(labels, fewest=1)
        classes = set().union(*(part.labelling.reference.tolist() for part in parts)) - {-1}
        if self._label_source != INTENDED and len(classes) == 1:
            raise UserError(
                f"data.labels={self._label_source}: in every clip most annotators chose {labels[classes.pop()]}, "
                "so nothing can be learnt: add clips of other emotions"
            )
        return parts, task_of({"task": task_for(None).name, "labels": labels})

    def _with_numbers(self, packed: Sequence[PackedCorpus]) -> tuple[list[Part], Task]:
        """Give each clip the numbers that are to be predicted, whatever its emotion.

        Raises: UserError for numbers that are out of range, and for one that no clip of a corpus has.
        """
        ranges = joint_ranges([source.corpus for source in self._all], self._targets, self._ranges)
        parts = []
        for source, packed_corpus in zip(self._all, packed, strict=True):
            corpus = source.corpus
            values: dict[str, Mapping[str, float]] = {clip.id: clip.values for clip in packed_corpus.manifest}
            if corpus.read_values is not None:
                table = corpus.read_values(source.root or Path(packed_corpus.report.folder), self._votes)
                if table is None:
                    raise UserError(
                        f"data.targets=[{','.join(self._targets)}] needs annotators' numbers, and no table of them "
                        f"is found for {corpus.title}: point to it with data.votes=FILE"
                    )
                values = {clip_id: table.get(clip_id, {}) for clip_id in values}
            check_values(corpus, values, self._targets, ranges)
            labelling = by_values(list(values.values()), self._targets)
            parts.append(Part(corpus=corpus, packed=packed_corpus, labelling=labelling))
        entry = {"targets": self._targets, "ranges": [ranges.get(name) for name in self._targets]}
        return parts, task_of({"task": task_for(self._targets).name, **entry})

    def _single(self, packed: PackedCorpus) -> tuple[list[Part], tuple[str, ...]]:
        """Label the clips of one corpus by its own labels; return the part, and these."""
        corpus, votes = self._all[0].corpus, self._votes_on(self._all[0], packed)
        emotions = packed.manifest.column("emotion")
        labels = corpus.labels
        if corpus.listing is not None:  # what only files that were left out have is no class
            labels = tuple(label for label in labels if label in set(emotions))
            if self._label_source != INTENDED and votes is not None:
                labels = tuple(sorted(votes.labels))
        if votes is not None:
            _compare_names(votes, labels)
        return [self._part(corpus, packed, emotions, labels, votes)], labels

    def _mapped(self, packed: Sequence[PackedCorpus]) -> tuple[list[Part], tuple[str, ...]]:
        """Label the clips of all corpora by the joint labels; return the parts, and the labels that are trained on.

        Raises: UserError for a label of the test corpus that no training clip has.
        """
        emotions_of, votes_on = [], []
        trained: set[str | None] = set()
        tested: set[str | None] = set()
        for source, packed_corpus in zip(self._all, packed, strict=True):
            joint = partial(map_emotions, label_map=self._label_map, corpus=source.corpus.title)
            emotions = choices = joint(packed_corpus.manifest.column("emotion"))
            votes = self._votes_on(source, packed_corpus)
            if votes is not None:
                voted = joint(votes.labels)
                votes = votes.renamed(voted)
                if source.corpus.listing is not None and self._label_source != INTENDED:
                    choices = voted  # a list with votes needs no emotions
            emotions_of.append(emotions)
            votes_on.append(votes)
            if source.corpus.name != self.test_corpus:
                trained.update(choices)
            elif votes is not None and self._label_source != INTENDED:
                best = winners(votes.table(packed_corpus.manifest.column("id")))
                tested = {votes.labels[number] for number in best if number >= 0} & set(voted)
            else:
                tested = set(emotions)
        labels = tuple(sorted(label for label in trained if label is not None))
        untrained = sorted(label for label in tested - trained if label is not None)
        if untrained:
            raise UserError(
                f"{self.test_corpus} has clips of {', '.join(untrained)}, which no training clip is: "
                f"map {'it' if len(untrained) == 1 else 'them'} to a label that is trained on, or to drop"
            )
        parts = [
            self._part(source.corpus, packed_corpus, emotions, labels, votes)
            for source, packed_corpus, emotions, votes in zip(self._all, packed, emotions_of, votes_on, strict=True)
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
        """Label the clips of a corpus by their emotions, or by votes. Raises: UserError where these are missing."""
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


def _compare_names(votes: Votes, labels: Sequence[str]) -> None:
    """Warn of labels without a column of votes beside columns that are no label: they may be the same emotions.

    Raises: UserError where no column is a label.
    """
    lacking = [label for label in labels if label not in votes.labels]
    others = [name for name in votes.labels if name not in labels]
    if lacking and others:
        columns, rename = some([f"{PREFIX}{name}" for name in others]), "name the columns as the labels"
        if len(others) == len(votes.labels):
            raise UserError(f"{votes.source}: {columns} are none of the labels {some(lacking)}: {rename}")
        log.warning(
            "%s: no votes for %s, and %s, which no label is called: if these are the same, %s",
            *(votes.source, some(lacking), columns, rename),
        )
