"""The loss options, the schedules, and the notebook's network against its literal form."""

import pytest
import torch
from conftest import config
from omegaconf import OmegaConf
from torch.nn import functional

from ser_lightning.models.gathered_outputs import Outputs
from ser_lightning.models.layers.convolution import ConvStack
from ser_lightning.models.layers.masking import frame_mask
from ser_lightning.models.layers.pooling import POOLINGS, AttentiveStatisticsPooling, make_pooling
from ser_lightning.models.nets.notebook import NotebookCNN
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.experiment import make_module
from ser_lightning.utils.errors import UserError

LABELS = ("a", "b", "c")
COUNTS = torch.tensor([10, 30, 60])


def targets_of(counts):
    """One training clip of each label, as large a share of it as there are clips."""
    return None if counts is None else torch.diag(torch.as_tensor(counts))


def module(*overrides, counts=COUNTS):
    return make_module(
        config(*overrides), task=Classification(LABELS), sample_rate_hz=16_000, training_targets=targets_of(counts)
    )


def test_balanced_weights_count_every_class_alike():
    weight = module("model.class_weights=balanced").loss.class_weight
    torch.testing.assert_close(weight * COUNTS, torch.full((3,), 100 / 3))
    assert module().loss.class_weight is None
    with pytest.raises(UserError, match="balanced or null"):
        module("model.class_weights=balancd")


def test_label_smoothing_and_weights_reach_the_loss():
    logits = torch.tensor([[2.0, -1.0, 0.0], [0.0, 1.0, 1.0]])
    target = functional.one_hot(torch.tensor([0, 2]), 3).float()
    weighted = module("model.class_weights=balanced", "model.label_smoothing=0")
    expected = (
        functional.cross_entropy(logits, torch.tensor([0, 2]), weighted.loss.class_weight, reduction="sum") / 2
    )
    torch.testing.assert_close(weighted.loss(logits, target), expected)
    smoothed = -(torch.tensor([[0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]]) * logits[:1].log_softmax(1)).sum()
    torch.testing.assert_close(module("model.label_smoothing=0.1").loss(logits[:1], target[:1]), smoothed)


@pytest.mark.parametrize(
    ("scheduler", "interval"),
    [
        ("{_target_: torch.optim.lr_scheduler.OneCycleLR, _partial_: true, max_lr: 0.002}", "step"),
        ("{_target_: torch.optim.lr_scheduler.CosineAnnealingLR, _partial_: true, T_max: 5}", "epoch"),
        ("{_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, _partial_: true, mode: max}", "epoch"),
    ],
)
def test_schedules_by_step_and_by_epoch(scheduler, interval):
    cfg = config()
    cfg.model.scheduler = OmegaConf.create(scheduler)
    made = make_module(cfg, task=Classification(LABELS), sample_rate_hz=16_000)
    made.trainer = type("Trainer", (), {"estimated_stepping_batches": 100})()
    _, (schedule,) = made.configure_optimizers()
    assert schedule["interval"] == interval


def test_poolings_see_a_clips_own_frames_only():
    x = torch.randn(2, 5, 7)
    lengths = torch.tensor([7, 3])
    spoiled = x.clone()
    spoiled[1, :, 3:] = 1e4
    for name in POOLINGS:
        torch.manual_seed(0)
        pool = make_pooling(name, 5)
        torch.testing.assert_close(pool(x, lengths), pool(spoiled, lengths))
        assert pool(x, lengths).shape == (2, pool.n_outputs)
    mean, largest = x[1, :, :3].mean(1), x[1, :, :3].amax(1)
    for name, by_hand in (("mean", mean), ("max", largest), ("mean_max", torch.cat([mean, largest]))):
        torch.testing.assert_close(make_pooling(name, 5)(x, lengths)[1], by_hand)
    with pytest.raises(ValueError, match="pooling=median is not known"):
        make_pooling("median", 5)


def test_attention_without_preference_is_mean_and_deviation():
    pool = AttentiveStatisticsPooling(5)
    torch.nn.init.zeros_(pool.score[2].weight)
    x = torch.randn(1, 5, 9)
    expected = torch.cat([x.mean(2), (x.var(2, correction=0) + 1e-5).sqrt()], dim=1)
    torch.testing.assert_close(pool(x, torch.tensor([9])), expected)


