"""A run goes on with the data that it began with, or says what differs."""

import pytest
from conftest import config
from layouts import make_csv, tone
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training import experiment
from ser_lightning.training.experiment import make_data, train
from ser_lightning.training.resuming import check_same_data
from ser_lightning.utils.errors import UserError

SMALL = ("model.net.channels=[4,8]", "model.net.n_hidden=8", "model.frontend.n_mels=16", "trainer.max_epochs=2")


class PowerCut(Callback):
    """Stops a training in its second epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1:
            raise RuntimeError("power cut")


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def stopped(cfg, run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "progress", PowerCut)
        with pytest.raises(RuntimeError, match="power cut"):
            train(cfg, run)


@pytest.mark.parametrize("how", ["resume", "the same command"])
def test_a_list_that_was_edited_is_refused_and_restored_it_goes_on(tmp_path, monkeypatch, how):
    listed, run = make_csv(tmp_path), RunDirectory(tmp_path / "run")
    original = listed.read_text()
    cfg = config("data=csv", f"data.manifest={listed}", *SMALL, "logger=none")
    stopped(cfg, run, monkeypatch)
    again = config(f"resume={run.path}") if how == "resume" else cfg
    before = run.last.read_bytes()
    edit(listed, "clips/5.wav,upset,p2", "clips/5.wav,upset,p1")
    said = r"speakers changed part: my:p\d \(.* → .*\).*Restore.*hydra\.run\.dir"
    with pytest.raises(UserError, match=said) as caught:
        train(again, run)
    assert len(str(caught.value).splitlines()) == 1
    assert run.last.read_bytes() == before and run.read_result().plain()["status"] == "failed"
    listed.write_text(original)
    (tmp_path / "clips").rename(tmp_path / "moved")  # elsewhere, and the same
    (tmp_path / "clips").symlink_to(tmp_path / "moved")
    train(again, run)
    leakage = run.read_result().plain()["leakage"]
    assert leakage.keys() == {"train/test", "val/test", "train/val"}
    assert all(shared == {"speakers": [], "n_sounds": 0} for shared in leakage.values())


def test_a_config_that_was_edited_is_refused_and_restored_it_goes_on(tmp_path, monkeypatch):
    listed, run = make_csv(tmp_path), RunDirectory(tmp_path / "run")
    cfg = config("data=csv", f"data.manifest={listed}", *SMALL, "logger=none", "model.optimizer.lr=1e-3")
    stopped(cfg, run, monkeypatch)
    original = run.config.read_text()
    run.config.write_text(original.replace("seed: 0\n", "seed: 5\n").replace("lr: 0.001\n", "lr: 0.002\n"))
    with pytest.raises(UserError, match=r"seed was 0 and is 5.*Restore them in its config\.yaml") as caught:
        train(config(f"resume={run.path}"), run)
    assert "model.optimizer.lr was 0.001 and is 0.002" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    run.config.write_text(original)
    train(config(f"resume={run.path}"), run)
    assert run.read_result().plain()["seed"] == 0


def test_a_run_that_was_moved_with_its_data_goes_on(tmp_path, monkeypatch):
    listed, run = make_csv(tmp_path / "here"), RunDirectory(tmp_path / "here" / "run")
    stopped(config("data=csv", f"data.manifest={listed}", *SMALL, "logger=none"), run, monkeypatch)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = RunDirectory(tmp_path / "there" / "run")
    edit(moved.config, str(listed), str(tmp_path / "there" / listed.name))
    train(config(f"resume={moved.path}"), moved)
    assert moved.read_result().plain()["status"] == "finished"


@pytest.fixture
def begun(tmp_path):
    """A list, a way to open it, and the stamp of a checkpoint on it."""
    listed = make_csv(tmp_path)

    def stamp_of_today(*overrides):
        cfg = config("data=csv", f"data.manifest={listed}", *SMALL, "data.split=loso", *overrides)
        data = make_data(cfg)
        module = experiment.make_module(cfg, task=data.task, sample_rate_hz=data.sample_rate_hz)
        return experiment.stamp(cfg, data, module), data

    return listed, stamp_of_today


def rename(listed, old, new):
    """A clip's file and its line in the list."""
    clips = listed.parent / "clips"
    (clips / old).rename(clips / new)
    edit(listed, f"clips/{old}", f"clips/{new}")


