"""Serves labelled clips, a split and a fold as a LightningDataModule of `Batch`es."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from ser_lightning.data.batches import Batch, ClipBatches, LengthBuckets
from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.leakage import TrainingRecord, keeps_test_apart
from ser_lightning.data.manifest import Manifest
from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ, SILENT_PEAK
from ser_lightning.data.sources import Sources
from ser_lightning.data.splits.split import SUBSETS, Split, SplitRule, TestedElsewhere, refuse_empty, split
from ser_lightning.tasks.task import Task
from ser_lightning.utils.errors import UserError, check, some
from ser_lightning.utils.text import digest_of

_ODD = {
    "validation_on_training_speakers": "validation is on other clips of a training speaker, %s: its scores say "
    "little about new speakers",
    "one_validation_speaker": "validation is on one speaker alone, %s: the epoch is selected by a single speaker",
    "labels_not_in_train": "no training clip of this fold is %s: that cannot be learnt",
    "labels_not_in_val": "no validation clip of this fold is %s: validation UAR is the mean over the other labels",
    "labels_not_in_test": "no test clip of this fold is %s: test UAR is the mean over the other labels",
}

log = logging.getLogger(__name__)


class EmotionDataModule(LightningDataModule):
    """Opens corpora, splits them, and serves batches.

    Args:
        sources: the corpora.
        split: which of ``splits`` to use.
        fold: which fold of it tests.
        splits: the named rules.
        batch_size: clips a training batch, in each process.
        eval_batch_size: clips a batch in validation and test.
        batch_seconds: of audio in a batch of either: see `LengthBuckets`.
        pool_batches: batches' worth of shuffled training clips that are sorted by length together, so that little
            of a batch is padding; 1 leaves batches as they were dealt.
        num_workers: processes that gather batches; gathering is a copy out of memory, so 0 does.
        seed: of the order of the training clips.

    Raises: UserError from `setup`, for anything about the corpora or the split that a person can mend.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        split: str,
        splits: Mapping[str, SplitRule],
        fold: int = 0,
        batch_size: int = 32,
        eval_batch_size: int = 64,
        batch_seconds: float | None = None,
        pool_batches: int = 16,
        num_workers: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        if split not in splits:
            raise UserError(f"data.split={split} is not there: this corpus has {', '.join(splits)}")
        if not isinstance(fold, int) or isinstance(fold, bool):
            raise UserError(
                f"data.fold={fold} is no whole number: a run tests one fold, and -m data.fold=0,1,2 runs each"
            )
        sizes = {"batch_size": batch_size, "eval_batch_size": eval_batch_size, "pool_batches": pool_batches}
        most_workers = max(64, 4 * (os.cpu_count() or 1))
        check("data.", integer=True, at_least=1, **sizes)
        check("data.", integer=True, at_least=0, seed=seed)
        if batch_seconds is not None:
            check("data.", above=0, batch_seconds=batch_seconds)
        check("data.", integer=True, at_least=0, at_most=most_workers, num_workers=num_workers)
        self.sample_rate_hz = SAMPLE_RATE_HZ
        self.batch_seconds = batch_seconds
        self._splits = dict(splits)
        self._sources = sources
        self._split_name = split
        self._fold = fold
        self._batch_size = batch_size
        self._eval_batch_size = eval_batch_size
        self._pool_batches = pool_batches
        self._num_workers = num_workers
        self._seed = seed
        self._split: Split | None = None

    @cached_property
    def clips(self) -> LabelledClips:
        """Return the clips, prepared when they are first asked for."""
        return self._sources.open()

    @cached_property
    def _listed(self) -> LabelledClips:
        """Return the clips as file names and lists describe them, before any is decoded."""
        with self._naming_bad_files():
            return self._sources.listed()

    @cached_property
    def _listed_split(self) -> Split:
        """Return the split of these. Raises: UserError where there is none, which names unusable files too."""
        listed = self._listed
        with self._naming_bad_files():
            return self._split_of(listed)

    @contextmanager
    def _naming_bad_files(self) -> Iterator[None]:
        """Add the files that are known to be unusable to the message of an error: they may be why."""
        try:
            yield
        except UserError as error:
            raise UserError("\n".join([str(error), *self._sources.complaints()])) from error

    def listed_clips(self, subset: str) -> dict[str, int]:
        """Count clips of "train", "val" or "test" by label or target before any is decoded.

        Raises: UserError where there is no such split, naming also the files that are known to be unusable.
        """
        return _by_output(self._listed, getattr(self._listed_split, subset))

    @property
    def rules(self) -> dict[str, SplitRule]:
        """Return the named splits; where a corpus of its own is tested on, each of them so that it is."""
        test_corpus = self._sources.test_corpus
        if test_corpus is None:
            return self._splits
        return {name: TestedElsewhere(rule, test_corpus=test_corpus) for name, rule in self._splits.items()}

    def prepare_data(self) -> None:
        """Decode the corpora into the cache, where that has not been done."""
        _ = self.clips

    def prepare_part(self, number: int, n_parts: int) -> int:
        """Decode one part of the corpora: see `Sources.prepare_part`."""
        return self._sources.prepare_part(number, n_parts)

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and split it; doing so again costs nothing."""
        if self._split is not None:
            return
        if "clips" not in self.__dict__:  # what cannot be split is not decoded
            _ = self._listed_split
        self._split = self._split_of(self.clips)
        for part in self.clips.parts:
            for line in part.packed.report.lines():
                log.warning("%s: %s", part.corpus.title, line)
        if self.clips.long:
            log.warning("%s: %s", self.clips.long_clips.sentence, some(self.clips.long))
        for kind, names in self._odd_parts().items():
            log.warning(_ODD[kind], ", ".join(names))

    def _split_of(self, clips: LabelledClips) -> Split:
        """Split clips; those without a label to test by may only train."""
        by_rule = split(clips.manifest, self.rules[self._split_name], self._fold)
        testable = replace(
            by_rule,
            val=tuple(row for row in by_rule.val if clips.testable[row]),
            test=tuple(row for row in by_rule.test if clips.testable[row]),
        )
        refuse_empty(testable, self._fold)
        return testable

    @property
    def task(self) -> Task:
        """Return what is predicted of these clips."""
        return self.clips.task

    @property
    def manifest(self) -> Manifest:
        """Return the manifest of every clip; ``split`` points into it."""
        return self.clips.manifest

    @property
    def split(self) -> Split:
        """Return which clips train, validate and test."""
        assert self._split is not None, "setup() comes first"
        return self._split

    def training_targets(self) -> Tensor:
        """Return what the training clips, or their pieces, are trained as, (P, K) float32."""
        trained = self.clips.pieces.clip[self.clips.pieces_of(self.split.train)]
        return torch.from_numpy(self.clips.target[trained])

    def clips_by_output(self, subset: str) -> dict[str, int]:
        """Count clips of "train", "val" or "test" by label or target, those without any included."""
        return _by_output(self.clips, getattr(self.split, subset))

    def warnings(self) -> dict[str, int]:
        """Count warnings of each kind, of the clips and of the split; those of the split are logged by `setup`."""
        counts = self.clips.warnings() | {kind: len(names) for kind, names in self._odd_parts().items()}
        used = (*self.split.train, *self.split.val, *self.split.test)
        outside = int(np.delete(self.clips.testable, used).sum())
        return counts | ({"outside_split": outside} if outside else {})

    def _odd_parts(self) -> dict[str, list[str]]:
        """Return the speakers and labels that make a split odd, by kind of warning."""
        validating = (self.manifest[row] for row in self.split.val)
        validators = sorted({clip.speaker for clip in validating if clip.speaker_is_known})
        absent = {"train": self.task.untrained(self.training_targets().numpy())}  # a clip may teach several labels
        for subset, rows in (("val", self.split.val), ("test", self.split.test)):
            absent[subset] = [label for label, n in self.clips_by_output(subset).items() if rows and not n]
        trained = {self.manifest[row].speaker for row in self.split.train}
        shared = [who for who in validators if who in trained and self.split.speaker_independent]
        kinds = {
            "validation_on_training_speakers": shared,
            "one_validation_speaker": validators if len(validators) == 1 and not shared else [],
        }
        kinds |= {f"labels_not_in_{subset}": labels for subset, labels in absent.items()}
        return {kind: names for kind, names in kinds.items() if names}

    def protocol(self) -> dict[str, Any]:
        """Return the protocol of a result on this data, as plain values."""
        return dict(self._protocol)

    @cached_property
    def _protocol(self) -> dict[str, Any]:
        """Return the protocol, made once; it compares the test with what trains, as for any other checkpoint."""
        record = TrainingRecord.from_stamp(self._training_record)
        assert record is not None
        leakage = record.leakage(self.clips, self.split.test, same_speakers=self.clips.same_speakers)
        return {
            "corpus": self.clips.name,
            "split": self._split_name,
            "fold": self._fold,
            "split_hash": self.split.hash(self.manifest),
            "speaker_independent": keeps_test_apart(leakage)
            and (self.split.speaker_independent or all(clip.speaker_is_known for clip in self.manifest)),
            **self.clips.facts,
            "n_train": len(self.split.train),
            "n_val": len(self.split.val),
            "n_test": len(self.split.test),
        }

    def training_record(self) -> dict[str, Any]:
        """Return which speakers and sounds train, validate and test, as plain values for a checkpoint's stamp.

        ``heard`` has the known speakers, with their corpus's name, hashes of the clips' sound, silent ones left
        out: silence is nobody's, and how many clips are of unknown speakers. ``held_out`` has the same of the test.
        ``contents`` has a digest of each part: sounds, speakers, labels.
        """
        return dict(self._training_record)

    @cached_property
    def _training_record(self) -> dict[str, Any]:
        """Return the record, made once: all clips are gone through for it, and a run asks several times."""
        people, target = self.clips.people, self.clips.target
        records, contents = {}, {}
        for subset in SUBSETS:
            clips = [(self.manifest[row], people[row], target[row]) for row in getattr(self.split, subset)]
            records[subset] = {
                "speakers": sorted({who for clip, who, _ in clips if clip.speaker_is_known}),
                "clips": sorted({clip.audio_hash for clip, _, _ in clips if clip.peak >= SILENT_PEAK}),
                "n_unknown": sum(not clip.speaker_is_known for clip, _, _ in clips),
            }
            contents[subset] = digest_of(
                sorted(f"{clip.audio_hash} {who} {labels.tolist()}" for clip, who, labels in clips)
            )
        return {
            "heard": {subset: records[subset] for subset in ("train", "val")},
            "held_out": records["test"],
            "lists": self.clips.lists,
            "same_speakers": self.clips.same_speakers,
            "contents": contents,
        }

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled batches of the training clips."""
        return self._loader(self.split.train, self._batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Return batches of the validation clips; none where the protocol has no validation set."""
        return self._loader(self.split.val, self._eval_batch_size) if self.split.val else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return batches of the test clips."""
        return self._loader(self.split.test, self._eval_batch_size)

    def _loader(self, rows: tuple[int, ...], batch_size: int, *, shuffle: bool = False) -> DataLoader[Batch]:
        """Return batches of this process; a resumed training begins with the order of its epoch."""
        sampler = LengthBuckets(
            self.clips.pieces_of(rows),
            self.clips.pieces.n_samples,
            batch_size=batch_size,
            shuffle=shuffle,
            batch_seconds=self.batch_seconds,
            pool_batches=self._pool_batches,
            seed=self._seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            n_ranks=self.trainer.world_size if self.trainer else 1,
        )
        sampler.set_epoch(self.trainer.current_epoch if self.trainer else 0)
        return DataLoader(
            ClipBatches(self.clips),
            sampler=sampler,
            batch_size=None,  # the dataset makes whole batches
            num_workers=self._num_workers,
            pin_memory=torch.cuda.is_available(),
        )


def _by_output(clips: LabelledClips, rows: Sequence[int]) -> dict[str, int]:
    """Count the clips of these rows by label or target."""
    return clips.task.count_clips(clips.reference[np.asarray(rows, dtype=np.int64)])
