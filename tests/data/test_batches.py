"""Batches: every clip, of about one length, the same again."""

import pickle

import numpy as np
import pytest
import torch
from conftest import config
from torch.utils.data import DataLoader

from ser_lightning.data.batches import LengthBuckets
from ser_lightning.training.experiment import make_data, unsplit_data
from ser_lightning.utils.errors import UserError

LENGTHS = np.random.default_rng(1).integers(20_000, 80_000, 1000)
ROWS = [*range(0, 1000, 2), 1, 3, 5]


def buckets(**changes):
    return LengthBuckets(ROWS, LENGTHS, **{"batch_size": 32, "shuffle": True, "seed": 7} | changes)


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_clip_is_there_once(shuffle):
    sampler = buckets(shuffle=shuffle)
    batches = list(sampler)
    assert sorted(row for batch in batches for row in batch) == sorted(ROWS)
    assert len(batches) == len(sampler) == 16


def test_epochs_differ_and_repeat():
    def epoch(number, seed=7):
        sampler = buckets(seed=seed)
        sampler.set_epoch(number)
        return list(sampler)

    assert epoch(3) == epoch(3)
    assert epoch(3) != epoch(4)
    assert epoch(3) != epoch(3, seed=8)


def test_little_is_padding():
    batches = list(buckets())
    padded = sum(LENGTHS[batch].max() * len(batch) for batch in batches)
    at_random = [ROWS[start : start + 32] for start in range(0, len(ROWS), 32)]
    padded_at_random = sum(LENGTHS[batch].max() * len(batch) for batch in at_random)
    assert padded < 1.1 * LENGTHS[ROWS].sum() < padded_at_random


def test_batches_are_as_long_as_chance_has_it_where_none_are_sorted():
    lengths = [LENGTHS[batch] for batch in buckets(pool_batches=1) if len(batch) == 32]
    assert len(lengths) == 15
    assert all(batch.min() < 35_000 and batch.max() > 65_000 for batch in lengths)
    assert sorted(row for batch in buckets(pool_batches=1) for row in batch) == sorted(ROWS)


@pytest.mark.parametrize("pool_batches", [0, -1])
def test_too_small_a_pool_is_refused_in_a_line(pool_batches):
    with pytest.raises(
        UserError, match=f"data.pool_batches={pool_batches} is out of range: it must be a whole number, at least 1"
    ):
        make_data(config("data=toy", f"data.pool_batches={pool_batches}"))


@pytest.mark.parametrize("n_ranks", [2, 3, 7])
def test_processes_share_the_clips(n_ranks):
    evaluated = [list(buckets(shuffle=False, rank=rank, n_ranks=n_ranks)) for rank in range(n_ranks)]
    assert sorted(row for batches in evaluated for batch in batches for row in batch) == sorted(ROWS)
    assert len({len(batches) for batches in evaluated}) == 1
    trained = [buckets(rank=rank, n_ranks=n_ranks) for rank in range(n_ranks)]
    assert len({len(list(sampler)) for sampler in trained} | {len(sampler) for sampler in trained}) == 1
    seen = [row for sampler in trained for batch in sampler for row in batch]
    assert len(seen) == len(set(seen)) > len(ROWS) - 32 * n_ranks


@pytest.fixture
def datamodule(cremad_root):
    return make_data(config("data=cremad", f"data.root={cremad_root}", "data.batch_size=8"))


def test_a_batch_carries_its_clips(datamodule):
    batch = next(iter(datamodule.train_dataloader()))
    clips = [datamodule.manifest[row] for row in batch.index.tolist()]
    assert batch.waveform.dtype == torch.int16
    assert batch.waveform.shape == (8, max(clip.n_samples for clip in clips))
    assert batch.lengths.tolist() == [clip.n_samples for clip in clips]
    assert [datamodule.task.labels[label] for label in batch.label] == [clip.emotion for clip in clips]


def test_worker_processes_give_the_same_batches(datamodule):
    loader = datamodule.train_dataloader()
    workers = DataLoader(
        pickle.loads(pickle.dumps(loader.dataset)), sampler=loader.sampler, batch_size=None, num_workers=2
    )
    for here, there in zip(loader, workers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_the_protocol_says_what_was_measured_on(datamodule):
    protocol = datamodule.protocol()
    assert protocol["speaker_independent"] is True
    assert (protocol["n_train"], protocol["n_val"], protocol["n_test"]) == (48, 24, 24)
    assert datamodule.training_targets().sum(0).tolist() == [8] * 6
    assert datamodule.clips.warnings() == {"missing": 7442 - 96}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.batch_size=0", "data.batch_size=0 is out of range: it must be a whole number, at least 1"),
        ("data.eval_batch_size=2.5", "data.eval_batch_size=2.5"),
        ("data.num_workers=-1", "data.num_workers=-1"),
        ("data.fold=all", "data.fold=all is no whole number: .*-m data.fold=0,1,2"),
        ("data.fold=true", "data.fold=True is no whole number"),
        ("data.splits.kfold.n_folds=2", "data.splits.kfold.n_folds=2 .*at least 3"),
        ("data.splits.random.n_folds=1", "data.splits.random.n_folds=1 .*at least 2"),
        ("data.splits.random.val_fraction=1", "data.splits.random.val_fraction=1"),
        ("data.splits.actors5.folds=[[s01],[s02]]", "a split by folds of speakers has 2: it needs 3"),
    ],
)
def test_what_cannot_be_served_is_refused_before_it_is_prepared(override, said):
    with pytest.raises(UserError, match=said):
        unsplit_data(config(override))
