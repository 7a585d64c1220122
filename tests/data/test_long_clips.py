"""Long clips: refused in a line before anything is read, cropped to their middle, or in pieces with one answer."""

import logging

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from conftest import config

from ser_lightning.cli import main
from ser_lightning.data.long_clips import LongClips, joined
from ser_lightning.data.prepare.cache import cache_root
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.predictions import read_predictions
from ser_lightning.tasks.classification import Classification
from ser_lightning.tasks.number_predictions import NumberPredictions
from ser_lightning.tasks.regression import Regression
from ser_lightning.training.experiment import make_data, train
from ser_lightning.utils.errors import UserError

RATE_HZ = 16_000
LONG = {"a3": 5.0, "b7": 2.3}  # seconds; all others have half of one


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    random = np.random.default_rng(0)
    lines = ["path,emotion,speaker,pitch"]
    for speaker in "abcde":
        for number in range(8):
            name = f"{speaker}{number}"
            t = np.arange(int(LONG.get(name, 0.5) * RATE_HZ)) / RATE_HZ
            samples = 0.3 * np.sin(2 * np.pi * 300 * (1 + number % 2) * t) + 0.05 * random.standard_normal(len(t))
            soundfile.write(folder / f"{name}.wav", samples, RATE_HZ, subtype="PCM_16")
            lines.append(f"{name}.wav,{('joy', 'fear')[number % 2]},{speaker},{number % 2 + number / 10}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder / "clips.csv"


def settings(listed, *overrides):
    return config("data=csv", f"data.manifest={listed}", "data.max_clip_seconds=1", *overrides)


def test_the_default_names_them_before_anything_is_decoded(listed):
    before = set(cache_root().glob("**/*"))
    with pytest.raises(
        UserError, match=r"2 clips of clips.csv are longer .*=1: a3.wav \(0:00:05\), b7.wav.*on_long="
    ) as error:
        make_data(settings(listed))
    assert "\n" not in str(error.value)
    assert set(cache_root().glob("**/*")) == before
    make_data(settings(listed, "data.on_long=split"))
    with pytest.raises(UserError, match="a3 "):  # decoded now, whatever headers say
        make_data(settings(listed))


def test_what_is_not_known_is_refused(listed):
    with pytest.raises(UserError, match=r"data.on_long=shorten is not known: use error, crop, split"):
        make_data(settings(listed, "data.on_long=shorten"))
    with pytest.raises(UserError, match=r"data.max_clip_seconds=0 is out of range"):
        make_data(settings(listed, "data.max_clip_seconds=0"))


def test_the_middle_is_kept(listed):
    data = make_data(settings(listed, "data.on_long=crop"))
    row = data.manifest.column("id").index("a3")
    whole = soundfile.read(listed.parent / "a3.wav", dtype="int16")[0]
    waveform, lengths = data.clips.gather([row])
    assert lengths.tolist() == [RATE_HZ]
    assert np.array_equal(waveform[0], whole[2 * RATE_HZ : 3 * RATE_HZ])
    assert len(data.clips.pieces.clip) == len(data.manifest) and not data.clips.pieces.several
    assert data.clips.warnings()["cropped"] == 2


def test_pieces_of_a_clip_are_all_of_it_and_in_one_part_of_the_split(listed, caplog):
    with caplog.at_level(logging.WARNING):
        data = make_data(settings(listed, "data.on_long=split", "data.split=random"))
    assert "clips longer than 1 s are trained and tested in pieces: a3, b7" in caplog.text
    row = data.manifest.column("id").index("b7")
    pieces = data.clips.pieces_of([row])
    whole = soundfile.read(listed.parent / "b7.wav", dtype="int16")[0]
    parts = [data.clips.gather([piece])[0][0] for piece in pieces]
    assert [len(part) for part in parts] == pytest.approx([len(whole) / 3] * 3, abs=1)
    assert np.array_equal(np.concatenate(parts), whole)
    served = {
        part: {piece for batch in loader for piece in batch.index.tolist()}
        for part, loader in (
            ("train", data.train_dataloader()),
            ("val", data.val_dataloader()),
            ("test", data.test_dataloader()),
        )
    }
    assert [part for part in served if served[part] & set(pieces)] == [
        part for part in served if row in getattr(data.split, part)
    ]
    assert sum(map(len, served.values())) == len(data.manifest) + 4 + 2
    assert len(set(data.clips.piece_hashes)) == len(data.clips.piece_hashes)
    whole_ones = [each for each, clip in enumerate(data.manifest) if clip.id not in LONG]
    assert all(data.clips.piece_hashes[each] == data.manifest[each].audio_hash for each in whole_ones)
    assert data.manifest[row].audio_hash not in data.clips.piece_hashes
    labels = data.manifest.column("emotion")
    for batch in data.train_dataloader():
        owners = data.clips.pieces.clip[batch.index].tolist()
        assert [data.task.outputs[label] for label in batch.label] == [labels[owner] for owner in owners]
        assert batch.target.argmax(1).tolist() == batch.label.tolist()


def test_every_length_is_cut_into_equal_pieces_that_are_short_enough():
    lengths = np.array([0, 1, 99, 100, 101, 199, 200, 201, 1000, 1003])
    pieces = LongClips(max_clip_seconds=0.01, on_long="split").pieces(lengths, 10_000)
    assert pieces.clip[: len(lengths)].tolist() == list(range(len(lengths)))
    for clip, length in enumerate(lengths):
        own = np.flatnonzero(pieces.clip == clip)
        own = own[np.argsort(pieces.start[own])]
        assert pieces.n_samples[own].sum() == length and pieces.n_samples[own].max() <= 100
        assert np.ptp(pieces.n_samples[own]) <= 1 and len(own) == max(1, -(-length // 100))
        assert np.array_equal(np.cumsum(pieces.n_samples[own])[:-1], pieces.start[own][1:])


def test_answers_for_pieces_are_joined_by_their_log_probabilities():
    task = Classification(("anger", "fear"))
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0], [1.0, 3.0]])
    clips, means = joined(torch.tensor([4, 2, 4, 9]), logits, task)
    assert clips.tolist() == [2, 4, 9]
    expected = logits.log_softmax(-1)
    assert torch.allclose(means, torch.stack([expected[1], (expected[0] + expected[2]) / 2, expected[3]]))
    clips, same = joined(torch.tensor([3, 1, 0, 2]), logits, task)
    assert clips.tolist() == [0, 1, 2, 3] and torch.equal(same, logits[[2, 1, 3, 0]])


