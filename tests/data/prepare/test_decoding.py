"""Decoding: read right, or named with a reason."""

import itertools
import math
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from ser_lightning.data.prepare import decoding
from ser_lightning.data.prepare.decoding import UnreadableAudio, decode
from ser_lightning.data.prepare.resampling import resampled


def tone(rate_hz=16_000, seconds=0.5, channels=1):
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    return np.repeat(0.5 * np.sin(2 * np.pi * 440 * t)[:, None], channels, axis=1)


def noise(n, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (n, channels))


def test_16_bit_mono_at_16_khz_comes_through_bit_for_bit(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32767, 5000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    assert np.array_equal(decode(tmp_path / "a.wav").samples, samples)


def test_a_sound_says_what_its_file_was(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(44_100, channels=3), 44_100)
    sound = decode(tmp_path / "a.wav")
    assert (sound.source_rate_hz, sound.source_channels, sound.n_clipped) == (44_100, 3, 0)
    assert (sound.samples.dtype, sound.samples.shape) == (np.int16, (8000,))


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_24", 2),
        ("WAV", "FLOAT", 2),
        ("WAV", "PCM_U8", 300),
        ("WAV", "ULAW", 600),
        ("WAVEX", "PCM_16", 1),
        ("RF64", "PCM_16", 1),
        ("FLAC", "PCM_16", 1),
        ("AIFF", "PCM_16", 1),
        ("AU", "PCM_16", 1),
        ("CAF", "PCM_16", 1),
        ("CAF", "ALAC_16", 1),
        ("NIST", "PCM_16", 1),
        ("OGG", "VORBIS", 3000),
        ("OGG", "OPUS", 3000),
        ("MP3", "MPEG_LAYER_III", 6000),
    ],
)
def test_every_format_is_read_whatever_its_name_says(tmp_path, kind, subtype, tolerance):
    path = tmp_path / "misleading.wav"
    soundfile.write(path, tone(), 16_000, format=kind, subtype=subtype)
    samples = decode(path).samples
    expected = np.rint(tone()[:, 0] * 32768)
    n = min(len(samples), len(expected))
    assert abs(len(samples) - len(expected)) < 2500  # MP3 pads
    assert np.sqrt(np.mean((samples[:n] - expected[:n]) ** 2.0)) < tolerance


@pytest.mark.parametrize(
    ("kind", "subtype"), [("VOC", "PCM_16"), ("W64", "PCM_16"), ("MAT5", "PCM_16"), ("WAV", "GSM610")]
)
def test_what_libsndfile_reads_without_noticing_that_it_is_cut_is_not_read(tmp_path, kind, subtype):
    soundfile.write(tmp_path / "a.wav", tone(), 16_000, format=kind, subtype=subtype)
    with pytest.raises(UnreadableAudio, match=r"begins like no format|GSM610"):
        decode(tmp_path / "a.wav")


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_rate_and_any_number_of_channels(tmp_path, rate_hz, channels):
    soundfile.write(tmp_path / "a.wav", tone(rate_hz, channels=channels), rate_hz, subtype="PCM_16")
    samples = decode(tmp_path / "a.wav").samples
    assert len(samples) == 8000
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * 16_000 / len(samples) == pytest.approx(440, abs=4)
    assert samples[2000:6000].max() == pytest.approx(0.5 * 32768, rel=0.02)


