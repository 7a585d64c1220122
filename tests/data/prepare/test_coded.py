"""What phones and browsers record: decoded as it was recorded, or the remedy is named."""

import random
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from ser_lightning.data.prepare import coded
from ser_lightning.data.prepare.coded import coded_format
from ser_lightning.data.prepare.decoding import UnreadableAudio, decode, stream_file

av = pytest.importorskip("av", reason="phones' formats need the extra av")

WRITTEN = {  # file name: format and codec in FFmpeg's words, sample rate, channels, whether there are pictures too
    "memo.m4a": ("ipod", "aac", 48_000, 1, False),
    "stereo.m4a": ("ipod", "aac", 44_100, 2, False),
    "lossless.m4a": ("ipod", "alac", 44_100, 1, False),
    "video.mp4": ("mp4", "aac", 48_000, 1, True),
    "clip.mov": ("mov", "aac", 48_000, 2, True),
    "browser.webm": ("webm", "libopus", 48_000, 1, False),
    "bare.aac": ("adts", "aac", 48_000, 1, False),
    "old phone.3gp": ("3gp", "libopencore_amrnb", 8_000, 1, False),
    "voice.amr": ("amr", "libopencore_amrnb", 8_000, 1, False),
    "archive.oga": ("ogg", "flac", 48_000, 1, False),
}
REMEDY = r"needs one more package: pip install -c constraints.txt -e '.\[av\]'"


def tone(rate_hz, channels, seconds):
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    return np.stack([0.5 * np.sin(2 * np.pi * 440 * t)] * channels).astype(np.float32)


def write(path, seconds=2.0, **options):
    form, codec, rate_hz, channels, pictures = WRITTEN[path.name]
    with av.open(path, "w", format=form, options=options) as container:
        if pictures:
            video = container.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        track = container.add_stream(codec, rate=rate_hz)
        track.layout = {1: "mono", 2: "stereo"}[channels]
        if form in ("3gp", "amr"):
            track.bit_rate = 12_200
        if pictures:
            for _ in range(int(10 * seconds)):
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
            container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(
            tone(rate_hz, channels, seconds), format="fltp", layout=track.layout.name
        )
        frame.sample_rate, frame.pts = rate_hz, 0
        for each in av.AudioResampler(format=track.format.name, layout=track.layout, rate=rate_hz).resample(frame):
            container.mux(track.encode(each))
        container.mux(track.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("coded")
    for name in WRITTEN:
        write(here / name)
    return here


def without_pyav(monkeypatch, *, ffmpeg):
    monkeypatch.setattr(coded, "find_spec", lambda name: None)
    if not ffmpeg:
        monkeypatch.setattr(shutil, "which", lambda name: None)


def check(path):
    """The tone that was recorded, at 16 kHz, in one channel, from its beginning."""
    _, codec, rate_hz, channels, _ = WRITTEN[path.name]
    sound = decode(path)
    assert (sound.source_rate_hz, sound.source_channels, sound.n_clipped) == (rate_hz, channels, 0)
    counted = codec == "libopus" or path.suffix in (".m4a", ".mp4", ".mov")  # others do not say how long they are
    assert len(sound.samples) == 32_000 if counted else 32_000 <= len(sound.samples) < 32_500
    expected = tone(16_000, 1, 2.0)[0] * 32_768
    lags = [np.corrcoef(sound.samples[lag : 28_000 + lag], expected[:28_000])[0, 1] for lag in range(400)]
    assert max(lags) > 0.98
    assert np.argmax(np.array(lags) > 0.98) == 0 or not counted  # nothing of the encoder's is before it


@pytest.mark.parametrize("name", WRITTEN)
def test_it_is_decoded_as_it_was_recorded(folder, name):
    check(folder / name)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs an ffmpeg")
@pytest.mark.parametrize("name", WRITTEN)
def test_an_ffmpeg_that_is_installed_does_as_well(folder, name, monkeypatch):
    by_pyav = decode(folder / name).samples
    without_pyav(monkeypatch, ffmpeg=True)
    by_ffmpeg = decode(folder / name).samples
    n = min(len(by_pyav), len(by_ffmpeg))
    assert abs(len(by_pyav) - len(by_ffmpeg)) < 400
    assert np.abs(by_pyav[: n - 400].astype(int) - by_ffmpeg[: n - 400]).max() <= 2


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs an ffmpeg")
def test_what_ffmpeg_finds_wrong_is_named(folder, tmp_path, monkeypatch):
    without_pyav(monkeypatch, ffmpeg=True)
    content = bytearray((folder / "memo.m4a").read_bytes())
    content[content.index(b"moov") + 30 :] = bytes(len(content) - content.index(b"moov") - 30)
    (tmp_path / "a.m4a").write_bytes(content)
    with pytest.raises(UnreadableAudio, match="ffmpeg:"):
        decode(tmp_path / "a.m4a")


@pytest.mark.parametrize("name", WRITTEN)
def test_without_a_decoder_the_format_and_the_remedy_are_named(folder, name, monkeypatch):
    without_pyav(monkeypatch, ffmpeg=False)
    with pytest.raises(UnreadableAudio, match=REMEDY) as error:
        decode(folder / name)
    named = {"webm": "WebM", "amr": "AMR", "3gp": "3GP", "oga": "Ogg FLAC"}.get(name.rpartition(".")[2], "AAC")
    assert named in str(error.value) and "\n" not in str(error.value)


def test_wma_is_known_by_its_first_bytes(tmp_path, monkeypatch):
    (tmp_path / "a.wma").write_bytes(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100))
    without_pyav(monkeypatch, ffmpeg=False)
    with pytest.raises(UnreadableAudio, match=f"WMA.*{REMEDY}"):
        decode(tmp_path / "a.wma")


