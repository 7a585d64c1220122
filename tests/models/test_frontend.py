"""The front-end against torchaudio's, one clip at a time."""

import pytest
import torch
import torchaudio

from ser_lightning.models.frontend import LogMel
from ser_lightning.utils.errors import UserError

LENGTHS = torch.tensor([16_001, 9_999, 1_600, 3])


def clips():
    generator = torch.Generator().manual_seed(0)
    waveform = (torch.randn(4, int(LENGTHS.max()), generator=generator) * 3000).to(torch.int16)
    for clip, length in zip(waveform, LENGTHS, strict=True):
        clip[length:] = 0
    return waveform


def reference(clip, *, n_fft, window, hop, n_mels, min_hz, reflect):
    mel = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft, window, hop, f_min=min_hz, n_mels=n_mels, pad_mode="reflect" if reflect else "constant"
    )
    samples = clip / 32_768
    return 10 * mel(samples - samples.mean()).clamp_min(1e-10).log10()


@pytest.mark.parametrize("normalise", ["none", "standard", "min_max"])
@pytest.mark.parametrize(
    ("n_fft", "window", "hop", "n_mels", "min_hz", "reflect"),
    [(1024, 400, 256, 80, 50.0, False), (512, 512, 160, 64, 0.0, False), (2048, 2048, 512, 128, 0.0, True)],
)
def test_every_clip_is_as_torchaudio_makes_it_alone(n_fft, window, hop, n_mels, min_hz, reflect, normalise):
    frontend = LogMel(
        sample_rate_hz=16_000,
        n_fft=n_fft,
        window_samples=window,
        hop_samples=hop,
        n_mels=n_mels,
        min_hz=min_hz,
        pad_mode="reflect" if reflect else "zeros",
        normalise=normalise,
    )
    features, frames = frontend(clips(), LENGTHS)
    for clip, length, got, n_frames in zip(clips(), LENGTHS, features, frames, strict=True):
        assert not got[:, n_frames:].any()
        if reflect and length <= n_fft // 2:
            continue  # torchaudio refuses to reflect a clip shorter than half a window
        expected = reference(
            clip[:length], n_fft=n_fft, window=window, hop=hop, n_mels=n_mels, min_hz=min_hz, reflect=reflect
        )
        if normalise == "standard":
            expected = (expected - expected.mean()) / expected.std(correction=0)
        elif normalise == "min_max":
            expected = (expected - expected.min()) / (expected.max() - expected.min())
        assert expected.shape[1] == n_frames
        torch.testing.assert_close(got[:, :n_frames], expected, atol=2e-3, rtol=1e-3)


def test_a_window_of_an_odd_number_of_samples_has_a_frame_every_hop():
    frontend = LogMel(sample_rate_hz=16_000, n_fft=512, window_samples=401, hop_samples=200)
    features, frames = frontend(torch.randn(2, 16_000), torch.tensor([16_000, 8_000]))
    assert frames.tolist() == [81, 41] and features.shape[2] == 81


def test_neighbouring_frames_are_averaged_and_padding_is_not_among_them():
    options = {"sample_rate_hz": 16_000, "hop_samples": 200, "normalise": "none"}
    every, n_every = LogMel(**options)(clips(), LENGTHS)
    means, n_means = LogMel(**options, average_frames=3)(clips(), LENGTHS)
    assert n_means.tolist() == [-(-n // 3) for n in n_every.tolist()]
    for clip, n_frames, mean, n_mean in zip(every, n_every, means, n_means, strict=True):
        own = [part.mean(1) for part in clip[:, :n_frames].split(3, dim=1)]
        torch.testing.assert_close(mean[:, :n_mean], torch.stack(own, dim=1))
        assert not mean[:, n_mean:].any()


def test_a_short_clip_is_reflected_again_and_again():
    frontend = LogMel(
        sample_rate_hz=16_000, n_fft=64, window_samples=64, hop_samples=16, n_mels=8, pad_mode="reflect"
    )
    waveform = torch.tensor([[1.0, 0.5, -1.0]])
    mean = waveform.mean()
    padded = frontend._centred(waveform.clone(), torch.tensor([3]))[0]
    expected = torch.tensor([1.0, 0.5, -1.0, 0.5] * 17)[:67] - mean  # 32 before, 3, 32 after: period 4
    torch.testing.assert_close(padded, expected)


@pytest.mark.parametrize("normalise", ["none", "standard", "min_max", "training"])
def test_silence_and_a_constant_are_finite(normalise):
    frontend = LogMel(sample_rate_hz=16_000, normalise=normalise)
    waveform = torch.zeros(2, 1600, dtype=torch.int16)
    waveform[1] = 1000
    features, _ = frontend(waveform, torch.tensor([1600, 1600]))
    assert features.isfinite().all()
    torch.testing.assert_close(features[0], features[1])  # a constant offset is removed


def test_level_does_not_matter_once_normalised():
    frontend = LogMel(sample_rate_hz=16_000)
    loud, _ = frontend(clips()[:2], LENGTHS[:2])
    quiet, _ = frontend(clips()[:2] / 32_768 / 2, LENGTHS[:2])
    torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=0)


def test_the_waveform_given_is_left_as_it_is():
    waveform = clips() / 32_768
    before = waveform.clone()
    LogMel(sample_rate_hz=16_000)(waveform, LENGTHS)
    assert torch.equal(waveform, before)


def test_options_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="normalise=max is not known"):
        LogMel(sample_rate_hz=16_000, normalise="max")


@pytest.mark.parametrize("name", ["hop_samples", "average_frames"])
def test_no_frames_at_all_are_too_few(name):
    with pytest.raises(ValueError, match=f"{name}=0 is out of range: it must be a whole number, at least 1"):
        LogMel(sample_rate_hz=16_000, **{name: 0})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window_samples": 2048}, "window_samples=2048 is out of range: it must be a number, at most 1,024"),
        ({"hop_samples": 401}, "hop_samples=401 .*at most 400"),
        ({"max_hz": 8001.0}, "max_hz=8001.0 .*at most 8000"),
        ({"min_hz": 8000.0}, "min_hz=8000.0 .*below 8000"),
        ({"min_hz": -1.0}, "min_hz=-1.0"),
        ({"n_mels": 0}, "n_mels=0"),
        ({"n_mels": 300}, "n_mels=300 is too many: .* lower n_mels or raise n_fft"),
        ({"prior_clips": -1}, "prior_clips=-1"),
        ({"speech_range_db": -1}, "speech_range_db=-1"),
        ({"speech_margin": -1}, "speech_margin=-1"),
        ({"speech_margin": 4, "pad_mode": "reflect"}, "speech_margin needs pad_mode=zeros"),
    ],
)
def test_what_cannot_be_a_spectrogram_is_refused(options, said):
    with pytest.raises(UserError, match=said):
        LogMel(sample_rate_hz=16_000, **options)
