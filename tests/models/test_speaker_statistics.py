"""Speaker statistics: estimated from the right clips and no others, shrunk, looked up, and applied to features."""

import pytest
import torch

from ser_lightning.models.frontend import LogMel
from ser_lightning.models.speaker_statistics import ClipMoments, SpeakerStatistics, _groups, moments_of_set
from ser_lightning.utils.errors import UserError

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


def by_hand():
    """Three clips of 1, 2 and 1 frames: one mel bin, of mean 0, 6 and 10, and variance 4."""
    mean = torch.tensor([0.0, 6.0, 10.0])
    moments = torch.stack([mean, mean.square() + 4], dim=1)[:, :, None]  # (N, 2, M)
    return ClipMoments(moments, torch.tensor([1, 2, 1]))


def numbers(statistics):
    """(…, 2, 1) -> [mean, variance] of each clip."""
    return statistics.squeeze(-1).tolist()


def test_the_draw_of_a_speakers_clips_depends_on_nobody_else():
    others, speaker = [list(range(20, 29)), list(range(30, 41))], list(range(9))
    alone, _ = _groups([speaker], 3)
    beside, _ = _groups([*others, speaker], 3)
    assert beside[-9:] == alone and len({tuple(sorted(group)) for group in alone}) > 3


def test_statistics_by_hand():
    statistics = SpeakerStatistics(1, prior_clips=1.0)
    statistics.fit(by_hand(), training=[[0, 1], [2]], evaluated=[], n_clips=None)
    # the first speaker: mean (0 + 2·6) / 3 = 4, mean square (4 + 2·40) / 3 = 28, variance 12; the second: 10 and 4
    assert numbers(statistics.typical) == [7.0, 8.0]
    # two clips weigh 2 / (2 + 1), one clip 1 / (1 + 1)
    known = statistics.look_up(torch.tensor([0, 1, 2]))
    torch.testing.assert_close(known.squeeze(-1), torch.tensor([[5.0, 32 / 3], [5.0, 32 / 3], [8.5, 6.0]]))
    single = [[3.5, 6.0], [6.5, 6.0], [8.5, 6.0]]
    statistics.alone_share = 1.0
    assert numbers(statistics.look_up(torch.tensor([0, 1, 2]))) == single
    statistics.eval()
    assert numbers(statistics.from_single_clips(by_hand())) == single
    assert numbers(statistics.look_up(torch.tensor([2, 0]))) == numbers(known[[2, 0]])


def test_evaluated_speakers_do_not_change_the_typical_one():
    statistics = SpeakerStatistics(1, prior_clips=1.0)
    statistics.fit(by_hand(), training=[[2]], evaluated=[[0, 1]], n_clips=1)
    assert numbers(statistics.typical) == [10.0, 4.0]
    assert numbers(statistics.look_up(torch.tensor([0, 1, 2]))) == [[5.0, 4.0], [8.0, 4.0], [10.0, 4.0]]


def test_before_it_is_fitted_there_is_nothing_to_look_up():
    assert SpeakerStatistics(1, prior_clips=1.0).look_up(torch.tensor([0])) is None


def test_moments_are_over_all_frames_of_the_speaker():
    front = frontend(prior_clips=0.0)
    known = front.speaker_statistics.estimate(front.moments(clips(), LENGTHS), [ANNA, BEN], n_clips=None)
    for speaker in (ANNA, BEN):
        every = torch.cat([decibels(clips(), clip) for clip in speaker], dim=1)  # (M, F)
        for clip in speaker:
            torch.testing.assert_close(known[clip, 0], every.mean(1), atol=1e-3, rtol=1e-4)
            torch.testing.assert_close(known[clip, 1], every.var(1, correction=0), atol=2e-2, rtol=1e-3)


