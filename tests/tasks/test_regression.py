"""Regression: its loss, its readout, its validation metrics, and its predictions as text."""

import numpy as np
import pytest
import torch
from conftest import config

from ser_lightning.runs.predictions import read_predictions, write_predictions
from ser_lightning.tasks.number_predictions import NumberPredictions, as_written
from ser_lightning.tasks.registry import HEADLINES, all_tasks, task_of
from ser_lightning.tasks.regression import Regression
from ser_lightning.tasks.task import TestClips
from ser_lightning.training.parts import make_module
from ser_lightning.utils.errors import UserError

TASK = Regression(("arousal", "valence"), ((1.0, 7.0), None))
TARGETS = torch.tensor([[1.0, 10.0], [2.0, 30.0], [4.0, 20.0], [5.0, 60.0]])  # (N, K)
OUTPUTS = torch.tensor([[1.5, 12.0], [2.5, 25.0], [3.0, 30.0], [5.5, 40.0]])


def lin(t, p):
    covariance = ((t - t.mean()) * (p - p.mean())).mean()
    return 2 * covariance / (t.var() + p.var() + (t.mean() - p.mean()) ** 2)


def test_the_losses_are_what_they_are_called():
    loss = {name: TASK.make_loss(training_targets=TARGETS, loss=name) for name in ("ccc", "mse", "ccc+mse", None)}
    t, p = TARGETS.numpy(), OUTPUTS.numpy()
    ccc = 1 - np.mean([lin(t[:, k], p[:, k]) for k in (0, 1)])
    mse = (((t - p) / t.std(axis=0)) ** 2).mean()
    assert loss["ccc"](OUTPUTS, TARGETS).item() == pytest.approx(ccc, abs=1e-6)
    assert loss["mse"](OUTPUTS, TARGETS).item() == pytest.approx(mse)
    assert loss["ccc+mse"](OUTPUTS, TARGETS).item() == pytest.approx(ccc + mse)
    assert loss[None](OUTPUTS, TARGETS).item() == pytest.approx(ccc, abs=1e-6)
    assert loss["ccc"](TARGETS, TARGETS).item() == pytest.approx(0, abs=1e-6)


def test_a_batch_of_one_clip_or_of_one_value_has_a_gradient_without_nan():
    loss = TASK.make_loss(training_targets=TARGETS)
    for rows in ([0], [1, 1]):
        outputs = OUTPUTS[rows].clone().requires_grad_()
        loss(outputs, TARGETS[rows]).backward()
        assert torch.isfinite(outputs.grad).all()


def test_batches_of_one_clip_teach_a_square_error_alone():
    with pytest.raises(UserError, match=r"set model\.loss=mse, or raise data\.batch_size"):
        TASK.make_loss(loss="ccc").check_single_clips()
    for loss in ("mse", "ccc+mse"):
        TASK.make_loss(loss=loss).check_single_clips()


def test_a_teachers_numbers_have_their_share():
    loss = TASK.make_loss(training_targets=TARGETS, loss="mse", teacher_weight=0.25)
    teacher = loss.soften(OUTPUTS + 1)
    plain = TASK.make_loss(training_targets=TARGETS, loss="mse")
    expected = 0.75 * plain(OUTPUTS, TARGETS) + 0.25 * plain(OUTPUTS, OUTPUTS + 1)
    assert loss(OUTPUTS, TARGETS, teacher).item() == pytest.approx(expected.item())


def test_settings_of_the_other_task_are_refused():
    with pytest.raises(UserError, match=r"model\.loss=mae is not known: use ccc, mse, ccc\+mse"):
        TASK.make_loss(loss="mae")
    with pytest.raises(UserError, match=r"model\.class_weights"):
        TASK.make_loss(class_weights="balanced")
    labels = task_of({"labels": ["a", "b"]})
    with pytest.raises(UserError, match=r"model\.loss=mse is of data\.targets"):
        labels.make_loss(loss="mse")


def test_outputs_are_given_back_in_the_unit_of_the_targets():
    readout = TASK.make_readout(TARGETS)
    assert readout(torch.zeros(1, 2)).tolist() == [TARGETS.mean(0).tolist()]
    up = readout(torch.ones(1, 2)) - readout(torch.zeros(1, 2))
    assert up[0].numpy() == pytest.approx(TARGETS.numpy().std(axis=0))
    loaded = TASK.make_readout()
    loaded.load_state_dict(readout.state_dict())
    assert torch.equal(loaded(OUTPUTS), readout(OUTPUTS))
    with pytest.raises(UserError, match="valence is the same for every training clip"):
        TASK.make_readout(torch.tensor([[1.0, 3.0], [2.0, 3.0]]))


def test_a_module_predicts_the_mean_before_it_has_learnt_anything():
    cfg = config("model=cnn", "model.net.channels=[8,16]", "data.targets=[pitch_st,level_db]")
    module = make_module(cfg, task=TASK, sample_rate_hz=16_000, training_targets=1000 + TARGETS).eval()
    outputs = module(torch.randn(3, 16_000) / 10, torch.tensor([16_000, 12_000, 8_000]))
    assert outputs.shape == (3, 2)
    assert (outputs - (1000 + TARGETS).mean(0)).abs().max() < 100
    assert {"readout.mean", "readout.std"} <= set(module.state_dict())
    assert not any("loss" in name for name in module.state_dict())


