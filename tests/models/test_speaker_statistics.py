"""What is known of speakers: statistics of the right clips, no others, and what they do to features."""

import pytest
import torch

from ser_lightning.models.frontend import LogMel
from ser_lightning.models.speaker_statistics import known_voices, pooled, typical_voice, voice_of

LENGTHS = torch.tensor([8_000, 6_000, 4_000, 7_000, 5_000, 3_000])
ANNA, BEN = [0, 2, 4], [1, 3, 5]


def clips(level=1.0):
    """Six clips of noise, two speakers with a colour of their own."""
    generator = torch.Generator().manual_seed(0)
    waveform = torch.randn(6, int(LENGTHS.max()), generator=generator) * 0.05
    waveform[ANNA] += 0.8 * waveform[ANNA].roll(1, dims=1)
    for clip, length in zip(waveform, LENGTHS, strict=True):
        clip[length:] = 0
    return waveform * level


def frontend(**options):
    return LogMel(sample_rate_hz=16_000, n_mels=20, normalise="speaker", **options)


def decibels(of, clip):
    plain = LogMel(sample_rate_hz=16_000, n_mels=20, normalise="none")
    features, frames = plain(of[clip : clip + 1], LENGTHS[clip : clip + 1])
    return features[0, :, : int(frames)]


def test_a_voice_is_the_mean_and_variance_over_all_frames_of_the_speaker():
    moments, frames = frontend().moments(clips(), LENGTHS)
    voices = pooled(moments, frames, [ANNA, BEN])
    for speaker, voice in zip((ANNA, BEN), voices, strict=True):
        heard = torch.cat([decibels(clips(), clip) for clip in speaker], dim=1)  # (M, F)
        torch.testing.assert_close(voice[0], heard.mean(1), atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(voice[1], heard.var(1, correction=0), atol=2e-2, rtol=1e-3)


def test_of_whom_little_was_heard_the_typical_speaker_counts():
    moments, frames = frontend().moments(clips(), LENGTHS)
    typical = typical_voice(pooled(moments, frames, [ANNA, BEN]))
    known = {
        n_clips: known_voices(moments, frames, [ANNA, BEN], n_clips=n_clips, typical=typical, prior_clips=3.0)
        for n_clips in (1, 2, 3, None)
    }
    torch.testing.assert_close(known[1], 0.25 * voice_of(moments) + 0.75 * typical)
    everything = pooled(moments, frames, [ANNA])[0]
    torch.testing.assert_close(known[None][0], 0.5 * everything + 0.5 * typical)
    assert torch.equal(known[3], known[None])
    assert torch.equal(known[None][0], known[None][4])  # of one speaker
    for clip in ANNA:  # itself and one of the two others
        pairs = [pooled(moments, frames, [[clip, other]])[0] for other in ANNA if other != clip]
        expected = [0.4 * pair + 0.6 * typical for pair in pairs]
        assert any(torch.allclose(known[2][clip], each, atol=1e-4) for each in expected)


def test_features_of_a_known_speaker_are_standardised_over_their_clips():
    front = frontend(prior_clips=0.0)
    moments, frames = front.moments(clips(), LENGTHS)
    voices = front.known_voices(moments, frames, [ANNA, BEN], n_clips=None)
    features, frames = front(clips(), LENGTHS, voices)
    for speaker in (ANNA, BEN):
        heard = torch.cat([features[clip, :, : frames[clip]] for clip in speaker], dim=1)
        torch.testing.assert_close(heard.mean(1), torch.zeros(20), atol=1e-3, rtol=0)
        torch.testing.assert_close(heard.std(1, correction=0), torch.ones(20), atol=2e-3, rtol=0)
    quieter = clips(level=0.1)  # the whole of a recording at another level is the same speaker
    moments, _ = front.moments(quieter, LENGTHS)
    again, _ = front(quieter, LENGTHS, front.known_voices(moments, frames, [ANNA, BEN], n_clips=None))
    torch.testing.assert_close(again, features, atol=2e-3, rtol=1e-3)


def test_without_a_voice_a_clip_is_all_that_is_known():
    front = frontend()
    moments, frames = front.moments(clips(), LENGTHS)
    alone = front.known_voices(moments, frames, [ANNA, BEN], n_clips=1)
    torch.testing.assert_close(front(clips(), LENGTHS)[0], front(clips(), LENGTHS, alone)[0])
    for clip, length in enumerate(LENGTHS.tolist()):  # whatever it is batched with
        single, n_frames = front(clips()[clip : clip + 1, :length], LENGTHS[clip : clip + 1])
        torch.testing.assert_close(front(clips(), LENGTHS)[0][clip, :, : int(n_frames)], single[0])


@pytest.mark.parametrize("speakers", [[[0]], [[1, 2]]])
def test_silence_stays_finite(speakers):
    front = frontend(prior_clips=0.0)
    waveform, lengths = torch.zeros(3, 4_000), torch.tensor([4_000, 1, 3_000])
    moments, frames = front.moments(waveform, lengths)
    voices = front.known_voices(moments, frames, speakers, n_clips=None)[speakers[0]]
    features, _ = front(waveform[speakers[0]], lengths[speakers[0]], voices)
    assert features.isfinite().all()
