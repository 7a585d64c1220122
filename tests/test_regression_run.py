"""A regression the whole way: CREMA-D's levels, a run, evaluation, predictions, comparison, export, demo."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import config
from layouts import tone
from made_checkpoint import SMALL

from ser_lightning import cli, load_model
from ser_lightning.data.corpora.cremad import EMOTIONS
from ser_lightning.demo.about import about
from ser_lightning.demo.answering import show
from ser_lightning.inference import over_collection
from ser_lightning.inference.checkpoint import read_checkpoint
from ser_lightning.inference.over_collection import logits_of
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import RegressionResult, read_record
from ser_lightning.training.experiment import make_data, train
from ser_lightning.utils.errors import UserError

FINE = ("model.frontend.window_samples=400", "model.frontend.hop_samples=256", "model.frontend.average_frames=1")


@pytest.fixture(scope="module")
def levels(tmp_path_factory, cremad_root):
    """CREMA-D's summary table for the small corpus: levels that rise with the pitch, and a tie."""
    path = tmp_path_factory.mktemp("levels") / "summaryTable.csv"
    lines = ['"","FileName","VoiceVote","VoiceLevel"']
    random = np.random.default_rng(0)
    names = sorted(path.stem for path in (cremad_root / "AudioWAV").iterdir())
    for number, name in enumerate(names):
        level = 20 + 12 * list(EMOTIONS).index(name.split("_")[2]) + random.normal(0, 2)
        tie = number % 17 == 0
        lines.append(f'"{number}","{name}","{"A:F" if tie else "N"}","{"30:50" if tie else f"{level:.2f}"}"')
    path.write_text("\n".join(lines) + "\n")
    return path


def overrides(cremad_root, levels, *more):
    data = ["data=cremad", f"data.root={cremad_root}", f"data.votes={levels}", "data.targets=[voice_level]"]
    return [*data, *SMALL, *FINE, "trainer.max_epochs=2", "trainer.precision=32", *more]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cremad_root, levels):
    run = RunDirectory(tmp_path_factory.mktemp("trained") / "run")
    train(config(*overrides(cremad_root, levels)), run)
    return run


def test_cached_features_give_numbers_in_their_units(trained, cremad_root, levels, monkeypatch):
    model, data = load_model(trained.path), make_data(config(*overrides(cremad_root, levels)))
    test = list(data.split.test)
    live = logits_of(model, data.clips, test, what="test clips", batch_seconds=None)

    def cached_forward(net, frontend, clips, rows, *, device):
        return lambda pieces: net(*frontend(*map(torch.from_numpy, clips.gather(pieces.tolist()))))

    monkeypatch.setattr(over_collection, "cached_forward", cached_forward)
    cached = logits_of(model, data.clips, test, what="test clips", batch_seconds=None)
    np.testing.assert_allclose(cached, live, rtol=1e-4)


