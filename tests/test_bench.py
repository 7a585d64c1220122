"""The benchmark's yardsticks: the notebook's loop prepares what our front-end prepares, and both train."""

import pytest
import torch
from conftest import config

from ser_lightning.bench import BareStep, NotebookLoop, _NotebookClips
from ser_lightning.experiment import make_data, make_module


@pytest.fixture(scope="module")
def data(cremad_root):
    return make_data(config("data=cremad", f"data.root={cremad_root}"))


def test_our_preprocessing_of_the_notebook_is_the_notebooks(data):
    clips = _NotebookClips(data)
    module = make_module(config("model=notebook_cnn"), labels=data.labels, sample_rate_hz=data.sample_rate_hz)
    batch = data._loader(data.split.train[:5], batch_size=5).dataset[list(data.split.train[:5])]
    features, frames = module.frontend(batch.waveform, batch.lengths)
    for number, n_frames in enumerate(frames):
        expected, label = clips[number]
        assert label == batch.label[number]
        assert not expected[0, :, n_frames:].any()
        torch.testing.assert_close(features[number, :, :n_frames], expected[0, :, :n_frames], atol=2e-3, rtol=0)


def test_the_yardsticks_train(data, cremad_root, monkeypatch):
    monkeypatch.setattr("ser_lightning.bench.BATCHES", 1)
    loop = NotebookLoop(data)
    before = loop._net.head[1].weight.detach().clone()
    assert loop.clips_per_s() > 0
    assert not torch.equal(loop._net.head[1].weight, before)
    small = ("model.net.channels=[4,8]", "model.frontend.n_mels=16", "data.batch_size=16")
    cfg = config("data=cremad", f"data.root={cremad_root}", *small)
    step = BareStep(cfg, make_data(cfg))
    assert step.clips_per_s() > 0
    assert sum(step.shares().values()) == pytest.approx(1)