def test_masks():
    assert frame_mask(torch.tensor([0, 2, 3]), 3).int().tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("n_frames", [1, 15, 16, 17, 50])
def test_the_stack_is_that_of_plain_layers_where_nothing_is_padded(n_frames):
    torch.manual_seed(0)
    stack = ConvStack((4, 6)).eval()
    features = torch.randn(1, 9, n_frames)
    got, lengths = stack(features, torch.tensor([n_frames]))
    x = spectrogram = functional.pad(features, (0, -n_frames % 4, 0, 3))[:, None]
    for number, (conv, norm) in enumerate(zip(stack.convs, stack.norms, strict=True)):
        x = conv(x)
        if number == 1:
            weight = stack.shortcut.weight[:, :, None, None]
            x = x + functional.conv2d(spectrogram, weight, stack.shortcut.bias, stride=2)
        x = functional.relu(norm(functional.max_pool2d(x, 2)))
        end = -(-n_frames // 2 ** (number + 1))
        x[..., end:] = 0
    torch.testing.assert_close(got, x)
    assert lengths.item() == -(-n_frames // 4)
    assert stack.n_rows(9) == got.shape[2] == 3


def test_the_notebooks_cnn_to_the_letter():
    torch.manual_seed(0)
    net = NotebookCNN(n_mels=128, n_classes=6)
    features = torch.rand(2, 128, 130)
    spectrogram = functional.pad(features, (0, 30))[:, None]  # (2, 1, 128, 160)
    x = spectrogram
    for number, (conv, norm) in enumerate(zip(net.stack.convs, net.stack.norms, strict=True)):
        x = conv(x)
        if number == 1:
            weight = net.stack.residual.weight[:, :, None, None]
            residual = functional.conv2d(spectrogram, weight, net.stack.residual.bias, stride=2, padding=1)
            assert residual.shape[2:] == (65, 81)
            x = functional.pad(x, (0, 1)) + residual[:, :, :64, :81]
        x = norm(functional.max_pool2d(functional.relu(x), 2))
    assert x.shape == (2, 256, 8, 10)
    torch.testing.assert_close(net(features, torch.tensor([130, 130])), net.head(x.amax((2, 3))))


def test_outputs_come_in_the_order_of_the_manifest():
    outputs = Outputs()
    outputs.update(torch.tensor([7, 2]), torch.tensor([[7.0, 0], [2.0, 0]]))
    outputs.update(torch.tensor([5]), torch.tensor([[5.0, 0]]))
    rows, logits = outputs.gathered()
    assert rows.tolist() == [2, 5, 7]
    assert logits[:, 0].tolist() == [2, 5, 7]


@pytest.mark.parametrize("n_outputs", [1, 6])
def test_a_single_clip_keeps_its_shape(n_outputs):
    outputs = Outputs()
    outputs.update(torch.tensor([3]), torch.ones(1, n_outputs))
    rows, logits = outputs.gathered()
    assert rows.tolist() == [3] and logits.shape == (1, n_outputs)


@pytest.mark.parametrize("n_frames", [16, 17, 31, 200])
def test_the_notebooks_cnn_may_be_given_clips_as_long_as_they_are(n_frames):
    net = NotebookCNN(n_mels=128, n_classes=6, n_frames=None)
    assert net(torch.rand(2, 128, n_frames), torch.tensor([n_frames] * 2)).shape == (2, 6)


def test_a_weight_weighs_the_clip_and_not_its_smoothed_target():
    """A rare class has no part in the loss of a clip of another; https://github.com/pytorch/pytorch/issues/104776."""
    logits, target = torch.randn(4, 3), torch.eye(3)[[0, 1, 2, 2]]
    counts = torch.tensor([1.0, 9.0, 90.0])
    weighted = module("model.class_weights=balanced", "model.label_smoothing=0", counts=counts)
    smoothed = module("model.class_weights=balanced", "model.label_smoothing=0.1", counts=counts)
    weights = torch.tensor([100 / 3, 100 / 27, 100 / 270, 100 / 270])
    alone = functional.cross_entropy(logits, target, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(smoothed.loss(logits, target), (weights * alone).mean())
    mixed = torch.tensor([[0.25, 0.75, 0.0]])
    weight = 0.25 * 100 / 3 + 0.75 * 100 / 27
    expected = weight * functional.cross_entropy(logits[:1], mixed)
    torch.testing.assert_close(weighted.loss(logits[:1], mixed), expected)


def test_a_class_that_no_clip_trains_has_no_weight_and_shares_of_votes_count():
    weight = module("model.class_weights=balanced", counts=torch.tensor([0.0, 0.5, 3.5])).loss.class_weight
    torch.testing.assert_close(weight, torch.tensor([0.0, 4.0, 4 / 7]))


def scheduled(*overrides, scheduler):
    cfg = config(*overrides)
    cfg.model.scheduler = OmegaConf.create({"_partial_": True, **scheduler})
    made = make_module(cfg, task=Classification(LABELS), sample_rate_hz=16_000)
    made.trainer = type("Trainer", (), {"estimated_stepping_batches": 100})()
    return made.configure_optimizers()[1][0]


PLATEAU = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"}


def test_a_plateau_is_one_of_what_is_monitored():
    schedule = scheduled("monitor.metric=val/loss", "monitor.mode=min", scheduler=PLATEAU)
    assert (schedule["monitor"], schedule["scheduler"].mode) == ("val/loss", "min")
    assert scheduled(scheduler=PLATEAU)["scheduler"].mode == "max"
    with pytest.raises(UserError, match=r"model\.scheduler\.mode=min is not that of monitor\.mode=max"):
        scheduled(scheduler={**PLATEAU, "mode": "min"})


def test_a_learning_rate_has_one_setting():
    one_cycle = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.1}
    with pytest.raises(UserError, match=r"max_lr=0\.1 and model\.optimizer\.lr=0\.002 differ"):
        scheduled(scheduler=one_cycle)
    assert scheduled("model.optimizer.lr=0.1", scheduler=one_cycle)["interval"] == "step"


def test_a_schedule_has_as_many_steps_as_the_training():
    warmup = {"_target_": "ser_lightning.models.schedule.warmup_cosine", "total_steps": 100}
    with pytest.raises(UserError, match=r"model\.scheduler\.total_steps=100 has no effect: .*trainer\.max_epochs"):
        scheduled(scheduler=warmup)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["model.label_smoothing=1"],
            "model.label_smoothing=1 is out of range: it must be a number, at least 0 and",
        ),
        (["model.speaker_alone=2"], "model.speaker_alone=2"),
        (["model.speaker_clips=0"], "model.speaker_clips=0"),
        (["model.net.dropout=1"], "model.net.dropout=1"),
        (["model.net.dropout=-0.1"], "model.net.dropout=-0.1"),
        (["model.net.channels=[]"], r"model.net.channels=\[\] must list"),
        (["model.net.channels=4"], "model.net.channels=4 must list"),
        (["model.net.channels=[4]"], "two blocks at least"),
        (["model.net.channels=[4,0]"], r"model.net.channels\[1\]=0"),
        (["model.net.n_hidden=0"], "model.net.n_hidden=0"),
        (["model=cnn_transformer", "model.net.n_heads=3"], "n_heads=3"),
        (["model=cnn_transformer", "model.net.encoder_dropout=1.5"], "model.net.encoder_dropout=1.5"),
        (["model=mamba", "model.net.d_state=0"], "model.net.d_state=0"),
        (["model=resnet18", "model.net.stem_kernel=4"], "model.net.stem_kernel=4 is even"),
        (["model=resnet18", "model.net.blocks=[2,2,0,2]"], r"model.net.blocks\[2\]=0"),
    ],
)
def test_arguments_outside_their_domain_are_refused_by_name(overrides, said):
    with pytest.raises(ValueError, match=said):
        module(*overrides)


@pytest.mark.parametrize(
    "override", ["model.optimizer.lr=0", "model.optimizer.lr=fast", "model.optimizer.weight_decay=-1"]
)
def test_an_optimiser_that_would_learn_nothing_is_refused(override):
    with pytest.raises(UserError, match=override):
        module(override).make_optimizer()


def test_what_has_no_effect_is_said(caplog):
    module("model.speaker_clips=10")
    assert "no effect: model.speaker_clips" in caplog.text
    caplog.clear()
    module("model.speaker_clips=10", "model.frontend.normalise=speaker")
    module()
    assert not caplog.text
