import json
import os

import pytest
from comparable_runs import make_grid, make_run

from ser_lightning.compare.read import read_runs
from ser_lightning.runs.finished import why_not
from ser_lightning.utils.errors import UserError


def changed(place, **changes):
    path = place / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return place


def reason(place, beside):
    """Why one run cannot be compared, while another can."""
    found = read_runs([place, beside])
    assert [run.path for run in found.runs] == [beside]
    ((named, why),) = found.failed
    assert named == str(place)
    assert "\n" not in why
    return why


@pytest.fixture
def good(tmp_path):
    return make_run(tmp_path / "good" / "run")


@pytest.fixture
def spoilt(tmp_path):
    return make_run(tmp_path / "spoilt" / "run", fold=1)


def test_runs_are_found_at_any_depth_and_read_with_their_config(tmp_path):
    make_grid(tmp_path / "outputs" / "cremad", {"cnn": 0.6, "mamba": 0.7}, seeds=(3,))
    make_run(tmp_path / "outputs" / "sweeps" / "now" / "0", "cnn_gru", fold=1, seed=8)
    (tmp_path / "outputs" / "compare" / "now").mkdir(parents=True)
    found = read_runs([tmp_path / "outputs"])
    assert not found.failed
    assert sorted((run.model, run.fold, run.seed) for run in found.runs) == [
        ("cnn", "0", 3),
        ("cnn", "1", 3),
        ("cnn_gru", "1", 8),
        ("mamba", "0", 3),
        ("mamba", "1", 3),
    ]
    run = found.runs[0]
    assert run.config["model"]["name"] == "cnn"
    assert list(run.ids) == sorted(run.ids)
    assert (run.truth == run.predicted).mean() == pytest.approx(run.result.metrics.test.accuracy)


def test_a_run_that_is_reached_twice_counts_once(tmp_path, good):
    (tmp_path / "link").symlink_to(good, target_is_directory=True)
    (good / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = read_runs([tmp_path, good, tmp_path / "good", tmp_path / "link"])
    assert len(found.runs) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "failed", "reason": "loss is\nnan"}, "loss is nan"),
        ({"status": "failed"}, "no reason recorded"),
        ({"schema": 3}, "result.json has schema 3, and this version reads up to 2: update ser_lightning"),
        ({"schema": 0}, "has schema 0"),
        ({"model": {}}, "result.json: model.name is missing"),
        ({"metrics": {"test": None}}, "metrics.test is None: input should be a valid"),
        ({"seed": "one"}, "seed is 'one': input should be a valid integer"),
        ({"labels": ["a", "b", "c"]}, "predictions.csv has the labels anger, fear, neutral"),
        ({"confusion_matrix": [[1]]}, "does not give the confusion matrix of result.json"),
        ({"config": "gone.yaml"}, "gone.yaml is not there"),
    ],
)
def test_a_result_that_cannot_be_compared_is_a_line(good, spoilt, changes, said):
    assert said in reason(changed(spoilt, **changes), good)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("result.json", b"{", "result.json cannot be read"),
        ("result.json", b"\xff\xfe", "result.json cannot be read"),
        ("result.json", b"[]", "result.json is none of ours"),
        (
            "result.json",
            b'{"schema": 2, "status": "finished", "task": ["x"]}',
            "of the task ['x'], which",
        ),
        ("predictions.csv", None, "predictions.csv is not there"),
        ("predictions.csv", b"", "has columns"),
        ("predictions.csv", b"id,speaker,label,predicted,p_a\nx,s,b,a,1\n", "line 2"),
        ("config.yaml", b"a: [", "config.yaml cannot be read"),
        ("config.yaml", b"- 1", "config.yaml holds no settings"),
        ("config.yaml", b"trainer: {}\ndata: {}\nmodel: {name: cnn}", "config.yaml is not whole: there is no seed"),
        ("config.yaml", b"{a: " * 1000 + b"}" * 1000, "nested too deeply, or refers to itself"),
        ("config.yaml", b"a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n", "nested too deeply, or refers to itself"),
        ("config.yaml", b"a: " + b"1" * 2_000_000, "larger than 1,000,000 bytes"),
        ("result.json", b"[" * 100_000, "result.json cannot be read"),
        ("config.yaml", b"a: !!python/object:os.system x", "config.yaml cannot be read"),
    ],
)
def test_a_file_that_is_broken_is_a_line(good, spoilt, name, content, said):
    if content is None:
        (spoilt / name).unlink()
    else:
        (spoilt / name).write_bytes(content)
    assert said in reason(spoilt, good)


def test_a_disk_that_fails_is_a_line():
    assert why_not(OSError(5, "Input/output error")) == "Input/output error"
    assert why_not(FileNotFoundError(2, "No such file or directory", "runs/a")) == "No such file or directory: a"


