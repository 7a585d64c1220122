"""Checkpoints that were torn, by a kill or a full disk, and what a run makes of them."""

import errno
import json
import os
import signal
import time

import pytest
import torch
from conftest import config
from lightning.pytorch import Callback

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training import checkpoints, experiment
from ser_lightning.training.checkpoints import AtomicCheckpoints, resumable_checkpoint
from ser_lightning.training.experiment import train
from ser_lightning.utils import signals
from ser_lightning.utils.errors import UserError

SMALL = ("model.net.channels=[4,8]", "model.frontend.n_mels=16", "trainer.max_epochs=4", "data.batch_size=16")


@pytest.fixture
def tiny(cremad_root):
    def overrides(*more):
        return config("data=cremad", f"data.root={cremad_root}", *SMALL, "logger=none", *more)

    return overrides


class Crash(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("power cut")


def break_off(cfg, run, monkeypatch, epoch):
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "progress", lambda: Crash(epoch))
        with pytest.raises(RuntimeError, match="power cut"):
            train(cfg, run)


def outcome(run):
    result = run.read_result().plain()
    learnt = {name: values for name, values in result["history"].items()}
    return result["status"], result["metrics"], result["epochs"], learnt, run.predictions.read_text()


def tear(path, kept):
    os.truncate(path, int(path.stat().st_size * kept))


# the best epoch is not the last one before the crash: the network gets worse by a rate that is far too high
WORSE = ("model.optimizer.lr=0.3", "model.scheduler=null", "callbacks.early_stopping=null")


@pytest.mark.parametrize("kept", [0, 0.5])
@pytest.mark.parametrize("average", ["null", "2"])
def test_a_torn_last_checkpoint_is_named_and_the_best_one_is_gone_on_from(
    tiny, tmp_path, monkeypatch, caplog, kept, average
):
    caplog.set_level("INFO")
    cfg = tiny(*WORSE, f"callbacks.average_weights.epochs={average}")
    whole, broken = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "broken")
    train(cfg, whole)
    break_off(cfg, broken, monkeypatch, epoch=3)
    best = torch.load(broken.best, weights_only=True)["epoch"]
    assert best < torch.load(broken.last, weights_only=True)["epoch"]
    tear(broken.last, kept)
    train(cfg, broken)
    assert f"{broken.last} is damaged and is left out" in caplog.text
    assert f"going on from {broken.best}" in caplog.text
    assert outcome(broken) == outcome(whole)


def test_with_both_torn_it_begins_anew(tiny, tmp_path, monkeypatch, caplog):
    whole, broken = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "broken")
    train(tiny(), whole)
    break_off(tiny(), broken, monkeypatch, epoch=2)
    tear(broken.last, 0.9)
    data = bytearray(broken.best.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 512] = bytes(512)  # never written to the disk
    broken.best.write_bytes(data)
    train(tiny(), broken)
    assert f"{broken.best} is damaged" in caplog.text
    assert "training begins anew" in caplog.text
    assert outcome(broken) == outcome(whole)


@pytest.mark.parametrize("how", ["deleted", "torn"])
def test_without_the_best_one_it_begins_anew_and_tests_no_other_epoch(tiny, tmp_path, monkeypatch, caplog, how):
    cfg = tiny(*WORSE)
    whole, broken = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "broken")
    train(cfg, whole)
    break_off(cfg, broken, monkeypatch, epoch=3)
    broken.best.unlink() if how == "deleted" else tear(broken.best, 0.5)
    moved = RunDirectory(broken.path.rename(tmp_path / "moved"))
    train(cfg, moved)
    assert f"{moved.best}, the best epoch so far, is lost" in caplog.text
    assert outcome(moved) == outcome(whole) and outcome(whole)[2]["best"] < 4


@pytest.mark.parametrize("lacks", ["a best one", "a validation set"])
def test_where_no_epoch_is_the_best_it_goes_on_from_the_last(tiny, tmp_path, monkeypatch, caplog, lacks):
    caplog.set_level("INFO")
    without = {"a best one": (), "a validation set": ("data.split=random", "data.splits.random.val_fraction=0")}
    cfg = tiny(*WORSE, "callbacks.best_checkpoint=null", *without[lacks])
    run = RunDirectory(tmp_path)
    break_off(cfg, run, monkeypatch, epoch=2)
    train(cfg, run)
    assert f"going on from {run.last}" in caplog.text
    assert run.read_result().plain()["protocol"]["selection"] == "last epoch"


