"""Distillation: the loss by hand, what is learnt of a teacher, which teachers are refused."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import config
from layouts import tone
from lightning.pytorch import Callback
from torch.nn import functional

from ser_lightning import cli, load_model
from ser_lightning.data.batches import Batch
from ser_lightning.demo.about import about
from ser_lightning.inference.checkpoint import read_checkpoint
from ser_lightning.models.module import EmotionModule
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.tasks.classification import Classification
from ser_lightning.training import experiment
from ser_lightning.training.distillation import Teacher, read_teacher
from ser_lightning.training.experiment import make_data, make_module, train
from ser_lightning.utils.errors import UserError

SMALL = ("model.net.channels=[4,8]", "model.frontend.n_mels=16", "trainer.max_epochs=2", "data.batch_size=16")


@pytest.fixture(scope="module")
def tiny(cremad_root):
    return lambda *more: config("data=cremad", f"data.root={cremad_root}", *SMALL, "logger=none", *more)


@pytest.fixture(scope="module")
def teacher(tiny, tmp_path_factory):
    """A finished run on fold 0, with speaker statistics. Shared: do not write there."""
    run = RunDirectory(tmp_path_factory.mktemp("teacher") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ser_lightning.report.console.finish", lambda run_dir, result=None: None)
        train(tiny("seed=7", "model.frontend.normalise=speaker"), run)
    return run


def loss_of(weight, temperature):
    return Classification(("a", "b")).make_loss(teacher_weight=weight, teacher_temperature=temperature)


def test_the_loss_is_that_computed_by_hand():
    loss = loss_of(0.25, 2.0)
    soft = loss.soften(torch.tensor([[0.0, 2 * math.log(3)]]))
    torch.testing.assert_close(soft, torch.tensor([[0.25, 0.75]]))
    own = 1 / (1 + math.exp(-1))  # of logits (2, 0) at temperature 2
    divergence = 0.25 * math.log(0.25 / own) + 0.75 * math.log(0.75 / (1 - own))
    expected = 0.75 * math.log(1 + math.exp(-2)) + 0.25 * 4 * divergence
    logits, target = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    assert loss(logits, target, soft).item() == pytest.approx(expected, rel=1e-5)
    twice = [tensor.repeat(2, 1) for tensor in (logits, target, soft)]
    assert loss(*twice).item() == pytest.approx(expected, rel=1e-5)  # a mean over clips
    assert loss(logits, target).item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_a_network_that_answers_as_its_teacher_has_no_divergence():
    logits = torch.tensor([[1.0, -2.0], [0.3, 0.1]])
    loss = loss_of(1.0, 3.0)
    assert loss(logits, torch.eye(2), loss.soften(logits)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("setting", "value"), [("teacher_weight", 1.1), ("teacher_temperature", 0.0)])
def test_settings_outside_their_domain_are_refused(setting, value):
    with pytest.raises(UserError, match=f"model.{setting}="):
        Classification(("a", "b")).make_loss(**{setting: value})


def test_mixup_blends_the_teachers_answers_as_the_labels(monkeypatch):
    cfg = config("model.augment.mixup.p=1", "model.net.channels=[4,8]", "model.frontend.n_mels=16")
    module = make_module(cfg, task=Classification(("a", "b", "c")), sample_rate_hz=16_000)
    module.log = lambda *arguments, **options: None
    logits = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 5.0], [1.0, 2.0, 0.0], [9.0, 9.0, 9.0]])
    module.learn_from(logits)
    given = []
    monkeypatch.setattr(module.loss, "forward", lambda *arguments: given.extend(arguments) or torch.zeros(()))
    label, index = torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1])  # clips in another order than the rows
    waveform = torch.randint(-9_000, 9_000, (3, 8_000), dtype=torch.int16)
    target = functional.one_hot(label, 3).float()
    batch = Batch(waveform=waveform, lengths=torch.full((3,), 8_000), label=label, target=target, index=index)
    torch.manual_seed(0)
    module.training_step(batch, 0)
    _, mixed, soft = given
    assert not torch.equal(mixed, target)
    torch.testing.assert_close(soft, mixed @ module.loss.soften(logits[index]))


def learnt_targets(monkeypatch):
    """What `learn_from` is given, and by which module, filled in by a training."""
    found = {}
    learn_from = EmotionModule.learn_from

    def spy(module, logits):
        found["logits"] = logits
        learn_from(module, logits)

    monkeypatch.setattr(EmotionModule, "learn_from", spy)
    return found


def test_answers_are_the_teachers_for_training_clips_alone(tiny, teacher, tmp_path, monkeypatch):
    found, cfg = learnt_targets(monkeypatch), tiny(f"model.teacher={teacher.path}", "trainer.precision=32-true")
    run = RunDirectory(tmp_path / "run")
    train(cfg, run)
    data = make_data(cfg)
    answered = found["logits"].isfinite().all(1)
    assert answered.nonzero().flatten().tolist() == sorted(data.split.train)
    model, rows = load_model(teacher.path), list(data.split.train)
    waveform, lengths = map(torch.from_numpy, data.clips.gather(rows))
    module = make_module(tiny("model.frontend.normalise=speaker"), task=data.task, sample_rate_hz=16_000)
    module.load_state_dict(torch.load(teacher.best, weights_only=True)["state_dict"], strict=True)
    experiment.fit_statistics(module, data)
    statistics = module.eval().speaker_statistics.look_up(torch.tensor(rows))
    with torch.inference_mode():
        expected = model.logits(waveform, lengths, statistics)
    torch.testing.assert_close(found["logits"][rows], expected, atol=1e-4, rtol=1e-4)
    result = json.loads(run.result.read_text())
    assert result["teacher"]["name"] == "cnn" and result["teacher"]["path"] == str(teacher.best)
    alone = RunDirectory(tmp_path / "alone")
    train(tiny("trainer.precision=32-true"), alone)
    assert result["history"]["train/loss"] != json.loads(alone.result.read_text())["history"]["train/loss"]


def test_answers_of_a_calibrated_teacher_are_at_its_temperature(tiny, teacher, tmp_path, monkeypatch):
    found, logits = learnt_targets(monkeypatch), []
    for path in (teacher.best, changed(teacher, tmp_path / "calibrated.ckpt", temperature=0.5)):
        train(tiny(f"model.teacher={path}", "trainer.max_epochs=1"), RunDirectory(tmp_path / path.stem))
        logits.append(found["logits"].nan_to_num())
    torch.testing.assert_close(logits[1], 2 * logits[0])


def test_a_teachers_typical_speaker_is_that_of_its_checkpoint(tiny, teacher, tmp_path, monkeypatch):
    content = torch.load(teacher.best, weights_only=True)
    typical = "frontend.speaker_statistics.typical"
    content["state_dict"][typical] += 7.0  # as of a teacher that was trained on other recordings
    torch.save(content, tmp_path / "other.ckpt")
    made = []
    make = Teacher.module
    monkeypatch.setattr(Teacher, "module", lambda *arguments: made.append(make(*arguments)) or made[0])
    train(tiny(f"model.teacher={tmp_path / 'other.ckpt'}"), RunDirectory(tmp_path / "run"))
    statistics, data = made[0].frontend.speaker_statistics, make_data(tiny())
    torch.testing.assert_close(statistics.typical, content["state_dict"][typical])
    row = data.split.val[0]  # one whose statistics come from the clip alone
    waveform, lengths = map(torch.from_numpy, data.clips.gather([row]))
    alone = statistics.from_single_clips(made[0].frontend.moments(waveform, lengths))
    torch.testing.assert_close(statistics.look_up(torch.tensor([row])), alone, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("known_from", ["its network", "its own teacher"])
def test_what_a_teacher_may_know_of_the_test_a_student_may(tiny, teacher, tmp_path, monkeypatch, known_from):
    path = teacher.best
    if known_from == "its own teacher":
        path = changed(teacher, tmp_path / "teacher.ckpt", contamination="trained on everything")
    else:
        make = Teacher.module

        def contaminated(self, *arguments):
            module = make(self, *arguments)
            module.net.contamination = "trained on everything"
            return module

        monkeypatch.setattr(Teacher, "module", contaminated)
    run = RunDirectory(tmp_path / "run")
    train(tiny(f"model.teacher={path}", "trainer.max_epochs=1"), run)
    done = CliRunner().invoke(cli.main, ["eval", str(run.path), "--to", str(tmp_path / "to")])
    assert done.exit_code == 0, done.stderr
    for folder in (run.path, tmp_path / "to"):
        assert json.loads((folder / "result.json").read_text())["contamination"] == "trained on everything"


def test_a_teacher_that_is_not_finished_is_gone_on_with_first(teacher, tmp_path):
    killed = RunDirectory(tmp_path / "killed")
    shutil.copytree(teacher.path, killed.path)
    killed.result.unlink(missing_ok=True)
    assert killed.config.is_file()
    with pytest.raises(UserError, match=r"is not finished: go on with it first, python train\.py resume="):
        read_teacher(str(killed.path))


class Crash(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1:
            raise RuntimeError("power cut")


def test_a_broken_run_learns_on_from_the_same_teacher_alone(tiny, teacher, tmp_path, monkeypatch):
    copy = RunDirectory(tmp_path / "teacher")
    copy.checkpoints.mkdir(parents=True)
    copy.best.write_bytes(teacher.best.read_bytes())
    cfg = tiny(f"model.teacher={copy.path}")
    unbroken, broken = RunDirectory(tmp_path / "unbroken"), RunDirectory(tmp_path / "broken")
    train(cfg, unbroken)
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "progress", Crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train(cfg, broken)
    changed = torch.load(copy.best, weights_only=True)
    torch.save({**changed, "state_dict": {k: v * 1.5 for k, v in changed["state_dict"].items()}}, copy.best)
    with pytest.raises(UserError, match="not the one that this run has learnt from"):
        train(cfg, broken)
    copy.best.write_bytes(teacher.best.read_bytes())
    train(cfg, broken)
    results = [json.loads(run.result.read_text()) for run in (unbroken, broken)]
    assert results[0]["metrics"] == results[1]["metrics"]
    np.testing.assert_allclose(*(result["history"]["train/loss"] for result in results))


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["data.fold=1"], r"was selected on speakers \(.*\) of the test of this split: train one with the same"),
        (["data.fold=2"], r"was trained on speakers \(.*\) of the test"),
        (["data.split=random"], r"was (trained|selected) on (clips|speakers)"),
    ],
)
def test_a_teacher_that_knows_what_is_held_back_is_refused(tiny, teacher, tmp_path, overrides, match):
    with pytest.raises(UserError, match=match) as raised:
        train(tiny(f"model.teacher={teacher.path}", *overrides), RunDirectory(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_teacher_of_the_same_random_split_is_taken(tiny, tmp_path):
    train(tiny("data.split=random"), RunDirectory(tmp_path / "teacher"))
    run = RunDirectory(tmp_path / "run")
    train(tiny("data.split=random", f"model.teacher={tmp_path / 'teacher'}"), run)
    assert json.loads(run.result.read_text())["status"] == "finished"


@pytest.fixture(scope="module")
def student(tiny, teacher, tmp_path_factory):
    """A finished run on other people, in a list of one's own, taught by `teacher`. Shared: do not write there."""
    folder = tmp_path_factory.mktemp("student")
    lines = ["path,emotion,speaker,fold"]
    for row in range(24):
        tone(folder / "clips" / f"{row}.wav", row / 10 + 0.05)
        emotion = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")[row % 6]
        lines.append(f"clips/{row}.wav,{emotion},q{row // 6},{('train', 'train', 'val', 'test')[row // 6]}")
    (folder / "own.csv").write_text("\n".join(lines))
    run = RunDirectory(folder / "run")
    data = ("data=csv", f"data.manifest={folder}/own.csv", "data.split=file")
    train(config(*data, *SMALL, "logger=none", f"model.teacher={teacher.path}"), run)
    return run


