"""What a sweep directory is found to say."""

import io
import json
import os
import re
import shlex

import pytest
from comparable_runs import LABELS, make_run
from finished_run import finished_result
from hydra.core.override_parser.overrides_parser import OverridesParser
from rich.console import Console

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.sweep.job import refuse
from ser_lightning.sweep.record import outcomes, plan, read_plan
from ser_lightning.sweep.table import print_outcomes
from ser_lightning.utils.errors import UserError

TEST = {"uar": 0.41, "accuracy": 0.4}


def made(sweep, name, status="finished", **more):
    path = sweep / name
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("seed: 0\n")
    if status != "interrupted":
        result = {
            **finished_result(),
            "status": status,
            "seconds": 90,
            "metrics": {"val": None, "test": TEST},
            **more,
        }
        (path / "result.json").write_text(json.dumps(result))
    return path


def test_every_job_is_there_once_however_it_ended(tmp_path):
    plan(tmp_path, ["a", "b"], ["model=cnn"])
    plan(tmp_path, ["b", "c", "d"])
    made(tmp_path, "a")
    made(tmp_path, "b", "failed", reason="out of memory\nmore")
    made(tmp_path, "c", "interrupted")
    made(tmp_path, "found")
    assert {each.name: each.status for each in outcomes(tmp_path)} == {
        "a": "finished",
        "b": "failed",
        "c": "interrupted",
        "d": "waiting",
        "found": "finished",
    }


def test_what_was_left_empty_or_damaged_counts_as_not_there(tmp_path):
    plan(tmp_path, ["a", "b", "c"])
    (made(tmp_path, "a") / "result.json").write_text('{"status": "fin')
    (made(tmp_path, "b") / "refused.json").touch()
    (made(tmp_path, "e") / "result.json").write_text('{"schema": 1, "status": "finished"}')
    (made(tmp_path, "f") / "refused.json").write_text("{}")
    (made(tmp_path, "c", "interrupted") / "config.yaml").write_text("")
    found = {each.name: each.status for each in outcomes(tmp_path)}
    assert found == {"a": "interrupted", "b": "finished", "c": "waiting", "e": "interrupted", "f": "finished"}
    (tmp_path / "sweep.json").write_text("{")
    plan(tmp_path, ["d"], ["seed=0"])
    assert read_plan(tmp_path) == {"command": ["seed=0"], "jobs": ["d"], "overrides": {}, "monitor": None}


def test_a_file_in_place_of_the_record_is_said_and_nothing_is_made_of_it(tmp_path):
    (tmp_path / "sweep.json").write_text('{"comparisons": []}')
    for step in (lambda: plan(tmp_path, ["a"], ["seed=0"]), lambda: read_plan(tmp_path)):
        with pytest.raises(UserError, match=r"sweep\.json is no record of a sweep, but another file: remove it"):
            step()
    (tmp_path / "sweep.json").unlink()
    by = {"metric": "val/uar", "mode": "max"}
    run = made(tmp_path, "lr=0.0..305-cba7a141", metrics={"val": TEST, "test": TEST})
    plan(tmp_path, command=["hydra/sweeper=search"], monitor=by)
    assert "train it" not in said(tmp_path)[1]
    (run / "overrides.json").write_text('{"overrides": ["model.optimizer.lr=0.00305"]}')
    assert "train it  python train.py model.optimizer.lr=0.00305\n" in said(tmp_path)[1]


def test_jobs_that_the_present_command_does_not_name_are_said_apart_and_decide_nothing(tmp_path):
    plan(tmp_path, command=["seed=0,1", "model=cnn,cn"])
    names = [f"model={model},seed={seed}" for model in ("cnn", "cn") for seed in (0, 1)]
    plan(tmp_path, names)
    for name in names:
        made(tmp_path, name, "failed" if "cn," in name else "finished", reason="there is no model/cn")
    complete, text = said(tmp_path)
    assert not complete and "4 jobs in" in text and "2 finished, 2 failed" in text and "not of this" not in text
    plan(tmp_path, command=["seed=0,1", "model=cnn"])
    plan(tmp_path, names[:2])
    complete, text = said(tmp_path)
    assert complete and "2 finished\n" in text and "go on" not in text and "failed:" not in text
    apart = (
        "not of this command: model=cn,seed=0 (failed), model=cn,seed=1 (failed): their directories can be removed"
    )
    assert apart in text
    plan(tmp_path, command=["seed=0,1", "model=cnn,cn"])
    plan(tmp_path, names)
    assert not said(tmp_path)[0]


def test_few_of_many_that_wait_are_named(tmp_path):
    plan(tmp_path, [f"seed={n}" for n in range(120)])
    made(tmp_path, "seed=0", "failed", reason="terminated")
    file = io.StringIO()
    print_outcomes(tmp_path, Console(file=file, width=200))
    text = file.getvalue()
    assert "failed: seed=0: terminated\n" in text and "1 failed, 119 waiting" in text
    assert "waiting: seed=1, seed=2, seed=3, seed=4, seed=5 and 114 more\n" in text and text.count("waiting:") == 1


def test_a_refused_job_counts_as_failed(tmp_path):
    refuse(RunDirectory(made(tmp_path, "a")), "holds a run that differs in seed")
    (found,) = outcomes(tmp_path)
    assert (found.status, found.reason) == ("failed", "holds a run that differs in seed")


def said(sweep):
    screen = io.StringIO()
    complete = print_outcomes(sweep, Console(file=screen, width=80, highlight=False, markup=False))
    return complete, screen.getvalue()


