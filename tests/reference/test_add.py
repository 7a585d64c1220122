"""`ser reference add`: what it keeps of runs, and which runs it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made_reference import make_reference, make_run, make_runs
from test_cli import ser

from ser_lightning.compare.read import read_runs
from ser_lightning.reference import add as adding
from ser_lightning.reference.add import add
from ser_lightning.reference.files import LARGEST_ERROR, quantised, read_reference, unpack
from ser_lightning.runs.predictions import read_predictions
from ser_lightning.runs.result import RegressionResult
from ser_lightning.tasks.predictions import Predictions
from ser_lightning.utils.errors import UserError

FAILED = {"status": "failed", "reason": "loss is nan"}
SHARED = {"train/test": {"speakers": ["s0-0"], "n_sounds": 0}}
SAME_SOUND = {"val/test": {"speakers": [], "n_sounds": 2}}


def _taught(by):
    """What a student's run has of its teacher."""
    record = {"path": f"/{by}/checkpoints/best.ckpt", "sha256": by, "name": "pretrained"}
    return {"settings": {"model.teacher": f"/{by}"}, "teacher": record}


def test_probabilities_in_256_steps_are_near_and_their_highest_is_the_same():
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(6, 0.3), 5_000)
    shares[:1_000] = random.dirichlet(np.full(6, 500), 1_000)  # all nearly the same: ties once they are in steps
    predictions = Predictions(
        ids=[""] * 5_000, speakers=[""] * 5_000, labels=np.zeros(5_000, int), probabilities=shares, names="abcdef"
    )
    codes = quantised(predictions)
    assert codes.dtype == np.uint8
    assert (np.rint(255 * shares).argmax(axis=1) != predictions.predicted).any()  # rounding alone is not enough
    assert np.array_equal(codes.argmax(axis=1), predictions.predicted)
    assert np.abs(codes / 255 - shares).max() <= LARGEST_ERROR


def test_what_is_read_back_is_the_runs(tmp_path):
    runs = read_runs([make_runs(tmp_path / "runs", seeds=(0, 3))]).runs
    path, reference = add([tmp_path / "runs"], "base", to=tmp_path)
    assert path.name == "mine.actors5.base.npz"
    assert (reference.name, reference.complete, len(reference.runs)) == ("base", True, 4)
    for again, shares in zip(reference.runs, reference.probabilities, strict=True):
        (run,) = [run for run in runs if (run.fold, run.seed) == (again.fold, again.seed)]
        for field in ("ids", "speakers", "truths", "model"):
            assert getattr(again, field) == getattr(run, field), field
        assert np.array_equal(again.predicted, run.predicted)
        assert again.result.protocol == run.result.protocol
        recorded = json.loads((run.path / "result.json").read_text())["metrics"]["test"]
        made = adding.pooled_scores([again])
        assert made == pytest.approx({name: recorded[name] for name in made}, abs=1e-3)
        written = read_predictions(run.path / "predictions.csv")
        order = np.argsort(written.ids)
        assert np.abs(written.probabilities[order] - shares).max() <= LARGEST_ERROR
    assert adding.pooled_scores(reference.runs) == pytest.approx(adding.pooled_scores(runs), abs=1e-3)


def test_the_same_runs_give_the_same_file(tmp_path):
    first = make_reference(tmp_path).read_bytes()
    make_runs(tmp_path / "elsewhere")
    assert add([tmp_path / "elsewhere" / "cnn"], "base", to=tmp_path, force=True)[0].read_bytes() == first


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = make_reference(tmp_path)
    with np.load(path) as arrays:
        parts = dict(arrays)
    record = json.loads(parts["record"].tobytes())

    def changed(**changes):
        return {**parts, "record": np.frombuffer(json.dumps({**record, **changes}).encode(), np.uint8)}

    forged = json.loads(json.dumps(record["runs"][0]))
    forged["metrics"]["test"]["uar"] = 0.99
    for other, said in (
        ({"codes": parts["codes"][1:]}, "do not fit together"),
        ({"codes": 255 - parts["codes"]}, "confusion matrix"),
        ({"codes": np.array([object()])}, "allow_pickle=False"),
        (changed(runs=record["runs"][:1]), "do not fit together"),
        (changed(format=2), "later version"),
        (changed(settings=None), "its settings or its name"),
        (changed(name="a|b"), "its settings or its name"),
        (changed(runs=[forged, *record["runs"][1:]]), "do not give the scores"),
        ({"more": np.zeros(21_000_000, np.uint8)}, "it holds too much"),
    ):
        np.savez_compressed(path, **{**parts, **other})
        with pytest.raises(UserError, match=said):
            read_reference(path)
    with pytest.raises(UserError, match="no reference"):
        unpack(b"no archive", "x.npz")


