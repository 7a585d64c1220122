"""The benchmark's yardsticks: the notebook's loop prepares what our front-end prepares, and both train."""

import functools
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from conftest import config

from ser_lightning.bench import scan, timed_job
from ser_lightning.bench.__main__ import BareStep, _scan, _scan_lengths
from ser_lightning.bench.notebook import CNNAsWritten, NotebookClips, NotebookLoop
from ser_lightning.models.layers.selective_scan import selective_scan, selective_scan_reference
from ser_lightning.models.nets.notebook import NotebookCNN
from ser_lightning.training.experiment import make_data, make_module


@pytest.fixture(scope="module")
def data(cremad_root):
    return make_data(config("data=cremad", f"data.root={cremad_root}"))


def test_our_preprocessing_of_the_notebook_is_the_notebooks(data):
    clips = NotebookClips(data)
    module = make_module(config("model=notebook_cnn"), task=data.task, sample_rate_hz=data.sample_rate_hz)
    batch = data._loader(data.split.train[:5], batch_size=5).dataset[list(data.split.train[:5])]
    features, frames = module.frontend(batch.waveform, batch.lengths)
    for number, n_frames in enumerate(frames):
        expected, label = clips[number]
        assert label == batch.label[number]
        assert not expected[0, :, n_frames:].any()
        torch.testing.assert_close(features[number, :, :n_frames], expected[0, :, :n_frames], atol=2e-3, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_our_cnn_of_the_notebook_is_the_notebooks(training):
    torch.manual_seed(0)
    ours = NotebookCNN(n_mels=128, n_classes=6).double().train(training)
    theirs = CNNAsWritten(6).double().train(training)
    weights = {name.removeprefix("stack."): values for name, values in ours.state_dict().items()}
    weights["residual.weight"] = weights["residual.weight"][:, :, None, None]
    theirs.load_state_dict(weights)
    features = torch.rand(2, 128, 160, dtype=torch.float64)
    answers = [ours(features, torch.full((2,), 160)), theirs(features[:, None])]
    torch.testing.assert_close(*answers)
    for answer in answers:
        answer.square().sum().backward()
    gradients = {name.removeprefix("stack."): weight.grad for name, weight in ours.named_parameters()}
    gradients["residual.weight"] = gradients["residual.weight"][:, :, None, None]
    for name, weight in theirs.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad)


def test_the_yardsticks_train(data, cremad_root, monkeypatch):
    monkeypatch.setattr("ser_lightning.bench.notebook._BATCHES", 1)
    loop = NotebookLoop(data)
    before = loop.net.head[1].weight.detach().clone()
    assert loop.clips_per_s() > 0
    assert not torch.equal(loop.net.head[1].weight, before)
    small = ("model.net.channels=[4,8]", "model.frontend.n_mels=16", "data.batch_size=16")
    cfg = config("data=cremad", f"data.root={cremad_root}", *small)
    step = BareStep(cfg, make_data(cfg))
    assert step.clips_per_s() > 0
    assert sum(step.shares().values()) == pytest.approx(1)


def test_all_ways_of_the_scan_do_the_same_work():
    pytest.importorskip("mambapy")
    given = [x.detach() for x in scan.Problem(2, 9)._given]
    clips_first = [x.transpose(0, 1) if x.dim() == 3 else x for x in given]
    expected = selective_scan_reference(*given)
    torch.testing.assert_close(selective_scan(*given), expected, rtol=1e-4, atol=1e-5)
    mambapys = scan.mambapys_scan()(*clips_first).transpose(0, 1)
    torch.testing.assert_close(mambapys, expected, rtol=1e-4, atol=1e-5)


def test_the_tables_of_the_scan_with_mambapy_and_without(monkeypatch):
    monkeypatch.setattr("ser_lightning.bench.__main__.peaks_mb", lambda way, clips, frames: [None for _ in frames])
    for name in ("ROUNDS", "SCAN_CLIPS", "SCAN_FRAMES", "LONG_CLIPS"):
        monkeypatch.setattr(f"ser_lightning.bench.__main__.{name}", 1)
    monkeypatch.setattr("ser_lightning.bench.__main__.LONG_FRAMES", (3, 5))
    assert _scan_lengths().row_count == 2
    if scan.mambapys_scan() is not None:
        assert _scan().row_count == 5
    monkeypatch.setitem(sys.modules, "mambapy.mamba", None)
    assert _scan().row_count == 4


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux")
def test_the_peak_of_memory_holds_the_gradients_at_least():
    short, long = scan.peaks_mb("ours", 2, [100, 400])
    assert long > 3 * 2 * 400 * 512 * 4 / 1e6  # of u, delta and z
    assert short < long


@pytest.mark.parametrize(("module", "path"), [part[1:] for part in timed_job._PARTS])
def test_what_is_timed_of_a_job_is_there(module, path):
    assert callable(functools.reduce(getattr, path.split("."), import_module(module)))
