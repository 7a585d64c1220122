"""Whole experiments on a tiny corpus: what they leave, that they repeat, that they survive."""

import csv
import errno
import json
import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import config, make_cremad, names_in
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from wandb_log import read_run

from ser_lightning import load_model
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training import experiment
from ser_lightning.training.callbacks import AverageWeights, RichProgress
from ser_lightning.training.experiment import train
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import written_whole

SMALL = ("model.net.channels=[4,8]", "model.frontend.n_mels=16", "trainer.max_epochs=3", "data.batch_size=16")


@pytest.fixture
def tiny(cremad_root):
    def overrides(*more):
        return config("data=cremad", f"data.root={cremad_root}", *SMALL, "logger=none", *more)

    return overrides


def test_the_average_of_the_weights_is_what_is_kept(tiny, tmp_path):
    newest, averaged = RunDirectory(tmp_path / "newest"), RunDirectory(tmp_path / "averaged")
    train(tiny("callbacks.average_weights=null"), newest)
    train(tiny("callbacks.average_weights.epochs=2"), averaged)
    kept = [torch.load(run.last, weights_only=True) for run in (newest, averaged)]
    assert all(
        torch.equal(weights, kept[1]["current_model_state"][name])
        for name, weights in kept[0]["state_dict"].items()
    )
    weights = "net.classify.weight"
    assert not torch.equal(kept[1]["state_dict"][weights], kept[1]["current_model_state"][weights])
    chosen = torch.load(averaged.best, weights_only=True)["state_dict"]
    assert all(
        torch.equal(weights, chosen[name]) for name, weights in load_model(averaged.best).state_dict().items()
    )
    with averaged.metrics.open() as file:
        best = max(float(row["val/uar"]) for row in csv.DictReader(file))
    assert metrics_of(averaged)["val"]["uar"] == pytest.approx(best)


def metrics_of(run):
    return json.loads(run.result.read_text())["metrics"]


@pytest.mark.pictures
def test_a_run_leaves_everything(tiny, tmp_path, capsys):
    run = RunDirectory(tmp_path / "run")
    value = train(tiny("model=cnn_gru", "model.net.n_projected=16", "model.net.n_units=8"), run)
    result = json.loads(run.result.read_text())
    assert result["schema"] == 2
    assert result["status"] == "finished"
    assert result["metrics"]["val"]["uar"] == pytest.approx(value)
    assert set(result["metrics"]["test"]) == {"uar", "accuracy", "macro_f1", "loss", "recall"}
    protocol = {name: value for name, value in result["protocol"].items() if value is not None}
    assert protocol | {"split_hash": ""} == {
        "corpus": "cremad",
        "split": "actors5",
        "fold": 0,
        "split_hash": "",
        "speaker_independent": True,
        "label_source": "intended",
        "n_train": 48,
        "n_val": 24,
        "n_test": 24,
        "selection": "best validation",
    }
    assert sum(map(sum, result["confusion_matrix"])) == 24
    assert result["warnings"] == {"missing": 7346}
    assert result["model"]["name"] == "cnn_gru"
    assert result["throughput"]["train_clips_per_s"] > 0
    assert result["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]
    with run.predictions.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["speaker"] for row in rows} == {"1001", "1002"}
    correct = sum(row["label"] == row["predicted"] for row in rows)
    assert correct / 24 == pytest.approx(result["metrics"]["test"]["accuracy"])
    with run.metrics.open() as file:
        epochs = list(csv.DictReader(file))
    assert [row["epoch"] for row in epochs] == ["1", "2", "3"]
    best = max(epochs, key=lambda row: float(row["val/uar"]))
    assert float(best["val/uar"]) == pytest.approx(value)
    pictures = [run.path / f"{name}.png" for name in ("confusion", "curves", "reliability", "subgroups")]
    for path in (run.config, run.environment, run.checkpoints / "model_card.md", *pictures):
        assert path.stat().st_size > 100
    assert "cnn_gru on cremad" in capsys.readouterr().out


