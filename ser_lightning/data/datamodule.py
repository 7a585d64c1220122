"""A corpus, a split and a fold as a LightningDataModule of `Batch`es."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from ser_lightning.data.audio import SAMPLE_RATE_HZ
from ser_lightning.data.batch import Batch
from ser_lightning.data.cache import PackedCorpus, prepare
from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.loading import ClipBatches, LengthBuckets
from ser_lightning.data.manifest import Manifest
from ser_lightning.data.report import Report
from ser_lightning.data.splits import Split, SplitRule, split
from ser_lightning.errors import UserError

log = logging.getLogger(__name__)


class EmotionDataModule(LightningDataModule):
    """Prepares a corpus once, splits it, and serves length-bucketed batches.

    Args:
        corpus: name of a file in ``data/corpora``.
        root: where the corpus lies; None for one that is synthesised.
        split: which of ``splits`` to use.
        fold: which fold of it tests.
        splits: the named rules.
        on_bad: "error" or "exclude", for files that cannot be used.
        batch_size: clips a training batch, in each process.
        eval_batch_size: clips a batch in validation and test.
        num_workers: processes that gather batches; gathering is a copy out of memory, so 0 does.
        seed: of the order of the training clips.

    Raises: UserError from `setup`, for anything about the corpus or the split that a person can mend.
    """

    def __init__(
        self,
        *,
        corpus: str,
        split: str,
        splits: Mapping[str, SplitRule],
        fold: int = 0,
        root: str | None = None,
        on_bad: str = "error",
        batch_size: int = 32,
        eval_batch_size: int = 64,
        num_workers: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        if split not in splits:
            raise UserError(f"data.split={split} is not there: {corpus} has {', '.join(splits)}")
        self.corpus = load_corpus(corpus)
        self.labels = self.corpus.labels
        self.sample_rate_hz = SAMPLE_RATE_HZ
        self.synthetic = self.corpus.synthesise is not None
        self._root = Path(root).expanduser() if root is not None else None
        self._on_bad = on_bad
        self._split_name = split
        self._rule = splits[split]
        self._fold = fold
        self._batch_size = batch_size
        self._eval_batch_size = eval_batch_size
        self._num_workers = num_workers
        self._seed = seed
        self._packed: PackedCorpus | None = None

    def prepare_data(self) -> None:
        """Decode the corpus into the cache, where that has not been done."""
        if self._packed is None:
            prepare(self.corpus, self._root, on_bad=self._on_bad)

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and split it; doing so again costs nothing."""
        if self._packed is not None:
            return
        self._packed = prepare(self.corpus, self._root, on_bad=self._on_bad)
        self._split = split(self.manifest, self._rule, self._fold)
        position = {label: number for number, label in enumerate(self.labels)}
        self._targets = torch.tensor([position[row.emotion] for row in self.manifest])  # (N,)
        for line in self.report.lines():
            log.warning("%s: %s", self.corpus.title, line)

    @property
    def manifest(self) -> Manifest:
        """Every clip of the corpus; a batch's ``index`` points into it."""
        assert self._packed is not None, "setup() comes first"
        return self._packed.manifest

    @property
    def audio_folder(self) -> Path:
        """Where the paths of the manifest begin."""
        return Path(self.report.folder)

    @property
    def split(self) -> Split:
        """Which clips train, validate and test."""
        return self._split

    def class_counts(self) -> Tensor:
        """Training clips a label, (K,) int64."""
        return torch.bincount(self._targets[list(self._split.train)], minlength=len(self.labels))

    def protocol(self) -> dict[str, Any]:
        """What a result on this data was measured on, as plain values."""
        return {
            "corpus": self.corpus.name,
            "split": self._split_name,
            "fold": self._fold,
            "split_hash": self._split.hash(self.manifest),
            "speaker_independent": self._split.speaker_independent,
            "label_source": "intended",
            "n_train": len(self._split.train),
            "n_val": len(self._split.val),
            "n_test": len(self._split.test),
        }

    @property
    def report(self) -> Report:
        """What preparation found."""
        assert self._packed is not None, "setup() comes first"
        return self._packed.report

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training clips."""
        return self._loader(self._split.train, self._batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Batches of the validation clips; none where the protocol has no validation set."""
        return self._loader(self._split.val, self._eval_batch_size) if self._split.val else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test clips."""
        return self._loader(self._split.test, self._eval_batch_size)

    def _loader(self, rows: tuple[int, ...], batch_size: int, *, shuffle: bool = False) -> DataLoader[Batch]:
        assert self._packed is not None, "setup() comes first"
        sampler = LengthBuckets(
            rows,
            self._packed.n_samples,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self._seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            n_ranks=self.trainer.world_size if self.trainer else 1,
        )
        sampler.set_epoch(self.trainer.current_epoch if self.trainer else 0)
        return DataLoader(
            ClipBatches(self._packed, self._targets),
            sampler=sampler,
            batch_size=None,  # the dataset makes whole batches
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
