"""Augmentations: identity in eval, within their bounds in training."""

import numpy as np
import pytest
import torch

from ser_lightning.models.augment import (
    Augmentation,
    BandPass,
    ClipMelShift,
    ClipTimeStretch,
    Gain,
    MelShift,
    Mixup,
    SpecAugment,
    TimeStretch,
    WhiteNoise,
)
from ser_lightning.utils.errors import UserError

FRAMES = torch.tensor([100, 60, 30, 4])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def features():
    x = torch.rand(4, 40, 100) + 1
    for clip, n_frames in zip(x, FRAMES, strict=True):
        clip[:, n_frames:] = 0
    return x


@pytest.mark.parametrize("step", [TimeStretch(), MelShift(), ClipTimeStretch(), ClipMelShift(), SpecAugment()])
def test_nothing_happens_in_eval(step):
    x = features()
    same, frames = step.eval()(x, FRAMES)
    assert same is x and frames is FRAMES


def test_noise_lies_at_its_level_and_differs_by_clip():
    x = torch.rand(400, 2_000) / 10
    added = WhiteNoise(min_level_db=-70, max_level_db=-50, p=0.5)(x) - x
    level_db = 10 * added.square().mean(1).log10()
    chosen = level_db > -100
    assert 150 < chosen.sum() < 250
    assert -71 < level_db[chosen].min() < -68 and -52 < level_db[chosen].max() < -49
    assert added[chosen].mean(1).abs().max() < 1e-3
    assert WhiteNoise(p=1).eval()(x) is x


def test_gain_stays_in_its_range_and_differs_by_clip():
    x = torch.ones(1000, 3)
    gained = Gain(min_gain_db=-6, max_gain_db=6, p=0.5)(x)
    gain_db = 20 * gained[:, 0].log10()
    assert gain_db.abs().max() <= 6.001
    assert 0.4 < (gain_db.abs() > 1e-6).float().mean() < 0.6
    assert Gain(p=1).eval()(x) is x


def test_a_band_is_kept_and_what_is_beyond_falls_off():
    impulses = torch.zeros(3, 16_384)
    impulses[:, 8_192] = 1.0
    narrow = BandPass(min_low_hz=300, max_low_hz=300, min_high_hz=3400, max_high_hz=3400, p=1.0)
    gain_db = 20 * torch.fft.rfft(narrow(impulses)).abs().log10()
    for hz, expected in ((300, -3.0), (3400, -3.0), (150, -36.1), (6800, -36.1), (600, 0.0), (1700, 0.0)):
        assert gain_db[:, round(hz * 16_384 / 16_000)].tolist() == pytest.approx([expected] * 3, abs=0.3)


def test_bands_differ_by_clip_and_only_some_have_one():
    noise = torch.randn(400, 5_000)
    kept = BandPass(p=0.3)(noise)
    chosen = (kept != noise).any(1)
    assert 80 < chosen.sum() < 160
    energy = kept[chosen].square().mean(1)
    assert energy.min() > 0.2 and energy.max() < 1 and energy.std() > 0.05
    assert torch.equal(BandPass(p=0.0)(noise), noise) and BandPass(p=1.0).eval()(noise) is noise
    delayed = BandPass(p=1.0)(torch.eye(9)[4:5].repeat_interleave(501, 1))
    assert delayed.argmax() // 501 == 4  # without a delay


def test_a_clips_end_does_not_ring_into_its_start():
    clip = torch.zeros(1, 16_384)
    clip[:, -200:] = 1.0
    filtered = BandPass(min_low_hz=50, max_low_hz=50, min_high_hz=8000, max_high_hz=8000, p=1.0)(clip)
    assert filtered[:, :400].abs().max() < 1e-5 < filtered[:, -200:].abs().max()


def test_stretch_moves_length_and_content_together():
    step = TimeStretch(min_rate=1.5, max_rate=1.5)
    x = torch.arange(100.0).expand(2, 3, 100)
    stretched, frames = step(x, torch.tensor([100, 50]))
    assert stretched.shape == (2, 3, 150)
    assert frames.tolist() == [150, 75]
    assert stretched[0, 0, 75].item() == pytest.approx(50, abs=1)
    assert step(x[..., :1], torch.tensor([1, 1]))[1].min() >= 1


def test_shift_moves_bins_and_repeats_the_edge():
    x = torch.arange(10.0)[None, :, None].expand(1, 10, 5)
    seen = set()
    for _ in range(40):
        shifted, _ = MelShift(max_bins=2)(x, torch.tensor([5]))
        by = int(5 - shifted[0, 5, 0])
        seen.add(by)
        expected = (torch.arange(10) - by).clamp(0, 9).float()
        assert torch.equal(shifted[0, :, 0], expected)
    assert seen == {-2, -1, 0, 1, 2}


def test_every_clip_has_a_rate_of_its_own():
    x = torch.arange(100.0).expand(64, 2, 100)
    stretched, frames = ClipTimeStretch(min_rate=0.5, max_rate=2.0)(x, torch.full((64,), 100))
    assert len(set(frames.tolist())) > 30 and frames.min() >= 50 and frames.max() <= 200
    assert stretched.shape == (64, 2, int(frames.max()))
    for clip, n_frames in zip(stretched, frames.tolist(), strict=True):
        assert clip[0, 0] < 1.5 and clip[0, n_frames - 1] > 97.5  # the whole of it
        assert not clip[:, n_frames:].any()


