"""Every condition by its physics: ratios, bands, decays, shares, lengths."""

from itertools import product

import numpy as np
import pytest
from scipy import signal

from ser_lightning.data.degrade import CONDITIONS, GROUPS
from ser_lightning.data.degrade.channel import Telephone
from ser_lightning.data.degrade.noise import _BANDS_HZ, _DENSITY_DB, Noise
from ser_lightning.data.degrade.recording import Clipping, Gain, Middle
from ser_lightning.data.degrade.room import Room
from ser_lightning.data.degrade.silence import AddedSilence, CutSilence
from ser_lightning.data.degrade.speech_level import active_power

RATE_HZ = 16_000


def random(seed=0):
    return np.random.default_rng(seed)


def db(ratio):
    return 10 * np.log10(ratio)


def speech_like(*, seconds=3.0, level=0.05, pauses=True, seed=99):
    """(T,) noise in syllables of an eighth of a second, between two pauses of a fifth of the whole."""
    n = int(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    sound = level * random(seed).standard_normal(n) * (1 + np.sin(2 * np.pi * 8 * t))
    if pauses:
        sound[: n // 5] *= 1e-4
        sound[-(n // 5) :] *= 1e-4
    return sound


def clip(**options):
    return np.rint(speech_like(**options) * 32_768).clip(-32_768, 32_767).astype(np.int16)


def changed(change, samples, seed=0):
    return change(samples, RATE_HZ, random(seed))


def band_power(samples, low_hz, high_hz, rate_hz=RATE_HZ):
    hz, density = signal.welch(samples, rate_hz, nperseg=4096)
    return density[(hz >= low_hz) & (hz < high_hz)].sum() * (hz[1] - hz[0])


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_the_level_of_steady_sound_is_its_mean_square(rate_hz):
    t = np.arange(20 * rate_hz) / rate_hz
    assert db(active_power(0.2 * np.sin(2 * np.pi * 440 * t), rate_hz) / 0.02) == pytest.approx(0, abs=0.1)


def test_the_level_of_speech_is_that_between_the_pauses():
    """Pauses count as speech for 0.2 s: of 10 s between 20 s of silence, 2 %."""
    sound = 0.1 * random().standard_normal(10 * RATE_HZ)
    padded = np.concatenate([np.zeros(10 * RATE_HZ), sound, np.zeros(10 * RATE_HZ)])
    loud = active_power(padded, RATE_HZ)
    assert db(loud / np.mean(sound**2)) == pytest.approx(db(10 / 10.2), abs=0.15)
    assert db(loud / np.mean(padded**2)) > 4.5


@pytest.mark.parametrize("gain_db", [-30, -10, 10])
def test_the_level_follows_a_gain(gain_db):
    sound = speech_like()
    louder = active_power(sound * 10 ** (gain_db / 20), RATE_HZ)
    assert db(louder / active_power(sound, RATE_HZ)) == pytest.approx(gain_db, abs=0.3)


def test_what_no_threshold_hears_has_its_mean_square_for_a_level():
    faint, click = np.full(RATE_HZ, 1e-6), np.zeros(RATE_HZ)
    click[500] = 1.0
    assert active_power(faint, RATE_HZ) == pytest.approx(1e-12)
    assert active_power(np.zeros(9), RATE_HZ) == 0
    assert np.mean(click**2) < active_power(click, RATE_HZ) < 1


@pytest.mark.parametrize("spectrum", ["white", "speech"])
@pytest.mark.parametrize("snr_db", [20, 0])
def test_noise_is_so_far_below_the_speech_however_long_its_pauses(spectrum, snr_db):
    spoken = speech_like(pauses=False)
    for pause_s in (0, 2):
        sound = np.concatenate([spoken, np.zeros(pause_s * RATE_HZ)])
        noise = changed(Noise(snr_db=snr_db, spectrum=spectrum), sound) - sound
        assert db(np.mean(spoken**2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.5)
        assert db(np.mean(noise[: len(noise) // 2] ** 2) / np.mean(noise**2)) == pytest.approx(0, abs=1)


def test_loud_noise_makes_the_sum_quieter_and_clips_nothing():
    sound = speech_like(level=0.2)
    sound /= np.abs(sound).max()
    mixed = changed(Noise(snr_db=0), sound)
    assert np.abs(mixed).max() == pytest.approx(32_767 / 32_768)
    share = (mixed @ sound) / (sound @ sound)  # of the sound that is in the sum
    noise = mixed - share * sound
    assert share < 0.8
    assert db(active_power(share * sound, RATE_HZ) / np.mean(noise**2)) == pytest.approx(0, abs=0.5)


def test_white_noise_is_white_and_speech_noise_has_the_spectrum_of_speech():
    sound = speech_like(seconds=30, pauses=False)
    white = changed(Noise(snr_db=40), sound) - sound
    for low_hz in (100, 1_000, 4_000):
        level_db = db(band_power(white, low_hz, 2 * low_hz) / (np.mean(white**2) * low_hz / (RATE_HZ / 2)))
        assert level_db == pytest.approx(0, abs=0.5)
    shaped = changed(Noise(snr_db=10, spectrum="speech"), sound) - sound
    bands = [band_power(shaped, hz * 10**-0.05, hz * 10**0.05) for hz in _BANDS_HZ[3:-1]]
    published_db = _DENSITY_DB[3:-1] + db(_BANDS_HZ[3:-1])
    found_db = db(np.array(bands))
    assert found_db - found_db.mean() == pytest.approx(published_db - published_db.mean(), abs=1.5)
    assert published_db[np.isclose(_BANDS_HZ[3:-1], 500, rtol=0.01)] == pytest.approx(62.1)  # Byrne's, at 500 Hz


def test_a_telephone_lets_its_band_through_and_nothing_else():
    sound = 0.1 * random().standard_normal(5 * RATE_HZ)
    heard = changed(Telephone(), sound)
    assert len(heard) == len(sound)
    for low_hz, high_hz in ((350, 600), (1_000, 2_000), (2_500, 3_200)):
        passed = band_power(heard, low_hz, high_hz) / band_power(sound, low_hz, high_hz)
        assert db(passed) == pytest.approx(0, abs=0.5)
    for low_hz, high_hz in ((0, 150), (4_100, 8_000)):
        passed = band_power(heard, low_hz, high_hz) / band_power(sound, low_hz, high_hz)
        assert db(passed) < -30
    edges = band_power(heard, 0, 300) + band_power(heard, 3_400, 8_000)
    assert edges / np.mean(heard**2) < 0.02


def test_a_telephone_has_the_levels_of_g711():
    t = np.arange(RATE_HZ) / RATE_HZ
    for level in (0.9, 0.01):  # a law of logarithms: about 38 dB at either
        tone = level * np.sin(2 * np.pi * 1_020 * t)
        heard = changed(Telephone(), tone)[2_000:-2_000]
        wave = np.exp(2j * np.pi * 1_020 * np.arange(len(heard)) / RATE_HZ)
        fitted = 2 * np.real(wave * (heard @ wave.conj()) / len(heard))
        assert 30 < db(np.mean(fitted**2) / np.mean((heard - fitted) ** 2)) < 45


def test_a_telephone_works_at_other_rates():
    for rate_hz in (8_000, 22_050, 48_000):
        sound = 0.1 * random().standard_normal(rate_hz)
        heard = Telephone()(sound, rate_hz, random())
        assert len(heard) == len(sound)
        kept = band_power(heard, 350, 3_200, rate_hz) / band_power(sound, 350, 3_200, rate_hz)
        assert db(kept) == pytest.approx(0, abs=0.6)


@pytest.mark.parametrize("rt60_s", [0.3, 0.8])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_room_decays_by_sixty_decibels_in_its_time(rt60_s, seed):
    """Schroeder's backward integration, and the slope from -5 to -35 dB (ISO 3382)."""
    click = np.zeros(2 * RATE_HZ)
    click[0] = 0.5
    heard = changed(Room(rt60_s=rt60_s), click, seed)
    remaining_db = db(np.cumsum(heard[::-1] ** 2)[::-1] / np.sum(heard**2) + 1e-12)
    fitted = (remaining_db < -5) & (remaining_db > -35)
    slope = np.polyfit(np.flatnonzero(fitted) / RATE_HZ, remaining_db[fitted], 1)[0]
    assert -60 / slope == pytest.approx(rt60_s, rel=0.08)
    assert heard[0] ** 2 / np.sum(heard**2) == pytest.approx(0.5)  # the other half is the room's
    assert np.sum(heard**2) == pytest.approx(0.25)


def test_a_room_fills_the_pauses_and_leaves_the_level():
    sound = speech_like()
    heard = changed(Room(rt60_s=0.8), sound)
    after = int(len(sound) * 0.8) + 800
    assert np.mean(heard**2) == pytest.approx(np.mean(sound**2))
    assert db(np.mean(heard[after : after + 1600] ** 2) / np.mean(sound[after : after + 1600] ** 2)) > 30


@pytest.mark.parametrize("share", [0.10, 0.25])
def test_so_many_samples_are_clipped(share):
    sound = speech_like()
    quiet = np.concatenate([sound, np.zeros(len(sound))])  # silence is no part of it
    for before in (sound, quiet):
        after = changed(Clipping(share=share), before)
        top = np.abs(after).max()
        assert np.mean(np.abs(after[: len(sound)]) == top) == pytest.approx(share, abs=1e-3)
        below = np.abs(before) < top
        assert np.array_equal(after[below], before[below])


def test_gains_are_what_they_say_and_clip_as_they_would():
    samples = clip(level=0.15)
    quiet, loud = (
        CONDITIONS[name].apply(samples, sample_rate_hz=RATE_HZ, random=random()).astype(float)
        for name in ("gain_minus_20db", "gain_plus_12db")
    )
    assert db(np.mean(quiet**2) / np.mean(samples.astype(float) ** 2)) == pytest.approx(-20, abs=0.05)
    beyond = np.abs(samples * 10 ** (12 / 20)) > 32_768
    assert 0.02 < beyond.mean() < 0.5
    assert set(np.unique(loud[beyond])) == {-32_768, 32_767}
    assert loud[~beyond] == pytest.approx(samples[~beyond] * 10 ** (12 / 20), abs=1.01)
    assert db(np.mean(changed(Gain(gain_db=12), np.full(4, 0.01)) ** 2) / 1e-4) == pytest.approx(12)


def test_ten_decibels_quieter_are_ten_decibels():
    samples = clip(level=0.15)
    quiet = CONDITIONS["gain_minus_10db"].apply(samples, sample_rate_hz=RATE_HZ, random=random()).astype(float)
    assert db(np.mean(quiet**2) / np.mean(samples.astype(float) ** 2)) == pytest.approx(-10, abs=0.01)


@pytest.mark.parametrize(("peak", "gained_db"), [(0.02, 10), (0.316, 10), (0.5, 6.02), (1.0, 0)])
def test_ten_decibels_louder_are_as_many_as_fit(peak, gained_db):
    sound = speech_like()
    samples = np.rint(sound / np.abs(sound).max() * peak * 32_767).astype(np.int16)
    loud = CONDITIONS["gain_plus_10db"].apply(samples, sample_rate_hz=RATE_HZ, random=random()).astype(float)
    assert db(np.mean(loud**2) / np.mean(samples.astype(float) ** 2)) == pytest.approx(gained_db, abs=0.02)
    assert np.count_nonzero(np.abs(loud) >= 32_767) <= 1  # the peak itself: nothing is clipped


@pytest.mark.parametrize("room_dbfs", [-90, -60])
def test_silence_is_cut_at_both_ends_and_nowhere_else(room_dbfs):
    spoken = speech_like(seconds=2, pauses=False)
    sentence = np.concatenate([spoken, np.zeros(RATE_HZ), spoken])  # a pause inside stays
    before, after = 6_437, 9_001
    sound = np.concatenate([np.zeros(before), sentence, np.zeros(after)])
    sound += 10 ** (room_dbfs / 20) * random().standard_normal(len(sound))
    kept = changed(CutSilence(), sound)
    first = int(np.flatnonzero(sound == kept[0])[0])
    assert np.array_equal(sound[first : first + len(kept)], kept)
    frame, half_syllable = RATE_HZ // 40, RATE_HZ // 16  # a syllable begins and ends faintly
    for kept_end, end in ((first, before), (len(sound) - first - len(kept), after)):
        assert end - frame < kept_end < end + half_syllable


def test_what_is_no_silence_is_not_cut():
    steady = 0.1 * random().standard_normal(3 * RATE_HZ + 77)
    assert np.array_equal(changed(CutSilence(), steady), steady)
    silent = np.zeros(5_000)
    assert np.array_equal(changed(CutSilence(), silent), silent)


def test_cutting_is_the_same_at_any_level():
    sound = speech_like()
    assert len(changed(CutSilence(), sound)) < 0.65 * len(sound)
    lengths = {len(changed(CutSilence(), sound * gain)) for gain in (1, 0.5, 0.25)}  # thresholds are powers of two
    assert len(lengths) == 1


def test_silence_is_added_on_both_sides():
    samples = clip()
    for name, level_dbfs in (("zeros_500ms", None), ("faint_noise_500ms", -60)):
        longer = CONDITIONS[name].apply(samples, sample_rate_hz=RATE_HZ, random=random())
        assert np.array_equal(longer[8_000:-8_000], samples) and len(longer) == len(samples) + 16_000
        for added in (longer[:8_000], longer[-8_000:]):
            if level_dbfs is None:
                assert not added.any()
            else:
                assert db(np.mean((added / 32_768) ** 2)) == pytest.approx(level_dbfs, abs=0.2)
    noise = changed(AddedSilence(duration_s=1.0, noise_dbfs=-60), np.zeros(0))
    assert abs(np.corrcoef(noise[:RATE_HZ], noise[RATE_HZ:])[0, 1]) < 0.03  # not one noise twice


def test_the_middle_is_the_middle():
    samples = np.arange(40_000, dtype=np.float64)
    middle = changed(Middle(duration_s=1.0), samples)
    assert (middle[0], middle[-1]) == (12_000, 27_999)
    assert np.array_equal(changed(Middle(duration_s=1.0), samples[:9_000]), samples[:9_000])


def test_the_conditions_begin_with_the_clean_one_and_are_grouped():
    assert next(iter(CONDITIONS)) == "clean"
    assert GROUPS == ("clean", "noise", "channel", "level", "room", "silence", "length")
    assert tuple(dict.fromkeys(each.group for each in CONDITIONS.values())) == GROUPS
    assert all(name == each.name and each.title for name, each in CONDITIONS.items())
    assert len({each.title for each in CONDITIONS.values()}) == len(CONDITIONS)
    assert {each.change.snr_db for each in CONDITIONS.values() if isinstance(each.change, Noise)} == {20, 10, 5, 0}


def test_a_clean_clip_stays_as_it_is():
    samples = clip()
    assert np.array_equal(CONDITIONS["clean"].apply_to_clip("a", samples, sample_rate_hz=RATE_HZ), samples)


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_clip_is_changed_in_the_same_way_whatever_came_before(name):
    condition, samples = CONDITIONS[name], clip()
    first = condition.apply_to_clip("a", samples, sample_rate_hz=RATE_HZ)
    other = condition.apply_to_clip("b", samples, sample_rate_hz=RATE_HZ)
    again = condition.apply_to_clip("a", samples.copy(), sample_rate_hz=RATE_HZ)
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) is not (condition.group in ("noise", "room") or name == "faint_noise_500ms")
    assert np.array_equal(first, samples) is (name == "clean")
    assert np.array_equal(samples, clip())  # and is not changed itself
    same_seed = [condition.apply(samples, sample_rate_hz=RATE_HZ, random=random(5)) for _ in range(2)]
    assert np.array_equal(*same_seed)


@pytest.mark.parametrize("name", CONDITIONS)
def test_silence_extremes_and_very_short_clips_stay_finite(name):
    for n_samples, value in product([1, 2, 7, 400, 20_000], [0, 1, -32_768, 32_767]):
        with np.errstate(all="raise", under="ignore"):
            samples = np.full(n_samples, value, np.int16)
            heard = CONDITIONS[name].apply_to_clip("x", samples, sample_rate_hz=RATE_HZ)
        assert heard.dtype == np.int16
        n_added = 16_000 if name in ("zeros_500ms", "faint_noise_500ms") else 0
        assert len(heard) == min(n_samples, RATE_HZ if name == "middle_1s" else n_samples) + n_added
        assert value or not heard.any() or name == "faint_noise_500ms"