@pytest.mark.parametrize("head", [b"\xff\xfb\x90\x44", b"\xff\xf3\x90\x44", b"ID3\x04", b"RIFF\0\0\0\0WAVE"])
def test_what_libsndfile_reads_is_left_to_it(head):
    assert coded_format(head.ljust(12, b"\0")) is None


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_what_is_cut_off_is_truncated(folder, tmp_path, name, share):
    content = (folder / name).read_bytes()
    path = tmp_path / name
    for end in (int(len(content) * share), len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(UnreadableAudio, match=r"is truncated|breaks off"):
            decode(path)


@pytest.mark.parametrize("name", WRITTEN)
def test_files_that_were_put_together_are_named_or_read_to_the_end(folder, tmp_path, name):
    path = tmp_path / name
    path.write_bytes((folder / name).read_bytes() * 2)
    if name == "bare.aac":
        assert len(decode(path).samples) > 1.95 * len(decode(folder / name).samples)
        return
    with pytest.raises(UnreadableAudio, match=r"several|damaged"):
        decode(path)


def test_a_browsers_recording_that_tells_no_length_is_read_whole(tmp_path):
    path = write(tmp_path / "browser.webm", live="1")
    assert b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" in path.read_bytes()  # the length of all of it
    check(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UnreadableAudio, match="truncated"):
        decode(path)


def test_a_hole_in_a_recording_of_a_browser_is_named(folder, tmp_path):
    content, chance = (folder / "browser.webm").read_bytes(), random.Random(0)
    for begin in range(len(content) // 3, len(content) * 2 // 3, 97):
        path = tmp_path / "browser.webm"
        path.write_bytes(content[:begin] + chance.randbytes(400) + content[begin + 400 :])
        with pytest.raises(UnreadableAudio, match=r"is damaged|is truncated or damaged"):
            decode(path)


def test_what_is_much_shorter_than_its_header_says_is_named(folder, tmp_path):
    content = bytearray((folder / "browser.webm").read_bytes())
    begin = content.index(b"\x44\x89\x88") + 3  # how long it is, in ms
    for announced_s in (2.3, 3.5):
        content[begin : begin + 8] = struct.pack(">d", 1000 * announced_s)
        (tmp_path / "browser.webm").write_bytes(content)
        if announced_s < 2.5:
            check(tmp_path / "browser.webm")
        else:
            with pytest.raises(UnreadableAudio, match=r"is damaged, or truncated: it ends at 2\.0 of 3\.5 seconds"):
                decode(tmp_path / "browser.webm")


def test_a_video_without_sound_says_so(tmp_path):
    with av.open(tmp_path / "a.mp4", "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        container.mux(video.encode())
    with pytest.raises(UnreadableAudio, match="no audio track"):
        decode(tmp_path / "a.mp4")


def test_a_long_one_comes_in_blocks(tmp_path):
    path = write(tmp_path / "memo.m4a", seconds=65)
    blocks = list(stream_file(path))
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), decode(path).samples)


@pytest.mark.parametrize("name", WRITTEN)
def test_damage_is_named_or_decoded(folder, tmp_path, name):
    content, path, chance = (folder / name).read_bytes(), tmp_path / name, random.Random(name)
    for _ in range(20):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 8, 200))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            assert len(decode(path).samples) > 0
        except UnreadableAudio as error:
            assert str(error).startswith(("is ", "holds ", "cannot ", "claims ")), error


def test_a_folder_of_a_corpus_may_hold_them(folder, tmp_path, monkeypatch):
    from ser_lightning.data.prepare.cache import prepare
    from ser_lightning.data.user_csv import read_csv_corpus

    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    lines = [f"{Path(folder) / name},calm,{number}" for number, name in enumerate(WRITTEN)]
    (tmp_path / "my.csv").write_text("\n".join(["path,emotion,speaker", *lines]))
    assert len(prepare(read_csv_corpus(tmp_path / "my.csv"), None).manifest) == len(WRITTEN)