def evaluated(run, to, *overrides):
    done = CliRunner().invoke(cli.main, ["eval", str(run.path), *overrides, "--to", str(to)])
    return done.exit_code, done.stderr


def test_a_student_was_trained_on_what_its_teacher_was(tiny, teacher, student, tmp_path):
    root = tiny().data.root
    own, taught = (torch.load(run.best, weights_only=True)["ser_lightning"] for run in (student, teacher))
    assert own["heard"]["train"]["speakers"] == ["own:q0", "own:q1"]
    assert [record["heard"] for record in own["other_records"]] == [taught["heard"]]
    code, said = evaluated(student, tmp_path / "all", "data=cremad", f"data.root={root}")
    assert code == 1 and "this checkpoint, or its teacher, was trained on" in said and "(1040, 1041, " in said
    code, said = evaluated(student, tmp_path / "all", "data=cremad", f"data.root={root}", "--allow-leakage")
    leakage = json.loads((tmp_path / "all" / "result.json").read_text())["leakage"]
    assert leakage["train/test"]["speakers"] == ["1040", "1041", "1060", "1080"]
    assert leakage["val/test"] == {"speakers": ["1020", "1021"], "n_sounds": 24}
    for folder, overrides in (("own test", ()), ("its test", ("data=cremad", f"data.root={root}", "data.fold=0"))):
        code, said = evaluated(student, tmp_path / folder, *overrides)
        assert code == 0, said
        assert json.loads((tmp_path / folder / "result.json").read_text())["protocol"]["speaker_independent"]
    assert evaluated(student, tmp_path / "fold 2", "data=cremad", f"data.root={root}", "data.fold=2")[0] == 1


