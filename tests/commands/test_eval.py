"""`ser eval` and `ser calibrate` on small corpora: own test, other corpora, refusals, what they leave."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import config, make_cremad
from layouts import make_csv, make_emodb, make_ravdess, tone
from made_checkpoint import SMALL, make_checkpoint_of

from ser_lightning import cli, load_model
from ser_lightning.data.degrade.catalogue import CONDITIONS
from ser_lightning.evaluation.distributions import js_divergence
from ser_lightning.inference.checkpoint import read_checkpoint
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.predictions import read_predictions
from ser_lightning.training.experiment import make_data, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cremad_root):
    """The directory of a run on CREMA-D, of one epoch, with frames fine enough for clips of a third of a second."""
    run = RunDirectory(tmp_path_factory.mktemp("trained") / "run")
    overrides = ["data=cremad", f"data.root={cremad_root}", *SMALL, "trainer.max_epochs=1", "trainer.precision=32"]
    overrides += ["model.frontend.window_samples=400", "model.frontend.hop_samples=256"]
    overrides += ["model.frontend.average_frames=1"]
    train(config(*overrides), run)
    return run


def ser(*arguments):
    done = CliRunner().invoke(cli.main, [*map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.pictures
def test_its_own_test_is_what_the_run_said(trained, tmp_path):
    code, out, errors = ser("eval", trained.path, "--to", tmp_path / "again")
    assert code == 0, errors
    again, first = result_of(tmp_path / "again"), trained.read_result().plain()
    for name in ("uar", "accuracy", "macro_f1", "loss"):
        assert again["metrics"]["test"][name] == pytest.approx(first["metrics"]["test"][name], abs=1e-4)
    assert again["confusion_matrix"] == first["confusion_matrix"]
    for name in ("corpus", "split", "fold", "split_hash", "speaker_independent"):
        assert again["protocol"][name] == first["protocol"][name]
    assert again["leakage"]["train/test"] == {"speakers": [], "n_sounds": 0}
    assert again["checkpoint"]["path"] == str(trained.best)
    assert again["calibration"]["ece"] == pytest.approx(first["calibration"]["ece"], abs=1e-3)
    for name in ("confusion.png", "reliability.png", "predictions.csv", "config.yaml"):
        assert (tmp_path / "again" / name).stat().st_size > 100
    assert "no test speaker is in training" in out and "calibration error" in out


def test_a_run_that_is_not_finished_is_said_to_be_none(trained, tmp_path):
    killed = RunDirectory(tmp_path / "killed")
    shutil.copytree(trained.path, killed.path)
    killed.result.unlink()
    code, out, errors = ser("eval", killed.path, "--to", tmp_path / "tested")
    assert code == 0, errors
    assert "data warning: 1 checkpoint of a run that is not finished" in out
    assert result_of(tmp_path / "tested")["warnings"]["training_unfinished"] == 1
    alone = killed.path / "models" / "mine.ckpt"  # of which the config above says nothing
    alone.parent.mkdir()
    shutil.move(killed.best, alone)
    assert ser("eval", alone, "--to", tmp_path / "alone")[0] == 0
    assert "training_unfinished" not in result_of(tmp_path / "alone")["warnings"]


def test_an_epoch_that_validation_did_not_select_is_another_protocol(trained, tmp_path):
    content = torch.load(trained.best, weights_only=True)
    (history,) = (state for state in content["callbacks"].values() if "rows" in state)
    path = tmp_path / "last.ckpt"
    for uars, selection in (((0.2, 0.5, 0.4), "last epoch"), ((0.2, 0.4, 0.5), "best validation")):
        history["rows"] = [{"epoch": number, "val/uar": uar} for number, uar in enumerate(uars, start=1)]
        torch.save(content, path)
        copy = tmp_path / "copy.ckpt"
        read_checkpoint(path).write(copy, temperature=1.5)
        for number, tested in enumerate((path, copy)):
            to = tmp_path / f"{selection} {number}"
            assert ser("eval", tested, "--to", to)[0] == 0
            assert result_of(to)["protocol"]["selection"] == selection


@pytest.mark.pictures
def test_conditions_and_subgroups_are_evaluated_too(trained, tmp_path):
    code, out, errors = ser("eval", trained.path, "--robustness", "--to", tmp_path / "to")
    assert code == 0, errors
    result = result_of(tmp_path / "to")
    rows = {row["condition"]: row for row in result["robustness"]}
    assert rows.keys() == CONDITIONS.keys()
    assert rows["clean"]["uar"] == result["metrics"]["test"]["uar"]
    assert {row["n_clips"] for row in rows.values()} == {24}
    assert len({row["uar"] for row in rows.values()}) > 2  # they do something
    assert set(result["subgroups"]) == {"sentence", "sex", "age"}  # of one intensity
    assert "white noise, 10 dB" in out and "least recognised" in out
    for name in ("robustness.png", "subgroups.png"):
        assert (tmp_path / "to" / name).stat().st_size > 10_000
    assert ser("eval", trained.path, "--robustness", "--to", tmp_path / "again")[0] == 0
    assert result_of(tmp_path / "again")["robustness"] == result["robustness"]


def test_conditions_are_of_whole_clips(trained, tmp_path):
    cut = ("data.on_long=split", "data.max_clip_seconds=0.5")
    code, _, errors = ser("eval", trained.path, *cut, "--robustness", "--to", tmp_path / "to")
    assert code == 1 and "data.on_long=split cuts them: add data.on_long=crop" in errors
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(("fold", "how"), [(1, "was selected on"), (2, "was trained on")])
def test_training_speakers_are_refused(trained, tmp_path, fold, how):
    code, _, errors = ser("eval", trained.path, f"data.fold={fold}", "--to", tmp_path / "seen")
    assert code == 1 and how in errors and "--allow-leakage" in errors
    assert not (tmp_path / "seen").exists()
    code, out, _ = ser("eval", trained.path, f"data.fold={fold}", "--to", tmp_path / "seen", "--allow-leakage")
    assert code == 0 and "OF THESE SPEAKERS: says nothing about new speakers" in " ".join(out.split())
    result = result_of(tmp_path / "seen")
    n_known = len({who for pair in ("train/test", "val/test") for who in result["leakage"][pair]["speakers"]})
    assert n_known == 2 if fold == 1 else n_known >= 1
    assert result["protocol"]["speaker_independent"] is False
    assert result["protocol"]["trained_on"] == "cremad, actors5, fold 0"


def test_a_clip_under_another_name_is_known_by_its_sound(trained, tmp_path, cremad_root):
    """Somebody's own list of the files that it was trained on."""
    lines = ["path,emotion,speaker"]
    for number, speaker in enumerate(("1040", "1041", "1060")):
        for path in sorted((cremad_root / "AudioWAV").glob(f"{speaker}_*_ANG_*"))[:2]:
            shutil.copy(path, tmp_path / f"{number}-{path.stem[5:8]}.wav")
            lines.append(f"{number}-{path.stem[5:8]}.wav,anger,p{number}")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    code, _, errors = ser("eval", trained.path, "data=csv", f"data.manifest={tmp_path}/mine.csv")
    assert code == 1 and "6 of the test's clips" in errors


