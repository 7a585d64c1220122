"""Trained models at work: files and arrays of any length in, the same answers whichever way they come."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from conftest import config
from made_checkpoint import SMALL

import ser_lightning
from ser_lightning import Windows, load_model
from ser_lightning.data.prepare.decoding import decode, samples_of, stream_file
from ser_lightning.inference.checkpoint import _is_best, read_checkpoint
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.experiment import make_module
from ser_lightning.utils.errors import UserError

RATE_HZ = 16_000


def noise(seconds, *, rate_hz=RATE_HZ, channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, int(seconds * rate_hz))).astype(np.float32)


def test_what_is_public_comes_with_the_package_and_nothing_else_does():
    assert set(ser_lightning.__all__) >= {"load_model", "EmotionRecognizer", "Prediction", "Windows"}
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ser_lightning.nonsense


def test_the_answer_is_the_training_modules(checkpoint, model, cremad_root):
    cfg = config("data=cremad", f"data.root={cremad_root}", *SMALL)
    module = make_module(cfg, task=Classification(model.labels), sample_rate_hz=RATE_HZ).eval()
    module.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    waveform, lengths = torch.randn(3, 16_000) / 10, torch.tensor([16_000, 9_000, 4_000])
    with torch.no_grad():
        assert torch.allclose(model(waveform, lengths), module(waveform, lengths).softmax(-1), atol=1e-6)


@pytest.mark.parametrize("shape", ["mono", "stereo"])
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_file_and_an_array_of_it_are_the_same(model, tmp_path, shape, rate_hz):
    channels = 1 + (shape == "stereo")
    waveform = noise(1.3, rate_hz=rate_hz, channels=channels)
    path = tmp_path / "a.wav"
    soundfile.write(path, waveform.T, rate_hz, subtype="FLOAT")
    of_file, of_array = model.predict_file(path), model.predict(waveform, rate_hz)
    assert of_file == of_array
    assert of_file.duration_s == pytest.approx(1.3, abs=1e-4)
    assert sum(of_file.probabilities.values()) == pytest.approx(1)
    assert of_file.label == max(of_file.probabilities, key=of_file.probabilities.get)
    assert of_file == model.predict(torch.from_numpy(waveform), rate_hz)


def test_a_file_that_cannot_be_read_is_named(model, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.wav is not there"):
        model.predict_file("nowhere.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.wav .*empty"):
        model.predict_file(tmp_path / "empty.wav")


def test_a_long_recording_is_cut_the_same_way_however_it_is_read(model, tmp_path):
    samples = samples_of(noise(41), RATE_HZ)
    windows = Windows(window_s=3, hop_s=1.5)
    whole = model.predict_blocks([samples], windows=windows)
    assert whole == model.predict_blocks(np.array_split(samples, 97), windows=windows)
    assert whole.segments[0].start_s == 0 and whole.segments[-1].end_s == whole.duration_s == 41
    starts = [segment.start_s for segment in whole.segments]
    assert np.allclose(np.diff(starts), 1.5)
    lengths = [segment.end_s - segment.start_s for segment in whole.segments]
    assert lengths[:-1] == [3] * (len(lengths) - 1) and 1.5 <= lengths[-1] <= 4.5
    for segment in whole.segments[::7]:  # each is what the stretch would be alone
        first, last = (round(s * RATE_HZ) for s in (segment.start_s, segment.end_s))
        alone = model.predict(samples[first:last], RATE_HZ, windows=Windows(window_s=10, hop_s=10))
        assert alone.probabilities == pytest.approx(segment.probabilities, abs=1e-5)


@pytest.mark.parametrize("seconds", [0.01, 2.9, 4.5])
def test_a_clip_is_one_segment(model, seconds):
    assert len(model.predict(noise(seconds), RATE_HZ, windows=Windows(window_s=3, hop_s=1.5)).segments) == 1


def test_silence_of_a_sound_card_with_an_offset_is_silence(model):
    faint = 3e-5 * np.random.default_rng(0).standard_normal((1, RATE_HZ))
    assert model.predict(np.float32(0.002 + faint), RATE_HZ).silent
    assert not model.predict(np.float32(0.002 + 100 * faint), RATE_HZ).silent


def test_silence_is_said_to_be_silence_and_does_not_count(model):
    loud, quiet = noise(10), np.zeros((1, 10 * RATE_HZ), np.float32)
    nothing = model.predict(quiet, RATE_HZ)
    assert (
        nothing.silent and nothing.label == "silent" and nothing.confidence == max(nothing.probabilities.values())
    )
    windows = Windows(window_s=2, hop_s=2)
    both = model.predict(np.concatenate([loud, quiet], axis=1), RATE_HZ, windows=windows)
    assert [segment.silent for segment in both.segments] == [False] * 5 + [True] * 5
    assert not both.silent and both.label in model.labels and both.segments[-1].label == "silent"
    assert both.probabilities == pytest.approx(
        model.predict(loud, RATE_HZ, windows=windows).probabilities, abs=1e-5
    )


@pytest.mark.parametrize(
    ("waveform", "rate_hz", "complaint"),
    [
        (np.zeros((2, 3, 4)), 16_000, "shape|channels, samples"),
        (np.zeros(0), 16_000, "channels, samples"),
        (np.zeros((16_000, 2)), 16_000, "transposed"),
        (np.full(100, np.nan), 16_000, "NaN"),
        (np.zeros(100), 0, "sample rate of 0"),
        (np.zeros(100, dtype=np.int64), 16_000, "int64"),
    ],
)
def test_what_is_no_waveform_is_refused(model, waveform, rate_hz, complaint):
    with pytest.raises(ValueError, match=complaint):
        model.predict(waveform, rate_hz)


def test_windows_that_leave_gaps_are_refused():
    with pytest.raises(UserError, match="hop"):
        Windows(window_s=1, hop_s=2)


def test_a_stream_is_what_decoding_gives(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(75, rate_hz=44_100, channels=2).T, 44_100, subtype="PCM_16")
    blocks = list(stream_file(path))
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), decode(path).samples)


def test_a_run_directory_is_as_good_as_its_checkpoint(checkpoint, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(checkpoint.read_bytes())
    assert read_checkpoint(tmp_path).path == tmp_path / "checkpoints" / "best.ckpt"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut off"])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "best.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="no checkpoint, or a damaged one"):
        load_model(path)
    with pytest.raises(UserError, match="there is no checkpoint"):
        load_model(tmp_path / "nothing.ckpt")
    torch.save({"state_dict": {}}, path)
    with pytest.raises(UserError, match="another program"):
        load_model(path)


def test_a_checkpoint_cannot_name_code_to_run(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    content["ser_lightning"]["config"]["model"]["net"] = {
        "_target_": "os.system",
        "command": f"touch {tmp_path}/ran",
    }
    path = tmp_path / "evil.ckpt"
    torch.save(content, path)
    with pytest.raises(UserError, match=r"os\.system"):
        load_model(path)
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_version_are_refused(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["net.more"] = torch.zeros(1)
    path = tmp_path / "best.ckpt"
    torch.save(content, path)
    with pytest.raises(UserError, match="another version"):
        load_model(path)


def test_a_temperature_softens_what_is_said(checkpoint, model, tmp_path):
    path = tmp_path / "calibrated.ckpt"
    read_checkpoint(checkpoint).write(path, temperature=3.0)
    clip = noise(1)
    hard, soft = model.predict(clip, RATE_HZ), load_model(path).predict(clip, RATE_HZ)
    assert soft.label == hard.label and soft.confidence < hard.confidence


def test_lightning_is_not_needed(checkpoint):
    """It takes seconds to import."""
    code = (
        f"import sys, ser_lightning; ser_lightning.load_model({str(checkpoint)!r}); heavy = "
        "{'lightning', 'torchmetrics', 'hydra', 'wandb', 'matplotlib'}; print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "set()"


def test_an_epoch_that_was_not_validated_is_not_the_best():
    config = {"monitor": {"metric": "val/uar", "mode": "max"}}
    rows = [{"val/uar": 0.4}, {"val/uar": 0.6}]
    assert _is_best({"History": {"rows": rows}}, config)
    assert not _is_best({"History": {"rows": [*rows, {"train/loss": 1.0}]}}, config)
    assert not _is_best({"History": {"rows": [*rows, {"val/uar": 0.5}]}}, config)
