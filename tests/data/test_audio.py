"""Decoding: read right, or named with a reason."""

import struct

import numpy as np
import pytest
import soundfile

from ser_lightning.data.audio import UnreadableAudio, decode


def tone(rate_hz=16_000, seconds=0.5, channels=1):
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    return np.repeat(0.5 * np.sin(2 * np.pi * 440 * t)[:, None], channels, axis=1)


def test_16_bit_mono_at_16_khz_comes_through_bit_for_bit(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32767, 5000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    assert np.array_equal(decode(tmp_path / "a.wav"), samples)


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_24", 2),
        ("WAV", "FLOAT", 2),
        ("WAV", "PCM_U8", 300),
        ("FLAC", "PCM_16", 1),
        ("AIFF", "PCM_16", 1),
        ("OGG", "VORBIS", 3000),
        ("MP3", "MPEG_LAYER_III", 6000),
    ],
)
def test_every_format_is_read_whatever_its_name_says(tmp_path, kind, subtype, tolerance):
    path = tmp_path / "misleading.wav"
    soundfile.write(path, tone(), 16_000, format=kind, subtype=subtype)
    samples = decode(path)
    expected = np.rint(tone()[:, 0] * 32768)
    n = min(len(samples), len(expected))
    assert abs(len(samples) - len(expected)) < 2500  # MP3 pads
    assert np.sqrt(np.mean((samples[:n] - expected[:n]) ** 2.0)) < tolerance


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_rate_and_any_number_of_channels(tmp_path, rate_hz, channels):
    soundfile.write(tmp_path / "a.wav", tone(rate_hz, channels=channels), rate_hz, subtype="PCM_16")
    samples = decode(tmp_path / "a.wav")
    assert abs(len(samples) - 8000) <= 1
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * 16_000 / len(samples) == pytest.approx(440, abs=4)
    assert samples[2000:6000].max() == pytest.approx(0.5 * 32768, rel=0.02)


def test_channels_are_averaged(tmp_path):
    left_and_inverse = np.stack([np.full(1000, 0.5), np.full(1000, -0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", left_and_inverse, 16_000, subtype="FLOAT")
    assert np.all(decode(tmp_path / "a.wav") == 0.125 * 32768)


def test_what_is_louder_than_full_scale_is_clipped_not_wrapped(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([2.0, -2.0]), 16_000, subtype="FLOAT")
    assert decode(tmp_path / "a.wav").tolist() == [32767, -32768]


def written(tmp_path, kind="WAV", **how):
    path = tmp_path / "a.bin"
    soundfile.write(path, tone(), 16_000, format=kind, **how)
    return path


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "FLAC", "OGG"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_named_as_such(tmp_path, kind, share):
    path = written(tmp_path, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableAudio):
        decode(path)


def test_a_wav_written_to_a_pipe_has_no_length_and_is_read(tmp_path):
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    start = content.index(b"data") + 4
    content[start : start + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert len(decode(path)) == 8000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 73000\n", "git lfs pull"),
        (b"<html>404</html>" * 50, "cannot be decoded"),
        (b"RIFF\x00\x00\x00\x00WAVE", "truncated"),
        (bytes(4096), "cannot be decoded"),
    ],
)
def test_what_is_no_audio_says_why(tmp_path, content, reason):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UnreadableAudio, match=reason):
        decode(tmp_path / "a.wav")


def test_no_samples_and_no_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000)
    for name in ("a.wav", "missing.wav"):
        with pytest.raises(UnreadableAudio):
            decode(tmp_path / name)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(tmp_path, bad):
    samples = np.zeros(1000, dtype=np.float32)
    samples[500] = bad
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(UnreadableAudio, match="NaN"):
        decode(tmp_path / "a.wav")