def test_some_clips_of_a_speaker_are_the_clip_itself_and_others():
    front = frontend(prior_clips=3.0)
    statistics, moments = front.speaker_statistics, front.moments(clips(), LENGTHS)
    statistics.fit(moments, training=[ANNA, BEN], evaluated=[], n_clips=None)
    everything = statistics.estimate(moments, [ANNA, BEN], n_clips=None)
    assert torch.equal(statistics.estimate(moments, [ANNA, BEN], n_clips=3), everything)
    with pytest.raises(UserError, match="4 clips of each speaker are asked for, and none has more than 3: say all"):
        statistics.estimate(moments, [ANNA, BEN], n_clips=4)
    two = statistics.estimate(moments, [ANNA, BEN], n_clips=2)
    for clip in ANNA:  # itself and one of the two others
        pairs = [[clip, other] for other in ANNA if other != clip]
        expected = [statistics.estimate(moments, [pair], n_clips=None)[clip] for pair in pairs]
        assert any(torch.allclose(two[clip], each, atol=1e-4) for each in expected)
    assert torch.equal(statistics.estimate(moments, [ANNA, BEN], n_clips=2), two)


def test_features_are_standardised_over_the_clips_of_a_speaker():
    front = frontend(prior_clips=0.0)
    estimate = front.speaker_statistics.estimate
    statistics = estimate(front.moments(clips(), LENGTHS), [ANNA, BEN], n_clips=None)
    features, frames = front(clips(), LENGTHS, statistics)
    for speaker in (ANNA, BEN):
        every = torch.cat([features[clip, :, : frames[clip]] for clip in speaker], dim=1)
        torch.testing.assert_close(every.mean(1), torch.zeros(20), atol=1e-3, rtol=0)
        torch.testing.assert_close(every.std(1, correction=0), torch.ones(20), atol=2e-3, rtol=0)
    quieter = clips(level=0.1)  # all recordings at another level are the same speaker
    statistics = estimate(front.moments(quieter, LENGTHS), [ANNA, BEN], n_clips=None)
    torch.testing.assert_close(front(quieter, LENGTHS, statistics)[0], features, atol=2e-3, rtol=1e-3)


def test_without_statistics_they_come_from_the_clip_alone():
    front = frontend()
    single = front.speaker_statistics.from_single_clips(front.moments(clips(), LENGTHS))
    torch.testing.assert_close(front(clips(), LENGTHS)[0], front(clips(), LENGTHS, single)[0])
    for clip, length in enumerate(LENGTHS.tolist()):  # whatever it is batched with
        alone, n_frames = front(clips()[clip : clip + 1, :length], LENGTHS[clip : clip + 1])
        torch.testing.assert_close(front(clips(), LENGTHS)[0][clip, :, : int(n_frames)], alone[0])


@pytest.mark.parametrize("speakers", [[[0]], [[1, 2]]])
def test_silence_stays_finite(speakers):
    front = frontend(prior_clips=0.0)
    waveform, lengths = torch.zeros(3, 4_000), torch.tensor([4_000, 1, 3_000])
    moments = front.moments(waveform, lengths)
    statistics = front.speaker_statistics.estimate(moments, speakers, n_clips=None)[speakers[0]]
    features, _ = front(waveform[speakers[0]], lengths[speakers[0]], statistics)
    assert features.isfinite().all()


def test_a_set_is_made_of_batches_and_clips_of_none_are_zero():
    front = frontend()
    rows = [4, 1]
    found = moments_of_set(
        front.moments, [(rows, clips()[rows], LENGTHS[rows])], n_clips=6, device=torch.device("cpu")
    )
    moments, frames = front.moments(clips()[rows], LENGTHS[rows])
    assert torch.equal(found.moments[rows], moments) and torch.equal(found.frames[rows], frames)
    assert found.frames.tolist() == [0, int(frames[1]), 0, 0, int(frames[0]), 0]


def test_a_state_of_an_older_version_loads():
    front, state = frontend(), frontend().state_dict()
    typical = torch.rand(2, 20)
    assert state.pop("speaker_statistics.typical") is not None and not state
    torch.nn.ModuleDict({"frontend": front}).load_state_dict({"frontend.typical": typical})
    assert torch.equal(front.speaker_statistics.typical, typical)
