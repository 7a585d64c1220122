"""Batches of clips of about one length: what a model is trained and tested on, and waveforms of chosen clips.

N: clips of the set.  B: clips of a batch.  T: samples of its longest clip.  K: classes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.prepare.decoding import padded
from ser_lightning.utils.progress import track

Change = Callable[[int, np.ndarray], np.ndarray]  # row and samples (T,) of a clip -> samples
_BATCH_SIZE = 32  # where nothing is trained


class Batch(NamedTuple):
    """Clips and what is true of them. Samples travel as int16; ``index`` is the clip's row in the manifest."""

    waveform: Tensor  # (B, T) int16, padded with zeros
    lengths: Tensor  # (B,) int64, samples
    label: Tensor  # (B,) int64, the class a clip is tested by, -1 where it can only train; (B, K) float32 numbers
    target: Tensor  # (B, K) float32, what it is trained as: one class, shares of several, or numbers
    index: Tensor  # type: ignore[assignment]  # (B,) int64; shadows a method of tuple


class ClipBatches(Dataset[Batch]):
    """Labelled clips, indexed by a list of rows; an item is a whole `Batch`."""

    def __init__(self, clips: LabelledClips):
        self._clips = clips
        self._labels = torch.from_numpy(clips.reference)  # (N,)
        self._targets = torch.from_numpy(clips.target)  # (N, K)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        waveform, lengths = self._clips.gather(rows)
        index = torch.as_tensor(rows)
        return Batch(
            waveform=torch.from_numpy(waveform),
            lengths=torch.from_numpy(lengths),
            label=self._labels[index],
            target=self._targets[index],
            index=index,
        )


class LengthBuckets(Sampler[list[int]]):
    """Batches of clips of about one length, the same for the same seed, epoch and number of processes.

    Shuffled: clips are shuffled, sorted by length within pools of ``pool_batches`` batches (1: not at all), and the
    batches shuffled; of several processes each takes every ``n_ranks``-th, and the few beyond a multiple of
    ``n_ranks`` sit the epoch out. Unshuffled, for evaluation: every clip is in exactly one process's batch. Either
    way each process makes the same number of batches, so that none waits for another at the end.
    """

    def __init__(
        self,
        rows: Sequence[int],
        n_samples: np.ndarray,
        *,
        batch_size: int,
        shuffle: bool,
        pool_batches: int = 16,
        seed: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
    ):
        self._rows = np.asarray(rows, dtype=np.int64)
        self._n_samples = n_samples[self._rows]
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._pool = pool_batches * batch_size
        self._seed = seed
        self._rank = rank
        self._n_ranks = n_ranks
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order."""
        self._epoch = epoch

    def __len__(self) -> int:
        if self._shuffle:
            return math.ceil(len(self._rows) / self._batch_size) // self._n_ranks
        return math.ceil(math.ceil(len(self._rows) / self._n_ranks) / self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._shuffled() if self._shuffle else self._in_order()
        return iter([self._rows[batch].tolist() for batch in batches])

    def _shuffled(self) -> list[np.ndarray]:
        random = np.random.default_rng([self._seed, self._epoch])
        order = random.permutation(len(self._rows))
        batches = []
        for pool in _cut(order, self._pool):
            by_length = pool[np.argsort(self._n_samples[pool], kind="stable")]
            batches += _cut(by_length, self._batch_size)
        shuffled = [batches[number] for number in random.permutation(len(batches))]
        return shuffled[self._rank :: self._n_ranks][: len(self)]

    def _in_order(self) -> list[np.ndarray]:
        longest_first = np.argsort(-self._n_samples, kind="stable")
        return np.array_split(longest_first[self._rank :: self._n_ranks], len(self)) if len(self) else []


def clip_batches(
    clips: LabelledClips, rows: Sequence[int], *, what: str, change: Change | None
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Return rows, their waveforms (B, T) int16 and lengths (B,), batch by batch.

    ``change`` is made to every waveform; ``what`` names the work for the progress bar.
    """
    batches = list(LengthBuckets(rows, clips.n_samples, batch_size=_BATCH_SIZE, shuffle=False))
    for batch in track(batches, what):
        waveform, lengths = clips.gather(batch)
        if change is not None:
            unchanged = zip(batch, waveform, lengths, strict=True)
            waveform, lengths = padded([change(row, samples[:length]) for row, samples, length in unchanged])
        yield batch, torch.from_numpy(waveform), torch.from_numpy(lengths)


def _cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    return [order[start : start + size] for start in range(0, len(order), size)]