def test_the_same_names_in_another_list_are_asked_about(tmp_path):
    own, listed = make_csv(tmp_path / "own"), make_csv(tmp_path / "other")
    for number, path in enumerate(sorted((tmp_path / "other" / "clips").iterdir())):
        tone(path, number / 10 + 0.33)  # other clips of the same people, and a list of the same name
    path = make_checkpoint_of(tmp_path / "best.ckpt", "data=csv", f"data.manifest={own}", *SMALL)
    other = ["eval", path, "data=csv", f"data.manifest={listed}", "--to", tmp_path / "to"]
    code, _, errors = ser(*other)
    assert code == 1 and "data.same_speakers=yes; if not, data.same_speakers=no" in errors.splitlines()[-1]
    code, _, errors = ser(*other, "data.same_speakers=yes")
    assert code == 1 and "was trained on 3 of the test's speakers" in errors and "--allow-leakage" in errors
    code, out, errors = ser(*other, "data.same_speakers=no")
    assert code == 0, errors
    assert "all clips: no test speaker is in training" in out
    assert result_of(tmp_path / "to")["protocol"]["n_test"] == 10
    assert result_of(tmp_path / "to")["leakage"]["train/test"] == {"speakers": [], "n_sounds": 0}


def test_another_corpus_needs_a_map_and_is_tested_whole(trained, tmp_path):
    root = make_ravdess(tmp_path / "ravdess")
    here = ["data=ravdess", f"data.root={root}"]
    code, _, errors = ser("eval", trained.path, *here)
    assert code == 1 and "does not know calm, surprise" in errors and "data/label_map=six" in errors
    code, out, errors = ser("eval", trained.path, *here, "data/label_map=six", "--to", tmp_path / "ravdess-six")
    assert code == 0, errors
    result = result_of(tmp_path / "ravdess-six")
    assert result["protocol"]["n_test"] == 7 * 6 == sum(map(sum, result["confusion_matrix"]))
    assert (result["protocol"]["split"], result["protocol"]["trained_on"]) == ("all", "cremad")
    training = result["checkpoint"]["training"]
    assert (training["data"]["corpus"], training["fold"]) == ("cremad", 0)
    assert training["split_hash"] == trained.read_result().protocol.split_hash
    assert result["protocol"]["label_map"]["calm"] == "drop"
    assert result["protocol"]["speaker_independent"] is True and result["warnings"]["left_out_by_label"] == 14
    assert "trained on cremad" in out and "all clips: no test speaker is in training" in out
    fold = ["data.fold=0", "--to", tmp_path / "fold"]
    assert ser("eval", trained.path, *here, "data/label_map=six", *fold)[0] == 0
    assert result_of(tmp_path / "fold")["protocol"]["n_test"] == 6 * 1