def test_a_command_says_what_was_written_and_a_second_one_needs_force(tmp_path):
    runs = make_runs(tmp_path / "runs")
    command = ["reference", "add", runs, "--name", "base", "--to", tmp_path / "made" / "here"]
    code, out, err = ser(*command)
    assert (code, err) == (0, "")
    path = tmp_path / "made" / "here" / "mine.actors5.base.npz"
    assert out.startswith(f"written: {path} (") and out.endswith("kB)\nfold 0 seed 0, fold 1 seed 0\n")
    code, out, err = ser(*command)
    assert (code, out) == (1, "")
    assert err == f"failed: {path} is there already: choose another --name, or replace it with --force\n"
    assert ser(*command, "--force")[0] == 0
    code, out, _ = ser("reference", "list", path.parent)
    assert code == 0
    assert out.splitlines()[1].split()[:5] == ["base", "mine", "actors5", "0", "1"]
    code, _, err = ser("reference", "list", tmp_path)
    assert (code, err.count("\n")) == (1, 1)


def test_folds_that_are_missing_are_said(tmp_path):
    make_run(tmp_path / "fold1", fold=1)
    code, out, _ = ser("reference", "add", tmp_path / "fold1", "--name", "base", "--to", tmp_path)
    assert code == 0
    assert out.splitlines()[1] == "fold 1 seed 0: not every fold of the split, hence without a rank"


def test_a_fold_of_each_seed_is_not_every_fold(tmp_path):
    make_run(tmp_path / "a", fold=0, seed=0)
    make_run(tmp_path / "b", fold=1, seed=1)
    assert not add([tmp_path / "a", tmp_path / "b"], "base", to=tmp_path)[1].complete


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fold": 1, **FAILED}, "other can be no reference: loss is nan: finish it"),
        ({"fold": 1, "settings": {"trainer.limit_train_batches": 2}}, "this run was cut"),
        ({"fold": 1, "leakage": None}, "does not say what its training shares"),
        ({"fold": 1, "leakage": SHARED}, "was tested on speakers or sounds of its training"),
        ({"fold": 1, "leakage": SAME_SOUND}, "was tested on speakers or sounds of its training"),
        ({"fold": 1, "protocol": {"speaker_independent": False}}, "was tested on speakers or sounds"),
        ({"fold": 1, "protocol": {"corpus": "yours"}}, "two protocols (corpus mine and not yours)"),
        ({"fold": 1, "protocol": {"split": "kfold"}}, "two protocols (split actors5 and not kfold)"),
        ({"fold": 1, "protocol": {"speaker_clips": 10}}, "clips known per speaker none and not 10"),
        ({"fold": 1, "labels": ("anger", "fear", "sadness")}, "labels anger, fear, neutral and not"),
        ({"seed": 1, "protocol": {"split_hash": "changed"}}, "two protocols (other clips in fold 0)"),
        ({"fold": 1, "settings": {"model.net.dropout": 0.1}}, "differ in model.net.dropout"),
        ({"fold": 1, "model": "mamba"}, "differ in model.name"),
        ({"seed": 1, **_taught("b")}, "differ in teacher.sha256: make a reference of each"),
        ({}, "are both fold 0, seed 0: leave out one"),
        (
            {"fold": 1, "protocol": {"corpus": "cremad"}},
            "has 96 of the 7,442 clips of CREMA-D: `ser data audit cremad`",
        ),
        (
            {"fold": 1, "checkpoint": {"path": "best.ckpt", "sha256": "0", "temperature": 1.0}},
            "an evaluation of a checkpoint: name the directory of its training",
        ),
    ],
    ids=str,
)
def test_a_run_that_does_not_belong_is_refused_in_a_line(tmp_path, changes, said):
    make_run(tmp_path / "runs" / "one", **(_taught("a") if "teacher" in changes else {}))
    make_run(tmp_path / "runs" / "other", **changes)
    code, out, err = ser("reference", "add", tmp_path / "runs", "--name", "base", "--to", tmp_path / "made")
    assert (code, out) == (1, "")
    assert err.startswith("failed: ") and err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "made").exists()