def test_channels_are_averaged(tmp_path):
    left_and_inverse = np.stack([np.full(1000, 0.5), np.full(1000, -0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", left_and_inverse, 16_000, subtype="FLOAT")
    assert np.all(decode(tmp_path / "a.wav").samples == 0.125 * 32768)


def test_channels_that_cancel_each_other_are_no_silence(tmp_path):
    left = 0.3 * np.sin(np.arange(16_000) / 10)
    path = tmp_path / "a.wav"
    noise = 0.03 * np.random.default_rng(0).standard_normal(16_000)
    for right in (-left, -0.995 * left, -0.97 * left, -0.89 * left, -0.89 * (left + noise / 2)):
        soundfile.write(path, np.stack([left, right], axis=1), 16_000)
        with pytest.raises(UnreadableAudio, match="channels that cancel each other, as one of them is inverted"):
            decode(path)
    for right in (0 * left, -0.5 * left, left, 0.1 * left, 10 * noise, np.roll(left, 16)):
        soundfile.write(path, np.stack([left, right], axis=1), 16_000)
        assert np.abs(decode(path).samples).max() > 2_000
    soundfile.write(path, np.zeros((16_000, 2)), 16_000)
    assert not decode(path).samples.any()


@pytest.mark.parametrize("block", [1, 1000, 50_000])
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 24_414, 44_100, 48_000, 96_000, 8_001, 44_099, 1_001])
def test_resampled_in_blocks_is_resampled_in_one_piece(rate_hz, block):
    samples = noise(rate_hz // 4 + 7)[:, 0].astype(np.float32)
    blocks = (samples[start : start + block] for start in range(0, len(samples), block))
    in_one = soxr.resample(np.append(samples, np.zeros(rate_hz // 16_000 + 1, np.float32)), rate_hz, 16_000)
    in_blocks = np.concatenate(list(resampled(blocks, rate_hz, 16_000)))
    assert len(in_blocks) == math.ceil(len(samples) * 16_000 / rate_hz)
    assert np.array_equal(in_blocks, in_one[: len(in_blocks)])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 96_000])
def test_a_file_is_the_same_read_in_blocks(tmp_path, monkeypatch, rate_hz):
    soundfile.write(tmp_path / "a.wav", noise(2 * rate_hz + 7, 2), rate_hz)
    in_one = decode(tmp_path / "a.wav").samples
    monkeypatch.setattr(decoding, "_BLOCK", 1000)
    assert np.array_equal(decode(tmp_path / "a.wav").samples, in_one)


@pytest.mark.parametrize("n_samples", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000, 768_000])
def test_the_shortest_recordings_keep_a_sample(tmp_path, rate_hz, n_samples):
    soundfile.write(tmp_path / "a.wav", np.full(n_samples, 0.5), rate_hz)
    assert len(decode(tmp_path / "a.wav").samples) == math.ceil(n_samples * 16_000 / rate_hz)


def tone_at_16_khz(frequency_hz, rate_hz):
    """A tone of a second that was sampled at another rate, its ends aside, and the same sampled at 16 kHz."""
    sampled, expected = (np.sin(2 * np.pi * frequency_hz * np.arange(hz) / hz) for hz in (rate_hz, 16_000))
    left = np.concatenate(list(resampled(iter([sampled.astype(np.float32)]), rate_hz, 16_000)))
    return left[4000:12_000], expected[4000:12_000]


@pytest.mark.parametrize("rate_hz", [22_050, 24_414, 44_100, 48_000])
def test_what_16_khz_can_hold_stays_where_it_was_and_what_would_alias_is_gone(rate_hz):
    for frequency_hz in (100, 1000, 4000, 7000, 7250):
        left, expected = tone_at_16_khz(frequency_hz, rate_hz)
        assert np.abs(left - expected).max() < 0.002  # 0.02 dB, no delay
    for frequency_hz in (8_050, 8_500, 9_500, 10_900):
        assert np.abs(tone_at_16_khz(frequency_hz, rate_hz)[0]).max() < 1e-5  # -100 dB


@pytest.mark.parametrize("rate_hz", [0, 1, 999, 768_001, 2**31 - 1, 2**32 - 1])
def test_absurd_sample_rates_are_refused(tmp_path, rate_hz):
    content = bytearray(written(tmp_path).read_bytes())
    content[24:28] = struct.pack("<I", rate_hz)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UnreadableAudio, match=r"sample rate|cannot be decoded"):
        decode(tmp_path / "a.wav")


def flat_tops(samples, top, limit):
    """The slow reference: values beyond ``limit``, and those in runs of three or more at ``top`` or below -top."""
    n = 0
    for channel in samples.T:
        for level, run in itertools.groupby(channel, key=lambda x: (x >= top) - int(x <= -top)):
            values = list(run)
            n += len(values) if level and len(values) >= 3 else sum(abs(x) > limit for x in values)
    return n


@pytest.mark.parametrize("block", [1 << 20, 24, 7, 1])
@pytest.mark.parametrize("channels", [1, 3])
def test_flat_tops_are_counted_across_blocks_and_lone_peaks_are_not(tmp_path, monkeypatch, channels, block):
    monkeypatch.setattr(decoding, "_BLOCK", block)
    random = np.random.default_rng(block)
    levels = random.choice([-32768, -32767, 0, 32766, 32767], (300, channels), p=[0.2, 0.2, 0.1, 0.1, 0.4])
    soundfile.write(tmp_path / "a.wav", levels.astype(np.int16), 16_000)
    assert decode(tmp_path / "a.wav").n_clipped == flat_tops(levels, 32767, 32768) > 50


@pytest.mark.parametrize("block", [1 << 20, 12, 5])
def test_floats_beyond_full_scale_are_counted_one_by_one(tmp_path, monkeypatch, block):
    monkeypatch.setattr(decoding, "_BLOCK", block)
    values = np.random.default_rng(1).choice([-1.5, -1.0, 0.0, 1.0, 1.25], (200, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", values, 44_100, subtype="FLOAT")
    assert decode(tmp_path / "a.wav").n_clipped == flat_tops(values, 32767 / 32768, 1.0) > 50


def test_what_is_louder_than_full_scale_is_clipped_not_wrapped(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([2.0, -2.0]), 16_000, subtype="FLOAT")
    sound = decode(tmp_path / "a.wav")
    assert sound.samples.tolist() == [32767, -32768]
    assert sound.n_clipped == 2


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW"])
def test_every_encoding_has_its_full_scale(tmp_path, subtype):
    square = np.repeat([1.0, -1.0, 0.3, 1.0, 0.2], [5, 4, 6, 1, 4])
    soundfile.write(tmp_path / "a.wav", square, 16_000, subtype=subtype)
    assert decode(tmp_path / "a.wav").n_clipped == 9


def written(tmp_path, kind="WAV", **how):
    path = tmp_path / "a.bin"
    soundfile.write(path, tone(), 16_000, format=kind, **how)
    return path


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "AU", "CAF", "WAV", "RF64", "AIFF"])
def test_several_streams_in_one_file_are_named(tmp_path, kind):
    path = tmp_path / "a"
    soundfile.write(path, tone(), 16_000, format=kind)
    assert len(decode(path).samples) == 8000
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UnreadableAudio, match=r"several .* streams, of which only the first would be read"):
        decode(path)


