"""Models that normalise by speaker statistics: training, protocol, use."""

import json

import pytest
import torch
from click.testing import CliRunner
from conftest import config, make_clip, make_cremad
from made_checkpoint import SMALL, make_checkpoint_of

from ser_lightning import cli, load_model
from ser_lightning.data.batches import Batch
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.experiment import fit_statistics, make_data, make_module, train
from ser_lightning.utils.errors import UserError

BY_SPEAKER = "model.frontend.normalise=speaker"


def overrides(root):
    return ["data=cremad", f"data.root={root}", *SMALL, BY_SPEAKER, "trainer.precision=32"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cremad_root):
    """The directory of a run of one epoch, tested with statistics from the clip alone."""
    run = RunDirectory(tmp_path_factory.mktemp("trained") / "run")
    train(config(*overrides(cremad_root), "trainer.max_epochs=1"), run)
    return run


def ser(*arguments):
    done = CliRunner().invoke(cli.main, [*map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def fitted(root, *more):
    cfg = config(*overrides(root), *more)
    torch.manual_seed(0)
    data = make_data(cfg)
    module = make_module(cfg, task=data.task, sample_rate_hz=data.sample_rate_hz)
    fit_statistics(module, data)
    return module.eval(), data  # training draws which clips are normalised by themselves alone


def batch_of(data, rows):
    waveform, lengths = (torch.from_numpy(array) for array in data.clips.gather(rows))
    label = torch.zeros(len(rows), dtype=torch.int64)
    return Batch(waveform=waveform, lengths=lengths, label=label, target=label, index=torch.tensor(rows))


def test_a_tested_clip_is_normalised_by_itself(trained, cremad_root):
    result = trained.read_result().plain()
    assert result["protocol"]["speaker_clips"] is None
    model = load_model(trained.path)
    assert model.speaker_statistics is not None and model.speaker_clips == 1
    name, _, _, _, *answers = trained.predictions.read_text().splitlines()[1].split(",")
    found = model.predict_file(cremad_root / "AudioWAV" / f"{name}.wav")
    assert list(found.probabilities.values()) == pytest.approx([float(text) for text in answers], abs=1e-4)


def test_what_is_known_is_part_of_the_protocol(trained, tmp_path):
    for known in ("1", "all"):
        code, out, errors = ser("eval", trained.path, "--speaker-clips", known, "--to", tmp_path / known)
        assert code == 0, errors
    one, everything = (json.loads((tmp_path / known / "result.json").read_text()) for known in ("1", "all"))
    assert one["metrics"]["test"]["loss"] == pytest.approx(
        trained.read_result().plain()["metrics"]["test"]["loss"], abs=1e-4
    )
    assert one["protocol"]["speaker_clips"] is None and everything["protocol"]["speaker_clips"] == "all"
    assert one["metrics"]["test"]["loss"] != everything["metrics"]["test"]["loss"]
    assert "each speaker known from all their clips, without labels" in " ".join(out.split())
    code, _, errors = ser("compare", tmp_path)
    assert code == 1 and "clips known per speaker: 1 in" in errors  # not ranked together


def test_a_run_that_knows_its_speakers_says_so(tmp_path, cremad_root):
    run = RunDirectory(tmp_path / "run")
    train(config(*overrides(cremad_root), "trainer.max_epochs=1", "model.speaker_clips=null"), run)
    result = run.read_result().plain()
    assert result["protocol"]["speaker_clips"] == "all"
    card = (run.checkpoints / "model_card.md").read_text()
    assert "each speaker known from all their clips" in card.lower()
    code, _, errors = ser("eval", run.path, "--to", tmp_path / "again")  # by its own protocol
    assert code == 0, errors
    again = json.loads((tmp_path / "again" / "result.json").read_text())
    assert again["metrics"]["test"]["loss"] == pytest.approx(result["metrics"]["test"]["loss"], abs=1e-4)
    assert again["protocol"]["speaker_clips"] == "all"


def test_test_clips_have_no_part_in_the_typical_speaker(tmp_path, cremad_root):
    other = make_cremad(tmp_path / "other")
    for path in (other / "AudioWAV").glob("100[12]_*"):  # who tests in fold 0
        make_clip(path, seed=int(path.stem[3]) + 5_000, seconds=0.5)
    (ours, data), (theirs, _) = fitted(cremad_root), fitted(other)
    assert torch.equal(ours.speaker_statistics.typical, theirs.speaker_statistics.typical)
    for rows, same in ((data.split.test, False), (data.split.train, True)):
        known = [module.speaker_statistics.look_up(torch.tensor(rows)) for module in (ours, theirs)]
        assert torch.equal(*known) is same


def test_some_training_clips_are_normalised_by_themselves_alone(cremad_root):
    module, data = fitted(cremad_root, "model.speaker_alone=0.5")
    rows = list(data.split.train)[:24]
    batch = batch_of(data, rows)
    known, _ = module.frontend(batch.waveform, batch.lengths, module.speaker_statistics.look_up(batch.index))
    module.train()
    features, _ = module._features(batch.waveform, batch)
    alone, _ = module.frontend(batch.waveform, batch.lengths)
    as_alone = [torch.equal(one, other) for one, other in zip(features, alone, strict=True)]
    as_known = [torch.equal(one, other) for one, other in zip(features, known, strict=True)]
    assert 4 < sum(as_alone) < 20 and [not each for each in as_alone] == as_known
    module.eval()
    assert torch.equal(module._features(batch.waveform, batch)[0], known)


def test_recordings_of_one_speaker_help_each_other(trained, tmp_path, cremad_root):
    clips = sorted((cremad_root / "AudioWAV").glob("1001_*"))
    model = load_model(trained.path)
    speaker = model.fit_speaker(clips)
    assert speaker.n_clips == len(clips)
    fitted_to, unfitted = (model.predict_file(clips[0], speaker=known) for known in (speaker, None))
    assert fitted_to.probabilities != unfitted.probabilities
    folder = tmp_path / "one"
    folder.mkdir()
    for clip in clips:
        (folder / clip.name).write_bytes(clip.read_bytes())
    code, out, errors = ser("predict", trained.path, folder, "--one-speaker", "--json", "-")
    assert code == 0, errors
    first = json.loads(out)["recordings"][0]
    for label, share in first["probabilities"].items():
        assert share == pytest.approx(fitted_to.probabilities[label], abs=1e-5)


def test_what_cannot_be_is_one_line(checkpoint, trained, tmp_path, cremad_root):
    clip = next((cremad_root / "AudioWAV").iterdir())
    for arguments, complaint in (
        (("predict", checkpoint, clip, "--one-speaker"), "takes nothing from other"),
        (("eval", checkpoint, "--speaker-clips", "all"), "takes nothing from other"),
        (("eval", trained.path, "--speaker-clips", "none"), "say all, or a number"),
        (("eval", trained.path, "--speaker-clips", "0"), "say all, or a number"),
        (("predict", trained.path, "-", "--one-speaker"), "standard input comes once"),
    ):
        code, _, errors = ser(*arguments)
        assert code == 1 and complaint in errors and "Traceback" not in errors
    with pytest.raises(UserError, match="silent, or there are none"):
        load_model(trained.path).fit_speaker([])
    with pytest.raises(UserError, match="speaker_clips=0"):
        make_module(
            config(BY_SPEAKER, "model.speaker_clips=0"), task=Classification(("a", "b")), sample_rate_hz=16_000
        )


def test_a_checkpoint_carries_the_typical_speaker(trained, tmp_path, cremad_root):
    module, _ = fitted(cremad_root)
    torch.testing.assert_close(
        load_model(trained.path).speaker_statistics.typical, module.speaker_statistics.typical
    )
    untaught = load_model(make_checkpoint_of(tmp_path / "new.ckpt", *overrides(cremad_root)))
    assert not torch.equal(untaught.speaker_statistics.typical, module.speaker_statistics.typical)
