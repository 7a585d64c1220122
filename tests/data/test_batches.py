"""Batches: every clip, of about one length, the same again."""

import pickle

import numpy as np
import pytest
import torch
from conftest import config
from torch.utils.data import DataLoader

from ser_lightning.data.batches import LengthBuckets, clip_batches
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


def test_little_is_padding_where_batches_are_sorted_together():
    batches = list(buckets(pool_batches=16))
    padded = sum(LENGTHS[batch].max() * len(batch) for batch in batches)
    at_random = [ROWS[start : start + 32] for start in range(0, len(ROWS), 32)]
    padded_at_random = sum(LENGTHS[batch].max() * len(batch) for batch in at_random)
    assert padded < 1.1 * LENGTHS[ROWS].sum() < padded_at_random


def test_batches_are_as_long_as_chance_has_it_where_none_are_sorted():
    lengths = [LENGTHS[batch] for batch in buckets(pool_batches=1) if len(batch) == 32]
    assert len(lengths) == 15
    assert all(batch.min() < 35_000 and batch.max() > 65_000 for batch in lengths)
    assert sorted(row for batch in buckets(pool_batches=1) for row in batch) == sorted(ROWS)


@pytest.mark.parametrize("rank", range(4))
def test_fewer_clips_than_processes_are_refused_in_all_of_them(rank):
    with pytest.raises(UserError, match="3 clips are too few for 4 processes"):
        LengthBuckets(range(3), LENGTHS, batch_size=32, shuffle=False, rank=rank, n_ranks=4)


@pytest.mark.parametrize(("n_clips", "shuffle"), [(200, True), (7, False)])
def test_more_processes_than_batches_are_refused(n_clips, shuffle):
    with pytest.raises(UserError, match=f"{n_clips} clips are too few for 8 processes: lower trainer.devices"):
        LengthBuckets(range(n_clips), LENGTHS, batch_size=32, shuffle=shuffle, rank=7, n_ranks=8)


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
        ("data.batch_seconds=0", "data.batch_seconds=0 is out of range: it must be a number, above 0"),
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


LONG = np.concatenate([LENGTHS, np.arange(1, 60) * 160_000])  # up to 590 s
AMONG_LONG = [*ROWS, *range(1000, len(LONG))]


def buckets_with_long(**changes):
    return LengthBuckets(
        AMONG_LONG, LONG, **{"batch_size": 32, "shuffle": True, "seed": 7, "batch_seconds": 200.0} | changes
    )


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_no_batch_is_longer_than_it_may_be_unless_it_is_one_clip(shuffle, n_ranks):
    shares = [buckets_with_long(shuffle=shuffle, rank=rank, n_ranks=n_ranks) for rank in range(n_ranks)]
    epochs = [[(sampler.set_epoch(epoch), list(sampler))[1] for sampler in shares] for epoch in range(5)]
    for ranks in epochs:
        rows = [row for batches in ranks for batch in batches for row in batch]
        assert len(set(rows)) == len(rows)
        assert {len(batches) for batches in ranks} == {len(shares[0])}, "a process would wait for another"
        assert (n_ranks > 1 and shuffle) or sorted(rows) == sorted(AMONG_LONG)
        for batch in (batch for batches in ranks for batch in batches):
            assert len(batch) == 1 or LONG[batch].max() * len(batch) <= 200 * 16_000
    assert (epochs[0] != epochs[1]) is shuffle


def test_short_clips_are_batched_as_if_there_were_no_bound():
    for shuffle in (True, False):
        assert list(buckets(shuffle=shuffle, batch_seconds=5 * 32)) == list(
            buckets(shuffle=shuffle, batch_seconds=1e9)
        )
        assert list(buckets(shuffle=shuffle, batch_seconds=4 * 32)) != list(buckets(shuffle=shuffle))
    assert list(buckets(batch_size=128)) == list(buckets(batch_size=128, batch_seconds=1152))
    short = sorted(map(sorted, buckets_with_long(batch_seconds=160.0)), key=len)[-15:]  # of 503 clips in 16 batches
    assert {len(batch) for batch in short} == {32}


@pytest.mark.parametrize(("n_clips", "n_ranks"), [(3, 2), (6, 4), (5, 4), (7, 3), (9, 2)])
def test_each_process_evaluates_as_many_batches_of_clips_that_go_alone(n_clips, n_ranks):
    lengths = np.full(n_clips, 300 * 16_000)
    shares = [
        list(
            LengthBuckets(
                range(n_clips),
                lengths,
                batch_size=8,
                shuffle=False,
                batch_seconds=200.0,
                rank=rank,
                n_ranks=n_ranks,
            )
        )
        for rank in range(n_ranks)
    ]
    assert sorted(row for batches in shares for batch in batches for row in batch) == list(range(n_clips))
    assert len({len(batches) for batches in shares}) == 1
    assert all(batch for batches in shares for batch in batches)


def test_all_of_a_corpus_passes_through_short_batches_too(datamodule):
    rows = list(range(20))
    given = {
        row: samples[:length].tolist()
        for batch, waveform, lengths in clip_batches(
            datamodule.clips, rows, what="", change=None, batch_seconds=4.0
        )
        for row, samples, length in zip(batch, waveform, lengths, strict=True)
        if len(batch) == 1 or waveform.shape[1] * len(batch) <= 4 * 16_000
    }
    assert given == {row: datamodule.clips.gather([row])[0][0].tolist() for row in rows}
