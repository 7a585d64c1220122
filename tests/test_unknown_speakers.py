"""Speakers whom a list does not know: nobody's, in training, in tests elsewhere, and in speaker statistics."""

import json

import pytest
import torch
from click.testing import CliRunner
from conftest import config
from layouts import tone
from made_checkpoint import SMALL

from ser_lightning import cli
from ser_lightning.data.leakage import TrainingRecord
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import make_data, make_module, train
from ser_lightning.training.parts import fit_statistics


def listed(folder, speakers, *, sound=0.0):
    """A list of two clips for each name of a speaker, the same one twice being two people."""
    lines = ["path,emotion,speaker,fold"]
    for row, speaker in enumerate(each for each in speakers for _ in range(2)):
        tone(folder / "clips" / f"{row}.wav", row + sound)
        lines.append(f"clips/{row}.wav,{'calm' if row % 2 else 'upset'},{speaker},{row // 2 % 3}")
    (folder / f"{folder.name}.csv").write_text("\n".join(lines) + "\n")
    return folder / f"{folder.name}.csv"


def overrides(path, *more):
    return ["data=csv", f"data.manifest={path}", *SMALL, "trainer.max_epochs=1", "trainer.precision=32", *more]


def evaluated(run, to, *more):
    done = CliRunner().invoke(cli.main, ["eval", str(run.path), "--to", str(to), *more])
    assert done.exit_code == 0, done.stderr
    return done.stdout, json.loads((to / "result.json").read_text())


def test_an_evaluation_claims_no_more_than_the_run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    train(config(*overrides(listed(tmp_path / "all", ["unknown"] * 9), "data.split=random")), run)
    said, again = evaluated(run, tmp_path / "again")
    assert run.read_result().plain()["protocol"]["speaker_independent"] is False
    assert again["protocol"]["speaker_independent"] is False and "SPEAKERS NOT KNOWN of 18 clips" in said


def test_unknown_speakers_of_the_training_are_said_at_a_test_elsewhere(tmp_path):
    run = RunDirectory(tmp_path / "run")
    train(config(*overrides(listed(tmp_path / "all", ["unknown", "?", *"abcde"]), "data.split=random")), run)
    other = listed(tmp_path / "other", "vwxyz", sound=0.5)
    said, elsewhere = evaluated(run, tmp_path / "to", "data=csv", f"data.manifest={other}")
    n_unknown = elsewhere["warnings"]["unknown_trained"]
    assert 0 < n_unknown <= 4
    assert f"as far as they are known: {n_unknown} clip" in said
    record = TrainingRecord.from_stamp(torch.load(run.best, weights_only=True)["ser_lightning"])
    assert record.n_unknown == n_unknown


@pytest.mark.parametrize("n_clips", ["null", "2"])
def test_each_of_their_clips_is_normalised_by_itself(tmp_path, n_clips):
    path = listed(tmp_path / "all", ["unknown"] * 3 + [*"abcdef"])
    cfg = config(*overrides(path), "model.frontend.normalise=speaker", f"model.speaker_clips={n_clips}")
    data = make_data(cfg)
    module = make_module(cfg, task=data.task, sample_rate_hz=data.sample_rate_hz)
    fit_statistics(module, data)
    statistics = module.eval().speaker_statistics
    rows = torch.tensor([row for row, clip in enumerate(data.manifest) if not clip.speaker_is_known])
    waveform, lengths = map(torch.from_numpy, data.clips.gather(rows.tolist()))
    alone = statistics.from_single_clips(module.frontend.moments(waveform, lengths))
    torch.testing.assert_close(statistics.look_up(rows), alone, atol=1e-3, rtol=1e-4)
    known = [data.clips.pieces_of(own) for own in data.manifest.by_speaker(data.split.train) if len(own) > 1]
    assert len(known) == len({data.manifest[row].speaker for row in data.split.train} - {"unknown speaker"})
    typical = statistics.typical.clone()
    statistics.fit(_Moments(module, data), training=known, evaluated=[], n_clips=None)
    torch.testing.assert_close(statistics.typical, typical, atol=1e-3, rtol=1e-4)


class _Moments:
    def __init__(self, module, data):
        self._module, self._data = module, data

    def of(self, rows):
        return self._module.frontend.moments(*map(torch.from_numpy, self._data.clips.gather(list(rows))))


def test_their_own_folds_are_taken_and_two_lists_of_them_are_no_question(tmp_path):
    paths = [listed(tmp_path / name, ["unknown"] * 6, sound=sound) for name, sound in (("one", 0), ("two", 0.5))]
    data = make_data(config("data=csv", f"data.manifest={paths[0]}", "data.split=file"))
    assert len(data.split.test) == 4 and data.warnings()["unknown_speaker"] == 12
    labels = ["+data.label_map.upset=anger", "data.label_map.calm=neutral"]
    both = config("data=pooled", f"data.corpora=[{paths[0]},{paths[1]}]", "data.split=random", *labels)
    pooled = make_data(both)
    assert not any(clip.speaker_is_known for clip in pooled.manifest)


def test_a_number_behind_the_word_is_a_name(tmp_path):
    path = listed(tmp_path / "all", [f"unknown speaker {n}" for n in range(5)] + ["unknown_speaker", "?"])
    data = make_data(config("data=csv", f"data.manifest={path}", "data.split=kfold"))
    assert data.warnings()["unknown_speaker"] == 4
