import json
import logging
import os
import sys
import threading
from pathlib import Path

import pytest
import wandb
from conftest import config
from finished_run import LABELS, TRUE, make_predictions, make_run
from label_parts import subgroups
from lightning.pytorch.utilities import rank_zero_only
from wandb_log import clean_environment, read_run

from ser_lightning.evaluation.calibration import calibration
from ser_lightning.report.console import finish as draw
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.tracking import run as wandb_run
from ser_lightning.tracking.environment import has_credentials, wanted_mode
from ser_lightning.tracking.logger import TolerantWandbLogger
from ser_lightning.tracking.run import log_result, wandb_logger
from ser_lightning.training.experiment import _logger

assert clean_environment  # a fixture of every test here
CONFIG = {"seed": 7, "model": {"_target_": "a.B", "dropout": 0.5, "channels": [32, 64], "extra": {}}}


def warnings_of(caplog) -> list[str]:
    """What we said; pytest also catches what wandb keeps to its own debug.log."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("ser_lightning.tracking.")]


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """A whole run through our functions, read back from its .wandb file."""
    home, run_dir = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("WANDB_MODE", raising=False)
        logger = wandb_logger(
            run_dir=run_dir,
            config=CONFIG,
            group="folds",
            tags=("cnn", "toy"),
            job_type="train",
            name="cnn-toy",
        )
        for epoch in range(3):  # as Lightning does
            logger.log_metrics({"val/uar": 0.4 + 0.1 * epoch, "lr": 1e-3, "epoch": epoch}, step=10 * epoch)
        said = make_predictions()
        measured = calibration(said.probabilities, said.labels)
        by_sex = subgroups(
            labels=said.labels,
            predicted=said.predicted,
            speakers=said.speakers,
            columns={"sex": ["female", "male"] * 5},
            names=LABELS,
        )
        parts = {value: part.plain() for value, part in by_sex["sex"].items()}
        make_run(run_dir, calibration=measured.plain(), subgroups={"sex": parts})
        draw(run_dir)
        log_result(logger.wait(), run_dir)
        wandb_run.finish(0)
    return read_run(run_dir), run_dir, home


def test_config_is_flat_and_names_the_run_directory(offline):
    run, run_dir, _ = offline
    assert run.config["seed"] == 7
    assert run.config["model/dropout"] == 0.5
    assert run.config["model/channels"] == [32, 64]
    assert run.config["model/extra"] == {}
    assert run.config["run_dir"] == str(run_dir.resolve())
    assert "model" not in run.config


def test_run_carries_project_group_tags_and_job_type(offline):
    run, run_dir, _ = offline
    assert (run.run.project, run.run.run_group, run.run.job_type) == ("ser_lightning", "folds", "train")
    assert (run.run.display_name, list(run.run.tags)) == ("cnn-toy", ["cnn", "toy"])
    assert run.run.run_id == (run_dir / "wandb_id.txt").read_text().strip()
    assert run.exit_code == 0


def test_history_keeps_every_epoch(offline):
    run, *_ = offline
    assert run.column("val/uar") == pytest.approx([0.4, 0.5, 0.6])
    assert run.column("trainer/global_step")[:3] == [0, 10, 20]
    assert run.column("epoch") == [1, 2, 3]
    assert run.column("lr") == [1e-3] * 3


def test_summary_holds_the_test_scores_and_those_of_the_chosen_epoch(offline):
    run, *_ = offline
    assert run.summary["test/uar"] == pytest.approx((3 / 4 + 1 / 3 + 2 / 3) / 3)
    assert run.summary["test/recall.fear"] == pytest.approx(1 / 3)
    assert run.summary["val/uar"] == 0.5
    assert run.summary["test/ece"] == pytest.approx(0.2) and run.summary["test/confidence"] == pytest.approx(0.8)
    assert run.summary["protocol/speaker_independent"] is True
    assert (run.summary["status"], run.summary["epochs/best"]) == ("finished", 2)


def read_table(run_dir: Path, entry: dict) -> dict:
    (path,) = (run_dir / "wandb").glob(f"offline-run-*/files/{entry['path']}")
    return json.loads(path.read_text())


def test_confusion_matrix_is_a_chart_of_its_own_with_the_right_counts(offline):
    run, run_dir, _ = offline
    charts = run.config["_wandb"]["visualize"]
    assert charts["test/confusion_matrix"]["panel_config"]["panelDefId"] == "wandb/confusion_matrix/v1"
    assert charts["test/recall"]["panel_config"]["panelDefId"] == "wandb/bar/v0"
    (entry,) = run.column("test/confusion_matrix_table")
    table = read_table(run_dir, entry)
    assert table["columns"] == ["Actual", "Predicted", "nPredictions"]
    assert ["anger", "fear", 1.0] in table["data"]
    assert ["fear", "neutral", 2.0] in table["data"]
    assert sum(row[2] for row in table["data"]) == len(TRUE)


def test_recall_and_predictions_are_tables(offline):
    run, run_dir, _ = offline
    recall = read_table(run_dir, run.column("test/recall_table")[0])
    assert [row[0] for row in recall["data"]] == list(LABELS)
    predictions = read_table(run_dir, run.column("test/predictions")[0])
    assert predictions["columns"] == ["id", "speaker", "label", "predicted", "p_anger", "p_fear", "p_neutral"]
    assert predictions["data"][3] == ["clip3", "s1", "anger", "fear", 0.1, 0.8, 0.1]


@pytest.mark.parametrize("name", ["confusion", "curves", "reliability", "subgroups"])
def test_every_picture_is_in_it(offline, name):
    run, run_dir, _ = offline
    (entry,) = run.column(f"figures/{name}")
    (copy,) = (run_dir / "wandb").glob(f"offline-run-*/files/{entry['path']}")
    assert copy.read_bytes() == (run_dir / f"{name}.png").read_bytes()


def test_nothing_about_the_machine_and_nothing_outside_the_run_directory(offline):
    run, run_dir, home = offline
    assert not {"stats", "output", "output_raw", "environment"} & run.kinds
    assert not run.run.host
    assert not run.run.git.commit
    assert not list(home.rglob("*"))
    files = {path.name for path in (run_dir / "wandb").rglob("*") if path.is_file()}
    assert not files & {"requirements.txt", "wandb-metadata.json", "output.log", "diff.patch"}


def test_a_resumed_run_directory_continues_the_same_run_and_another_does_not(tmp_path):
    ids = []
    for place in ("a", "a", "b"):
        (tmp_path / place).mkdir(exist_ok=True)
        logger = wandb_logger(run_dir=tmp_path / place, config={})
        ids.append(logger.experiment.id)
        wandb_run.finish()
    first, again = (read_run(tmp_path / "a", piece=piece).run.run_id for piece in (0, 1))
    assert ids == [first, again, read_run(tmp_path / "b").run.run_id]
    assert first == again != ids[2]


def test_a_second_run_in_the_same_process_does_not_write_into_the_first(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        logger = wandb_logger(run_dir=tmp_path / place, config={"place": place})
        logger.log_metrics({"place": ord(place)}, step=0)
    wandb_run.finish()
    for place in ("a", "b"):
        run = read_run(tmp_path / place)
        assert (run.config["place"], run.column("place")) == (place, [ord(place)])


def test_online_without_credentials_goes_offline_with_one_warning_and_no_prompt(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked for something"))
    with caplog.at_level(logging.WARNING, logger="ser_lightning.tracking"):
        logger = wandb_logger(run_dir=tmp_path, config={}, mode="online")
        assert logger.experiment.offline
    (warning,) = warnings_of(caplog)
    assert "WANDB_API_KEY" in warning


@pytest.fixture
def server_that_does_not_answer(monkeypatch):
    """W&B reads its environment once a process, so it is made to start anew before and after."""
    wandb.teardown()
    for name, value in {"BASE_URL": "http://127.0.0.1:9", "API_KEY": "a" * 40, "INIT_TIMEOUT": "1"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    yield
    wandb_run.finish()
    wandb.teardown()


def test_a_server_that_does_not_answer_costs_the_upload_and_not_the_run(
    tmp_path, server_that_does_not_answer, caplog, capfd
):
    with caplog.at_level(logging.WARNING, logger="ser_lightning.tracking"):
        logger = wandb_logger(run_dir=tmp_path, config={}, mode="online")
        logger.log_metrics({"loss": 1.0}, step=0)
    wandb_run.finish()
    (warning,) = warnings_of(caplog)
    assert "does not answer, logging offline" in warning
    assert read_run(tmp_path).column("loss") == [1.0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("netrc", "known"),
    [
        ("machine api.wandb.ai login user password secret\n", True),
        ("machine api.wandb.ai login user\n", False),
        ("machine github.com login user password secret\n", False),
        ("not a netrc\n", False),
        (None, False),
    ],
)
def test_credentials_are_looked_for_where_wandb_keeps_them(tmp_path, monkeypatch, netrc, known):
    (tmp_path / "home").mkdir()
    if netrc is not None:
        (tmp_path / "home" / ".netrc").write_text(netrc)
        (tmp_path / "home" / ".netrc").chmod(0o600)
    assert has_credentials("https://api.wandb.ai") is known
    assert not has_credentials("https://wandb.example.org")
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert has_credentials("https://wandb.example.org")


@pytest.mark.parametrize(
    ("argument", "usual", "environment", "mode"),
    [
        (None, "offline", {}, "offline"),
        (None, "online", {}, "online"),
        (None, "offline", {"WANDB_MODE": "online"}, "online"),
        (None, "online", {"WANDB_MODE": "dryrun"}, "offline"),
        (None, "online", {"WANDB_MODE": ""}, "online"),
        (None, "online", {"WANDB_DISABLED": "true"}, "disabled"),
        (None, "offline", {"WANDB_DISABLED": "1", "WANDB_MODE": "online"}, "disabled"),
        (None, "offline", {"WANDB_DISABLED": "false"}, "offline"),
        ("online", "offline", {"WANDB_MODE": "disabled"}, "online"),
        ("offline", "online", {"WANDB_DISABLED": "true"}, "offline"),
    ],
)
def test_what_is_asked_for_wins_over_the_environment_and_that_over_what_is_usual(
    monkeypatch, argument, usual, environment, mode
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wanted_mode(argument, usual) == mode


@pytest.mark.parametrize("asked", [{}, {"project": "mine", "entity": "us", "name": "first"}])
def test_project_entity_and_name_come_from_the_environment_unless_they_are_asked_for(tmp_path, monkeypatch, asked):
    environment = {"project": "theirs", "entity": "them", "name": "second"}
    for name, value in environment.items():
        monkeypatch.setenv(f"WANDB_{name.upper()}", value)
    wandb_logger(run_dir=tmp_path, config={}, **asked)
    wandb_run.finish()
    run = read_run(tmp_path).run
    assert {"project": run.project, "entity": run.entity, "name": run.display_name} == (asked or environment)


def logged(run_dir, cremad_root, *overrides):
    """The W&B run that ``python train.py`` with these overrides starts."""
    cfg = config("data=cremad", f"data.root={cremad_root}", *overrides)
    protocol = {"corpus": "cremad", "split": "actors5", "fold": 2}
    logger = _logger(cfg, RunDirectory(run_dir), protocol)
    wandb_run.finish()
    assert logger is not None
    return read_run(run_dir).run


@pytest.mark.parametrize("group", ["WANDB_RUN_GROUP", "WANDB_GROUP"])
def test_group_and_tags_come_from_the_environment_unless_they_are_typed(tmp_path, monkeypatch, cremad_root, group):
    monkeypatch.setenv(group, "nightly")
    monkeypatch.setenv("WANDB_TAGS", "a, b,")
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    run = logged(tmp_path / "environment", cremad_root)
    assert (run.run_group, list(run.tags), run.project) == (
        "nightly",
        ["cnn", "cremad", "fold2", "a", "b"],
        "theirs",
    )
    typed = ("logger.wandb.group=mine", "logger.wandb.tags=[c]", "logger.wandb.project=ours")
    run = logged(tmp_path / "typed", cremad_root, *typed)
    assert (run.run_group, run.project) == ("mine", "ours")
    assert list(run.tags) == ["cnn", "cremad", "fold2", "c"]


def test_a_sweep_agents_run_keeps_the_id_that_it_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "fromagent")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    wandb_logger(run_dir=tmp_path, config={})
    wandb_run.finish()
    assert read_run(tmp_path).run.run_id == "fromagent"


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'onlin' is unknown: use online, offline or disabled"):
        wandb_logger(run_dir=tmp_path, config={}, mode="onlin")


def test_disabled_makes_nothing(tmp_path):
    assert wandb_logger(run_dir=tmp_path, config={}, mode="disabled") is None
    assert not list(tmp_path.iterdir())


def test_wandb_that_cannot_be_imported_is_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with caplog.at_level(logging.WARNING, logger="ser_lightning.tracking"):
        logger = wandb_logger(run_dir=tmp_path, config={})
        logger.log_metrics({"loss": 1.0}, step=0)
        assert logger.wait() is None
    assert "training without it" in caplog.text


def test_it_starts_beside_what_comes_next_and_is_waited_for(tmp_path, monkeypatch):
    may_start = threading.Event()
    start = wandb_run._start
    monkeypatch.setattr(wandb_run, "_start", lambda *given: may_start.wait(60) and start(*given))
    logger = wandb_logger(run_dir=tmp_path, config={})
    assert not (tmp_path / "wandb_id.txt").exists()
    assert wandb_run.current_run(0.01) is None
    may_start.set()
    logger.log_metrics({"loss": 1.0}, step=0)
    wandb_run.finish()
    assert read_run(tmp_path).column("loss") == [1.0]


def test_other_ranks_start_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    monkeypatch.setattr(wandb_run, "_start", lambda *_: pytest.fail("a second run was started"))
    logger = wandb_logger(run_dir=tmp_path, config={})
    logger.log_metrics({"loss": 1.0}, step=0)
    assert logger.save_dir == str(tmp_path)
    assert not list(tmp_path.iterdir())


class Broken:
    """A W&B run whose service has died."""

    id = "dead"

    @property
    def config(self):
        raise ConnectionResetError("Connection lost")

    def log(self, *_):
        raise ConnectionResetError("Connection lost")


def test_wandb_that_dies_in_mid_run_is_left_out_with_one_warning(tmp_path, caplog):
    make_run(tmp_path)
    logger = TolerantWandbLogger(experiment=Broken(), save_dir=tmp_path)
    with caplog.at_level(logging.WARNING, logger="ser_lightning.tracking"):
        for step in range(3):
            logger.log_metrics({"loss": 1.0}, step=step)
        logger.log_hyperparams({"lr": 1.0})
    (warning,) = warnings_of(caplog)
    assert "Connection lost" in warning
    log_result(logger.wait(), tmp_path)
    assert "the result was not logged" in caplog.text


def test_a_failed_run_logs_its_reason_and_a_bad_exit(tmp_path):
    logger = wandb_logger(run_dir=tmp_path, config={})
    (tmp_path / "result.json").write_text('{"schema": 1, "status": "failed", "reason": "loss is nan"}')
    log_result(logger.wait(), tmp_path)
    wandb_run.finish(1)
    run = read_run(tmp_path)
    assert (run.summary["status"], run.summary["reason"], run.exit_code) == ("failed", "loss is nan", 1)


def test_finish_and_log_result_are_fine_without_a_run(tmp_path):
    wandb_run.finish()
    log_result(None, tmp_path)


def test_wandb_says_nothing_on_the_console(tmp_path, capfd):
    make_run(tmp_path)
    logger = wandb_logger(run_dir=tmp_path, config=CONFIG)
    log_result(logger.wait(), tmp_path)
    wandb_run.finish()
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_cannot_be_made_costs_no_training(tmp_path, caplog):
    (tmp_path / "wandb").write_text("a file")
    logger = wandb_logger(run_dir=tmp_path, config={})
    assert logger.wait() is None
    assert "W&B does not work here, training without it" in caplog.text


def test_the_environment_is_left_as_it_was(tmp_path):
    before = dict(os.environ)
    assert wandb_logger(run_dir=tmp_path, config={}).wait() is not None
    assert {key: value for key, value in os.environ.items() if key not in before and key.startswith("WANDB_")} == {}