def clips(truth):
    n = len(truth)
    return TestClips(
        ids=[f"c{i}" for i in range(n)],
        speakers=[f"s{i % 5}" for i in range(n)],
        truth=truth,
        columns={
            "sex": ["female" if i % 5 < 2 else "male" for i in range(n)],
            "emotion": ["", *["calm"] * (n - 1)],
        },
    )


def answers(n=60, seed=0):
    random = np.random.default_rng(seed)
    truth = random.normal([3, 50], [1, 15], (n, 2)).astype(np.float32)
    return truth, (truth + random.normal(0, [0.7, 12], (n, 2))).astype(np.float32)


def test_validation_measures_what_the_test_does():
    truth, outputs = answers()
    loss = TASK.make_loss(training_targets=torch.from_numpy(truth))
    metrics = TASK.make_metrics(loss)
    for rows in np.array_split(np.arange(60), 4):
        metrics.update(torch.from_numpy(outputs[rows]), torch.from_numpy(truth[rows]))
    values = {name: float(value) for name, value in metrics.compute().items()}
    tested = TASK.evaluate(clips(truth), outputs).scores
    validated = TASK.logged_scores(values)
    for name in ("ccc", "pearson", "mae", "rmse"):
        assert getattr(validated, name) == pytest.approx(getattr(tested, name), rel=1e-4)
        assert getattr(validated.targets["valence"], name) == pytest.approx(
            getattr(tested.targets["valence"], name), rel=1e-4
        )
    assert validated.loss == pytest.approx(1 - tested.ccc, rel=1e-4)
    assert "metrics.loss" not in metrics.state_dict() and not list(metrics.parameters())


def test_scores_that_are_not_defined_are_none():
    metrics = TASK.make_metrics(TASK.make_loss())
    metrics.update(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 3.0]]))
    values = {name: float(value) for name, value in metrics.compute().items()}
    assert np.isnan(values["ccc"]) and "ccc.arousal" not in values
    scores = TASK.logged_scores(values)
    assert scores.ccc is None and scores.targets["arousal"].ccc is None and scores.mae == 0.5


def test_an_evaluation_has_subgroups_and_what_was_written():
    truth, outputs = answers()
    evaluation = TASK.evaluate(clips(truth), outputs)
    female, male = (evaluation.subgroups["sex"][sex] for sex in ("female", "male"))
    assert (female.n_clips, female.n_speakers, male.n_speakers) == (24, 2, 3)
    assert "emotion" not in evaluation.subgroups  # one value alone
    own = np.arange(60) % 5 < 2
    t, p = as_written(truth)[own], as_written(outputs)[own]
    assert female.targets["arousal"] == pytest.approx(lin(t[:, 0], p[:, 0]))
    assert female.mae == pytest.approx(np.abs(t - p).mean())
    fields = evaluation.result_fields()
    assert (fields["task"], fields["targets"], fields["n_clips"]) == ("regression", ["arousal", "valence"], 60)
    assert fields["ranges"] == [[1.0, 7.0], None]


def test_predictions_are_read_as_they_were_written(tmp_path):
    truth, outputs = answers()
    predictions = TASK.evaluate(clips(truth), outputs).predictions
    write_predictions(tmp_path / "predictions.csv", predictions)
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    assert header == "id,speaker,true.arousal,predicted.arousal,true.valence,predicted.valence"
    read = read_predictions(tmp_path / "predictions.csv", TASK.predictions_from_rows)
    assert (read.ids, read.speakers) == (tuple(predictions.ids), tuple(predictions.speakers))
    assert np.array_equal(read.truth, predictions.truth) and np.array_equal(read.predicted, predictions.predicted)


@pytest.mark.parametrize(
    ("header", "row", "why"),
    [
        (["id", "speaker", "true.a"], ["c", "s", "1"], "it has columns"),
        (["id", "speaker", "true.a", "predicted.b"], ["c", "s", "1", "2"], "it has columns"),
        (["id", "speaker", "true.a", "predicted.a"], ["c", "s", "1", "much"], "line 2 is no prediction"),
        (["id", "speaker", "true.a", "predicted.a"], ["c", "s", "1"], "line 2 is no prediction"),
        (["id", "speaker", "true.a", "predicted.a"], ["c", "s", "1", "nan"], "not finite"),
    ],
)
def test_damaged_predictions_are_named(header, row, why):
    with pytest.raises(ValueError, match=why):
        NumberPredictions.from_rows(header, [row])


def test_the_registry_knows_the_tasks_headlines():
    assert {name: kind.headline for name, kind in all_tasks().items()} == HEADLINES


def test_a_task_is_what_its_entry_says():
    assert task_of(TASK.entry()) == TASK
    assert task_of({"labels": ["a", "b"]}).labels == ("a", "b")
    assert TASK.data_overrides == ("data.targets=[arousal,valence]",)
    with pytest.raises(ValueError, match="the task 'ranking' is not known"):
        task_of({"task": "ranking"})
    ranges, spread = TASK.usual_ranges(TASK.make_readout(TARGETS)), TARGETS[:, 1].numpy().std()
    assert ranges["arousal"] == (1.0, 7.0)
    assert ranges["valence"] == pytest.approx((30 - 3 * spread, 30 + 3 * spread))