def test_a_checkpoint_needs_nothing_else(tiny, tmp_path):
    run = RunDirectory(tmp_path / "run")
    train(tiny(), run)
    for path in (run.best, run.last):
        stamp = torch.load(path, weights_only=True)["ser_lightning"]
        assert stamp["labels"][0] == "anger"
        assert stamp["protocol"]["corpus"] == "cremad"
        assert stamp["heard"]["train"]["speakers"] == [
            f"cremad:{actor}" for actor in ("1040", "1041", "1060", "1080")
        ]
        assert len(stamp["heard"]["val"]["clips"]) == 24
        model = load_model(path)
        waveform = torch.randn(1, 16_000)
        assert model(waveform, torch.tensor([16_000])).shape == (1, 6)


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(tiny, tmp_path):
    runs = {name: RunDirectory(tmp_path / name) for name in ("one", "again", "other")}
    for name, run in runs.items():
        train(tiny(f"seed={int(name == 'other')}"), run)
    assert metrics_of(runs["one"]) == metrics_of(runs["again"])
    assert metrics_of(runs["one"]) != metrics_of(runs["other"])
    assert runs["one"].predictions.read_text() == runs["again"].predictions.read_text()


class Crash(Callback):
    """Dies in the middle of an epoch."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise self.error


@pytest.mark.parametrize(
    ("epoch", "n_workers"),
    [pytest.param(0, 0, marks=pytest.mark.slow), pytest.param(2, 0, marks=pytest.mark.slow), (1, 1)],
)
def test_a_broken_run_goes_on_as_if_nothing_had_been(tiny, tmp_path, monkeypatch, epoch, n_workers):
    whole, broken = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "broken")
    average = "callbacks.average_weights.epochs=" + ("1" if epoch else "null")
    cfg = tiny(f"data.num_workers={n_workers}", average)
    train(cfg, whole)
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "progress", lambda: Crash(epoch, RuntimeError("power cut")))
        with pytest.raises(RuntimeError):
            train(cfg, broken)
    failed = json.loads(broken.result.read_text())
    assert (failed["status"], failed["reason"]) == ("failed", "RuntimeError: power cut")
    assert broken.last.is_file()
    train(cfg, broken)
    assert metrics_of(broken) == metrics_of(whole)
    assert broken.predictions.read_text() == whole.predictions.read_text()

    def learnt(run):
        with run.metrics.open() as file:
            return [row | {"train/clips_per_s": ""} for row in csv.DictReader(file)]

    assert learnt(broken) == learnt(whole)
    result = json.loads(broken.result.read_text())
    assert result["seconds"] > result["throughput"]["train_s"]  # of both parts


def test_an_average_of_weights_leaves_counts_and_what_does_not_change():
    average = AverageWeights(epochs=1)
    average._weight = 0.5
    count, bounds = torch.tensor(2**24 + 1), torch.tensor([torch.inf, 1.0])
    assert average._average(count - 1, count, torch.tensor(1)) == count
    assert torch.equal(
        average._average(bounds, torch.tensor([torch.inf, 2.0]), torch.tensor(1)), bounds + 0.5 * bounds.isfinite()
    )


def test_what_was_validated_while_training_is_not_validated_again_and_would_give_the_same(
    tiny, tmp_path, monkeypatch
):
    evaluate, validate, validations = experiment.evaluate_best, Trainer.validate, []
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "validate", lambda *args, **options: validations.append(validate(*args, **options)))

        def both(*args):
            given, n_before = evaluate(*args), len(validations)
            assert evaluate(*args[:4])[0]["metrics"]["val"] == given[0]["metrics"]["val"]
            assert (n_before, len(validations)) == (0, 1)
            return given

        patch.setattr(experiment, "evaluate_best", both)
        train(tiny("callbacks.average_weights.epochs=1", "trainer.max_epochs=3"), RunDirectory(tmp_path))
    assert validations


def test_a_moved_run_still_knows_its_best_epoch(tiny, tmp_path, monkeypatch):
    falling = (
        "model.optimizer.lr=1e-12",
        "model.scheduler=null",
    )  # nothing is learnt: the first epoch stays the best
    whole, broken = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "broken")
    train(tiny(*falling), whole)
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "progress", lambda: Crash(2, RuntimeError("power cut")))
        with pytest.raises(RuntimeError):
            train(tiny(*falling), broken)
    moved = RunDirectory(broken.path.rename(tmp_path / "moved"))
    train(config(f"resume={moved.path}"), moved, [f"resume={moved.path}"])
    assert metrics_of(moved) == metrics_of(whole)
    epochs = [json.loads(run.result.read_text())["epochs"] for run in (whole, moved)]
    assert epochs[0] == epochs[1]
    assert epochs[0]["best"] < 3


def test_resume_takes_the_config_from_the_directory(tiny, tmp_path, monkeypatch):
    run = RunDirectory(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "progress", lambda: Crash(1, RuntimeError("power cut")))
        with pytest.raises(RuntimeError):
            train(tiny("seed=5"), run)
    with pytest.raises(UserError, match=r"leave out trainer\.max_epochs=9"):
        train(config(f"resume={run.path}"), run, [f"resume={run.path}", "trainer.max_epochs=9"])
    train(config(f"resume={run.path}"), run, [f"resume={run.path}"])
    result = json.loads(run.result.read_text())
    assert (result["status"], result["seed"], result["protocol"]["corpus"]) == ("finished", 5, "cremad")


def test_a_finished_run_is_left_alone(tiny, tmp_path):
    run = RunDirectory(tmp_path / "run")
    value = train(tiny(), run)
    before = run.result.stat().st_mtime_ns
    assert train(tiny(), run) == value
    assert run.result.stat().st_mtime_ns == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_run_that_ends_before_its_pictures_are_there_is_not_finished(tiny, tmp_path, monkeypatch, error):
    run = RunDirectory(tmp_path)
    drawn = []

    def fails(run_dir, result=None):
        drawn.append(result.status)
        if result.status == "finished":
            assert not run.result.exists()
            raise error

    monkeypatch.setattr("ser_lightning.report.console.finish", fails)
    with pytest.raises(type(error)):
        train(tiny(), run)
    assert run.read_result().plain()["status"] == "failed"
    monkeypatch.setattr("ser_lightning.report.console.finish", lambda *given: drawn.append("drawn"))
    train(tiny(), run)
    assert drawn == ["finished", "failed", "drawn"]
    assert run.read_result().plain()["status"] == "finished"
    assert (run.checkpoints / "model_card.md").is_file()


def test_a_run_that_is_stopped_once_it_is_finished_stays_so(tiny, tmp_path, monkeypatch):
    def stopped(exit_code):
        raise KeyboardInterrupt

    monkeypatch.setattr("ser_lightning.tracking.run.finish", stopped)
    run = RunDirectory(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), run)
    assert run.read_result().plain()["status"] == "finished"


def test_a_disk_that_is_full_after_training_is_said_in_words_with_what_could_not_be_written(
    tiny, tmp_path, monkeypatch
):
    def fails(path, predictions):
        with written_whole(path):
            raise OSError(errno.ENOSPC, "No space left on device")

    run = RunDirectory(tmp_path)
    monkeypatch.setattr("ser_lightning.training.experiment.write_predictions", fails)
    with pytest.raises(UserError, match=r"there is no room left for .*predictions\.csv: make some, and go on"):
        train(tiny(), run)
    assert re.match(r"there is no room left for .*predictions\.csv:", run.read_result().plain()["reason"])
    assert run.last.is_file() and not run.predictions.exists()


@pytest.mark.parametrize("text", ["seed: [0", "- 1\n"])
def test_a_damaged_config_is_named(tiny, tmp_path, text):
    run = RunDirectory(tmp_path)
    run.config.write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml is damaged.*remove its folder"):
        train(tiny(), run)


def test_a_picture_that_cannot_be_drawn_costs_no_result(tiny, tmp_path, monkeypatch, caplog):
    def fails(run_dir, result=None):
        raise RuntimeError("no such font")

    monkeypatch.setattr("ser_lightning.report.console.finish", fails)
    run = RunDirectory(tmp_path)
    train(tiny(), run)
    assert run.read_result().plain()["status"] == "finished"
    assert "could not be made: RuntimeError: no such font" in caplog.text


def test_room_is_kept_for_the_reason(tmp_path):
    run = RunDirectory(tmp_path)
    with run.claimed():
        assert run.reserve.stat().st_size > 10_000
        run.release_reserve()
        assert not run.reserve.exists()
    with run.claimed():
        pass
    assert not run.reserve.exists()


def test_a_directory_holds_one_config_and_one_process(tiny, tmp_path):
    run = RunDirectory(tmp_path / "run")
    train(tiny(), run)
    with pytest.raises(UserError, match=r"differs in model\.optimizer\.lr, .*hydra\.run\.dir"):
        train(tiny("model.optimizer.lr=0.5"), run)
    with run.claimed(), pytest.raises(UserError, match="still going"), RunDirectory(run.path).claimed():
        pass
    with pytest.raises(UserError, match="holds no run"):
        train(config(f"resume={tmp_path}"), RunDirectory(tmp_path))


def test_an_epoch_without_validation_has_no_numbers_of_the_one_before(tiny, tmp_path, caplog):
    caplog.set_level("INFO")
    run = RunDirectory(tmp_path / "run")
    one_step = "trainer.limit_train_batches=1"
    train(tiny("+trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3", one_step), run)
    with run.metrics.open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["val/uar"]) for row in rows] == [False, True, False]
    assert all(row["train/loss"] for row in rows)
    assert [value is not None for value in run.read_result().history["val/loss"]] == [False, True, False]
    lines = [line for line in caplog.messages if line.startswith("epoch ")]
    assert ["val/loss" in line for line in lines] == [False, True, False]
    throughput = run.read_result().throughput  # of which a single step says nothing
    assert throughput.train_clips_per_s is None and throughput.train_s > 0


@pytest.mark.parametrize(("lr", "n_batches", "which"), [("1e30", 1.0, "training"), ("1e10", 1, "validation")])
def test_a_loss_that_is_no_number_stops_the_run(tiny, tmp_path, lr, n_batches, which):
    run = RunDirectory(tmp_path / "run")
    settings = [f"model.optimizer.lr={lr}", "model.scheduler=null", "trainer.gradient_clip_val=null"]
    with pytest.raises(UserError, match=f"{which} loss became"):
        train(tiny(*settings, f"trainer.limit_train_batches={n_batches}"), run)
    assert json.loads(run.result.read_text())["status"] == "failed"


def test_wandb_counts_epochs_from_1_and_is_told_the_learning_rate(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = RunDirectory(tmp_path / "run")
    train(tiny("logger=default"), run)
    told = read_run(run.path)
    with run.metrics.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["epoch"] for row in told.history if "epoch" in row} == {1, 2, 3}
    assert [row["epoch"] for row in told.history if "val/uar" in row] == [1, 2, 3]  # the final test is no epoch
    assert told.column("lr") == pytest.approx([float(row["lr"]) for row in rows])
    assert told.summary["test/ece"] == json.loads(run.result.read_text())["calibration"]["ece"]
    assert told.summary["epochs/trained"] == 3 and float(rows[0]["lr"]) != float(np.float32(rows[0]["lr"]))


def test_the_bar_counts_epochs_from_1():
    bar = RichProgress()
    bar._trainer = SimpleNamespace(max_epochs=3, sanity_checking=False)
    assert [bar._get_train_description(epoch).strip() for epoch in (0, 2)] == ["Epoch 1 of 3", "Epoch 3 of 3"]


def test_on_a_terminal_each_epoch_is_a_line_too(monkeypatch, caplog):
    caplog.set_level("INFO", logger="epochs")
    monkeypatch.setattr(RichProgressBar, "on_validation_end", lambda *_: None)
    bar = RichProgress()
    scores = {"train/loss": torch.tensor(1.5), "val/uar": torch.tensor(0.25)}
    for epoch, is_validated in enumerate((True, False)):
        trainer = SimpleNamespace(
            callback_metrics=scores, current_epoch=epoch, max_epochs=2, sanity_checking=False, loggers=[]
        )
        if is_validated:
            bar.on_validation_end(trainer, None)
        bar.on_train_epoch_end(trainer, None)
    assert caplog.messages == ["epoch 1 of 2  train/loss 1.500  val/uar 0.250", "epoch 2 of 2  train/loss 1.500"]
    assert bar.get_metrics(trainer, None) == {}


def test_without_a_validation_set_the_last_epoch_is_tested(tiny, tmp_path):
    run = RunDirectory(tmp_path / "run")
    off = ("callbacks.early_stopping=null", "callbacks.best_checkpoint=null")
    assert train(tiny("data.split=random", "data.splits.random.val_fraction=0", *off), run) is None
    result = json.loads(run.result.read_text())
    assert result["metrics"]["val"] is None
    assert result["protocol"]["selection"] == "last epoch"
    assert result["protocol"]["speaker_independent"] is False
    assert result["epochs"] == {"trained": 3, "best": 3}


def test_of_two_speakers_the_result_says_that_validation_is_on_the_training_speaker(tmp_path):
    root = make_cremad(tmp_path / "corpus", speakers=("1001", "1002"), sentences=("DFA", "IEO", "TIE"))
    run = RunDirectory(tmp_path / "run")
    train(config("data=cremad", f"data.root={root}", "data.split=loso", "logger=none", *SMALL), run)
    result = json.loads(run.result.read_text())
    protocol, leakage = result["protocol"], result["leakage"]
    assert protocol["selection"] == "best validation, on training speakers"
    assert protocol["speaker_independent"] is True
    assert [protocol[name] for name in ("n_train", "n_val", "n_test")] == [12, 6, 18]
    assert leakage["train/test"]["speakers"] == leakage["val/test"]["speakers"] == []
    assert leakage["train/val"]["speakers"] == ["cremad:1002"]
    assert result["warnings"]["validation_on_training_speakers"] == 1
    assert "one_validation_speaker" not in result["warnings"]
    card = " ".join((run.checkpoints / "model_card.md").read_text().split())
    assert "Validation shares 1 speaker with training" in card
    assert "No speaker and no sound of the test is in training or validation" in card


def test_early_stopping_by_name(tiny, tmp_path):
    run = RunDirectory(tmp_path / "run")
    train(tiny("callbacks.early_stopping.patience=1", "trainer.max_epochs=30", "model.optimizer.lr=1e-9"), run)
    assert json.loads(run.result.read_text())["epochs"]["trained"] < 30


_LARGE = ("resnet18", "resnet_transformer")  # the contract tests train these too, and the notebook's
MODELS = [
    pytest.param(name, marks=pytest.mark.slow) if name in _LARGE or name.startswith("notebook_") else name
    for name in names_in("model")
]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_under_the_default_trainer(cremad_root, tmp_path, name):
    run = RunDirectory(tmp_path / "run")
    small = ["data.batch_size=4", "data.eval_batch_size=4"]
    train(config(f"model={name}", "data=cremad", f"data.root={cremad_root}", "trainer=debug", *small), run)
    assert json.loads(run.result.read_text())["model"]["name"] == name


def test_debug_takes_one_batch_and_leaves_no_checkpoint(tiny, tmp_path):
    run = RunDirectory(tmp_path / "run")
    train(tiny("trainer=debug"), run)
    assert not run.checkpoints.exists()
    assert json.loads(run.result.read_text())["status"] == "finished"


@pytest.mark.parametrize("name", ["notebook_cnn", "notebook_cnn_gru"])
def test_the_notebooks_protocol(cremad_root, name):
    cfg = config(f"experiment={name}", f"data.root={cremad_root}")
    assert cfg.data.split == "random"
    assert cfg.data.splits.random.val_fraction == 0
    assert cfg.data.splits.random.n_folds == 5
    assert (cfg.data.batch_size, cfg.data.pool_batches) == (32, 1)
    assert cfg.callbacks.average_weights is None
    assert (cfg.trainer.max_epochs, cfg.model.optimizer.lr) == {"notebook_cnn": (10, 1e-3)}.get(name, (15, 2.5e-4))
    assert cfg.callbacks.best_checkpoint is None and cfg.model.scheduler is None and cfg.model.augment is None
    assert cfg.trainer.gradient_clip_val is None


def test_what_is_said_of_the_data_is_logged(tiny, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "ser_lightning"):
        train(tiny("trainer=debug"), RunDirectory(tmp_path / "run"))
    assert "7,346 clips of the corpus missing" in caplog.text