def streamed_mp3(path):
    """Two seconds that need ever more bits; and as a pipe gives them: without the frame that counts the others."""
    rising = np.random.default_rng(0).normal(0, 0.1, 2 * 16_000) * np.linspace(0, 1, 2 * 16_000) ** 8
    soundfile.write(path, rising, 16_000, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE")
    content = path.read_bytes()
    info = content.index(b"Xing") - 13  # behind its header and 9 bytes of a mono frame of MPEG 2
    second = content.index(content[info : info + 2], info + 2)
    return content, content[second:]


def test_an_mp3_from_a_pipe_is_read_to_its_end(tmp_path):
    path = tmp_path / "a.mp3"
    written, streamed = streamed_mp3(path)
    whole = decode(path).samples
    for content, times in ((streamed, 1), (streamed + bytes(300), 1), (streamed * 3, 3), (written * 2, 2)):
        path.write_bytes(content)
        assert abs(len(decode(path).samples) - times * len(whole)) < 2500 * times
    correlation = np.correlate(decode(path).samples[:40_000].astype(float), whole.astype(float), "valid")
    assert correlation.max() > 0.95 * np.square(whole.astype(float)).sum()


ID3V1 = b"TAG" + b"a title".ljust(125, b"\0")
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 52, 1, 1 << 31 | 1 << 29) + bytes(8) + b"x" * 52
LYRICS = b"LYRICSBEGIN" + b"IND0000200" + b"000030LYRICS200"


@pytest.mark.parametrize("tags", [ID3V1, b"TAG+" + bytes(223) + ID3V1, LYRICS + ID3V1, bytes(9000) + APE + ID3V1])
def test_tags_behind_an_mp3_are_no_damage_and_another_mp3_behind_them_is_read(tmp_path, tags):
    path = tmp_path / "a.mp3"
    written, streamed = streamed_mp3(path)
    whole = len(decode(path).samples)
    for content in (written, streamed):
        path.write_bytes(content + tags)
        assert abs(len(decode(path).samples) - whole) < 2500
    for content in (written, streamed):
        path.write_bytes(content + ID3V1 + content + tags)
        assert abs(len(decode(path).samples) - 2 * whole) < 5000


@pytest.mark.parametrize("spoil", [bytes, lambda n: b"\x55" * n])
@pytest.mark.parametrize("with_info", [True, False])
def test_a_hole_in_an_mp3_is_named(tmp_path, capfd, spoil, with_info):
    path = tmp_path / "a.mp3"
    content = streamed_mp3(path)[not with_info]
    middle = len(content) // 2
    path.write_bytes(content[:middle] + spoil(5000) + content[middle + 1 :])
    with pytest.raises(UnreadableAudio, match="is damaged: no MP3 frame begins at byte"):
        decode(path)
    assert capfd.readouterr() == ("", "")  # of a decoder that passes over it


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: content[:-10], "is truncated: its last MP3 frame has"),
        (lambda content: content[:1000] + bytes(5000) + content[1000:], "is damaged: no MP3 frame begins at byte"),
        (lambda content: content + b"no sound at all", "is damaged: no MP3 frame begins at byte"),
    ],
)
def test_an_mp3_from_a_pipe_that_is_damaged_is_named(tmp_path, spoil, said):
    path = tmp_path / "a.mp3"
    path.write_bytes(spoil(streamed_mp3(path)[1]))
    with pytest.raises(UnreadableAudio, match=said):
        decode(path)