def drop_clip(listed):
    lines = listed.read_text().splitlines()
    listed.write_text("\n".join(lines[:-1]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_clip, r"clips fewer: 1"),
        (lambda path: edit(path, ",upset,", ",cross,"), r"labels were calm, upset and are calm, cross"),
        (lambda path: edit(path, "8.wav,calm", "8.wav,upset"), r"clips have other labels, speakers or sounds"),
        (lambda path: edit(path, "p4", "anna"), r"my:anna \(test or none → test\)|my:p4 \(train → none\)"),
        (lambda path: tone(path.parent / "clips" / "8.wav", 5), r"sounds gone from training and validation: 1"),
        (lambda path: tone(path.parent / "clips" / "0.wav", 5), r"clips have other labels, speakers or sounds"),
        (lambda path: rename(path, "9.wav", "90.wav"), r"clips have other names"),
    ],
)
def test_what_differs_is_named(begun, change, said):
    listed, stamp_of_today = begun
    stamp, data = stamp_of_today()
    check_same_data(stamp, data)
    change(listed)
    with pytest.raises(UserError, match=said):
        check_same_data(stamp, stamp_of_today()[1])


def test_a_clip_in_another_part_is_named(begun):
    _, stamp_of_today = begun
    stamp, _ = stamp_of_today("data.split=random", "data.splits.random.val_fraction=0.3")
    other = ("data.split=random", "data.splits.random.val_fraction=0.3", "data.splits.random.seed=5")
    with pytest.raises(UserError, match=r"clips changed part: clips/\d|speakers changed part"):
        check_same_data(stamp, stamp_of_today(*other)[1])


def test_stamps_of_older_checkpoints_are_compared_as_far_as_they_go(begun):
    listed, stamp_of_today = begun
    stamp, data = stamp_of_today()
    older = {key: value for key, value in stamp.items() if key not in ("contents", "lists", "same_speakers")}
    check_same_data(older, data)
    check_same_data({key: value for key, value in older.items() if key != "heard"}, data)
    drop_clip(listed)
    with pytest.raises(UserError, match="clips fewer: 1"):
        check_same_data(older, stamp_of_today()[1])


def test_the_tested_checkpoint_says_whom_it_was_trained_on(begun, tmp_path, monkeypatch):
    """Not today's split."""
    listed, stamp_of_today = begun
    stamp, data = stamp_of_today()
    tested = [data.manifest[row].speaker for row in data.split.test[:1]]
    stamp["heard"]["train"]["speakers"].append(f"my:{tested[0]}")
    monkeypatch.setattr(experiment, "stamp", lambda *_: stamp)
    run = RunDirectory(tmp_path / "run")
    train(config("data=csv", f"data.manifest={listed}", *SMALL, "data.split=loso", "logger=none"), run)
    assert run.read_result().plain()["leakage"]["train/test"] == {"speakers": tested, "n_sounds": 0}
    assert run.read_result().plain()["protocol"]["speaker_independent"] is False


def test_a_run_that_failed_before_it_trained_leaves_its_place_to_a_mended_one(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(UserError, match="nowhere does not exist"):
        train(config(*SMALL, "data=cremad", f"data.root={tmp_path / 'nowhere'}"), run, ["data=cremad"])
    train(config(*SMALL), run, ["data=toy"])
    assert run.read_result().plain()["status"] == "finished"
    assert run.read_overrides() == ["data=toy"]
    with pytest.raises(UserError, match="differs in "):
        train(config(*SMALL, "seed=1"), run)


def test_a_setting_that_is_new_since_and_null_is_no_other_config(tmp_path):
    run = RunDirectory(tmp_path)
    cfg = config("data=toy")
    run.agree_on(cfg)
    saved = OmegaConf.load(run.config)
    del saved.data.same_speakers
    OmegaConf.save(saved, run.config)
    run.agree_on(cfg)
    with pytest.raises(UserError, match=r"differs in data\.same_speakers"):
        run.agree_on(config("data=toy", "data.same_speakers=yes"))