def test_a_pipe_named_like_a_file_is_not_waited_for(good, spoilt):
    for name in ("predictions.csv", "config.yaml"):
        (spoilt / name).unlink()
        os.mkfifo(spoilt / name)
        assert f"{name} is a pipe or a device" in reason(spoilt, good)


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": {"corpus": "c", "split": "s", "fold": [], "speaker_independent": True}},
        {"epochs": []},
        {"confusion_matrix": {"a": []}},
        {"labels": [[], {}, 3]},
        {"config": "../../../etc/passwd"},
        {"subgroups": 3, "calibration": "x", "history": {"epoch": "x"}, "throughput": [], "warnings": []},
        {"schema": 1, "slices": 3, "human": 7, "epochs": {"chosen": "x"}, "seen": {"subset": "train"}},
    ],
)
def test_a_record_of_unexpected_types_never_stops_the_rest(good, spoilt, changes):
    found = read_runs([changed(spoilt, **changes), good])
    assert good in [run.path for run in found.runs]


def test_speakers_who_are_not_the_splits_are_noticed(tmp_path, good):
    folds = [["s0-s3"], ["s4-s7"], ["s8-s11"]]
    rule = {"_target_": "ser_lightning.data.splits.rules.SpeakerFolds", "folds": folds}
    named = make_run(tmp_path / "named", settings={"data.splits": {"actors5": rule}}, protocol={"split": "actors5"})
    assert "has speakers whom this split does not test on" in reason(named, good)


def test_runs_that_contradict_the_others_of_their_split_are_noticed(tmp_path):
    make_grid(tmp_path, {"cnn": 0.6, "mamba": 0.7}, folds=(0,), seeds=(0, 1))
    odd = tmp_path / "mamba" / "fold0-seed1"
    header, *rows = (odd / "predictions.csv").read_text().splitlines()
    moved = [",".join([row.split(",")[0], "somebody", *row.split(",")[2:]]) for row in rows[:2]]
    (odd / "predictions.csv").write_text("\n".join([header, *moved, *rows[2:]]) + "\n")
    found = read_runs([tmp_path])
    assert len(found.runs) == 3
    ((named, why),) = found.failed
    assert named == str(odd) and "gives 2 clips other speakers or labels than other runs do" in why


def test_two_runs_that_contradict_each_other_are_both_left_out_and_the_others_compared(tmp_path, good):
    for name in ("a", "b"):
        make_run(tmp_path / name, fold=1)
    path = tmp_path / "b" / "predictions.csv"
    path.write_text(path.read_text().replace("s1-0-0,s1-0", "s1-0-0,s1-1"))
    found = read_runs([tmp_path])
    assert [run.path for run in found.runs] == [good]
    assert [name for name, _ in found.failed] == [str(tmp_path / name) for name in ("a", "b")]
    assert all("gives 1 clip other speakers or labels than other runs do: s1-0-0" in why for _, why in found.failed)


def test_a_clip_that_is_there_twice_is_a_line(good, spoilt):
    text = (spoilt / "predictions.csv").read_text()
    (spoilt / "predictions.csv").write_text(text + text.splitlines()[-1] + "\n")
    assert "has a clip twice" in reason(spoilt, good)


def test_a_run_without_a_result_is_still_going(good, spoilt):
    (spoilt / "result.json").unlink()
    (spoilt / "train.log").touch()
    assert "it is still going, or was killed" in reason(spoilt, good)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_line(good, spoilt):
    (spoilt / "result.json").chmod(0)
    assert "Permission denied: result.json" in reason(spoilt, good)


def test_nothing_to_compare_is_said_with_the_remedy(tmp_path, spoilt):
    with pytest.raises(UserError, match="nowhere is not there: name the directory of a run"):
        read_runs([tmp_path / "nowhere"])
    with pytest.raises(UserError, match=r"result.json is a file: name the directory that it lies in"):
        read_runs([spoilt / "result.json"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no run lies in .*empty: name a directory that holds a result.json"):
        read_runs([tmp_path / "empty"])
    changed(spoilt, status="failed", reason="no corpus")
    with pytest.raises(UserError, match=r"the one run in .* cannot be compared. .*spoilt/run: no corpus"):
        read_runs([spoilt])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"trainer.fast_dev_run": True}, "trainer.fast_dev_run=True"),
        ({"trainer.limit_train_batches": 1}, "trainer.limit_train_batches=1"),
        ({"trainer.limit_val_batches": 0.5}, "trainer.limit_val_batches=0.5"),
    ],
)
def test_a_run_that_was_cut_is_not_compared(tmp_path, good, settings, said):
    cut = make_run(tmp_path / "cut" / "run", fold=1, settings=settings)
    assert reason(cut, good) == f"this run was cut, and says nothing of its model: {said}"


def test_a_run_that_was_not_tested_to_the_end_is_not_compared(good, spoilt):
    assert "48 test clips were not tested" in reason(changed(spoilt, warnings={"untested": 48}), good)


def test_a_limit_that_is_none_is_no_cut(tmp_path):
    uncut = {"trainer.fast_dev_run": False, "trainer.limit_test_batches": None, "trainer.limit_val_batches": 1.0}
    assert len(read_runs([make_run(tmp_path / "run", settings=uncut)]).runs) == 1