def test_the_answers_are_the_models_own(trained, tmp_path):
    root = make_emodb(tmp_path / "emodb")
    to = tmp_path / "to"
    assert ser("eval", trained.path, "data=emodb", f"data.root={root}", "data/label_map=six", "--to", to)[0] == 0
    found, model = read_predictions(to / "predictions.csv"), load_model(trained.best)
    for row in (0, len(found.ids) // 2, -1):
        expected = model.predict_file(root / "wav" / f"{found.ids[row]}.wav")
        assert expected.probabilities[model.labels[3]] == pytest.approx(found.probabilities[row, 3], abs=1e-4)


def test_a_list_with_some_of_the_labels_needs_no_map(trained, tmp_path):
    listed = make_csv(tmp_path, emotions=("anger", "sadness"))
    code, out, errors = ser("eval", trained.path, "data=csv", f"data.manifest={listed}", "--to", tmp_path / "to")
    assert code == 0, errors
    assert "absent" in out
    result = result_of(tmp_path / "to")
    assert result["metrics"]["test"]["recall"]["fear"] is None
    # a clip's class is the model's class of that name: sadness is its sixth label, and the second of the list
    labels_of = {row["path"].removesuffix(".wav"): row["emotion"] for row in rows_of(listed)}
    scored_as = {row["id"]: row["label"] for row in rows_of(tmp_path / "to" / "predictions.csv")}
    assert scored_as == labels_of
    in_each = [sum(row) for row in result["confusion_matrix"]]
    assert dict(zip(result["labels"], in_each, strict=True)) == {
        **dict.fromkeys(result["labels"], 0),
        "anger": 5,
        "sadness": 5,
    }


def test_shares_of_votes_on_some_of_the_labels_are_those_of_the_models_labels(trained, tmp_path):
    listed = make_csv(tmp_path, emotions=("anger", "sadness"))
    header, *lines = listed.read_text().splitlines()
    votes = {"anger": "3,1", "sadness": "1,2"}
    lines = [",".join([line, votes["anger" if ",anger" in line else "sadness"]]) for line in lines]
    listed.write_text("\n".join([header + ",votes.anger,votes.sadness", *lines]) + "\n")
    soft = ["data=csv", f"data.manifest={listed}", "data.labels=votes_soft"]
    code, _, errors = ser("eval", trained.path, *soft, "--to", tmp_path / "to")
    assert code == 0, errors
    result, rows = result_of(tmp_path / "to"), rows_of(tmp_path / "to" / "predictions.csv")
    assert [row["label"] for row in rows] == [row["emotion"] for row in rows_of(listed)]
    shares = np.zeros((len(rows), 6))
    for row, share in zip(rows, shares, strict=True):
        share[[result["labels"].index("anger"), result["labels"].index("sadness")]] = (
            (0.75, 0.25) if row["label"] == "anger" else (1 / 3, 2 / 3)
        )
    probabilities = np.array([[float(row[f"p_{name}"]) for name in result["labels"]] for row in rows])
    expected = js_divergence(probabilities, shares).mean()
    assert result["distribution"]["js_divergence"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["data.fold=9"], "this split has folds 0 to 4"),
        (["model=cnn"], "model=cnn is no setting of the data"),
        (["data=toy", "trainer.max_epochs=3"], "trainer.max_epochs=3 is no setting of the data"),
        (["data.nonsense=1"], "no setting data.nonsense"),
        (["data/label_map=six"], "needs data=NAME beside it"),
        (["data=ravdes"], "ravdes"),
        (["data.root=/nowhere"], "data.root=/nowhere does not exist"),
    ],
)
def test_overrides_that_cannot_be_are_one_line(trained, overrides, complaint):
    code, _, errors = ser("eval", trained.path, *overrides)
    assert code == 1 and complaint in errors.splitlines()[-1]