def test_samples_of_five_minutes_are_found_exactly():
    n = 300 * 16_000
    torch.manual_seed(0)
    stretched, (length,) = ClipTimeStretch(min_rate=1.1, max_rate=1.1)(
        torch.arange(n)[None, None] % 2.0, torch.tensor([n])
    )
    position = ((np.arange(int(length)) + 0.5) * n / int(length) - 0.5).clip(0, n - 1)
    expected = np.interp(position % 2, [0, 1, 2], [0, 1, 0])  # 0, 1, 0, 1 …, with straight lines between
    np.testing.assert_allclose(stretched[0, 0, -16_000:], expected[-16_000:], atol=1e-4)


def test_every_clip_has_a_shift_of_its_own():
    x = torch.arange(10.0)[None, :, None].expand(40, 10, 5)
    shifted, _ = ClipMelShift(max_bins=2)(x, torch.full((40,), 5))
    by = 5 - shifted[:, 5, 0]
    assert by.abs().max() <= 2 and by.min() < -1 and by.max() > 1 and len(by.unique()) == 40
    expected = (torch.arange(10) - by[:, None]).clamp(0, 9)
    torch.testing.assert_close(shifted[:, :, 0], expected)
    assert torch.equal(shifted[:, :, 0], shifted[:, :, 4])


def test_what_is_not_chosen_stays():
    x = features()
    for step in (ClipTimeStretch(p=0.0), ClipMelShift(p=0.0)):
        same, frames = step(x, FRAMES)
        torch.testing.assert_close(same, x)
        assert torch.equal(frames, FRAMES)


def test_masks_are_the_mean_and_keep_to_the_clip():
    step = SpecAugment(n_frequency_masks=0, n_time_masks=1, max_frames=20, max_share=0.25)
    x = features()
    widths = []
    for _ in range(50):
        masked, _ = step(x, FRAMES)
        changed = (masked != x).any(1)  # (B, F)
        widths.append(changed.sum(1))
        assert not (changed & (torch.arange(100) >= FRAMES[:, None])).any()
        means = x.sum((1, 2)) / (FRAMES * 40)
        for clip, mean in enumerate(means):
            assert torch.allclose(masked[clip][:, changed[clip]], mean)
    widest = torch.stack(widths).amax(0)
    assert (widest <= torch.minimum(torch.tensor(20), (FRAMES + 3) // 4)).all()
    assert widest[0] >= 15


def test_frequency_masks_cover_bands_of_all_frames():
    step = SpecAugment(n_frequency_masks=2, max_bins=10, n_time_masks=0)
    x = features()
    changed = step(x, FRAMES)[0] != x
    assert 0 < changed[0, :, 0].sum() <= 20
    assert torch.equal(changed[0].any(1), changed[0].all(1))


def test_mixup_blends_targets_as_it_blends_clips():
    x = torch.eye(4)[:, :, None].expand(4, 4, 100).clone()
    target = torch.eye(4)
    mixed, frames, mixed_target = Mixup(alpha=1.0)(x, FRAMES, target)
    torch.testing.assert_close(mixed[:, :, 0], mixed_target)
    torch.testing.assert_close(mixed_target.sum(1), torch.ones(4))
    assert (mixed_target.max(1).values < 0.999).any()
    assert (frames >= FRAMES).all()
    plain, frames, plain_target = Mixup(p=0.0)(x, FRAMES, target)
    assert torch.equal(plain, x) and torch.equal(plain_target, target) and torch.equal(frames, FRAMES)


def test_steps_run_in_order_and_can_be_switched_off():
    both = Augmentation(features={"shift": MelShift(), "mask": None}, waveform={"gain": Gain(p=1.0)})
    assert list(both.features) == ["shift"]
    waveform = torch.full((2, 10), 16_384, dtype=torch.int16)
    assert both.on_waveform(waveform).dtype == torch.float32
    assert both.eval().on_waveform(waveform) is waveform
    x, target = features(), torch.eye(4)
    assert all(a is b for a, b in zip(both.on_features(x, FRAMES, target), (x, FRAMES, target), strict=True))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Gain(min_gain_db=3, max_gain_db=-3), "Gain: min_gain_db=3 lies above max_gain_db=-3"),
        (lambda: WhiteNoise(max_level_db=3), "WhiteNoise: max_level_db=3 is out of range"),
        (lambda: Gain(p=1.5), "Gain: p=1.5 is out of range: it must be a number, at least 0 and at most 1"),
        (lambda: BandPass(min_low_hz=0), "BandPass: min_low_hz=0 .*above 0"),
        (lambda: BandPass(min_high_hz=9000), "BandPass: min_high_hz=9000 lies above max_high_hz=8000"),
        (lambda: BandPass(max_low_hz=4000), "BandPass: max_low_hz=4000 lies above min_high_hz=3000"),
        (lambda: TimeStretch(min_rate=0), "TimeStretch: min_rate=0 .*above 0"),
        (lambda: ClipTimeStretch(min_rate=2), "TimeStretch: min_rate=2 lies above max_rate=1.15"),
        (lambda: MelShift(max_bins=-1), "MelShift: max_bins=-1"),
        (lambda: ClipMelShift(p=-0.1), "MelShift: p=-0.1"),
        (lambda: SpecAugment(max_bins=-1), "SpecAugment: max_bins=-1"),
        (lambda: SpecAugment(max_share=1.1), "SpecAugment: max_share=1.1"),
        (lambda: SpecAugment(n_time_masks=1.5), "SpecAugment: n_time_masks=1.5 .*a whole number"),
        (lambda: Mixup(alpha=0), "Mixup: alpha=0 .*above 0"),
        (lambda: Mixup(p=float("nan")), "Mixup: p=nan"),
        (lambda: Mixup(p=True), "Mixup: p=True"),
    ],
)
def test_steps_outside_their_domain_are_refused(make, said):
    with pytest.raises(UserError, match=said):
        make()
