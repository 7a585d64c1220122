"""What is monitored: one setting, checked before anything is trained, that everything else follows."""

import json

import pytest
from conftest import config

from ser_lightning.evaluation.records import Scores
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.monitor import check_monitor, check_validation, direction, monitored
from ser_lightning.runs.result import Metrics
from ser_lightning.training.experiment import train
from ser_lightning.utils.errors import UserError

SMALL = ("model.net.channels=[4,8]", "model.frontend.n_mels=16", "trainer.max_epochs=2", "data.batch_size=16")
NO_FOLLOWER = ("callbacks.early_stopping=null", "callbacks.best_checkpoint=null")
CLIPS = {"anger": 3, "very/angry": 2, "fear": 0}


@pytest.mark.parametrize(
    ("metric", "mode", "way"),
    [
        ("val/uar", "max", "maximize"),
        ("val/loss", "min", "minimize"),
        ("val/recall.very/angry", "max", "maximize"),
    ],
)
def test_a_search_goes_the_way_of_the_metric(metric, mode, way):
    assert direction(metric, mode) == way


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["monitor.metric=train/loss", "monitor.mode=min"],
            r"monitor.metric=train/loss cannot be monitored.* val/uar",
        ),
        (["monitor.metric=uar"], "monitor.metric=uar cannot be monitored"),
        (["monitor.metric=val/recall"], r"val/recall\.LABEL"),
        (["monitor.metric=val/loss"], "does not fit monitor.metric=val/loss: set monitor.mode=min"),
        (["monitor.mode=min"], "set monitor.mode=max"),
        (["monitor.mode=best"], "monitor.mode=best does not fit"),
        (["callbacks.best_checkpoint.monitor=val/loss"], "is not monitor.metric=val/uar: set monitor.metric alone"),
        (["callbacks.early_stopping.mode=min"], "callbacks.early_stopping.mode=min is not monitor.mode=max"),
    ],
)
def test_what_could_not_work_is_refused_in_a_line(overrides, said):
    with pytest.raises(UserError, match=said):
        check_monitor(config(*overrides))


def test_what_works_is_not_refused():
    for overrides in ([], ["monitor.metric=val/loss", "monitor.mode=min"], NO_FOLLOWER):
        check_monitor(config(*overrides))
        check_validation(config(*overrides), CLIPS)
    check_validation(config("monitor.metric=val/recall.very/angry"), CLIPS)
    check_validation(config(*NO_FOLLOWER), dict.fromkeys(CLIPS, 0))
    check_validation(config("trainer.limit_val_batches=0", *NO_FOLLOWER), CLIPS)


@pytest.mark.parametrize(
    ("overrides", "clips", "said"),
    [
        (
            ["monitor.metric=val/recall.joy"],
            CLIPS,
            "nothing predicted is called so.*anger, very/angry, fear",
        ),
        (["monitor.metric=val/recall.fear"], CLIPS, "no validation clip of this fold is fear"),
        ([], dict.fromkeys(CLIPS, 0), r"no validation set.*early_stopping=null callbacks.best_checkpoint=null"),
        (["trainer.limit_val_batches=0"], CLIPS, "no validation set to measure val/uar on"),
        (
            [
                "model.scheduler={_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, _partial_: true}",
                *NO_FOLLOWER,
            ],
            dict.fromkeys(CLIPS, 0),
            "with model.scheduler=null",
        ),
    ],
)
def test_a_validation_set_that_does_not_measure_it_is_refused(overrides, clips, said):
    with pytest.raises(UserError, match=said):
        check_validation(config(*overrides), clips)


def test_what_was_not_measured_is_none():
    test = Scores(uar=0.1, accuracy=0.1)
    result = Metrics(val=Scores(uar=0.5, accuracy=0.4, recall={"very/angry": 0.25}), test=test)
    assert monitored(result, "val/uar") == 0.5
    assert monitored(result, "val/recall.very/angry") == 0.25
    assert monitored(result, "val/recall.joy") is monitored(result, "train/loss") is None
    assert monitored(Metrics(test=test), "val/uar") is None


@pytest.mark.parametrize(
    ("metric", "mode", "at"),
    [("val/recall.anger", "max", ("recall", "anger")), ("val/loss", "min", ("loss",))],
)
def test_every_metric_that_can_be_monitored_works_to_the_end(cremad_root, tmp_path, metric, mode, at):
    run = RunDirectory(tmp_path / "run")
    cfg = config("data=cremad", f"data.root={cremad_root}", *SMALL, "logger=none", f"monitor.mode={mode}")
    cfg.monitor.metric = metric
    cfg.model.scheduler = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "_partial_": True}
    value = train(cfg, run)
    result = json.loads(run.result.read_text())
    found = result["metrics"]["val"]
    for name in at:
        found = found[name]
    assert value == found
    if metric == "val/loss":
        assert result["history"]["val/loss"][result["epochs"]["best"] - 1] == min(result["history"]["val/loss"])


def test_without_validation_by_a_limit_the_last_epoch_is_tested(cremad_root, tmp_path):
    run = RunDirectory(tmp_path / "run")
    asked = ["data=cremad", f"data.root={cremad_root}", *SMALL, "logger=none", "trainer.limit_val_batches=0"]
    assert train(config(*asked, *NO_FOLLOWER, "callbacks.last_checkpoint=null"), run) is None
    result = json.loads(run.result.read_text())
    assert result["metrics"]["val"] is None
    assert (result["epochs"]["best"], result["protocol"]["selection"]) == (2, "last epoch")