def test_a_result_is_never_written_over(trained, tmp_path):
    (tmp_path / "something").write_text("precious")
    code, _, errors = ser("eval", trained.path, "--to", tmp_path)
    assert code == 1 and "not empty" in errors


def test_a_checkpoint_that_does_not_say_whom_it_was_trained_on_is_refused(trained, tmp_path):
    content = torch.load(trained.best, weights_only=True)
    del content["ser_lightning"]["heard"]
    torch.save(content, tmp_path / "old.ckpt")
    code, _, errors = ser("eval", tmp_path / "old.ckpt")
    assert code == 1 and "does not say whom it was trained on" in errors
    code, out, _ = ser("eval", tmp_path / "old.ckpt", "--allow-seen", "--to", tmp_path / "to")
    assert code == 0 and "WHOM IT WAS TRAINED ON IS NOT KNOWN" in " ".join(out.split())


def test_calibration_is_fitted_to_validation_speakers_and_stays(trained, tmp_path):
    place = tmp_path / "calibrated.ckpt"
    code, out, errors = ser("calibrate", trained.path, "--output", place)
    assert code == 0, errors
    assert "before" in out and "temperature" in out and place.with_suffix(".png").stat().st_size > 10_000
    saved = read_checkpoint(place)
    assert saved.stamp["calibrated"]["n_speakers"] == 2 and saved.epoch == 1
    model, raw = load_model(place), load_model(trained.best)
    assert model.temperature == saved.temperature != 1
    data = make_data(config("data=cremad", *SMALL, f"data.root={saved.config['data']['root']}"))
    waveform, lengths = (torch.from_numpy(array) for array in data.clips.gather(data.split.val))
    labels = torch.tensor([data.task.outputs.index(data.manifest[row].emotion) for row in data.split.val])
    losses = [
        torch.nn.functional.cross_entropy(one.logits(waveform, lengths), labels).item() for one in (model, raw)
    ]
    assert losses[0] < losses[1]
    assert ser("eval", place, "--to", tmp_path / "to")[0] == 0
    assert result_of(tmp_path / "to")["checkpoint"]["temperature"] == model.temperature
    again = read_predictions(tmp_path / "to" / "predictions.csv")
    assert np.array_equal(again.predicted, read_predictions(trained.predictions).predicted)


