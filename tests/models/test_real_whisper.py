"""With the weights of Whisper tiny.en, where they lie: SER_TEST_MODELS names the directory of such folders."""

import json
import sys

import pytest
import torch
from click.testing import CliRunner
from conftest import config, make_clip
from tiny_checkpoints import WHISPER_TINY as FOLDER

from ser_lightning import cli
from ser_lightning.models.pretrained.checkpoint import read_encoder
from ser_lightning.models.pretrained.whisper import WhisperEncoder
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import train

pytest.importorskip("safetensors", reason="weights are read by safetensors")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not there")


@pytest.fixture
def clip():
    generator = torch.Generator().manual_seed(0)
    time_s = torch.arange(32_000) / 16_000
    tone = sum((2 * torch.pi * 150 * n * time_s).sin() / n for n in range(1, 8))
    return 0.1 * tone * (2 * torch.pi * 3 * time_s).sin() + 0.01 * torch.randn(len(time_s), generator=generator)


def test_a_window_is_as_transformers_makes_it(clip):
    transformers = pytest.importorskip("transformers", reason="it is the reference")
    encoder, _ = read_encoder(str(FOLDER))
    inputs = transformers.AutoFeatureExtractor.from_pretrained(FOLDER)(
        clip.numpy(), sampling_rate=16_000, return_tensors="pt"
    )
    with torch.inference_mode():
        states, frames = encoder.eval()(clip[None], torch.tensor([len(clip)]))
        model = transformers.AutoModel.from_pretrained(FOLDER).get_encoder().float().eval()
        expected = model(inputs.input_features).last_hidden_state
    assert frames.tolist() == [100]
    torch.testing.assert_close(states[0, -1], expected[0, :100], atol=2e-3, rtol=1e-3)


def test_a_clips_own_context_takes_no_notice_of_its_batch(clip):
    encoder, _ = read_encoder(str(FOLDER), context="clip")
    lengths = torch.tensor([32_000, 9_001])
    batch = torch.stack([clip, clip * (torch.arange(32_000) < 9_001)])
    with torch.inference_mode():
        together, frames = encoder.eval()(batch, lengths)
        alone, _ = encoder(clip[None, :9_001], lengths[1:])
    torch.testing.assert_close(together[1, :, : int(frames[1])], alone[0], atol=2e-3, rtol=1e-3)


def test_it_is_the_model_that_checkpoints_name_and_needs_no_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    _, source = read_encoder(str(FOLDER))
    assert source.digest == "885a732ff95c21216dcda99fe5848109"  # as transformers read it
    assert source.family == "whisper" and "is not known" in source.contamination


def ser(*arguments):
    done = CliRunner().invoke(cli.main, [*map(str, arguments)])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_a_probe_is_trained_evaluated_and_asked(cremad_root, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    lengths = []
    encode = WhisperEncoder.forward

    def counted(self, waveform, of_clips):
        lengths.extend(of_clips.tolist())
        return encode(self, waveform, of_clips)

    monkeypatch.setattr(WhisperEncoder, "forward", counted)
    run = RunDirectory(tmp_path / "run")
    overrides = ["data=cremad", f"data.root={cremad_root}", "data.batch_size=8", "logger=none"]
    train(config("experiment=whisper", f"model.net.name={FOLDER}", *overrides, "trainer.max_epochs=10"), run)
    assert len(lengths) == 96
    ser("eval", run.path, "--to", tmp_path / "to")
    assert len(lengths) == 96  # all of them were cached
    trained, tested = (json.loads((folder / "result.json").read_text()) for folder in (run.path, tmp_path / "to"))
    assert tested["metrics"]["test"]["uar"] == trained["metrics"]["test"]["uar"] > 0.5  # by pitch; 0.17 is chance
    assert tested["contamination"] == trained["contamination"] is not None
    make_clip(tmp_path / "1099_DFA_ANG_XX.wav", seed=1)
    (row,) = json.loads(ser("predict", run.path, tmp_path / "1099_DFA_ANG_XX.wav", "--json", "-"))["recordings"]
    assert row["label"] == "anger" and len(lengths) == 97
