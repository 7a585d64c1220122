"""The program as a person meets it: in a shell, with mistakes, with Ctrl-C, with the power going."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import yaml
from conftest import ROOT, config, make_cremad
from omegaconf import OmegaConf

from ser_lightning import load_model
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import make_data, train
from ser_lightning.training.job import _log_failure, _say_what_has_no_effect, _settle_threads
from ser_lightning.utils.errors import UserError

SMALL = ("model.net.channels=[4,8]", "model.frontend.n_mels=16", "logger=none")
TRAIN = [sys.executable, str(ROOT / "train.py")]
PLAIN = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}


def started(*overrides, cwd):
    return subprocess.Popen(
        [*TRAIN, *overrides], cwd=cwd, env=PLAIN, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(*overrides, cwd):
    process = started(*overrides, cwd=cwd)
    said, _ = process.communicate(timeout=240)
    return process.returncode, said


def test_nothing_heavy_is_imported_to_show_a_config():
    script = "import sys, train; print([name for name in ('torch', 'lightning', 'numpy') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data=cremad", "data.root=nowhere"], r"data\.root=nowhere does not exist\. `ser data download cremad`"),
        (["resume=nowhere"], "resume=nowhere is not there"),
        (
            ["trainer.max_epoch=3"],
            r"failed: there is no setting trainer\.max_epoch: did you mean trainer\.max_epochs\? `python train",
        ),
        (
            ["data.root=x"],
            r"failed: there is no setting data\.root in the data that was chosen, but with data=cremad, ",
        ),
        (
            ["model=notebook_cnn", "model.teacher=x"],
            r"failed: there is no setting model\.teacher in the model that was chosen, but with model=cnn, ",
        ),
        (["dat=cremad"], r"failed: there is no setting dat: did you mean data\?"),
        (["experiments=x"], r"failed: there is no setting experiments: did you mean experiment\?"),
        (["model=cnn_gr"], r"failed: there is no model/cnn_gr: did you mean cnn_gru\? known are cnn, cnn_gru, "),
        (["zzz=1"], "failed: there is no setting zzz: `python train"),
        (
            ["model.scheduler={_target_: torch.optim.lr_scheduler.StepLR, step_size: 9}"],
            r"failed: there is no setting model\.scheduler\.step_size: a new one begins with a plus",
        ),
        (
            ["resume=somewhere", "data.manifest=x.csv", "trust=true"],
            r"of which nothing can be changed: leave out data\.manifest=x\.csv, or start a new run",
        ),
        (["data.fold=[1,"], r"failed: the override 'data\.fold=\[1,' cannot be read"),
        (["data=cremad", "data.root=~/no (ü)"], r"data\.root=\S+/no \(ü\) does not exist"),
        (["data=cremed"], r"failed: there is no data/cremed: did you mean cremad\? known are cremad, csv, "),
        (
            ["hydra.run.dir=/dev/null/run"],
            r"failed: hydra\.run\.dir=/dev/null/run cannot be written .*another directory",
        ),
        (["hydra.run.dir="], r"failed: hydra\.run\.dir= names no directory"),
        (["-m", "hydra.sweep.dir=''"], r"failed: hydra\.sweep\.dir= names no directory"),
        (["-m", "resume=a,b"], r"failed: resume=a,b goes without -m alone: resume one run after the other"),
        (["-m", "seed=0", "hydra.sweep.dir=/dev/null"], r"failed: hydra\.sweep\.dir=/dev/null cannot be written"),
    ],
)
def test_a_mistake_gets_a_clear_answer_and_no_traceback(tmp_path, overrides, said):
    code, output = run(*overrides, cwd=tmp_path)
    assert code == 1
    assert re.search(said, output)
    assert "Traceback" not in output
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("targets", "overrides", "said"),
    [
        (["arousal"], ["model.label_smoothing=0.2"], "no effect: model.label_smoothing, with data.targets"),
        (["arousal"], ["model=cnn"], ""),
        (None, ["model.label_smoothing=0.2"], ""),
    ],
)
def test_what_was_asked_for_and_has_no_effect_on_numbers_is_said(caplog, targets, overrides, said):
    _say_what_has_no_effect(OmegaConf.create({"data": {"targets": targets}}), overrides)
    assert "\n".join(caplog.messages) == said


def test_help_that_nobody_reads_to_its_end_ends_without_a_word(tmp_path):
    for command in ([*TRAIN, "--help"], [*TRAIN, "--cfg", "job"], [sys.executable, "-m", "ser_lightning.cli"]):
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        assert process.stderr == "" and process.returncode in (0, 1)


def test_what_failed_before_a_whole_epoch_is_not_told_to_be_gone_on_with(tmp_path, caplog):
    code, said = run("data.batch_size=0", *SMALL, cwd=tmp_path)
    assert code == 1 and "resume=" not in said
    run_dir = RunDirectory(tmp_path)
    run_dir.checkpoints.mkdir()
    run_dir.last.write_bytes(b"from before the first step")
    with caplog.at_level("INFO", logger="ser_lightning"):
        _log_failure(UserError("no"), run_dir, went_on=True)
        assert caplog.messages == ["failed: no"]
        run_dir.metrics.write_text("epoch\n1\n")
        _log_failure(UserError("no"), run_dir, went_on=False)
        assert caplog.messages[1:] == ["failed: no"]
        _log_failure(UserError("no"), run_dir, went_on=True)
    assert "to resume from the last finished epoch" in caplog.messages[-1]


def test_what_a_sweep_agent_of_wandb_types_are_overrides(tmp_path):
    arguments = ("--model.optimizer.lr=0.002", "--model=cnn_gru", "--seed=7", "data=toy")
    code, said = run(*arguments, "--cfg=job", cwd=tmp_path)
    assert code == 0, said
    shown = yaml.safe_load(said)
    assert (shown["model"]["optimizer"]["lr"], shown["model"]["name"], shown["seed"]) == (0.002, "cnn_gru", 7)
    code, said = run("--model.optimizer.lrr=0.002", cwd=tmp_path)
    assert code == 1 and "lrr" in said and "Traceback" not in said


def test_the_flag_of_a_sweep_may_stand_anywhere(tmp_path):
    code, said = run("data=cremad", "-m", "data.root=nowhere", "hydra.sweep.subdir=x", cwd=tmp_path)
    assert code == 1 and said.startswith("failed: hydra.sweep.subdir cannot be set: jobs are named by what varies")


def test_paths_begin_where_the_command_was_typed_whatever_hydra_changes_to(tmp_path):
    (tmp_path / "my.csv").write_text("path,emotion,speaker\na.wav,calm,anna\n")
    overrides = ("data=csv", "data.manifest=my.csv", "hydra.job.chdir=true", "hydra.run.dir=there", *SMALL)
    code, said = run(*overrides, cwd=tmp_path)
    assert code == 1 and f"1 of 1 file in {tmp_path} cannot be used" in said


@pytest.mark.slow  # tests of cache and command ask for the same in parts
def test_bad_files_are_listed_and_may_be_left_out(tmp_path):
    folder = make_cremad(tmp_path / "corpus") / "AudioWAV"
    (folder / "1001_DFA_ANG_XX.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "1002_IEO_SAD_XX.wav").write_bytes(b"")
    data = ["data=cremad", f"data.root={tmp_path / 'corpus'}", *SMALL, "trainer.max_epochs=1"]
    code, output = run(*data, "hydra.run.dir=strict", cwd=tmp_path)
    assert code == 1
    assert "1001_DFA_ANG_XX.wav: is a Git LFS pointer" in output
    assert "1002_IEO_SAD_XX.wav: is empty" in output
    assert "data.on_bad=exclude" in output
    assert "Traceback" not in output
    failed = json.loads((tmp_path / "strict" / "result.json").read_text())
    assert failed["status"] == "failed" and "Git LFS" in failed["reason"]
    train(config(*data, "data.on_bad=exclude"), RunDirectory(tmp_path / "lenient"))
    assert json.loads((tmp_path / "lenient" / "result.json").read_text())["warnings"]["excluded"] == 2
    excluded = (tmp_path / "lenient" / "excluded.csv").read_text().splitlines()
    assert len(excluded) == 3 and excluded[0] == "folder,path,reason"


@pytest.mark.slow
def test_runs_started_together_have_their_own_directories(tmp_path, cremad_root):
    overrides = ["data=cremad", f"data.root={cremad_root}", *SMALL, "trainer=debug"]
    processes = [started(*overrides, cwd=tmp_path) for _ in range(2)]
    assert [process.communicate(timeout=240) and process.returncode for process in processes] == [0, 0]
    results = list((tmp_path / "outputs" / "cremad" / "cnn").glob("*-seed0/result.json"))
    assert len(results) == 2


def wait_for_epoch(path: Path, number: int, process):
    deadline = time.monotonic() + 200
    while not path.is_file() or len(path.read_text().splitlines()) <= number:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def slow_corpus(tmp_path_factory):
    """Clips long enough for an epoch to be interrupted in."""
    root = make_cremad(tmp_path_factory.mktemp("slow"), sentences=("DFA",))
    for path in (root / "AudioWAV").iterdir():
        samples, rate_hz = soundfile.read(path)
        soundfile.write(path, list(samples) * 8, rate_hz)
    return root


def test_killed_in_mid_epoch_and_resumed_it_ends_as_if_unbroken(tmp_path, slow_corpus):
    job = ["data=cremad", f"data.root={slow_corpus}", "logger=none", "data.batch_size=4", "trainer.max_epochs=4"]
    job += ["model.net.channels=[8,16]"]
    whole = RunDirectory(tmp_path / "whole")
    train(config(*job), whole)
    broken = RunDirectory(tmp_path / "broken")
    process = started(*job, "hydra.run.dir=broken", cwd=tmp_path)
    wait_for_epoch(broken.metrics, 2, process)
    time.sleep(0.1)
    process.kill()
    process.communicate()
    assert broken.read_result() is None
    train(config(*job), broken)
    assert broken.read_result().plain()["metrics"] == whole.read_result().plain()["metrics"]
    assert broken.read_result().plain()["protocol"] == whole.read_result().plain()["protocol"]


@pytest.mark.parametrize(
    ("signal_number", "reason"),
    [
        (signal.SIGINT, "interrupted"),
        pytest.param(signal.SIGTERM, "terminated", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, "ended by SIGHUP", marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, "ended by SIGUSR1", marks=pytest.mark.slow),
    ],
)
def test_stopped_by_hand_it_says_how_to_go_on(tmp_path, slow_corpus, signal_number, reason):
    job = ["data=cremad", f"data.root={slow_corpus}", "logger=none", "trainer.max_epochs=1000"]
    process = started(*job, "callbacks.early_stopping=null", "hydra.run.dir=run", cwd=tmp_path)
    directory = RunDirectory(tmp_path / "run")
    wait_for_epoch(directory.metrics, 1, process)
    for _ in range(5):  # whoever is impatient presses more than once
        process.send_signal(signal_number)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal_number
    assert directory.read_result().plain()["reason"] == reason
    assert directory.last.is_file()
    assert f"python train.py resume={directory.path}" in output
    assert "Traceback" not in output


def test_two_processes_test_as_one(tmp_path, cremad_root):
    job = [
        "data=cremad",
        f"data.root={cremad_root}",
        *(override for override in SMALL if override != "logger=none"),
        "trainer.accelerator=cpu",
        "trainer.precision=32-true",
    ]
    job += ["data.batch_size=8", "trainer.max_epochs=1", "data.eval_batch_size=5"]
    code, output = run(*job, "trainer=ddp", "trainer.devices=2", "hydra.run.dir=two", cwd=tmp_path)
    assert code == 0, output
    two = RunDirectory(tmp_path / "two")
    tested = two.read_result().plain()
    assert len(two.predictions.read_text().splitlines()) == 24 + 1
    assert len(list((two.path / "wandb").glob("offline-run-*"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    # the same weights, tested by one process
    data = make_data(config("data=cremad", f"data.root={cremad_root}"))
    model = load_model(two.best)
    correct = 0
    for batch in data.test_dataloader():
        correct += int((model(batch.waveform, batch.lengths).argmax(1) == batch.label).sum())
    assert tested["metrics"]["test"]["accuracy"] == pytest.approx(correct / 24)


@pytest.mark.parametrize(
    ("asked", "in_environment", "chosen"),
    [(None, None, 3), (2, None, 2), (2, "1", 1), (None, "1", 1)],
)
def test_a_run_that_goes_on_keeps_its_threads_unless_others_are_asked_for(
    tmp_path, monkeypatch, caplog, asked, in_environment, chosen
):
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, in_environment or "")
        if in_environment is None:
            monkeypatch.delenv(name)
    monkeypatch.setattr("ser_lightning.utils.cores.usable_cores", lambda: 4)
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    run.last.write_bytes(b"a checkpoint")
    run.environment.write_text('{"threads": 3}')
    _settle_threads(OmegaConf.create({"trainer": {"threads": asked}}), run)
    assert os.environ["OMP_NUM_THREADS"] == str(chosen)
    assert ("goes before trainer.threads" in caplog.text) == (asked == 2 and in_environment == "1")


def test_threads_of_a_new_run_can_be_set_and_are_recorded(tmp_path):
    environment = {name: value for name, value in PLAIN.items() if not name.startswith("OMP_")}
    overrides = ("trainer.threads=2", "trainer.max_epochs=1", "trainer.limit_train_batches=1", "hydra.run.dir=run")
    subprocess.run([*TRAIN, *SMALL, *overrides], cwd=tmp_path, env=environment, check=True, capture_output=True)
    recorded = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert recorded["threads"] == 2
    assert recorded["threads_wait"] in ("spinning", "sleeping")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["environment"] == recorded
    assert "threads: 2 of them, " in (tmp_path / "run" / "train.log").read_text()
