"""The selective scan against its reference, Mamba blocks against plain layers, padding, directions and backends."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.nn import functional

from ser_lightning.models.layers import scan_cpu
from ser_lightning.models.layers import selective_scan as scans
from ser_lightning.models.layers.mamba import Mamba, MambaStack, causal_convolution, reordered, reversal
from ser_lightning.models.layers.selective_scan import selective_scan, selective_scan_reference
from ser_lightning.utils.errors import UserError

LENGTHS = (1, 2, 3, 5, 17, 31, 63, 64, 65, 127, 200, 301)
NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def arguments(n_frames, n_clips=3, n_channels=5, n_states=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(n_frames)

    def random(*shape):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    steps = (n_frames, n_clips)
    made = (
        random(*steps, n_channels),
        random(*steps, n_channels),
        -random(n_channels, n_states).exp(),
        random(*steps, n_states),
        random(*steps, n_states),
        random(n_channels),
        random(*steps, n_channels),
        random(n_channels) - 1,
    )
    return [each.requires_grad_() for each in made]


def with_gradients(scan, given):
    y = scan(*given)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(0)).to(y.dtype)
    return {"y": y.detach()} | dict(zip(NAMES, torch.autograd.grad(y, given, weight), strict=True))


def test_the_reference_is_the_recurrence_by_hand():
    def column(*values):
        return torch.tensor(values)[:, None, None]

    y = selective_scan_reference(
        column(1.0, 2.0),
        column(0.0, 1.0),
        torch.tensor([[-0.5]]),
        column(3.0, 4.0),
        column(5.0, 6.0),
        torch.tensor([0.1]),
        column(1.0, 1.0),
        torch.tensor([0.2]),
    )
    first, second = (functional.softplus(torch.tensor(x)) for x in (0.2, 1.2))
    h = first * 3 * 1
    assert y[0, 0, 0] == pytest.approx(float((5 * h + 0.1) * torch.sigmoid(torch.tensor(1.0))))
    h = torch.exp(-0.5 * second) * h + second * 4 * 2
    assert y[1, 0, 0] == pytest.approx(float((6 * h + 0.2) * torch.sigmoid(torch.tensor(1.0))))


@pytest.fixture
def threads():
    """Sets how many there are, and puts that back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_frames", LENGTHS)
@pytest.mark.parametrize(("tile", "n_threads"), [(None, 1), (60, 1), (150, 1), (150, 2), (225, 3)])
def test_value_and_every_gradient_are_the_references(n_frames, tile, n_threads, threads, monkeypatch):
    threads(n_threads)
    if tile is not None:  # 60: tiles of a clip and four steps; 150: of two clips, then one, and five steps
        monkeypatch.setattr(scan_cpu, "_TILE", tile)
    given = arguments(n_frames)
    torch.testing.assert_close(
        with_gradients(selective_scan, given),
        with_gradients(selective_scan_reference, given),
        atol=1e-6,
        rtol=1e-6,
    )


@pytest.mark.parametrize("n_frames", [1, 3, 64, 301])
def test_in_32_bits_too(n_frames):
    given = arguments(n_frames, dtype=torch.float32)
    got, expected = with_gradients(selective_scan, given), with_gradients(selective_scan_reference, given)
    for name in expected:
        largest = max(1.0, float(expected[name].abs().max()))
        torch.testing.assert_close(got[name], expected[name], atol=1e-4 * largest, rtol=0, msg=name)