def ser(*arguments):
    done = CliRunner().invoke(cli.main, [*map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.pictures
def test_a_run_leaves_everything(cremad_root, levels, tmp_path, capsys):
    run = RunDirectory(tmp_path / "run")
    value = train(config(*overrides(cremad_root, levels)), run)
    result = read_record(run.result)
    assert isinstance(result, RegressionResult)
    assert result.metrics.val.ccc == pytest.approx(value)
    assert result.warnings["left_out_without_value"] == 6 and result.n_clips == 22
    assert (result.targets, result.ranges) == (["voice_level"], [[0.0, 100.0]])
    assert result.protocol.label_source == "values"
    assert set(result.subgroups) >= {"emotion", "sentence"}
    with run.predictions.open() as file:
        rows = list(csv.DictReader(file))
    errors = [abs(float(row["true.voice_level"]) - float(row["predicted.voice_level"])) for row in rows]
    assert np.mean(errors) == pytest.approx(result.metrics.test.mae, rel=1e-5)
    assert {"val/ccc", "val/mae", "val/ccc.voice_level"} <= set(run.metrics.read_text().splitlines()[0].split(","))
    for name in ("scatter.png", "curves.png", "subgroups.png", "checkpoints/model_card.md"):
        assert (run.path / name).stat().st_size > 100
    assert not (run.path / "confusion.png").exists()
    said = " ".join(capsys.readouterr().out.split())
    assert "target CCC Pearson's r MAE RMSE voice_level" in said
    assert "6 clips without a value, left out" in said
    card = (run.checkpoints / "model_card.md").read_text()
    assert "| voice\\_level | from 0 to 100 |" in card or "| voice_level | from 0 to 100 |" in card
    assert "by their CCC" in card and "print(answer.values)" in card


def test_the_checkpoint_gives_numbers_in_their_unit(trained):
    stamp = torch.load(trained.best, weights_only=True)["ser_lightning"]
    assert (stamp["task"], stamp["targets"], stamp["ranges"]) == ("regression", ["voice_level"], [[0.0, 100.0]])
    model = load_model(trained.path)
    answer = model.predict(np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    assert list(answer.values) == ["voice_level"] and 0 < answer.values["voice_level"] < 100
    assert not answer.labelled and answer.told() == {"values": dict(answer.values)} | {
        "values": {"voice_level": pytest.approx(answer.values["voice_level"], rel=1e-6)}
    }
    for of_labels in ("label", "confidence", "probabilities"):
        with pytest.raises(ValueError, match="predicts numbers, which are in values"):
            getattr(answer, of_labels)
    assert model.ranges == {"voice_level": (0.0, 100.0)} and model.labels == ()


def test_its_own_test_is_what_the_run_said_and_conditions_are_compared(trained, tmp_path):
    code, out, errors = ser("eval", trained.path, "--robustness", "--to", tmp_path / "again")
    assert code == 0, errors
    again, first = read_record(tmp_path / "again" / "result.json"), trained.read_result()
    assert again.metrics.test.ccc == pytest.approx(first.metrics.test.ccc, abs=1e-4)
    assert again.robustness[0].ccc == again.metrics.test.ccc and again.robustness[0].difference is None
    noisy = next(row for row in again.robustness if row.condition == "white_0db")
    assert noisy.difference == pytest.approx(noisy.ccc - again.metrics.test.ccc)
    assert "difference in CCC" in " ".join(out.split())


def test_files_get_values_and_long_ones_over_time(trained, tmp_path):
    tone(tmp_path / "short.wav", 1)
    tone(tmp_path / "long.wav", 2, seconds=9)
    code, out, _ = ser("predict", trained.path, tmp_path / "short.wav", tmp_path / "long.wav", "--csv", "-")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0 and list(rows[0]) == ["path", "duration_s", "voice_level", "silent", "clipped", "error"]
    code, out, _ = ser("predict", trained.path, tmp_path / "long.wav", "--jsonl", "-")
    told = json.loads(out)
    assert len(told["segments"]) == 3 and "label" not in told and "label" not in told["segments"][0]
    weights = [each["end_s"] - each["start_s"] for each in told["segments"]]
    mean = np.average([each["values"]["voice_level"] for each in told["segments"]], weights=weights)
    assert told["values"]["voice_level"] == pytest.approx(mean, rel=1e-5)
    assert float(rows[1]["voice_level"]) == pytest.approx(told["values"]["voice_level"], rel=1e-4)
    code, out, _ = ser("predict", trained.path, tmp_path / "long.wav")
    assert re.search(r"from +to +voice_level", out)


def test_runs_are_compared(trained, cremad_root, levels, tmp_path):
    folder = tmp_path / "runs"
    for name, more in (
        ("ccc", ["data.fold=1"]),
        ("mse", ["model.loss=mse"]),
        ("mse1", ["model.loss=mse", "data.fold=1"]),
    ):
        train(config(*overrides(cremad_root, levels, *more)), RunDirectory(folder / name))
    page, table, values = tmp_path / "page.html", tmp_path / "table.csv", tmp_path / "values.json"
    code, out, errors = ser("compare", trained.path, folder, "--html", page, "--csv", table, "--json", values)
    assert code == 0, errors
    said = " ".join(out.split())
    assert "voice_level (numbers given to the clips)" in said and "p speakers" in said and "p clips" not in said
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == {"cnn (loss=null)", "cnn (loss=mse)"}
    assert {"ccc", "ccc_low", "ccc_sd", "pearson", "mae", "rmse", "ccc.voice_level"} <= set(rows[0])
    comparison = json.loads(values.read_text())["comparisons"][0]
    (best, other), pair = comparison["groups"], comparison["pairs"][0]
    assert comparison["targets"] == ["voice_level"] and best["confusion"] is None
    assert pair["difference"]["value"] == pytest.approx(best["ccc"]["value"] - other["ccc"]["value"])
    assert pair["mcnemar_p"] is None and 0 < pair["permutation_p"] <= 1
    text = page.read_text()
    assert "CCC of each target" in text and "Confusions, in per cent" not in text and "McNemar" not in text
    assert f"{best['ccc']['value']:.3f}" in text.replace("−", "-")


def test_it_is_exported(trained, tmp_path):
    pytest.importorskip("onnxscript", reason="exporting needs the extra export")
    onnxruntime = pytest.importorskip("onnxruntime", reason="exporting needs the extra export")
    code, _, errors = ser("export", trained.path, "--output", tmp_path / "model.onnx")
    assert code == 0, errors
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    about_it = session.get_modelmeta().custom_metadata_map
    assert json.loads(about_it["targets"]) == ["voice_level"] and "values (batch, 1)" in about_it["usage"]
    waveform, lengths = (
        np.random.default_rng(1).normal(0, 0.1, (2, 8_000)).astype(np.float32),
        np.array([8_000, 5_000]),
    )
    waveform[1, 5_000:] = 0
    (found,) = session.run(["values"], {"waveform": waveform, "lengths": lengths})
    expected = load_model(trained.path)(torch.from_numpy(waveform), torch.from_numpy(lengths))
    assert found == pytest.approx(expected.numpy(), abs=1e-2)


def test_the_demo_shows_values_in_their_ranges(trained, tmp_path):
    tone(tmp_path / "long.wav", 2, seconds=9)
    model = load_model(trained.path)
    shown = show(model, tmp_path / "long.wav", window_s=4, hop_s=2, folder=tmp_path)
    value = float(re.search(r'data-target="voice_level" data-value="([^"]+)"', shown.answer)[1])
    assert value == pytest.approx(model.predict_file(tmp_path / "long.wav").values["voice_level"], rel=1e-5)
    assert f"width: {value:.2f}%" in shown.answer  # the range is 0 to 100
    assert "The mean over 3 segments" in shown.answer and "voice_level" in shown.picture
    facts = " ".join(about(read_checkpoint(trained.best)).facts)
    assert "In its test: CCC" in facts and "calibrated" not in facts


def test_it_cannot_be_calibrated(trained):
    code, _, errors = ser("calibrate", trained.path)
    assert code == 1 and "this model predicts voice_level" in errors


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["data.targets=[arousal]"], "CREMA-D brings no arousal: it has voice_level"),
        (["data.targets=voice_level"], r"say data\.targets=\[arousal,valence\]"),
        (["data.labels=voice_votes"], r"data\.labels=voice_votes has no effect with data\.targets"),
        (["model.loss=mae"], r"model\.loss=mae is not known"),
        (["monitor.metric=val/uar"], "cannot be monitored: the validation set selects, by val/ccc"),
        (["monitor.metric=val/ccc.arousal"], "nothing predicted is called so, there are voice_level"),
        (["monitor.metric=val/mae"], "set monitor.mode=min"),
        (
            ["data.batch_size=1"],
            r"every training batch holds one clip, of which a CCC teaches nothing: set model\.loss",
        ),
        (["data.batch_seconds=0.1"], "every training batch holds one clip"),
        (["data.votes=null"], "no table of them is found for CREMA-D"),
    ],
)
def test_what_cannot_work_is_said(cremad_root, levels, tmp_path, more, why):
    with pytest.raises(UserError, match=why):
        train(config(*overrides(cremad_root, levels, *more)), RunDirectory(tmp_path / "run"))