def test_what_is_no_run_is_refused(tmp_path, monkeypatch):
    runs = make_runs(tmp_path / "runs")
    (tmp_path / "empty").mkdir()
    (runs / "cnn" / "fold1-seed0" / "result.json").unlink()
    (runs / "cnn" / "fold1-seed0" / "train.log").touch()
    for folders, name, said in (
        ([tmp_path / "empty"], "base", "no run lies in"),
        ([runs / "cnn" / "fold0-seed0", tmp_path / "empty"], "base", "no run lies in"),
        ([runs], "base", "still going, or was killed"),
        ([runs], "Base 2", "small letters"),
        ([runs], "../base", "small letters"),
    ):
        with pytest.raises(UserError, match=said):
            add(folders, name, to=tmp_path)
    monkeypatch.setattr(adding, "SHIPPED", tmp_path / "site-packages" / "ser_lightning" / "reference")
    with pytest.raises(UserError, match=r"no checkout, .* --to DIR"):
        add([runs], "base")


def test_predictions_of_numbers_are_refused(tmp_path):
    (run,) = read_runs([make_run(tmp_path / "run")]).runs
    plain = {**json.loads((run.path / "result.json").read_text()), "task": "regression", "targets": ["arousal"]}
    scores = {"ccc": 0.5, "mae": 0.1, "rmse": 0.1, "by_target": {}}
    plain |= {"metrics": {"test": scores}, "n_clips": 48}
    result = RegressionResult.model_construct(**plain)
    with pytest.raises(UserError, match="predicts numbers"):
        adding._check_run(replace(run, result=result))


def test_other_clips_than_a_reference_has_for_that_fold_are_refused(tmp_path):
    make_reference(tmp_path)
    make_run(tmp_path / "other", protocol={"split_hash": "changed"})
    with pytest.raises(UserError, match="split_hash changed for fold 0 of actors5, which is hash0 in base"):
        add([tmp_path / "other"], "other", to=tmp_path)


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(adding, "MOST_BYTES", 1_000)
    with pytest.raises(UserError, match="and may have 1,000: add fewer seeds"):
        make_reference(tmp_path)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize("score", ["uar", "macro_f1"])
def test_predictions_that_are_not_the_results_are_refused(tmp_path, score):
    made = make_run(tmp_path / "run")
    result = json.loads((made / "result.json").read_text())
    result["metrics"]["test"][score] += 0.002
    (made / "result.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match="do not give the scores"):
        add([made], "base", to=tmp_path)


def test_nothing_names_a_place_and_the_command_is_kept(tmp_path):
    overrides = [
        *("model=cnn", "data=cremad", f"data.root={tmp_path}/corpus", "data.split=actors5"),
        *("data.fold=1", "seed=3"),
        *("+model.net.name=/home/somebody/models/whisper", "model.teacher=outputs/2026/teacher", "logger=none"),
        *("hydra.run.dir=outputs/here", "model.files=[/home/somebody/a.txt,~/b.txt]", "model.net.hub=owner/name"),
    ]
    settings = {"model.net.name": "/home/somebody/models/whisper", "model.teacher": f"{tmp_path}/teacher"}
    teacher = {"path": f"{tmp_path}/teacher", "sha256": "0", "name": "pretrained"}
    pretrained = {"name": "/home/somebody/models/whisper", "mode": "frozen", "parameters": 9}
    made = make_run(tmp_path / "run", settings=settings, overrides=overrides, teacher=teacher)
    result = json.loads((made / "result.json").read_text())
    result["model"]["pretrained"] = pretrained
    (made / "result.json").write_text(json.dumps(result))
    path, reference = add([tmp_path / "run"], "base", to=tmp_path)
    (run,) = reference.runs
    assert run.result.overrides == [
        *("model=cnn", "data=cremad", "data.split=actors5", "+model.net.name=…/whisper"),
        *("model.teacher=RUN_DIR", "model.files=[…/a.txt,…/b.txt]", "model.net.hub=owner/name"),
    ]
    assert run.result.model.pretrained.name == "…/whisper"
    assert run.config["model"]["teacher"] == "pretrained"
    with np.load(path) as arrays:
        text = arrays["record"].tobytes().decode()
    assert "/home/" not in text and str(tmp_path) not in text and tmp_path.name not in text


def test_a_place_that_is_hidden_in_a_text_is_refused(tmp_path):
    make_run(tmp_path / "run", contamination=f"see:{tmp_path}/run")
    with pytest.raises(UserError, match=r"the reference would name .*/run"):
        add([tmp_path / "run"], "base", to=tmp_path)


def test_a_reference_holds_any_folds_and_seeds(tmp_path):
    runs = make_runs(tmp_path / "runs")
    make_run(tmp_path / "more", fold=0, seed=7)
    _, reference = add([runs, tmp_path / "more"], "base", to=tmp_path)
    assert [(run.fold, run.seed) for run in reference.runs] == [("0", 0), ("0", 7), ("1", 0)]
    assert reference.complete
