"""With the weights of Whisper tiny.en, where they lie: SER_TEST_MODELS names the directory of such folders."""

import pytest
import torch
from tiny_checkpoints import WHISPER_TINY as FOLDER

from ser_lightning.models.pretrained.checkpoint import read_encoder

transformers = pytest.importorskip("transformers", reason="pretrained models need the extra pretrained")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not there")


@pytest.fixture
def clip():
    generator = torch.Generator().manual_seed(0)
    time_s = torch.arange(32_000) / 16_000
    tone = sum((2 * torch.pi * 150 * n * time_s).sin() / n for n in range(1, 8))
    return 0.1 * tone * (2 * torch.pi * 3 * time_s).sin() + 0.01 * torch.randn(len(time_s), generator=generator)


def test_a_window_is_as_transformers_makes_it(clip):
    encoder, _ = read_encoder(str(FOLDER))
    inputs = transformers.AutoFeatureExtractor.from_pretrained(FOLDER)(
        clip.numpy(), sampling_rate=16_000, return_tensors="pt"
    )
    with torch.inference_mode():
        states, frames = encoder.eval()(clip[None], torch.tensor([len(clip)]))
        expected = encoder.model(inputs.input_features).last_hidden_state
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
