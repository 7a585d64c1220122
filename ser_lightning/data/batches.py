"""Batches of clips of about one length: what a model is trained and tested on, and waveforms of chosen clips.

A clip that is cut into pieces is several clips here: see `long_clips`.

N: clips of the set, pieces included.  B: clips of a batch.  T: samples of its longest clip.  K: classes.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ, padded
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.progress import track

Change = Callable[[int, np.ndarray], np.ndarray]  # row and samples (T,) of a clip -> samples
_LEAST_SECONDS, _SECONDS_A_CLIP = 600.0, 9.0  # of a batch whose bound is not given: no corpus here has longer clips
_BATCH_SIZE = 32  # where nothing is trained


class Batch(NamedTuple):
    """Clips and what is true of them. Samples travel as int16; ``index`` is the clip's number among the pieces.

    That is its row in the manifest too, but for the second piece of a clip and those that follow.
    """

    waveform: Tensor  # (B, T) int16, padded with zeros
    lengths: Tensor  # (B,) int64, samples
    label: Tensor  # (B,) int64, the class a clip is tested by, -1 where it can only train; (B, K) float32 numbers
    target: Tensor  # (B, K) float32, what it is trained as: one class, shares of several, or numbers
    index: Tensor  # type: ignore[assignment]  # (B,) int64; shadows a method of tuple


class ClipBatches(Dataset[Batch]):
    """Labelled clips, indexed by a list of pieces; an item is a whole `Batch`."""

    def __init__(self, clips: LabelledClips):
        self._clips = clips
        self._labels = torch.from_numpy(clips.reference[clips.pieces.clip])  # (N,)
        self._targets = torch.from_numpy(clips.target[clips.pieces.clip])  # (N, K)

    def __getitem__(self, pieces: Sequence[int]) -> Batch:
        waveform, lengths = self._clips.gather(pieces)
        index = torch.as_tensor(pieces)
        return Batch(
            waveform=torch.from_numpy(waveform),
            lengths=torch.from_numpy(lengths),
            label=self._labels[index],
            target=self._targets[index],
            index=index,
        )


class LengthBuckets(Sampler[list[int]]):
    """Batches of clips of about one length, the same for the same seed, epoch and number of processes.

    A batch holds ``batch_size`` clips, or fewer where these are so long that it would hold more than
    ``batch_seconds``, padding counted; a clip that is longer than that is alone in its batch. None is 9 a clip, or
    600 where that is more.

    Shuffled: clips are shuffled, sorted by length within pools of ``pool_batches`` batches (1: not at all), and the
    batches shuffled; of several processes each takes every ``n_ranks``-th, and the few beyond a multiple of
    ``n_ranks`` sit the epoch out. Clips that fit ``batch_size`` at a time are batched apart from those that fit
    only a smaller power of two: every epoch has as many batches. Unshuffled, for evaluation: every clip is in
    exactly one process's batch. Either way each process makes the same number of batches, so that none waits for
    another at the end.
    """

    def __init__(
        self,
        rows: Sequence[int],
        n_samples: np.ndarray,
        *,
        batch_size: int,
        shuffle: bool,
        batch_seconds: float | None = None,
        pool_batches: int = 16,
        seed: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
    ):
        self._rows = np.asarray(rows, dtype=np.int64)
        self._n_samples = n_samples[self._rows]
        self._sizes = _batch_sizes(self._n_samples, batch_size, batch_seconds)
        self._shuffle = shuffle
        self._pool_batches = pool_batches
        self._seed = seed
        self._rank = rank
        self._n_ranks = n_ranks
        self._epoch = 0
        if n_ranks > 1 and len(rows) and (len(rows) < n_ranks or not len(self)):  # in all processes, or they wait
            few = f"{counted(rows, 'clip')} are too few for {n_ranks} processes"
            raise UserError(f"{few}: lower trainer.devices or data.batch_size")

    @property
    def largest(self) -> int:
        """Return the most clips that a batch may hold."""
        return int(self._sizes.max())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order."""
        self._epoch = epoch

    def __len__(self) -> int:
        if not self._shuffle:
            return len(self._in_order)
        sizes, n_clips = np.unique(self._sizes, return_counts=True)
        return int((-(-n_clips // sizes)).sum()) // self._n_ranks

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._shuffled() if self._shuffle else self._in_order
        return iter([self._rows[batch].tolist() for batch in batches])

    def _shuffled(self) -> list[np.ndarray]:
        """Return the batches of this process in the epoch's order."""
        random = np.random.default_rng([self._seed, self._epoch])
        order = random.permutation(len(self._rows))
        batches = []
        for size in np.unique(self._sizes)[::-1]:
            for pool in _cut(order[self._sizes[order] == size], self._pool_batches * size):
                by_length = pool[np.argsort(self._n_samples[pool], kind="stable")]
                batches += _cut(by_length, size)
        shuffled = [batches[number] for number in random.permutation(len(batches))]
        return shuffled[self._rank :: self._n_ranks][: len(self)]

    @cached_property
    def _in_order(self) -> list[np.ndarray]:
        """Return the batches of this process, the longest clips first."""
        longest_first = np.argsort(-self._n_samples, kind="stable")
        sizes = self._sizes[longest_first]
        batches, first = [], 0
        while first < len(sizes) and sizes[first] < sizes[-1]:
            batches.append(longest_first[first : first + sizes[first]])
            first += sizes[first]
        shorter = longest_first[first:]
        if len(shorter):
            batches += np.array_split(shorter, -(-len(shorter) // sizes[-1]))
        return _as_many_for_each(batches, self._n_ranks)[self._rank :: self._n_ranks]


def clip_batches(
    clips: LabelledClips, pieces: Sequence[int], *, what: str, change: Change | None, batch_seconds: float | None
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Yield pieces of clips, their waveforms (B, T) int16 and lengths (B,), batch by batch.

    ``change`` is made to every waveform; ``what`` names the work for the progress bar.
    """
    buckets = LengthBuckets(
        pieces, clips.pieces.n_samples, batch_size=_BATCH_SIZE, shuffle=False, batch_seconds=batch_seconds
    )
    batches = list(buckets)
    for batch in track(batches, what, size=len):
        waveform, lengths = clips.gather(batch)
        if change is not None:
            unchanged = zip(clips.pieces.clip[batch].tolist(), waveform, lengths, strict=True)
            waveform, lengths = padded([change(row, samples[:length]) for row, samples, length in unchanged])
        yield batch, torch.from_numpy(waveform), torch.from_numpy(lengths)


def _batch_sizes(n_samples: np.ndarray, batch_size: int, batch_seconds: float | None) -> np.ndarray:
    """Return how many clips as long as each (N,) go into a batch: all, else the power of two that fits."""
    if batch_seconds is None:
        batch_seconds = max(_LEAST_SECONDS, _SECONDS_A_CLIP * batch_size)
    fitting = np.maximum(1, int(batch_seconds * SAMPLE_RATE_HZ) // np.maximum(1, n_samples))
    power_of_two = 2 ** np.floor(np.log2(fitting)).astype(np.int64)
    return np.where(fitting >= batch_size, batch_size, power_of_two)


def _as_many_for_each(batches: list[np.ndarray], n_ranks: int) -> list[np.ndarray]:
    """Return a multiple of ``n_ranks`` batches: the largest are halved, or the last, of short clips, joined."""
    n_clips = sum(map(len, batches))
    n_wanted = -(-len(batches) // n_ranks) * n_ranks
    if n_wanted > n_clips:
        n_wanted = n_clips // n_ranks * n_ranks
    while len(batches) < n_wanted:
        largest = max(range(len(batches)), key=lambda number: len(batches[number]))
        batches[largest : largest + 1] = np.array_split(batches[largest], 2)
    while len(batches) > n_wanted > 0:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def _cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    return [order[start : start + size] for start in range(0, len(order), size)]
