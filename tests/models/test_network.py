"""The optional hooks of a network: defaults for a plain module, and its own where it has them."""

from types import SimpleNamespace

import pytest
import torch
from conftest import config
from torch import nn

from ser_lightning.models.nets.network import Network, hook
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.experiment import make_module


class Plain(nn.Module):
    """A user's own: no base class, and one of the hooks."""

    def __init__(self, *, n_mels: int, n_classes: int):
        super().__init__()
        self.classify = nn.Linear(n_mels, n_classes)

    def forward(self, features, lengths):
        return self.classify(features.sum(2) / lengths[:, None])

    def description(self):
        return {"kind": "mean of frames"}


class Derived(Network):
    """The same with the base class, its weights and its biases at rates of their own."""

    def __init__(self, *, n_mels: int, n_classes: int):
        super().__init__()
        self.classify = nn.Linear(n_mels, n_classes)

    def forward(self, features, lengths):
        return self.classify(features.sum(2) / lengths[:, None])

    def parameter_groups(self):
        return [{"params": [self.classify.weight]}, {"params": [self.classify.bias], "lr_scale": 0.5}]

    def cache_features(self, make, *, rows, hashes, n_samples):
        self.features = dict(zip(rows, zip(*make(rows), strict=True), strict=True))
        return True

    def forward_cached(self, index):
        features, lengths = zip(*(self.features[row] for row in index.tolist()), strict=True)
        return self(torch.stack(features), torch.stack(lengths))

    def checkpoint_arguments(self):
        return {"n_hidden": 3}

    @property
    def can_be_averaged(self):
        return False

    @property
    def contamination(self):
        return "trained on everything"


def module(kind):
    cfg = config("model.optimizer.lr=0.1")
    cfg.model.net = {"_target_": f"{__name__}.{kind.__name__}", "_partial_": True}
    return make_module(cfg, task=Classification(("a", "b", "c")), sample_rate_hz=16_000).eval()


def cache(made):
    waveform = torch.randint(
        -9_000, 9_000, (2, 8_000), dtype=torch.int16, generator=torch.Generator().manual_seed(0)
    )
    lengths = torch.tensor([8_000, 8_000])
    clips = SimpleNamespace(
        piece_hashes=["a", "b"],
        pieces=SimpleNamespace(n_samples=lengths.numpy()),
        gather=lambda rows: (waveform[rows].numpy(), lengths[rows].numpy()),
    )
    made.cache_features(clips, [0, 1], training_rows=[0])
    return waveform, lengths


def test_a_plain_module_has_the_defaults_and_keeps_its_own():
    made = module(Plain)
    assert made.description() == {"name": "cnn", "parameters": 80 * 3 + 3, "kind": "mean of frames"}
    assert made.checkpoint_arguments() == {}
    assert made.can_be_averaged and made.contamination is None
    (group,) = made.make_optimizer().param_groups
    assert len(group["params"]) == 2 and group["lr"] == 0.1
    cache(made)
    assert made._forward_cached is None


def test_what_a_network_overrides_is_used():
    made = module(Derived)
    assert made.description() == {"name": "cnn", "parameters": 80 * 3 + 3}
    assert made.checkpoint_arguments() == {"n_hidden": 3}
    assert not made.can_be_averaged and made.contamination == "trained on everything"
    assert [group["lr"] for group in made.make_optimizer().param_groups] == pytest.approx([0.1, 0.05])
    waveform, lengths = cache(made)
    torch.testing.assert_close(made._forward_cached(torch.tensor([1, 0])), made(waveform, lengths)[[1, 0]])


def test_a_hook_that_is_none_is_an_error():
    with pytest.raises(AttributeError):
        hook(nn.Linear(1, 1), "parametre_groups")