def test_what_a_teacher_may_not_know_its_own_teacher_may_not(tiny, student, tmp_path):
    for fold, what in ((1, "selected"), (2, "trained")):
        with pytest.raises(UserError, match=rf"was {what} on speakers \(10\d\d, .*\) of the test of this split"):
            train(tiny(f"data.fold={fold}", f"model.teacher={student.path}"), RunDirectory(tmp_path / str(fold)))
    run = RunDirectory(tmp_path / "run")
    train(tiny(f"model.teacher={student.path}", "trainer.max_epochs=1"), run)  # on the first teacher's own fold
    stamp = torch.load(run.best, weights_only=True)["ser_lightning"]
    assert [record["heard"]["train"]["speakers"] for record in stamp["other_records"]] == [["own:q0", "own:q1"]]
    assert [one["title"] for one in stamp["teacher"]["corpora"]] == ["own.csv", "CREMA-D"]


def test_a_teacher_that_was_calibrated_on_the_test_is_refused(tiny, teacher, tmp_path):
    test = make_data(tiny()).training_record()["held_out"]
    record = {"heard": {"calibration": test}, "lists": {}, "same_speakers": None}
    path = changed(teacher, tmp_path / "calibrated.ckpt", temperature=2.0, calibrated={"record": record})
    with pytest.raises(UserError, match=r"was calibrated on speakers \(1001, 1002\) of the test of this split"):
        train(tiny(f"model.teacher={path}"), RunDirectory(tmp_path / "run"))