@pytest.mark.parametrize("kind", ["WAV", "RF64", "AIFF", "AU", "CAF", "NIST", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_named_as_such(tmp_path, kind, share):
    path = written(tmp_path, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableAudio):
        decode(path)


def test_a_flac_written_to_a_pipe_has_no_length_and_is_read(tmp_path):
    path = written(tmp_path, "FLAC")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert len(decode(path).samples) == 8000


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_lengths_that_no_file_can_hold_take_no_memory(tmp_path, kind):
    path = written(tmp_path, kind)
    content = bytearray(path.read_bytes())
    if kind == "FLAC":
        content[21] |= 0x0F
        content[22:26] = b"\xff" * 4
    else:
        content[-10_000:] = content[-10_000:].replace(b"OggS\0\4", b"OggS\0\4\xff\xff\xff\xff\xff\xff\xff\x7f")
    path.write_bytes(content)
    with pytest.raises(UnreadableAudio, match="truncated"):
        decode(path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_flipped_bit_in_an_ogg_page_is_named(tmp_path, subtype):
    """libsndfile leaves such a page out without a word."""
    path = written(tmp_path, "OGG", subtype=subtype)
    content = path.read_bytes()
    for position in range(100, len(content), len(content) // 20):
        path.write_bytes(content[:position] + bytes([content[position] ^ 8]) + content[position + 1 :])
        with pytest.raises(UnreadableAudio, match=f"at byte .* of {len(content)}"):
            decode(path)


def test_of_several_ogg_streams_none_is_dropped_in_silence(tmp_path):
    path = written(tmp_path, "OGG")
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UnreadableAudio, match="several"):
        decode(path)


def test_a_sphere_file_ends_where_its_header_says(tmp_path):
    content = written(tmp_path, "NIST").read_bytes()
    for damaged, reason in (
        (content + b"\0\0", "announced"),
        (content.replace(b"sample_count", b"sample_cunt1"), "how long"),
        (content.replace(b"pcm", b"pcm,embedded-shorten-v2.00", 1), "sph2pipe"),
    ):
        (tmp_path / "a.sph").write_bytes(damaged)
        with pytest.raises(UnreadableAudio, match=reason):
            decode(tmp_path / "a.sph")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 73000\n", "git lfs pull"),
        (b"<html>404</html>" * 50, "cannot be decoded"),
        (b"RIFF\x00\x00\x00\x00WAVE", "truncated"),
        (b".snd", "cannot be decoded"),
        (b"\xff", "cannot be decoded"),
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


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link to a pipe.wav").symlink_to("pipe.wav")
    (tmp_path / "annexed.wav").symlink_to("../.git/annex/objects/x.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    for path, reason in (
        (tmp_path / "folder.wav", "is a folder"),
        (tmp_path / "pipe.wav", "is a pipe"),
        (tmp_path / "link to a pipe.wav", "is a pipe"),
        (Path("/dev/zero"), "or a device"),
        (tmp_path / "annexed.wav", "is a link to .*x.wav, which is not there"),
        (tmp_path / "loop.wav", "symbolic links"),
        (tmp_path / ("n" * 300), "too long"),
        (tmp_path / "zero\0byte", "name that no file can have"),
    ):
        with pytest.raises(UnreadableAudio, match=reason):
            decode(path)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = written(tmp_path)

    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UnreadableAudio, match="Permission denied"):
        decode(path)


@pytest.mark.parametrize(
    "name", ["été 日本 🎧 a: b.wav", os.fsdecode(b"J\xfcrgen.wav"), "n" * 251 + ".wav", "a.vox"]
)
def test_names_make_no_difference(tmp_path, name):
    written(tmp_path).rename(tmp_path / name)
    assert len(decode(tmp_path / name).samples) == 8000


def test_a_resource_fork_beside_a_file_is_not_taken_for_it(tmp_path):
    """libsndfile would, where it does not know a file by its first bytes, as it does not know an MP3."""
    soundfile.write(tmp_path / "a.sd2", tone(48_000), 48_000, format="SD2", subtype="PCM_16")
    (tmp_path / "._a.sd2").rename(tmp_path / "._a.mp3")
    soundfile.write(tmp_path / "b.mp3", tone(), 16_000)
    (tmp_path / "b.mp3").rename(tmp_path / "a.mp3")
    assert decode(tmp_path / "a.mp3").source_rate_hz == 16_000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_no_number_is_refused(tmp_path, bad, channels):
    samples = np.zeros((1000, channels), dtype=np.float32)
    samples[500, -1] = bad
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(UnreadableAudio, match="NaN"):
        decode(tmp_path / "a.wav")
