"""Speech is found, cut to, and freed of its level; levels and silence around it make no difference to features."""

import pytest
import torch
from conftest import config
from torch.nn import functional

from ser_lightning.models.frontend import LogMel
from ser_lightning.models.speech_frames import cut_to_speech, frame_levels, speech_mask, without_level
from ser_lightning.training.experiment import fit_statistics, make_data, make_module

STEP = 400  # samples between frames of the network
LENGTHS = torch.tensor([20_000, 15_001])
OPTIONS = {"sample_rate_hz": 16_000, "window_samples": 1024, "hop_samples": 200, "average_frames": 2}
LEVEL_FREE = OPTIONS | {"normalise": "training", "speech_margin": 4}


def clips():
    """(2, T) int16: noise at two levels, the first with a pause, the second with faint noise before and after."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, int(LENGTHS.max()), generator=generator)
    noise[0] *= 2_000
    noise[0, 8_000:11_000] *= 0.003
    noise[1] *= 700
    noise[1, :4_000] *= 0.002
    noise[1, 11_000:] *= 0.002
    noise[1, LENGTHS[1] :] = 0
    return noise.round().to(torch.int16)


def spectrum(*levels, n_mels=4):
    """(1, F, M) of frames whose mel bins are all alike, and which have these levels in dB."""
    per_bin = torch.tensor(levels) - 10 * torch.log10(torch.tensor(float(n_mels)))
    return per_bin[None, :, None].expand(1, len(levels), n_mels).clone()


def test_levels_and_speech_by_hand():
    decibels, frames = spectrum(-30.0, 9.0, 50.0, 10.0, 60.0), torch.tensor([4])  # the last is padding
    levels = frame_levels(decibels, frames)
    torch.testing.assert_close(levels, torch.tensor([[-30.0, 9.0, 50.0, 10.0, -torch.inf]]))
    assert speech_mask(levels, 40.01).tolist() == [[False, False, True, True, False]]
    free, speech = without_level(decibels, frames, range_db=40.01, floor_db=60)
    assert speech.tolist() == [[False, False, True, True, False]]
    # the mean level of speech is 30 dB, the floor -10 dB; each of the four bins is 6 dB below its frame
    expected = torch.tensor([-40.0, 9 - 6.0206 - 30, 50 - 6.0206 - 30, 10 - 6.0206 - 30])
    torch.testing.assert_close(free[0, :4, 0], expected)


@pytest.mark.parametrize(("margin", "kept"), [(0, [50.0, 0.0, 45.0]), (1, [1.0, 50.0, 0.0, 45.0, 2.0]), (9, None)])
def test_a_clip_is_cut_to_its_speech_and_a_margin(margin, kept):
    levels = [0.0, 1.0, 50.0, 0.0, 45.0, 2.0, 3.0]  # the pause between stays
    decibels, frames = spectrum(*levels, 60.0), torch.tensor([7])  # and padding is none of it
    cut, n_frames = cut_to_speech(decibels, frames, margin=margin, range_db=40)
    kept = kept or levels
    assert n_frames.tolist() == [len(kept)]
    torch.testing.assert_close(frame_levels(cut, n_frames)[0, : len(kept)], torch.tensor(kept), atol=1e-4, rtol=0)


@pytest.mark.parametrize("gain_db", [-20, -10, 10])
def test_a_gain_makes_no_difference_up_to_rounding(gain_db):
    front, gain = LogMel(**LEVEL_FREE), 10 ** (gain_db / 20)
    features, frames = front(clips(), LENGTHS)
    as_float, own_frames = front(clips() / 32_768 * gain, LENGTHS)
    assert torch.equal(own_frames, frames)
    torch.testing.assert_close(as_float, features, atol=1e-4, rtol=0)
    rounded, own_frames = front((clips() * gain).round().to(torch.int16), LENGTHS)
    assert torch.equal(own_frames, frames)
    speech = features > 0  # rounding is seen in pauses alone
    assert (rounded - features)[speech].abs().max() < 0.02


@pytest.mark.parametrize("normalise", ["training", "standard"])
@pytest.mark.parametrize(("before", "after"), [(20 * STEP, 20 * STEP), (3 * STEP, 0), (0, 7_001)])
def test_zeros_around_a_clip_make_no_difference(normalise, before, after):
    front = LogMel(**LEVEL_FREE | {"normalise": normalise})
    features, frames = front(clips(), LENGTHS)
    padded, n_samples = functional.pad(clips(), (before, after)), LENGTHS + before + after
    longer, own_frames = front(padded, n_samples)
    assert torch.equal(own_frames, frames)
    # a clip's offset is removed, and the zeros around it change its mean a little
    torch.testing.assert_close(longer, features, atol=0.05, rtol=0)
    plain = LogMel(**OPTIONS | {"normalise": normalise})  # which is not so without the cut
    assert not torch.equal(plain(clips(), LENGTHS)[1], plain(padded, n_samples)[1])


def test_faint_noise_around_the_speech_is_cut_away_and_a_margin_stays():
    features, frames = LogMel(**LEVEL_FREE)(clips(), LENGTHS)
    whole = LENGTHS // STEP + 1
    # from 4,000 to 11,000 are frames 10 to 27 or 28: the windows of some more reach into the noise
    assert whole[0] + 8 <= frames[0] <= whole[0] + 12  # loud to both ends: the margins are silence
    assert 18 + 8 <= frames[1] <= 22 + 8
    assert features.shape[2] == frames.max()


def test_without_a_margin_nothing_is_cut():
    _, frames = LogMel(**OPTIONS | {"normalise": "training"})(clips(), LENGTHS)
    assert torch.equal(frames, LENGTHS // STEP + 1)


def test_training_clips_alone_are_what_is_fitted(cremad_root):
    cfg = config(
        "data=cremad", f"data.root={cremad_root}", "model.frontend.normalise=training", "model.frontend.n_mels=16"
    )
    data = make_data(cfg)
    module = make_module(cfg, task=data.task, sample_rate_hz=data.sample_rate_hz)
    untrained = module.frontend.training_statistics.clone()
    fit_statistics(module, data)
    values, standardised = [], []  # each training clip by itself, its frames of speech
    for row in data.split.train:
        waveform, lengths = (torch.from_numpy(array) for array in data.clips.gather([row]))
        decibels, speech = module.frontend._without_level(*module.frontend._spectrogram(waveform, lengths))
        values.append(decibels[speech])
        standardised.append(module.frontend(waveform, lengths)[0].transpose(1, 2)[speech])
    every = torch.cat(values)  # (frames of all, M)
    mean, variance = module.frontend.training_statistics
    torch.testing.assert_close(mean, every.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(variance, every.var(0, correction=0), atol=0.05, rtol=1e-3)
    features = torch.cat(standardised)
    torch.testing.assert_close(features.mean(0), torch.zeros(16), atol=1e-3, rtol=0)
    torch.testing.assert_close(features.std(0, correction=0), torch.ones(16), atol=1e-3, rtol=0)
    assert not torch.allclose(untrained, module.frontend.training_statistics)
    assert "frontend.training_statistics" in module.state_dict()  # a checkpoint holds them
    assert module.speaker_statistics is None and module.protocol == {}
