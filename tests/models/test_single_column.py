"""Strided convolutions are right also over the narrow maps that a deep network makes of a short clip."""

import copy
from functools import partial

import pytest
import torch
from conftest import config
from torch import Tensor, nn

from ser_lightning.models.layers.single_column import correct_single_columns
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.experiment import make_module

CONVOLUTIONS = {
    "3x3": partial(nn.Conv2d, 64, 96, 3, stride=2, padding=1, bias=False),
    "7x7": partial(nn.Conv2d, 1, 64, 7, stride=2, padding=3, bias=False),
    "3x3 of columns and groups": partial(nn.Conv2d, 64, 64, 3, stride=(1, 2), padding=1, groups=4),
    "1x1": partial(nn.Conv2d, 64, 96, 1, stride=2),
    "3": partial(nn.Conv1d, 64, 96, 3, stride=2, padding=1),
    "2 of stride 3": partial(nn.Conv1d, 64, 32, 2, stride=3, padding=1),
}


def results(conv: nn.Module, x: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Return what it makes of ``x``, and the gradients of both, computed in ``dtype``."""
    conv = copy.deepcopy(conv).to(dtype)
    x = x.to(dtype, copy=True).requires_grad_()
    y = conv(x)
    y.backward(torch.linspace(-1, 1, y.numel()).view(y.shape).to(dtype))
    return [tensor.float() for tensor in (y, x.grad, conv.weight.grad)]


@pytest.mark.parametrize("width", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_strided_convolutions_are_right_in_32_bits_and_close_in_bf16(kind, width):
    torch.manual_seed(0)
    plain = CONVOLUTIONS[kind]()
    corrected = nn.Sequential(copy.deepcopy(plain))
    correct_single_columns(corrected)
    size = (5, width) if isinstance(plain, nn.Conv2d) else (width,)
    x = torch.randn(4, plain.in_channels, *size)
    exact = results(plain, x, torch.float32)  # right on every CPU
    for ours, expected in zip(results(corrected[0], x, torch.float32), exact, strict=True):
        torch.testing.assert_close(ours, expected)
    for ours, expected in zip(results(corrected[0], x, torch.bfloat16), exact, strict=True):
        assert (ours - expected).abs().max() < 0.03 * expected.abs().max()


class Doubled(nn.Conv1d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_what_is_derived_from_a_convolution_is_left_as_it_is():
    doubled, x = Doubled(4, 4, 3, stride=2, padding=1), torch.randn(2, 4, 1)
    before = doubled(x)
    correct_single_columns(doubled)
    assert torch.equal(doubled(x), before)


def test_the_input_may_be_named():
    conv, x = nn.Conv1d(4, 4, 3, stride=2, padding=1), torch.randn(2, 4, 1)
    before = conv(x)
    correct_single_columns(conv)
    torch.testing.assert_close(conv(input=x), before)


@pytest.mark.parametrize("name", ["resnet18", "resnet_transformer"])
def test_answers_for_very_short_clips_are_close_in_bf16(name):
    torch.manual_seed(0)
    task = Classification(("anger", "neutral", "sadness"))
    module = make_module(config(f"model={name}"), task=task, sample_rate_hz=16_000).eval()
    clips, lengths = 0.1 * torch.randn(8, 1_600), torch.full((8,), 1_600)
    with torch.no_grad():
        exact = module(clips, lengths)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = module(clips, lengths)
    assert (rounded.float() - exact).abs().max() < 0.1 * exact.abs().max()