def test_the_end_says_what_failed_and_how_to_go_on(tmp_path):
    plan(tmp_path, [], ["model=cnn,cnn_gru", "seed=0,1", "hydra/launcher=joblib"])
    made(tmp_path, "model=cnn,seed=0")
    made(tmp_path, "model=cnn_gru,seed=0", "failed", reason="out of memory\nand a traceback [bold]")
    complete, text = said(tmp_path)
    assert not complete
    assert re.search(r"^model=cnn +41\.0% +40\.0% +– +1\.5", text, re.MULTILINE)
    assert "failed: model=cnn_gru: out of memory\n" in text
    assert "2 jobs in" in text and "1 finished, 1 failed" in text
    assert f"ser compare {tmp_path}" in text
    assert f"python train.py -m model=cnn,cnn_gru seed=0,1 hydra/launcher=joblib hydra.sweep.dir={tmp_path}" in text


def test_the_command_to_go_on_can_be_pasted(tmp_path):
    sweep = tmp_path / "fold=0,1 (ü)"
    plan(sweep, ["seed=0"], ["data.root='/data/ü (1)'", "model.net.channels=[4,8]"])
    _, text = said(sweep)
    (line,) = (line for line in text.splitlines() if line.startswith("go on"))
    words = shlex.split(line.removeprefix("go on"))
    assert words[:3] == ["python", "train.py", "-m"]
    values = [parsed.value() for parsed in OverridesParser.create().parse_overrides(words[3:])]
    assert values == ["/data/ü (1)", [4, 8], str(sweep)]


def test_when_all_is_well_there_is_nothing_to_go_on_with(tmp_path):
    made(tmp_path, "seed=0")
    complete, text = said(tmp_path)
    assert complete
    assert "go on" not in text


def test_an_empty_sweep_is_said_to_be_empty(tmp_path):
    complete, text = said(tmp_path)
    assert complete
    assert "0 jobs" in text


def test_a_search_is_ranked_by_what_it_is_by_and_shows_one_test(tmp_path):
    """The trial with the best test is not the one that was chosen."""
    fixed = ["data=csv", "data.manifest=my list.csv"]
    trials = {"a": ("1e-3", 0.9, 0.3), "b": ("0.00123456789", 0.4, 0.5), "c": ("1e-5", 0.6, 0.8)}
    for name, (rate, loss, test_uar) in trials.items():
        plan(tmp_path, [name], overrides={name: [f"model.optimizer.lr={rate}", *fixed]})
        val, test = {**TEST, "loss": loss}, {"uar": test_uar, "accuracy": test_uar}
        made(tmp_path, name, metrics={"val": val, "test": test})
    plan(tmp_path, [], ["hydra/sweeper=search"], monitor={"metric": "val/loss", "mode": "min"})
    complete, text = said(tmp_path)
    assert complete
    rows = re.findall(r"^ *model.optimizer.lr=(\S+) +([\d.]+) +1\.5", text, re.MULTILINE)
    assert rows == [("0.001235", "0.4000"), ("1e-5", "0.6000"), ("1e-3", "0.9000")]
    assert "test UAR 50.0%" in text and "80.0%" not in text and "30.0%" not in text
    command = 'train it  python train.py model.optimizer.lr=0.00123456789 data=csv data.manifest="my list.csv"'
    assert command in text
    assert "ser compare" not in text


def test_a_search_by_another_metric_needs_a_directory_of_its_own(tmp_path):
    plan(tmp_path, monitor={"metric": "val/loss", "mode": "min"})
    plan(tmp_path, ["a"])
    plan(tmp_path, monitor={"metric": "val/loss", "mode": "min"})
    with pytest.raises(UserError, match=r"holds a search by val/loss: give this one its own hydra\.sweep\.dir"):
        plan(tmp_path, monitor={"metric": "val/uar", "mode": "max"})


@pytest.mark.parametrize(
    ("first", "second", "kind"), [(None, "val/uar", "a sweep"), ("val/uar", None, "a search by val/uar")]
)
def test_a_search_and_a_sweep_that_is_none_need_a_directory_each(tmp_path, first, second, kind):
    first, second = (metric and {"metric": metric, "mode": "max"} for metric in (first, second))
    plan(tmp_path, ["a"], ["seed=0,1"], monitor=first)
    with pytest.raises(UserError, match=f"holds {kind}: give this one its own"):
        plan(tmp_path, command=["model=cnn"], monitor=second)


@pytest.mark.parametrize("is_changed", [False, True])
def test_jobs_on_data_that_changed_in_between_are_named(tmp_path, is_changed):
    for seed in (0, 1, 2):
        for fold in (0, 1):
            make_run(tmp_path / f"seed={seed},data.fold={fold}", seed=seed, fold=fold)
    last = tmp_path / "seed=2,data.fold=1"
    if is_changed:
        header, first, *rows = (last / "predictions.csv").read_text().splitlines()
        clip, speaker, label, *others = first.split(",")
        # with a cell too many, as a person's editor may leave it
        first = ",".join([clip, speaker, next(name for name in LABELS if name != label), *others, "x"])
        (last / "predictions.csv").write_text("\n".join([header, first, *rows]))
    os.utime(last / "result.json", (2e9, 2e9))
    screen = io.StringIO()
    print_outcomes(tmp_path, Console(file=screen, width=200, highlight=False, markup=False))
    said = "not comparable: seed=2,data.fold=1 had other clips or labels than the jobs before"
    assert (said in screen.getvalue()) == is_changed and ("not comparable" in screen.getvalue()) == is_changed
