"""The classical baseline: functionals as the package computes them, standardised by the training clips alone."""

import json
import sys

import numpy as np
import pytest
import torch
from conftest import config

from ser_lightning import cli
from ser_lightning.models.nets import opensmile as module
from ser_lightning.models.nets.opensmile import FEATURE_SETS, OpenSmile, Standardisation, functionals
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import make_data, train
from ser_lightning.utils.errors import UserError

EGEMAPS = ("model=opensmile", "model.net.feature_set=eGeMAPSv02")


@pytest.fixture
def package():
    return pytest.importorskip("opensmile", reason="model=opensmile needs the extra opensmile")


def tone(n_samples=16_000, peak=0.3):
    return (peak * np.sin(np.arange(n_samples) / 12)).astype(np.float32)


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_functionals_are_those_of_the_package(package, feature_set):
    smile = package.Smile(
        feature_set=package.FeatureSet[feature_set], feature_level=package.FeatureLevel.Functionals
    )
    clips = [tone(), tone(9_000, peak=0.05)]
    expected = np.concatenate([smile.process_signal(clip, 16_000).to_numpy() for clip in clips])
    found = functionals(clips, feature_set)
    assert found.shape == (2, FEATURE_SETS[feature_set]) and found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_full_scale_does_not_wrap_around(package):
    loud = np.sign(tone())
    np.testing.assert_array_equal(
        functionals([loud], "eGeMAPSv02"), functionals([loud.clip(-1, 32767 / 32768)], "eGeMAPSv02")
    )


def test_standardisation_is_by_what_was_fitted_and_bounded():
    standardise = Standardisation(3)
    standardise.fit(torch.tensor([1.0, 1e12, 5.0]), torch.tensor([4.0, 1e24, 0.0]))
    x = torch.tensor([[5.0, 3e12, 5.0], [-99.0, 1e12, 6.0]])
    expected = torch.tensor([[2.0, 2.0, 0.0], [-10.0, 0.0, 0.0]])
    torch.testing.assert_close(standardise.train()(x), expected)
    torch.testing.assert_close(standardise.eval()(x), expected)


def test_it_is_standardised_by_the_training_clips_alone(package, cremad_root, tmp_path):
    cfg = config(*EGEMAPS, "data=cremad", f"data.root={cremad_root}", "trainer.max_epochs=2", "data.batch_size=7")
    run = RunDirectory(tmp_path / "run")
    train(cfg, run)
    data = make_data(cfg)
    waveforms = [data.clips.gather([row])[0][0] / np.float32(32768) for row in data.split.train]
    expected = functionals(waveforms, "eGeMAPSv02").astype(np.float64)
    weights = torch.load(run.checkpoints / "best.ckpt", weights_only=True)["state_dict"]
    np.testing.assert_allclose(weights["net.standardise.running_mean"], expected.mean(0), rtol=1e-5, atol=1e-6)
    varies = weights["net.standardise.running_var"].isfinite().numpy()
    assert varies.sum() > 60
    found = weights["net.standardise.running_var"].numpy()[varies]
    np.testing.assert_allclose(found, expected.var(0)[varies], rtol=1e-3)
    assert json.loads(run.result.read_text())["model"]["parameters"] == 89 * 6


def test_cached_functionals_are_not_computed_again(package, cremad_root, tmp_path, monkeypatch):
    cfg = config(*EGEMAPS, "data=cremad", f"data.root={cremad_root}", "trainer.max_epochs=1")
    train(cfg, RunDirectory(tmp_path / "first"))
    monkeypatch.setattr(module, "functionals", None)
    train(cfg, RunDirectory(tmp_path / "second"))
    first, second = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("first", "second"))
    assert first["metrics"] == second["metrics"]


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"not for commercial use: pip install .*'\.\[opensmile\]'") as raised:
        OpenSmile(n_mels=1, n_classes=6)
    assert "\n" not in str(raised.value)


def test_making_it_does_not_import_the_package(package, monkeypatch):
    monkeypatch.delitem(sys.modules, "opensmile")
    OpenSmile(n_mels=1, n_classes=6)
    assert "opensmile" not in sys.modules


def test_an_unknown_feature_set_is_refused():
    with pytest.raises(UserError, match="feature_set=emobase is not known: use eGeMAPSv02 or ComParE_2016"):
        OpenSmile(n_mels=1, n_classes=6, feature_set="emobase")


def test_it_cannot_be_exported(package, cremad_root, tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="exporting needs the extra export")
    cfg = config(*EGEMAPS, "data=cremad", f"data.root={cremad_root}", "trainer.max_epochs=1")
    run = RunDirectory(tmp_path / "run")
    train(cfg, run)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        cli.main(["export", str(run.path)])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "opensmile cannot be exported: its functionals are computed by" in said
