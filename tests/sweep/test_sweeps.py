"""Whole sweeps in a shell, by every launcher installed; killed half-way they end as if they had not been."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT
from layouts import make_emodb, make_ravdess

from ser_lightning.utils.command_line import assignment

SMALL = ("model.frontend.n_mels=16", "logger=none", "trainer.enable_progress_bar=false")
PLAIN = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
LAUNCHERS = {
    "basic": ("hydra/launcher=basic", None),
    "joblib": ("hydra/launcher=joblib hydra.launcher.n_jobs=2", "hydra_joblib_launcher"),
    "ray": ("hydra/launcher=local_gpus +hydra.launcher.ray.init.num_cpus=2", "hydra_ray_launcher"),
    "submitit": ("hydra/launcher=submitit_local", "hydra_submitit_launcher"),
}


def command(*overrides, root):
    return [sys.executable, str(ROOT / "train.py"), "-m", "data=cremad", f"data.root={root}", *SMALL, *overrides]


def run(*overrides, root, cwd):
    done = subprocess.run(
        command(*overrides, root=root), cwd=cwd, env=PLAIN, capture_output=True, text=True, timeout=500
    )
    return done.returncode, done.stdout, done.stderr


def results(sweep):
    return {path.parent.name: json.loads(path.read_text()) for path in Path(sweep).glob("*/result.json")}


def what_counts(sweep):
    return {name: (each["metrics"], each["protocol"], each["epochs"]) for name, each in results(sweep).items()}


def test_what_fails_is_recorded_the_rest_goes_on_and_a_second_call_does_nothing_twice(tmp_path, cremad_root):
    job = ["model=cnn,nope", "model.net.channels=[4,8]", "trainer=debug", "hydra.sweep.dir=sweep"]
    status, out, _ = run(*job, root=cremad_root, cwd=tmp_path)
    assert status == 1
    assert "failed: model=nope: there is no model/nope: known are cnn, " in out
    assert "2 jobs in sweep: 1 finished, 1 failed" in out
    assert "Traceback" not in out
    found = results(tmp_path / "sweep")
    assert sorted(each["status"] for each in found.values()) == ["failed", "finished"]
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep").glob("*model=cnn,*/result.json")}
    assert len(written) == 1
    status, out, err = run(*job, root=cremad_root, cwd=tmp_path)
    assert status == 1
    assert "finished before, left as it is" in err
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_sweep_over_folders_has_a_job_for_each_which_can_be_gone_on_with_and_says_how_it_was_made(
    tmp_path, cremad_root
):
    for name in ("A", "B (ü)"):
        (tmp_path / name).symlink_to(cremad_root)
    job = ["model=cnn", "model.net.channels=[4,8]", "trainer.max_epochs=1", "hydra.sweep.dir=s"]
    command = [sys.executable, str(ROOT / "train.py"), "-m", "data=cremad", "data.root=A,./B (ü)", *SMALL, *job]
    done = subprocess.run(command, cwd=tmp_path, env=PLAIN, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 jobs in s: 2 finished" in done.stdout
    found = results(tmp_path / "s")
    assert len(found) == 2
    assert sorted(each["overrides"][1] for each in found.values()) == ["data.root='./B (ü)'", "data.root=A"]
    assert not list((tmp_path / "s").glob("*/refused.json"))
    for name in found:
        card = (tmp_path / "s" / name / "checkpoints" / "model_card.md").read_text()
        assert "python train.py data=cremad data.root=PATH " in card
    name = next(name for name in found if "ü" in name)
    again = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), assignment("resume", f"s/{name}")],
        cwd=tmp_path,
        env=PLAIN,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "finished already" in again.stderr, again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_killed_half_way_and_repeated_a_sweep_ends_as_if_unbroken(launcher, tmp_path, cremad_root):
    options, plugin = LAUNCHERS[launcher]
    if plugin is not None and (find_spec("hydra_plugins") is None or find_spec(f"hydra_plugins.{plugin}") is None):
        pytest.skip("needs the extra sweep")
    job = ["model=cnn", "model.net.channels=[4,8]", "data.fold=0,1,2", "seed=0,1", "trainer.max_epochs=3"]
    status, _, err = run(*job, "hydra.sweep.dir=whole", root=cremad_root, cwd=tmp_path)
    assert status == 0, err
    job += [*options.split(), "hydra.sweep.dir=broken"]
    log = (tmp_path / "log").open("w")
    sweep = subprocess.Popen(command(*job, root=cremad_root), cwd=tmp_path, env=PLAIN, stdout=log, stderr=log)
    deadline = time.monotonic() + 300
    while len(results(tmp_path / "broken")) < 2:
        assert sweep.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.1)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    status, out, err = run(*job, root=cremad_root, cwd=tmp_path)
    assert status == 0, out + err
    assert len(what_counts(tmp_path / "whole")) == 6
    assert what_counts(tmp_path / "broken") == what_counts(tmp_path / "whole")


@pytest.mark.parametrize(
    ("asked", "trials", "said"),
    [
        (
            ["monitor.metric=val/loss", "monitor.mode=min", "model.augment.mixup=null"],
            2,
            "2 jobs in search: 2 finished",
        ),
        (["monitor.metric=val/loss"], 0, "failed: monitor.mode=max does not fit monitor.metric=val/loss"),
        (["model.frontend.n_mels=0"], 2, "2 jobs in search: 2 failed"),
    ],
)
def test_a_search_follows_monitor_and_ends_in_its_table(tmp_path, cremad_root, asked, trials, said):
    optuna = pytest.importorskip("optuna")
    job = ["model=cnn", "model.net.channels=[4,8]", "trainer.max_epochs=1", "hydra/sweeper=search"]
    job += ["hydra.sweeper.n_trials=2", "hydra.sweep.dir=search", *asked]
    status, out, err = run(*job, root=cremad_root, cwd=tmp_path)
    assert said in out + err
    assert "Traceback" not in out + err
    assert status == int("finished" not in said)
    if trials:
        study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/search/study.db")
        assert (study.direction.name == "MINIMIZE") is ("monitor.mode=min" in asked)
        assert len(study.trials) == trials
    if status == 0:
        found = results(tmp_path / "search").values()
        losses = sorted(each["metrics"]["val"]["loss"] for each in found)
        assert re.findall(r" (\d\.\d{4}) +\d+\.\d", out) == [f"{loss:.4f}" for loss in losses]
        best = next(each for each in found if each["metrics"]["val"]["loss"] == losses[0])
        assert f"test UAR {best['metrics']['test']['uar']:.1%}" in out
        assert (out + err).count("not searched: model.augment.mixup.p, which this model does not have") == 1
        assert out.count("test UAR") == 1 and "test UAR" not in err
        assert f"train it  python train.py model.optimizer.lr={study.best_params['model.optimizer.lr']} " in out


def test_ctrl_c_ends_a_sweep_in_its_table(tmp_path, cremad_root):
    job = ["model=cnn", "model.net.channels=[4,8]", "seed=0,1", "trainer.max_epochs=1000", "hydra.sweep.dir=sweep"]
    job += ["callbacks.early_stopping=null"]
    log = (tmp_path / "log").open("w")
    sweep = subprocess.Popen(
        command(*job, root=cremad_root), cwd=tmp_path, env=PLAIN, stdout=log, stderr=log, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not list((tmp_path / "sweep").glob("*/metrics.csv")):
        assert sweep.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)
    os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does
    assert sweep.wait(120) == 130
    text = (tmp_path / "log").read_text()
    assert "2 jobs in sweep: 1 failed, 1 waiting" in text
    assert "go on     python train.py -m" in text and "Traceback" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)]
)
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_that_is_stopped_ends_with_its_jobs_and_in_its_table(
    launcher, number, to_all, tmp_path, cremad_root
):
    options, plugin = LAUNCHERS[launcher]
    if plugin is not None and (find_spec("hydra_plugins") is None or find_spec(f"hydra_plugins.{plugin}") is None):
        pytest.skip("needs the extra sweep")
    job = ["model.net.channels=[4,8]", "seed=0,1,2", "trainer.max_epochs=1000", "callbacks.early_stopping=null"]
    job += [*options.split(), "hydra.sweep.dir=sweep"]
    with (tmp_path / "log").open("w") as log:
        sweep = subprocess.Popen(
            command(*job, root=cremad_root), cwd=tmp_path, env=PLAIN, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + 300
    while not list((tmp_path / "sweep").glob("*/metrics.csv")):
        assert sweep.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.1)
    for _ in range(2):
        (os.killpg if to_all else os.kill)(sweep.pid, number)
        time.sleep(0.1)
    assert sweep.wait(100) == 128 + number
    said = (tmp_path / "log").read_text()
    assert "3 jobs in sweep: " in said and "go on     python train.py -m " in said
    assert "Traceback" not in said
    deadline = time.monotonic() + 60
    while at_work := [pid for pid in Path("/proc").glob("[0-9]*") if _works_in(pid, tmp_path)]:
        assert time.monotonic() < deadline, at_work
        time.sleep(0.2)


def _works_in(process, folder):
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        return str(ROOT / "train.py").encode() in arguments and (process / "cwd").resolve() == folder
    except OSError:
        return False


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_killed(tmp_path, cremad_root):
    pytest.importorskip("optuna")
    import optuna

    job = ["model=cnn", "model.net.channels=[4,8]", "trainer.max_epochs=1", "hydra/sweeper=search"]
    job += ["hydra.sweeper.n_trials=4", "hydra.sweep.dir=search"]
    log = (tmp_path / "log").open("w")
    sweep = subprocess.Popen(command(*job, root=cremad_root), cwd=tmp_path, env=PLAIN, stdout=log, stderr=log)
    deadline = time.monotonic() + 300
    while len(list((tmp_path / "search").glob("*/metrics.csv"))) < 2:
        assert sweep.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    status, out, err = run(*job, root=cremad_root, cwd=tmp_path)
    assert status == 0, out + err
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/search/study.db")
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    found = what_counts(tmp_path / "search")
    assert len(complete) == len(found) == 4
    assert len({json.dumps(trial.params) for trial in complete}) == 4


def test_crossed_corpora_end_in_one_table_and_a_heat_map(tmp_path):
    roots = {"ravdess": make_ravdess(tmp_path / "ravdess"), "emodb": make_emodb(tmp_path / "emodb")}
    command = [sys.executable, str(ROOT / "train.py"), "experiment=cross_corpus", "data.corpora=[ravdess,emodb]"]
    command += [f"data.roots.{name}={root}" for name, root in roots.items()]
    command += [*SMALL, "model.net.channels=[4,8]", "trainer.max_epochs=1", "hydra.sweep.dir=sweep"]
    done = subprocess.run(command, cwd=tmp_path, env=PLAIN, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = results(tmp_path / "sweep").values()
    pairs = {(each["protocol"]["corpus"], each["protocol"]["test_corpus"]) for each in found}
    assert pairs == {("ravdess", "emodb"), ("emodb", "ravdess")}
    rows = [
        line.split()
        for line in done.stdout.splitlines()
        if line.split()[:2] in (["ravdess", "emodb"], ["emodb", "ravdess"])
    ]
    assert [row[-3:] for row in rows] == [["42", "7", "1"], ["30", "5", "1"]]  # clips, speakers, runs
    assert (tmp_path / "sweep" / "cross_corpus.csv").read_text().count("\n") == 3
    assert (tmp_path / "sweep" / "cross_corpus.png").stat().st_size > 10_000