def test_an_older_student_does_not_say_whom_its_teacher_was_trained_on(tiny, student, tmp_path):
    path = changed(student, tmp_path / "old.ckpt", other_records=None)
    with pytest.raises(UserError, match="does not say what it was trained on"):
        train(tiny(f"model.teacher={path}"), RunDirectory(tmp_path / "run"))
    done = CliRunner().invoke(cli.main, ["eval", str(path), "--to", str(tmp_path / "to")])
    assert done.exit_code == 1 and "does not say whom its teacher was trained on" in done.stderr
    assert load_model(path).labels


def test_unknown_speakers_of_a_teacher_may_be_in_the_test_of_its_student(tiny, teacher, tmp_path):
    stamp = torch.load(teacher.best, weights_only=True)["ser_lightning"]
    heard = {**stamp["heard"], "train": {**stamp["heard"]["train"], "n_unknown": 3}}
    path = changed(teacher, tmp_path / "teacher.ckpt", heard=heard)
    run = RunDirectory(tmp_path / "run")
    train(tiny(f"model.teacher={path}", "trainer.max_epochs=1"), run)
    code, said = evaluated(run, tmp_path / "to")
    assert code == 0, said
    for folder in (run.path, tmp_path / "to"):
        assert json.loads((folder / "result.json").read_text())["warnings"]["unknown_trained"] == 3