def test_a_best_one_that_is_gone_before_the_test_is_named(tiny, tmp_path, monkeypatch):
    run, evaluate = RunDirectory(tmp_path), experiment.evaluate_best

    def without(*args):
        run.best.unlink()
        return evaluate(*args)

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "evaluate_best", without)
        with pytest.raises(UserError, match=r"best\.ckpt, which is to be tested, is gone: the same command trains"):
            train(tiny(), run)
    train(tiny(), run)
    assert run.read_result().plain()["protocol"]["selection"] == "best validation"


def test_the_best_checkpoint_of_half_an_epoch_is_not_gone_on_from(tiny, tmp_path, monkeypatch):
    cfg = tiny("callbacks.best_checkpoint.save_on_train_epoch_end=false")
    run = RunDirectory(tmp_path)
    break_off(cfg, run, monkeypatch, epoch=2)
    tear(run.last, 0)
    assert resumable_checkpoint(run) is None


def test_what_killed_writers_left_is_removed(tiny, tmp_path):
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    left = [run.checkpoints / ".last.ckpt.4711", run.path / ".config.yaml.4712"]
    for path in left:
        path.write_text("half")
    (run.path / ".mine").write_text("kept")
    (run.path / ".mine.txt").write_text("kept")
    with run.claimed():
        assert not any(path.exists() for path in left)
    assert {path.name for path in run.path.iterdir()} == {"checkpoints", ".mine", ".mine.txt", ".lock"}


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"epoch": 1}, path)

    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def flush(self):
            pass

    real = torch.save
    monkeypatch.setattr(checkpoints.torch, "save", lambda content, file: real(content, Full()))
    with pytest.raises(UserError, match=r"no room left for .*last\.ckpt"):
        AtomicCheckpoints().save_checkpoint({"epoch": 2, "weights": torch.zeros(1000)}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(
    ("stopping", "most_epochs"),
    [("callbacks.early_stopping.patience=1", 29), ("+callbacks.early_stopping.stopping_threshold=0.0", 1)],
)
def test_stopped_early_and_killed_before_the_test_it_is_not_trained_further(
    tiny, tmp_path, monkeypatch, stopping, most_epochs
):
    cfg = tiny(*WORSE[:2], stopping, "trainer.max_epochs=30")
    whole, broken = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "broken")
    train(cfg, whole)
    assert whole.read_result().plain()["epochs"]["trained"] <= most_epochs

    def killed(*args):
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "evaluate_best", killed)
        with pytest.raises(RuntimeError, match="power cut"):
            train(cfg, broken)
    train(cfg, broken)
    assert outcome(broken) == outcome(whole)


def test_what_was_typed_is_kept_however_the_run_is_gone_on_with(tiny, tmp_path, monkeypatch):
    run = RunDirectory(tmp_path)
    typed = ["data=cremad", "seed=0"]
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "progress", lambda: Crash(1))
        with pytest.raises(RuntimeError):
            train(tiny(), run, typed)
    train(config(f"resume={run.path}"), run, [f"resume={run.path}"])
    assert run.read_result().plain()["overrides"] == typed
    assert "python train.py data=cremad seed=0" in (run.checkpoints / "model_card.md").read_text()


@pytest.mark.parametrize("name", ["config.yaml", "result.json", "overrides.json"])
def test_an_empty_file_counts_as_not_there(tiny, tmp_path, name):
    run = RunDirectory(tmp_path)
    (run.path / name).touch()
    train(tiny(), run, ["seed=0"])
    assert json.loads(run.result.read_text())["status"] == "finished"


def test_a_signal_waits_until_a_checkpoint_is_written(tmp_path, monkeypatch):
    """Within torch.save, which calls back from C++, an exception would abort the process."""

    def save(checkpoint, file):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        file.write(b"all of it")

    monkeypatch.setattr(torch, "save", save)
    with signals.caught(), pytest.raises(signals.Stopped):
        AtomicCheckpoints().save_checkpoint({}, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == b"all of it"