def test_numbers_out_of_range_are_named(cremad_root, levels, tmp_path):
    wrong = tmp_path / "summaryTable.csv"
    wrong.write_text(levels.read_text().replace('"N","', '"N","1', 1))
    with pytest.raises(UserError, match=r"voice_level lies outside 0 to 100 in 1 clip of CREMA-D: \S+ \(1\d\d"):
        train(config(*overrides(cremad_root, wrong)), RunDirectory(tmp_path / "run"))


def test_a_users_list_needs_no_emotions(tmp_path):
    lines = ["path,speaker,Arousal,valence"]
    for number in range(20):
        tone(tmp_path / f"{number}.wav", number % 5)
        lines.append(f"{number}.wav,p{number // 4},{1 + number % 5},{'' if number == 7 else 3 - number % 5}")
    (tmp_path / "my.csv").write_text("\n".join(lines) + "\n")
    listed = ["data=csv", f"data.manifest={tmp_path / 'my.csv'}", "data.targets=[arousal,Valence]", *SMALL, *FINE]
    run = RunDirectory(tmp_path / "run")
    train(config(*listed, "trainer.max_epochs=1", "trainer.precision=32"), run)
    result = run.read_result()
    assert result.targets == ["arousal", "valence"] and result.warnings["left_out_without_value"] == 1
    with pytest.raises(UserError, match=r"line 6: arousal is '5', which lies outside 1 to 4"):
        train(config(*listed, "data.ranges={arousal: [1, 4]}"), RunDirectory(tmp_path / "other"))