@pytest.mark.parametrize("tile", [None, 8])
def test_gradients_are_those_of_finite_differences(tile, monkeypatch):
    if tile is not None:
        monkeypatch.setattr(scan_cpu, "_TILE", tile)
    assert torch.autograd.gradcheck(selective_scan, arguments(5, n_clips=2, n_channels=2, n_states=1))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_threads_work_in_the_callers_modes_and_leave_others_as_they_were(mode, threads, monkeypatch):
    threads(3)
    scan_cpu._threads.cache_clear()
    expected = selective_scan(*arguments(20))
    monkeypatch.setattr(scan_cpu, "_TILE", 60)
    with mode():
        torch.testing.assert_close(selective_scan(*arguments(20)), expected.detach())
    assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(1) as new:
        assert new.submit(torch.get_num_threads).result() == 3


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_an_exported_scan_has_every_step(threads, monkeypatch):
    class Scan(nn.Module):
        def forward(self, *given):
            return selective_scan(*given)

    threads(2)
    monkeypatch.setattr(scan_cpu, "_TILE", 60)
    given = [x.detach() for x in arguments(6)]
    other = [given[0] + 1, *given[1:]]
    with torch.no_grad():
        exported = torch.export.export(Scan(), tuple(given)).module()
        torch.testing.assert_close(exported(*other), selective_scan(*other))


def test_backward_keeps_few_states(monkeypatch):
    monkeypatch.setattr(scan_cpu, "_TILE", 5 * 16 * 10)  # ten steps a tile
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(tuple(x.shape)) or x, lambda x: x):
        selective_scan(*arguments(95, n_clips=1, n_states=16))
    assert [shape for shape in kept if len(shape) > 3] == [(10, 1, 16, 5)]


@pytest.mark.parametrize("autocast", [False, True])
def test_bf16_forgets_nothing_over_thousands_of_frames(autocast):
    """A sum of 2,000 small terms, which a state in bf16 would stop taking after a few hundred."""
    n_frames = 2000
    given = arguments(n_frames, n_clips=1, n_channels=4, n_states=2, dtype=torch.float32)
    u, _, A, B, C, D, z, _ = (each.detach() for each in given)
    slow = (torch.ones_like(u), torch.zeros_like(u), A * 1e-5, torch.ones_like(B), C, D, z, torch.full((4,), -4.0))
    rounded = [each.bfloat16() if each.dim() == 3 else each for each in slow]
    exact = selective_scan_reference(*(each.double() for each in rounded))
    leaves = [each.requires_grad_() for each in rounded]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = selective_scan(*leaves)
        y.float().square().mean().backward()
    assert y.dtype == torch.bfloat16
    error = (y.double() - exact).abs().amax() / exact.abs().amax()
    assert error < 2**-8  # of rounding the result
    assert all(each.grad.isfinite().all() for each in leaves)
    wide = [each.detach().double().requires_grad_() for each in rounded]
    selective_scan_reference(*wide).square().mean().backward()
    for name, got, expected in zip(NAMES, leaves, wide, strict=True):
        error = (got.grad.double() - expected.grad).abs().amax() / expected.grad.abs().amax()
        assert error < 0.02, name


def test_steps_that_forget_all_or_nothing_are_finite():
    given = arguments(20, dtype=torch.float32)
    with torch.no_grad():
        given[1][::2] = 300.0
        given[1][1::2] = -300.0
    got = with_gradients(selective_scan, given)
    assert all(each.isfinite().all() for each in got.values())
    torch.testing.assert_close(got["y"], selective_scan_reference(*given).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 4, 9])
def test_the_convolution_is_that_of_conv1d(n_frames):
    conv = nn.Conv1d(5, 5, 4, groups=5).double()
    before = [each.detach().clone() for each in conv.parameters()]
    x = torch.randn(n_frames, 1, 5, dtype=torch.float64, requires_grad=True)
    leaves = [x, *conv.parameters()]
    got = causal_convolution(x, conv)
    expected = conv(functional.pad(x.permute(1, 2, 0), (3, 0))).permute(2, 0, 1)
    torch.testing.assert_close(got, expected)
    weight = torch.randn_like(got)
    torch.testing.assert_close(
        torch.autograd.grad(got, leaves, weight), torch.autograd.grad(expected, leaves, weight)
    )
    assert all(map(torch.equal, conv.parameters(), before))


