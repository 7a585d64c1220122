"""What every model YAML must hold to, found by looking: a new one is tested without being told."""

import pytest
import torch
from conftest import config, names_in
from torch import nn
from torch.nn import functional

from ser_lightning.data.batches import Batch
from ser_lightning.models.layers.pooling import POOLINGS
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.experiment import make_module

LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
RATE_HZ = 16_000
LENGTHS = torch.tensor([40_000, 31_007, 16_000, 1_600])  # down to 0.1 s

# a name of a model, and overrides after it
MODELS = [
    *names_in("model"),
    "cnn experiment=by_speaker",
    *(f"cnn model.net.pooling={name}" for name in POOLINGS if name != "attentive"),
]
# how a model is learnt by heart where the usual way is slow or fails; 32 of the notebook's frames hold those clips
BY_HEART = {
    "notebook_cnn": ["model.net.n_frames=32"],
    "notebook_cnn_gru": ["model.net.n_frames=32"],
    "notebook_cnn_transformer": ["model.net.n_frames=32", "model.frontend.n_mels=64", "model.optimizer.lr=3e-4"],
    "notebook_resnet18": ["model.net.n_frames=32"],
    "opensmile": ["model.optimizer.lr=1e-2"],
}
pytestmark = pytest.mark.parametrize("name", MODELS)


def model_config(name, *overrides):
    return config(*f"model={name}".split(), *overrides)


@pytest.fixture
def module(name):
    torch.manual_seed(0)
    return make_module(model_config(name), task=Classification(LABELS), sample_rate_hz=RATE_HZ)


def clips(lengths=LENGTHS, extra=0):
    """Noise bursts, int16, with ``extra`` samples of padding beyond the longest."""
    generator = torch.Generator().manual_seed(1)
    waveform = torch.zeros(len(lengths), int(lengths.max()) + extra, dtype=torch.int16)
    for clip, length in zip(waveform, lengths, strict=True):
        loudness = torch.rand(1, generator=generator) * 8000
        clip[:length] = (
            (torch.randn(int(length), generator=generator) * loudness).clamp(-32768, 32767).to(torch.int16)
        )
    return waveform


def batch_of(waveform, lengths, label):
    target = functional.one_hot(label, len(LABELS)).float()
    return Batch(waveform=waveform, lengths=lengths, label=label, target=target, index=torch.arange(len(label)))


def loss_of(module, batch):
    module.log = lambda *arguments, **options: None  # no trainer is attached
    return module.training_step(batch, 0)


def unsettle_norms(module):
    """As after training: batch norms no longer make 0 of 0, so that padding would show."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.bias, -0.5, 0.5)
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)


def test_the_number_of_classes_is_that_of_the_labels(module, name):
    assert module.eval()(clips(), LENGTHS).shape == (4, 6)
    two = make_module(model_config(name), task=Classification(("calm", "upset")), sample_rate_hz=RATE_HZ)
    assert two.eval()(clips(), LENGTHS).shape == (4, 2)


def test_padding_does_not_change_the_answer(module):
    unsettle_norms(module.eval())
    with torch.inference_mode():
        alone = torch.cat([module(clips()[i : i + 1, :n], LENGTHS[i : i + 1]) for i, n in enumerate(LENGTHS)])
        for extra in (0, 1, 12_345, 60_000):
            torch.testing.assert_close(module(clips(extra=extra), LENGTHS), alone, atol=1e-4, rtol=0)


def test_the_order_of_a_batch_does_not_matter(module):
    module.eval()
    order = torch.tensor([2, 0, 3, 1])
    with torch.inference_mode():
        torch.testing.assert_close(
            module(clips()[order], LENGTHS[order]), module(clips(), LENGTHS)[order], atol=1e-4, rtol=0
        )


def test_short_silent_and_long_clips_are_finite(module):
    lengths = torch.tensor([192_000, 1_600, 1_600, 400])
    waveform = clips(lengths)
    waveform[2] = 0
    batch = batch_of(waveform, lengths, torch.tensor([0, 1, 2, 3]))
    with torch.inference_mode():
        assert module.eval()(waveform, lengths).isfinite().all()
    loss = loss_of(module.train(), batch)
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters() if parameter.grad is not None)


def test_every_parameter_learns(module, name):
    loss_of(module.train(), batch_of(clips(), LENGTHS, torch.tensor([0, 1, 2, 3]))).backward()
    idle = [
        key for key, parameter in module.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    # the notebook reads the last step alone, which the backward GRU reaches first, with nothing to remember
    assert idle == (["net.gru.weight_hh_l0_reverse"] if name == "notebook_cnn_gru" else [])


def test_one_batch_can_be_learnt_by_heart(name):
    torch.manual_seed(0)
    overrides = ["model.augment=null", "model.label_smoothing=0", "model.optimizer.lr=1e-3"]
    cfg = model_config(name, *overrides, *BY_HEART.get(name, []))
    for key in cfg.model.net:
        if "dropout" in key:
            cfg.model.net[key] = 0.0
    module = make_module(cfg, task=Classification(LABELS), sample_rate_hz=RATE_HZ).train()
    lengths = torch.randint(8_000, 16_000, (12,), generator=torch.Generator().manual_seed(2))
    batch = batch_of(clips(lengths), lengths, torch.arange(12) % 6)
    optimizer = torch.optim.AdamW(module.parameters(), lr=cfg.model.optimizer.lr)
    for _step in range(60):
        loss = loss_of(module, batch)
        if loss < 0.05:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    module.train()  # by the batch's own statistics, as it was learnt
    with torch.inference_mode():
        assert torch.equal(module(batch.waveform, lengths).argmax(1), batch.label)


def test_bf16_is_close_to_32_bit(module):
    module.eval()
    with torch.inference_mode():
        exact = module(clips(), LENGTHS).softmax(1)
        with torch.autocast("cpu", torch.bfloat16):
            rough = module(clips(), LENGTHS).float().softmax(1)
    torch.testing.assert_close(rough, exact, atol=0.03, rtol=0)


def test_weights_survive_the_disk(module, name, tmp_path):
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(99)
    other = make_module(model_config(name), task=Classification(LABELS), sample_rate_hz=RATE_HZ)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    with torch.inference_mode():
        assert torch.equal(other.eval()(clips(), LENGTHS), module.eval()(clips(), LENGTHS))