def test_a_temperature_that_does_not_help_others_is_not_written(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("ser_lightning.evaluation.calibration.left_out", worse)
    code, out, errors = ser("calibrate", trained.path, "--output", tmp_path / "calibrated.ckpt")
    assert code == 1
    assert re.search(
        r"a temperature does not help .*NLL 1\.\d+ before, 2\d\.\d+ after\. Nothing is written", errors
    )
    assert "before" in out and "fell" not in out and not list(tmp_path.iterdir())


def worse(logits, labels, groups):
    """Probabilities that are confident, and wrong."""
    return np.eye(logits.shape[1])[(labels + 1) % logits.shape[1]]


def test_calibration_is_refused_on_speakers_that_trained_and_without_a_validation_set(
    trained, tmp_path, cremad_root
):
    code, _, errors = ser("calibrate", trained.path, "data.fold=1")
    assert code == 1 and "trained on these validation speakers" in errors
    overrides = [
        "data=cremad",
        f"data.root={cremad_root}",
        "data.split=random",
        "data.splits.random.val_fraction=0",
    ]
    path = make_checkpoint_of(tmp_path / "random.ckpt", *overrides, *SMALL)
    code, _, errors = ser("calibrate", path)
    assert code == 1 and "no validation set" in errors
    assert ser("eval", path, "--allow-seen", "--to", tmp_path / "to")[0] == 0
    assert result_of(tmp_path / "to")["protocol"]["selection"] == "last epoch"


def test_nothing_is_fitted_to_the_speakers_or_the_sounds_of_its_own_test(trained, tmp_path, cremad_root):
    """Fold 4 validates on the test of fold 0; a list of its files does under other names."""
    code, _, errors = ser("calibrate", trained.path, "data.fold=4", "--output", tmp_path / "4.ckpt")
    assert code == 1 and "is to be tested on these validation speakers (1001, 1002)" in errors.splitlines()[-1]
    lines = ["path,emotion,speaker,fold"]
    tested = sorted((cremad_root / "AudioWAV").glob("100[12]_*"))
    for number, path in enumerate(tested):
        shutil.copy(path, tmp_path / f"{number}.wav")
        emotion = read_checkpoint(trained.best).task.labels[number % 6]
        lines.append(f"{number}.wav,{emotion},p{number // 6},{('train', 'val', 'val', 'test')[number // 6]}")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    here = ["data=csv", f"data.manifest={tmp_path}/mine.csv", "data.split=file"]
    code, _, errors = ser("calibrate", trained.path, *here, "--output", tmp_path / "csv.ckpt")
    assert code == 1 and "is to be tested on these validation clips" in errors.splitlines()[-1]
    assert not list(tmp_path.glob("*.ckpt"))


@pytest.mark.parametrize("lacks", [("held_out",), ("held_out", "heard")])
def test_a_checkpoint_that_does_not_say_who_is_in_its_test_is_calibrated_on_its_own_split(trained, tmp_path, lacks):
    content = torch.load(trained.best, weights_only=True)
    for key in lacks:
        del content["ser_lightning"][key]
    torch.save(content, tmp_path / "old.ckpt")
    code, _, errors = ser("calibrate", tmp_path / "old.ckpt", "data.fold=4")
    assert code == 1 and "does not say who is in its training and its test" in errors
    assert ser("calibrate", tmp_path / "old.ckpt")[0] == 0


@pytest.fixture
def elsewhere(tmp_path):
    """Where a corpus lies whose speakers the model was not trained on, and its overrides."""
    listed = tmp_path / "other.csv"
    lines = ["path,emotion,speaker,fold"]
    for row in range(24):
        tone(tmp_path / "clips" / f"{row}.wav", row / 10 + 0.05)
        emotion = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")[row % 6]
        lines.append(f"clips/{row}.wav,{emotion},q{row // 6},{('train', 'val', 'val', 'test')[row // 6]}")
    listed.write_text("\n".join(lines))
    return ["data=csv", f"data.manifest={listed}"]


def test_whom_the_temperature_was_fitted_on_is_refused_as_a_test(trained, tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr("ser_lightning.evaluation.calibration.left_out", better)
    place = tmp_path / "calibrated.ckpt"
    code, _, errors = ser("calibrate", trained.path, *elsewhere, "data.split=file", "--output", place)
    assert code == 0, errors
    assert read_checkpoint(place).stamp["calibrated"]["record"]["heard"]["calibration"]["speakers"] == [
        "other:q1",
        "other:q2",
    ]
    code, _, errors = ser("eval", place, *elsewhere, "--to", tmp_path / "to")
    assert code == 1 and "was calibrated on 2 of the test's speakers (q1, q2)" in errors
    code, out, _ = ser("eval", place, *elsewhere, "--to", tmp_path / "to", "--allow-leakage")
    assert code == 0 and "CALIBRATED ON 2 OF THESE SPEAKERS" in " ".join(out.split())
    result = result_of(tmp_path / "to")
    assert result["leakage"]["calibration/test"] == {"speakers": ["q1", "q2"], "n_sounds": 12}
    assert result["protocol"]["speaker_independent"] is False
    code, _, errors = ser("eval", place, *elsewhere, "data.split=file", "--to", tmp_path / "held out")
    assert code == 0, errors
    assert result_of(tmp_path / "held out")["protocol"]["speaker_independent"] is True
    assert ser("calibrate", place, "--output", tmp_path / "again.ckpt")[0] == 0  # replaces the other temperature
    code, _, errors = ser("eval", tmp_path / "again.ckpt", *elsewhere, "--to", tmp_path / "again")
    assert code == 0, errors


def better(logits, labels, groups):
    """Probabilities that are nearly right."""
    return 0.94 * np.eye(logits.shape[1])[labels] + 0.01


def test_a_corpus_of_the_same_speakers_is_not_foreign(trained, tmp_path):
    """Another copy of what it was trained on: a fold of it is tested, and not all of it."""
    root = make_cremad(tmp_path / "copy")
    code, _, errors = ser("eval", trained.path, "data=cremad", f"data.root={root}", "--to", tmp_path / "to")
    assert code == 0, errors
    assert result_of(tmp_path / "to")["protocol"]["n_test"] == 24