class FakeMamba(nn.Module):
    """Names, shapes and mathematics of mamba_ssm's `Mamba`, (B, F, M) -> (B, F, M), out of plain layers."""

    def __init__(self, d_model, d_state=16, d_conv=4, expand=2):
        super().__init__()
        d_inner, rank = expand * d_model, -(-d_model // 16)
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv1d = nn.Conv1d(d_inner, d_inner, d_conv, groups=d_inner, padding=d_conv - 1)
        self.x_proj = nn.Linear(d_inner, rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(rank, d_inner)
        self.A_log = nn.Parameter(torch.randn(d_inner, d_state))
        self.D = nn.Parameter(torch.randn(d_inner))
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)

    def forward(self, x):
        n_frames = x.shape[1]
        u, z = self.in_proj(x).chunk(2, -1)
        u = functional.silu(self.conv1d(u.mT)[..., :n_frames].mT)
        rank, n_states = self.dt_proj.in_features, self.A_log.shape[1]
        low_rank, B, C = self.x_proj(u).split([rank, n_states, n_states], -1)
        y = fake_kernels(
            *(each.mT for each in (u, low_rank @ self.dt_proj.weight.t())),
            -self.A_log.exp(),
            B.mT,
            C.mT,
            self.D,
            z=z.mT,
            delta_bias=self.dt_proj.bias,
            delta_softplus=True,
        )
        return self.out_proj(y.mT)


def fake_kernels(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
    """What mamba_ssm's kernels are given, (B, C or E, F) in one format, and what they return."""
    assert delta_softplus
    assert len({each.dtype for each in (u, delta, B, C, z)}) == 1
    assert A.dtype == D.dtype == delta_bias.dtype == torch.float32
    u, delta, B, C, z = (each.permute(2, 0, 1) for each in (u, delta, B, C, z))
    return selective_scan_reference(u, delta, A, B, C, D, z, delta_bias).permute(1, 2, 0)


def test_a_checkpoint_moves_to_mamba_ssm_and_back():
    theirs, ours = FakeMamba(d_model=20, d_state=6), Mamba(d_model=20, d_state=6)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(9, 2, 20)
    torch.testing.assert_close(ours(x), theirs(x.transpose(0, 1)).transpose(0, 1))
    fresh = Mamba(d_model=20, d_state=6)
    theirs.load_state_dict(fresh.state_dict())
    torch.testing.assert_close(fresh(x), theirs(x.transpose(0, 1)).transpose(0, 1))


def test_the_names_and_shapes_are_those_of_mamba_ssm():
    shapes = {name: tuple(each.shape) for name, each in Mamba(d_model=40, d_state=8).state_dict().items()}
    assert shapes == {
        "A_log": (80, 8),
        "D": (80,),
        "in_proj.weight": (160, 40),
        "conv1d.weight": (80, 1, 4),
        "conv1d.bias": (80,),
        "x_proj.weight": (3 + 8 + 8, 80),
        "dt_proj.weight": (80, 3),
        "dt_proj.bias": (80,),
        "out_proj.weight": (40, 80),
    }


def test_memories_begin_short_and_long():
    block = Mamba(d_model=256)
    delta = functional.softplus(block.dt_proj.bias)
    assert 0.0009 < delta.min() < 0.002
    assert 0.05 < delta.max() < 0.11
    torch.testing.assert_close(-block.A_log.exp()[0], -torch.arange(1.0, 17.0))


def stack(**options):
    torch.manual_seed(0)
    return MambaStack(n_layers=2, d_model=8, d_state=4, **options).double()


@pytest.mark.parametrize("bidirectional", [True, False])
def test_padding_never_leaks_into_a_clip_and_never_learns(bidirectional):
    both = stack(bidirectional=bidirectional)
    lengths = torch.tensor([11, 4, 1])
    x = torch.randn(3, 11, 8, dtype=torch.float64)
    spoiled = x.clone()
    spoiled[1, 4:], spoiled[2, 1:] = 1e3, -1e3
    spoiled.requires_grad_()
    got = both(spoiled, lengths)
    own = [got[number, :length] for number, length in enumerate(lengths)]
    for number, length in enumerate(lengths):
        torch.testing.assert_close(own[number], both(x[number : number + 1, :length], length[None])[0])
    sum(each.square().sum() for each in own).backward()
    assert spoiled.grad[1, :4].any()
    assert not spoiled.grad[1, 4:].any()
    assert not spoiled.grad[2, 1:].any()


def test_one_way_sees_the_past_alone_and_both_ways_see_all():
    x = torch.randn(1, 9, 8, dtype=torch.float64)
    other = x.clone()
    other[:, 5, 0] += 1
    for bidirectional, reached in ((False, 4), (True, 9)):
        layers = stack(bidirectional=bidirectional)
        differs = (layers(x, torch.tensor([9])) != layers(other, torch.tensor([9]))).any(-1)[0]
        assert differs.tolist() == [False] * (9 - reached) + [True] * reached


def test_the_backward_direction_reads_each_clip_from_its_own_end():
    both = stack(bidirectional=True)
    for layer in both.layers:
        layer.backwards.load_state_dict(layer.forwards.state_dict())
    lengths = torch.tensor([9, 4])
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    order = reversal(lengths, 9)

    def turned(sequences):
        return reordered(sequences.transpose(0, 1), order).transpose(0, 1)

    torch.testing.assert_close(turned(x)[1, :4], x[1, :4].flip(0))
    torch.testing.assert_close(turned(x)[1, 4:], x[1, 4:])
    torch.testing.assert_close(both(turned(x), lengths), turned(both(x, lengths)))


@pytest.fixture
def kernels(monkeypatch):
    """Puts a mamba_ssm in place whose scan is the one given."""

    def install(scan):
        module = ModuleType("mamba_ssm.ops.selective_scan_interface")
        if scan is not None:
            module.selective_scan_fn = scan
        for name in ("mamba_ssm", "mamba_ssm.ops"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        scans._kernels.cache_clear()

    yield install
    scans._kernels.cache_clear()


@pytest.fixture
def no_kernels(monkeypatch):
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    scans._kernels.cache_clear()
    yield
    scans._kernels.cache_clear()


def test_without_the_kernels_auto_does_without_and_cuda_says_what_to_install(no_kernels):
    assert not scans._takes_kernels("auto", torch.device("cuda"))
    for ask in (lambda: Mamba(d_model=8, backend="cuda"), lambda: selective_scan(*arguments(2), backend="cuda")):
        with pytest.raises(UserError, match=r"pip install -e '\.\[mamba\]'"):
            ask()
    with pytest.raises(UserError, match="backend=gpu is not known: use auto, torch, cuda"):
        Mamba(d_model=8, backend="gpu")


def test_with_the_kernels_they_are_taken_on_a_gpu_alone(kernels):
    kernels(fake_kernels)
    for backend, device, taken in (
        ("auto", "cuda", 1),
        ("cuda", "cuda", 1),
        ("torch", "cuda", 0),
        ("auto", "cpu", 0),
    ):
        assert scans._takes_kernels(backend, torch.device(device)) == bool(taken)
    with pytest.raises(UserError, match="the model is on the cpu"):
        Mamba(d_model=8, backend="cuda")(torch.randn(2, 1, 8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernels_are_given_what_they_take(kernels, dtype):
    kernels(fake_kernels)
    given = [x.to(dtype) if x.dim() == 3 else x for x in arguments(7, dtype=torch.float32)]
    given[3] = given[3].float()  # a format of its own
    torch.testing.assert_close(
        scans._scan_by_kernels(*given).float(), selective_scan(*given).float(), rtol=0.02, atol=0.02
    )


def test_kernels_that_do_not_load_are_reported_and_done_without(kernels, caplog):
    kernels(None)
    assert not scans._takes_kernels("auto", torch.device("cuda"))
    assert "installed but cannot be imported" in caplog.text


def test_on_a_cpu_mamba_ssm_is_not_even_imported(monkeypatch):
    monkeypatch.setattr(scans, "_kernels", lambda: pytest.fail("imported"))
    selective_scan(*arguments(2))


def test_what_was_chosen_is_said_once(caplog):
    caplog.set_level(logging.INFO)
    scans._announce.cache_clear()
    for _ in range(3):
        selective_scan(*arguments(2))
    assert caplog.messages == ["the selective scan is done by PyTorch, on the cpu"]
