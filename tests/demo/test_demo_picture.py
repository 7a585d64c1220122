"""What the demo's picture shows, measured in the numbers and in the pixels."""

import io

import numpy as np
import pytest
from made_prediction import made
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from ser_lightning.demo.colours import DARK, LIGHT
from ser_lightning.demo.picture import borders, draw
from ser_lightning.demo.sound import envelope, spectrogram

RATE_HZ = 16_000


def tone(hz, seconds, *, amplitude=1.0):
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.round(32_767 * amplitude * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def noise(seconds):
    return (3_000 * np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ))).astype(np.int16)


@pytest.mark.parametrize("n_samples", [1, 7, 1_199, 1_201, 100_003])
def test_the_envelope_touches_every_sample_and_no_more(n_samples):
    samples = np.random.default_rng(n_samples).integers(-32_768, 32_767, n_samples).astype(np.int16)
    low, high = envelope(samples)
    assert len(low) == len(high) == min(n_samples, 1_200)
    assert low.min() * 32_768 == samples.min() and high.max() * 32_768 == samples.max()
    where = int(np.argmax(samples))
    assert abs(int(np.argmax(high)) - where * len(high) / n_samples) <= 1


@pytest.mark.parametrize("seconds", [0.02, 1, 300])
def test_a_tone_is_where_it_belongs_in_the_spectrogram(seconds):
    power = spectrogram(tone(1_000, seconds), RATE_HZ)
    assert power.shape[1] <= 900
    middle = power[:, power.shape[1] // 2]
    assert np.argmax(middle) / (len(middle) - 1) * RATE_HZ / 2 == pytest.approx(1_000, abs=20)
    assert middle.max() == pytest.approx(0, abs=0.5)  # full scale
    quiet = spectrogram(tone(1_000, seconds, amplitude=0.1), RATE_HZ)
    assert quiet.max() == pytest.approx(power.max() - 20, abs=0.1)


def test_a_sound_is_at_its_time_in_the_spectrogram_of_a_long_recording():
    samples = np.zeros(600 * RATE_HZ, np.int16)
    samples[400 * RATE_HZ : 410 * RATE_HZ] = tone(500, 10)
    loud = np.flatnonzero(spectrogram(samples, RATE_HZ).max(axis=0) > -20)
    assert loud.min() == pytest.approx(900 * 400 / 600, abs=1) and loud.max() == pytest.approx(614, abs=1)


def test_each_moment_belongs_to_the_segment_whose_middle_is_nearest():
    prediction = made((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert borders(prediction.segments) == [0, 3, 5, 8]


def pixels(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png))[:, :, :3]


def n_of(picture, colour):
    return int((np.abs(picture - to_rgb(colour)) < 0.02).all(axis=2).sum())


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_areas_are_the_probabilities(theme):
    prediction = made((0.5, 0.3, 0.2), (0.1, 0.3, 0.6))
    picture = pixels(draw(np.zeros(6 * RATE_HZ, np.int16), RATE_HZ, prediction, theme))
    lowest = picture[round(0.6 * len(picture)) :]  # below waveform and spectrogram
    areas = np.array([n_of(lowest, theme.of_class(number, 3)) for number in range(3)])
    assert areas / areas.sum() == pytest.approx([0.3, 0.3, 0.4], abs=0.015)
    assert n_of(picture, theme.paper) > 0.2 * picture.shape[0] * picture.shape[1]


def test_what_is_silent_shows_no_class():
    shown = pixels(draw(np.zeros(4 * RATE_HZ, np.int16), RATE_HZ, made((0.1, 0.8, 0.1), silent=(0,)), LIGHT))
    assert n_of(shown, LIGHT.of_class(1, 3)) == 0 and n_of(shown, LIGHT.faint) > 10_000


@pytest.mark.parametrize("seconds", [1 / RATE_HZ, 0.01, 3, 4_000])
def test_any_length_is_drawn_at_the_same_size(seconds):
    samples = noise(min(seconds, 3))
    samples = np.tile(samples, max(1, round(seconds * RATE_HZ / len(samples))))
    prediction = made((0.5, 0.3, 0.2))
    assert pixels(draw(samples, RATE_HZ, prediction, LIGHT)).shape == (1134, 1176, 3)


def test_twenty_classes_have_twenty_colours():
    assert len({LIGHT.of_class(number, 20) for number in range(20)}) == 20
    labels = [f"$c_{number}$" for number in range(20)]  # no formulas
    draw(noise(1), RATE_HZ, made((1 - 19 * 0.01,) + (0.01,) * 19, labels=labels), DARK)