def test_the_card_names_the_corpora_of_the_teacher(student):
    card = (student.checkpoints / "model_card.md").read_text()
    assert "| CREMA-D (through its teacher) | Open Database License" in card
    assert "| own.csv | the user's own |" in card and "a teacher, cnn, trained on CREMA-D" in card
    assert about(read_checkpoint(student.best)).trained_on == "own + CREMA-D"


def changed(teacher, path, **changes):
    content = torch.load(teacher.best, weights_only=True)
    stamp = {key: value for key, value in (content["ser_lightning"] | changes).items() if value is not None}
    torch.save({**content, "ser_lightning": stamp}, path)
    return path


def test_other_labels_no_record_and_no_checkpoint_are_refused(tiny, teacher, tmp_path):
    labels = ["joy", "disgust", "fear", "happiness", "neutral", "sadness"]
    cases = {
        changed(teacher, tmp_path / "labels.ckpt", labels=labels): "has the labels joy, disgust",
        changed(teacher, tmp_path / "old.ckpt", heard=None): "does not say what it was trained on",
        tmp_path: "holds no checkpoint",
        tmp_path / "text.ckpt": "is no checkpoint of ours",
    }
    (tmp_path / "text.ckpt").write_text("no weights")
    for path, match in cases.items():
        with pytest.raises(UserError, match=match):
            train(tiny(f"model.teacher={path}"), RunDirectory(tmp_path / f"run of {path.name}"))


def test_a_teachers_code_from_elsewhere_is_not_run(tiny, teacher, tmp_path):
    stamp = torch.load(teacher.best, weights_only=True)["ser_lightning"]
    model = stamp["config"]["model"] | {"net": {"_target_": "os.system", "command": "true"}}
    path = changed(teacher, tmp_path / "evil.ckpt", config=stamp["config"] | {"model": model})
    with pytest.raises(UserError, match=r"asks to run os\.system"):
        train(tiny(f"model.teacher={path}"), RunDirectory(tmp_path / f"run of {path.name}"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content["ser_lightning"].update(heard={"train": 5}),
        lambda content: content["ser_lightning"].update(labels=3),
        lambda content: content["ser_lightning"].pop("labels"),
        lambda content: content["ser_lightning"].update(temperature=0.0),
        lambda content: content["ser_lightning"].update(corpora=["CREMA-D"]),
        lambda content: content["ser_lightning"]["heard"].update(train={}),
        lambda content: content["ser_lightning"]["config"].update(model={"name": "x"}),
        lambda content: content.update(state_dict=[1]),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_a_line(teacher, tmp_path, spoil):
    content = torch.load(teacher.best, weights_only=True)
    spoil(content)
    torch.save(content, tmp_path / "bad.ckpt")
    with pytest.raises(UserError, match="is no checkpoint of ours, or a damaged one"):
        read_teacher(str(tmp_path / "bad.ckpt"))


def test_a_teacher_that_answers_with_nan_is_named(tiny, teacher, tmp_path):
    content = torch.load(teacher.best, weights_only=True)
    for weights in content["state_dict"].values():
        if weights.is_floating_point():
            weights.fill_(math.nan)
    torch.save(content, tmp_path / "nan.ckpt")
    with pytest.raises(UserError, match=r"model\.teacher=\S+nan\.ckpt does not answer with numbers"):
        train(tiny(f"model.teacher={tmp_path / 'nan.ckpt'}"), RunDirectory(tmp_path / "run"))


def test_settings_of_no_teacher_are_those_of_runs_from_before_there_were_teachers():
    model = config().model
    assert {name: model[name] for name in model if name.startswith("teacher")} == dict.fromkeys(
        ("teacher", "teacher_weight", "teacher_temperature")
    )
