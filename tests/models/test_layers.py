"""The residual stack and the Transformer encoder against slow, obvious forms of themselves."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from ser_lightning.models.layers import residual
from ser_lightning.models.layers.masking import clear_padding, frame_mask, relu_within, strided
from ser_lightning.models.layers.residual import ResidualStack
from ser_lightning.models.layers.transformer import TransformerEncoder, sinusoids
from ser_lightning.models.nets.resnet18 import ResNet

STACKS = [
    {"channels": (4, 6, 8), "blocks": (2, 1, 2)},
    {"channels": (4, 4, 6), "blocks": (1, 1, 1), "stem_kernel": 3, "stem_pool": False},
    {"channels": (4, 6, 8), "blocks": (1, 1, 1), "time_strides": (1, 2, 1)},
]


def unsettled(stack):
    """With batch norms that make something of nothing."""
    for norm in stack.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
    return stack


def test_relu_within_is_relu_then_zeros_and_so_is_its_gradient():
    x = torch.randn(3, 2, 4, 7, requires_grad=True)
    weight = torch.randn(3, 2, 4, 7)
    lengths = torch.tensor([7, 4, 1])
    expected = clear_padding(functional.relu(x), lengths)
    (slope,) = torch.autograd.grad((expected * weight).sum(), x)
    got = relu_within(x.clone(), lengths)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(torch.autograd.grad((got * weight).sum(), x)[0], slope)


@pytest.mark.parametrize("options", STACKS)
@pytest.mark.parametrize("training", [False, True])
def test_the_residual_stack_is_that_of_plain_relu_and_zeros(options, training, monkeypatch):
    torch.manual_seed(0)
    stack = unsettled(ResidualStack(**options)).train(training)
    features, lengths = torch.randn(4, 21, 45), torch.tensor([45, 31, 32, 1])
    state = {key: value.clone() for key, value in stack.state_dict().items()}

    def answer():
        stack.load_state_dict(state)
        stack.zero_grad()
        x, steps = stack(features, lengths)
        (x * torch.arange(x.numel()).view_as(x).sin()).sum().backward()
        return x, steps, [parameter.grad.clone() for parameter in stack.parameters()]

    fast, steps, slopes = answer()
    monkeypatch.setattr(residual, "relu_within", lambda x, lengths: clear_padding(functional.relu(x), lengths))
    slow, _, expected = answer()
    assert steps.max() == fast.shape[3]
    assert fast.shape[2] == stack.n_rows(21)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(slopes, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", STACKS)
@pytest.mark.parametrize("n_frames", [1, 16, 31, 45])
def test_the_residual_stack_is_that_of_plain_layers_where_nothing_is_padded(options, n_frames):
    torch.manual_seed(0)
    stack = unsettled(ResidualStack(**options)).eval()
    features = torch.randn(2, 21, n_frames)
    x = functional.relu(stack.stem_norm(stack.stem(features[:, None])))
    if stack.stem_pool:
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
    for block in stack.blocks:
        y = functional.relu(block.norm1(block.conv1(x)))
        x = functional.relu(block.norm2(block.conv2(y)) + block.shortcut(x))
    got, lengths = stack(features, torch.tensor([n_frames] * 2))
    torch.testing.assert_close(got, x)
    assert lengths.tolist() == [x.shape[3]] * 2


@pytest.mark.parametrize("options", STACKS)
def test_the_residual_stack_never_sees_padding(options):
    torch.manual_seed(0)
    stack = unsettled(ResidualStack(**options)).eval()
    lengths = torch.arange(1, 46)
    features = torch.randn(45, 21, 60)
    together, steps = stack(features, lengths)
    for row, (n_frames, n_steps) in enumerate(zip(lengths, steps, strict=True)):
        alone, _ = stack(features[row : row + 1, :, :n_frames], lengths[row : row + 1])
        assert alone.shape[3] == n_steps
        torch.testing.assert_close(together[row, :, :, :n_steps], alone[0], atol=1e-5, rtol=1e-5)
        assert not together[row, :, :, n_steps:].any()


def test_the_default_is_resnet_18():
    net = ResNet(n_mels=80, n_classes=1000, pooling="mean")
    published = 11_689_512  # with three input channels, at 1000 classes
    assert sum(parameter.numel() for parameter in net.parameters()) == published - 2 * 64 * 7 * 7
    x, lengths = net.forward_features(torch.randn(1, 80, 157), torch.tensor([157]))
    assert x.shape == (1, 512, 5)
    assert lengths.tolist() == [5]


def test_stages_must_agree():
    with pytest.raises(ValueError, match=r"blocks=\[2, 2\] and time_strides=\[1, 2, 2\] differ in length"):
        ResidualStack(channels=(4, 6, 8), blocks=(2, 2))


def test_lengths_after_strides():
    assert strided(torch.tensor([1, 2, 3, 157]), 2).tolist() == [1, 1, 2, 79]
    assert strided(torch.tensor([1, 5]), 1).tolist() == [1, 5]


def encoder(**options):
    return TransformerEncoder(
        **{"d_model": 8, "n_layers": 2, "n_heads": 2, "n_feedforward": 12, "dropout": 0.0} | options
    )


def test_positions_are_those_of_the_paper():
    table = sinusoids(7, 4)
    for position in range(7):
        angles = torch.tensor([position / 1.0, position / 100.0])
        torch.testing.assert_close(table[position, 0::2], angles.sin())
        torch.testing.assert_close(table[position, 1::2], angles.cos())


def test_the_encoder_is_torchs():
    torch.manual_seed(0)
    ours = encoder()
    theirs = nn.ModuleList(
        nn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(2)
    )
    for to, layer in zip(theirs, ours.layers, strict=True):
        weights = [parameter.detach().clone() for parameter in layer.parameters()]
        norm, attention, norm2, feedforward = weights[:2], weights[2:6], weights[6:8], weights[8:]
        with torch.no_grad():
            for parameter, value in zip(to.parameters(), [*attention, *feedforward, *norm, *norm2], strict=True):
                parameter.copy_(value)
    x, lengths = torch.randn(3, 5, 8), torch.tensor([5, 2, 1])
    own = frame_mask(lengths, 5)
    got = ours(x, lengths)
    y = x + sinusoids(5, 8)
    for layer in theirs:
        y = layer(y, src_key_padding_mask=~own)
    torch.testing.assert_close(got[own], ours.norm(y)[own])
    got[own].square().sum().backward()
    slope = ours.layers[0].queries_keys_values.weight.grad
    ours.norm(y)[own].square().sum().backward()
    torch.testing.assert_close(slope, theirs[0].self_attn.in_proj_weight.grad, atol=1e-5, rtol=1e-4)


def test_heads_must_share_the_width():
    with pytest.raises(ValueError, match="d_model=8 must be even, and a multiple of n_heads=3"):
        encoder(n_heads=3)
