"""What is exported in place of a layer answers as the layer does: in PyTorch, without ONNX."""

import pytest
import torch
from conftest import config, names_in
from torch import nn
from torch.nn import functional

from ser_lightning.export.custom_ops import recurrence
from ser_lightning.export.exportable import exportable
from ser_lightning.export.frontend import LogMelByConvolution
from ser_lightning.models.frontend import LogMel
from ser_lightning.models.layers.mamba import Mamba
from ser_lightning.models.layers.selective_scan import selective_scan_reference
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.experiment import make_module

RATE_HZ = 16_000
FRONTENDS = {
    "standard": {"window_samples": 1024, "hop_samples": 200, "average_frames": 2},
    "short": {"window_samples": 400, "hop_samples": 256},
    "reflect": {"n_fft": 2048, "window_samples": 2048, "hop_samples": 512, "pad_mode": "reflect"},
    "min_max": {"normalise": "min_max", "mel_scale": "slaney"},
    "training": {"window_samples": 1024, "average_frames": 2, "normalise": "training", "speech_margin": 4},
    "decibels": {"n_fft": 512, "window_samples": 301, "normalise": "none"},
}


def clips(*lengths):
    generator = torch.Generator().manual_seed(0)
    waveform = torch.zeros(len(lengths), max(lengths) + 1234)
    for clip, length in zip(waveform, lengths, strict=True):
        clip[:length] = 0.1 * torch.randn(length, generator=generator) + 0.01
    return waveform, torch.tensor(lengths)


@pytest.mark.parametrize("name", FRONTENDS)
def test_the_front_end_is_log_mel(name):
    options = FRONTENDS[name] | {"sample_rate_hz": RATE_HZ}
    waveform, lengths = clips(20_000, 16_001, 2048, 160, 1, 4321)
    waveform[-1] = 0  # silence
    expected, frames = LogMel(**options)(waveform, lengths)
    twin = LogMelByConvolution(**options)
    found, own_frames = twin(waveform, lengths)
    torch.testing.assert_close(own_frames, frames)
    assert not found[..., expected.shape[2] :].any()  # a graph may keep padding
    found = found[..., : expected.shape[2]]
    tolerance = 1e-3 if name == "decibels" else 1e-4
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)
    beyond = torch.arange(waveform.shape[1]) >= lengths[:, None]
    torch.testing.assert_close(
        twin(waveform + beyond, lengths)[0][..., : found.shape[2]], found
    )  # what is there is not looked at


@pytest.mark.parametrize("name", [name for name in names_in("model") if name not in ("opensmile", "pretrained")])
def test_a_network_that_can_be_exported_answers_the_same(name):
    torch.manual_seed(0)
    net = make_module(
        config(f"model={name}"), task=Classification(("calm", "upset")), sample_rate_hz=RATE_HZ
    ).net.eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    n_mels = config(f"model={name}").model.frontend.n_mels
    features, lengths = torch.randn(3, n_mels, 97), torch.tensor([97, 40, 1])
    features *= torch.arange(97) < lengths[:, None, None]
    with torch.inference_mode():
        twin = exportable(net)
        torch.testing.assert_close(twin(features, lengths), net(features, lengths), atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    loops = sum(isinstance(module, nn.GRU | Mamba) for module in net.modules())
    assert sum(type(module).__module__ == exportable.__module__ for module in twin.modules()) == loops


def test_the_recurrence_is_the_selective_scan():
    torch.manual_seed(0)
    u, delta, z = torch.randn(3, 19, 2, 6)  # 19 frames of two clips
    B, C = torch.randn(2, 19, 2, 4)
    A, D, bias = -torch.rand(6, 4), torch.randn(6), torch.randn(6)
    steps = functional.softplus(delta + bias)
    y = recurrence(steps * u, steps, B, C, A.t())
    expected = selective_scan_reference(u, delta, A, B, C, D, z, bias)
    torch.testing.assert_close((y + D * u) * functional.silu(z), expected)