def test_numbers_for_pieces_are_averaged_as_they_are():
    numbers = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    clips, means = joined(torch.tensor([4, 2, 4]), numbers, Regression(("arousal", "valence")))
    assert clips.tolist() == [2, 4]
    assert torch.equal(means, torch.tensor([[0.0, 1.0], [3.5, 2.5]]))


@pytest.mark.parametrize("more", [[], ["model.frontend.normalise=speaker", "model.speaker_clips=null"]])
def test_a_long_clip_is_trained_in_pieces_and_tested_as_one(listed, tmp_path, more):
    run = RunDirectory(tmp_path / "run")
    short = ["model=cnn", "trainer.max_epochs=1", "logger=none", "trainer.enable_progress_bar=false"]
    tested_with_b = ["data.split=loso", "data.fold=1", "data.batch_seconds=2"]
    train(settings(listed, "data.on_long=split", *tested_with_b, *short, *more), run)
    result = run.read_result()
    predictions = read_predictions(run.predictions)
    assert sorted(predictions.ids) == [f"b{number}" for number in range(8)]
    assert result.protocol.n_test == 8 and result.warnings["in_pieces"] == 2
    answer = CliRunner().invoke(
        main, ["eval", str(run.path), "--to", str(tmp_path / "eval")], catch_exceptions=False
    )
    assert answer.exit_code == 0, answer.output
    again = read_predictions(RunDirectory(tmp_path / "eval").predictions)
    order = [again.ids.index(id) for id in predictions.ids]
    assert np.allclose(again.probabilities[order], predictions.probabilities, atol=2e-3)
    history = result.history
    assert history["val/uar"][-1] == pytest.approx(result.metrics.val.uar)


def test_numbers_of_a_long_clip_are_means_over_its_pieces_in_training_and_evaluation(listed, tmp_path):
    run = RunDirectory(tmp_path / "run")
    short = ["model=cnn", "trainer.max_epochs=1", "logger=none", "trainer.enable_progress_bar=false"]
    tested_with_b = ["data.targets=[pitch]", "data.on_long=split", "data.split=loso", "data.fold=1"]
    train(settings(listed, *tested_with_b, *short), run)
    predictions, history = read_predictions(run.predictions, NumberPredictions.from_rows), run.read_result().history
    assert sorted(predictions.ids) == [f"b{number}" for number in range(8)]
    assert history["val/ccc"][-1] == pytest.approx(run.read_result().metrics.val.ccc, abs=1e-4)
    answer = CliRunner().invoke(
        main, ["eval", str(run.path), "--to", str(tmp_path / "eval")], catch_exceptions=False
    )
    assert answer.exit_code == 0, answer.output
    again = read_predictions(RunDirectory(tmp_path / "eval").predictions, NumberPredictions.from_rows)
    assert predictions.predicted[predictions.ids.index("b7")] != 0  # as a log-probability of one output would be
    order = [again.ids.index(id) for id in predictions.ids]
    assert np.allclose(again.predicted[order], predictions.predicted, atol=2e-3)


def test_the_audit_names_them_and_goes_on(listed):
    arguments = ["data", "audit", "csv", f"data.manifest={listed}", "data.max_clip_seconds=1"]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1 and "2 clips longer than 1 s: data.on_long=split trains on pieces" in " ".join(
        refused.output.split()
    )
    cut = CliRunner().invoke(main, [*arguments, "data.on_long=crop"])
    assert "2 clips longer than 1 s: data.on_long=crop cuts them" in " ".join(cut.output.split())
