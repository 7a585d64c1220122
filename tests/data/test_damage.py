"""Whatever a file holds, it is decoded right or named: properties over many sounds and many kinds of damage."""

import io
import json
import math
import os
import resource
import shutil
import tempfile
import time
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from conftest import make_clip, make_cremad
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.prepare import cache, decoding, packing
from ser_lightning.data.prepare.cache import prepare
from ser_lightning.data.prepare.decoding import Sound, UnreadableAudio, decode
from ser_lightning.utils.errors import UserError

CREMAD = load_corpus("cremad")
EXACT = {
    ("WAV", "PCM_U8"): 8,
    ("WAV", "PCM_16"): 16,
    ("WAV", "PCM_24"): 24,
    ("WAV", "PCM_32"): 32,
    ("WAV", "FLOAT"): 24,
    ("WAV", "DOUBLE"): 24,
    ("FLAC", "PCM_16"): 16,
    ("FLAC", "PCM_24"): 24,
    ("AIFF", "PCM_16"): 16,
    ("AIFF", "FLOAT"): 24,
    ("AU", "PCM_16"): 16,
    ("NIST", "PCM_16"): 16,
}
LOSSY = (("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"))
CHECKED = ("FLAC", "OGG")  # formats with checksums
ANY_RATE_HZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_099, 44_100, 48_000, 96_000)
LOSSY_RATE_HZ = (8_000, 16_000, 48_000)

AT_HOME = tempfile.TemporaryDirectory(prefix="hypothesis-")  # goes with the process; else it lies beside the code
set_hypothesis_home_dir(AT_HOME.name)
lightly = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Recording:
    """What is written to a file; the same choices make the same sound."""

    kind: str
    subtype: str
    rate_hz: int
    channels: int
    n: int
    content: str

    @property
    def samples(self):
        """(T, C) float64, on the grid of the file's encoding."""
        random = np.random.default_rng(self.n)
        t = np.arange(self.n)[:, None] / self.rate_hz
        samples = {
            "silence": np.zeros((self.n, 1)),
            "noise": random.uniform(-0.9, 0.9, (self.n, self.channels)),
            "tone": 0.6 * np.sin(2 * np.pi * 440 * t),
            "full scale": np.sign(np.sin(2 * np.pi * 440 * t + 0.1)),
        }[self.content] * np.ones(self.channels)
        steps = 2 ** (EXACT.get((self.kind, self.subtype), 16) - 1)
        return np.clip(np.rint(samples * steps), -steps, steps - 1) / steps


@lru_cache(maxsize=64)
def written(recording):
    """The bytes of a recording's file."""
    floats = recording.subtype in ("FLOAT", "DOUBLE") or (recording.kind, recording.subtype) in LOSSY
    samples = recording.samples if floats else (recording.samples * 2**31).astype(np.int32)
    file = io.BytesIO()
    soundfile.write(file, samples, recording.rate_hz, format=recording.kind, subtype=recording.subtype)
    return file.getvalue()


def recordings(kinds, rates_hz, channels):
    return st.builds(
        lambda kind, *rest: Recording(*kind, *rest),
        st.sampled_from(kinds),
        st.sampled_from(rates_hz),
        st.integers(1, channels),
        st.one_of(st.integers(1, 40), st.integers(100, 9_000)),
        st.sampled_from(["silence", "noise", "tone", "full scale"]),
    )


EXACT_RECORDINGS = recordings(list(EXACT), ANY_RATE_HZ, 8)
LOSSY_RECORDINGS = recordings(LOSSY, LOSSY_RATE_HZ, 2)
RECORDINGS = st.one_of(EXACT_RECORDINGS, LOSSY_RECORDINGS)


def at_16_khz(samples, from_hz):
    """Resampled in one piece, in double precision; (T,) -> (T',)."""
    if from_hz == 16_000:
        return samples
    followed = np.append(samples, np.zeros(from_hz // 16_000 + 1))
    return soxr.resample(followed, from_hz, 16_000)[: -(-len(samples) * 16_000 // from_hz)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("damage") / "a.wav"


def decoded(path, content):
    """The sound of these bytes, or None where they are named; nothing else may come of them."""
    path.write_bytes(content)
    try:
        sound = decode(path)
    except UnreadableAudio as error:
        assert str(error).startswith(("is ", "holds ", "cannot ", "claims ")), error
        return None
    assert isinstance(sound, Sound)
    assert (sound.samples.dtype, sound.samples.ndim) == (np.int16, 1)
    assert len(sound.samples) > 0
    assert sound.n_clipped >= 0
    return sound


def same(one, other):
    return one is not None and np.array_equal(one.samples, other.samples)


@settings(lightly, max_examples=100)
@given(EXACT_RECORDINGS)
def test_what_is_whole_is_decoded_right(path, recording):
    sound = decoded(path, written(recording))
    assert (sound.source_rate_hz, sound.source_channels) == (recording.rate_hz, recording.channels)
    expected = at_16_khz(recording.samples.mean(axis=1), recording.rate_hz) * 32768
    assert len(sound.samples) == len(expected) == math.ceil(recording.n * 16_000 / recording.rate_hz)
    assert np.abs(sound.samples - np.clip(expected, -32768, 32767)).max() < 3


@settings(lightly, max_examples=40)
@given(LOSSY_RECORDINGS)
def test_what_is_lossy_keeps_its_length_and_its_sound(path, recording):
    sound = decoded(path, written(recording))
    expected = at_16_khz(recording.samples.mean(axis=1), recording.rate_hz) * 32768
    assert len(sound.samples) == len(expected)
    if recording.content == "silence":
        assert np.abs(sound.samples).max() <= 33
    if recording.content == "tone" and len(expected) > 3000:
        assert np.corrcoef(sound.samples, expected)[0, 1] > 0.95


@settings(lightly, max_examples=30)
@given(
    st.sampled_from(["FLOAT", "DOUBLE"]),
    st.sampled_from(ANY_RATE_HZ),
    st.integers(1, 8),
    st.integers(1, 3000),
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.data(),
)
def test_one_value_that_is_no_number_is_named(path, subtype, rate_hz, channels, n, bad, data):
    samples = np.zeros((n, channels))
    samples[data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, channels - 1))] = bad
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    with pytest.raises(UnreadableAudio, match="NaN"):
        decode(path)


@settings(lightly, max_examples=150)
@given(RECORDINGS, st.floats(0, 1, exclude_max=True))
@example(Recording("OGG", "OPUS", 16_000, 1, 9_000, "noise"), 0.9999)
def test_what_is_cut_off_is_named(path, recording, share):
    content = written(recording)
    sound = decoded(path, content[: int(len(content) * share)])
    if sound is None:
        return
    whole = decoded(path, content)
    if recording.kind == "MP3":  # its last frame may be filling alone
        assert len(sound.samples) == len(whole.samples)
    else:
        assert same(sound, whole)


@settings(lightly, max_examples=150)
@given(
    RECORDINGS, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=8)
)
def test_flipped_bits_are_named_or_heard(path, recording, flips):
    content = bytearray(written(recording))
    start = 42 if recording.kind == "FLAC" else 0  # STREAMINFO has no checksum
    for share, bit in flips:
        content[start + int((len(content) - start) * share)] ^= 1 << bit
    sound = decoded(path, content)
    if sound is not None and recording.kind in CHECKED:
        assert same(sound, decoded(path, written(recording)))


@settings(lightly, max_examples=200)
@given(RECORDINGS, st.lists(st.tuples(st.integers(0, 79), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_header_is_named_or_read(path, recording, changes):
    content = bytearray(written(recording))
    for position, value in changes:
        if position < len(content):
            content[position] = value
    decoded(path, content)


MAGIC = [
    b"",
    b"RIFF\xff\xff\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80>\0\0\0}\0\0\2\0\x10\0data",
    b"RIFF\xff\xff\0\0WAVEfmt ",
    b"RF64\xff\xff\xff\xffWAVEds64",
    b"FORM\0\0\xff\xffAIFFCOMM",
    b"fLaC\0\0\0\x22",
    b"OggS\0\2",
    b"ID3\4\0\0\0\0\0\x10",
    b"\xff\xfb\x90\x44",
    b".snd\0\0\0\x18",
    b"caff\0\1\0\0desc",
    b"NIST_1A\n   1024\n",
]


@settings(lightly, max_examples=200)
@given(st.sampled_from(MAGIC), st.integers(0, 5_000), st.integers(0, 2**32 - 1))
def test_anything_at_all_is_named_or_read(path, magic, n, seed):
    decoded(path, magic + np.random.default_rng(seed).bytes(n))


@settings(lightly, max_examples=80)
@given(RECORDINGS, st.binary(min_size=1, max_size=200), st.integers(1, 20), st.floats(0, 1))
def test_strange_bytes_before_in_or_after_are_named_or_passed_over(path, recording, strange, times, share):
    content = written(recording)
    whole = decoded(path, content)
    decoded(path, strange * times + content)
    after = decoded(path, content + strange * times)
    assert after is None or len(after.samples) == len(whole.samples)
    middle = int(len(content) * share)
    within = decoded(path, content[:middle] + strange * times + content[middle:])
    if within is not None and recording.kind in CHECKED and middle > 42:
        assert same(within, whole)


@settings(lightly, max_examples=60)
@given(EXACT_RECORDINGS, st.integers(200, 4_000))
def test_the_size_of_the_blocks_makes_no_difference(path, recording, block):
    whole = decoded(path, written(recording))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "_BLOCK", block)
        in_blocks = decoded(path, written(recording))
    assert len(in_blocks.samples) == len(whole.samples)
    assert np.abs(in_blocks.samples.astype(int) - whole.samples).max() <= 1
    assert in_blocks.n_clipped == whole.n_clipped


def write_zeros(path, *, rate_hz, channels, bits, seconds):
    """A WAV whose sound is a hole in the file: it takes no room and no time."""
    frame = channels * bits // 8
    n_bytes = rate_hz * seconds * frame
    path.write_bytes(
        b"RIFF"
        + (36 + n_bytes).to_bytes(4, "little")
        + b"WAVEfmt \x10\0\0\0\1\0"
        + channels.to_bytes(2, "little")
        + rate_hz.to_bytes(4, "little")
        + (rate_hz * frame).to_bytes(4, "little")
        + frame.to_bytes(2, "little")
        + bits.to_bytes(2, "little")
        + b"data"
        + n_bytes.to_bytes(4, "little")
    )
    os.truncate(path, 44 + n_bytes)


def memory_bytes(line):
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"\n{line}:")[1].split()[0]) * 1024


def forget_the_peak():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the peak of memory cannot be measured here")


@pytest.mark.parametrize(
    ("rate_hz", "channels", "bits", "seconds"),
    [
        (8_000, 1, 8, 3600),
        (16_000, 1, 16, 3600),
        (44_099, 1, 8, 600),
        (96_000, 8, 16, 60),
        pytest.param(96_000, 8, 8, 3600, marks=pytest.mark.slow),
    ],
)
def test_an_hour_takes_little_more_memory_than_its_result(tmp_path, rate_hz, channels, bits, seconds):
    path = tmp_path / "long.wav"
    write_zeros(path, rate_hz=rate_hz, channels=channels, bits=bits, seconds=1)
    decode(path)  # what is loaded once is no matter
    write_zeros(path, rate_hz=rate_hz, channels=channels, bits=bits, seconds=seconds)
    forget_the_peak()
    before = memory_bytes("VmRSS")
    samples = decode(path).samples
    assert len(samples) == 16_000 * seconds
    assert memory_bytes("VmHWM") - before - samples.nbytes < 60_000_000


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A corpus of twelve clips that a test may spoil, with a cache of its own."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    return make_cremad(tmp_path / "corpus", speakers=("1001",))


def spoil(path, how):
    """Put something else in the place of a clip, or beside it."""
    content = path.read_bytes()
    path.unlink()
    if how == "link to nothing":
        path.symlink_to("nothing.wav")
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "misnamed":
        path.with_name(f"holiday_{path.name}").write_bytes(content)
    elif how == "copy":
        path.write_bytes(content)
        (path.parent / "copies").mkdir(exist_ok=True)
        (path.parent / "copies" / path.name).write_bytes(content)
    elif how == "namesake":
        path.write_bytes(content)
        path.with_suffix(".flac").write_bytes(content + b"longer")
    else:
        damaged = {
            "cut": content[: len(content) // 2],
            "empty": b"",
            "noise": bytes(range(256)),
            "flipped": content[:20] + b"\xff\xff" + content[22:],
            "right": content,
        }
        path.write_bytes(damaged[how])


WAYS = ["link to nothing", "pipe", "misnamed", "copy", "namesake", "cut", "empty", "noise", "flipped", "right"]


@settings(lightly, max_examples=15)
@given(st.lists(st.sampled_from(WAYS), min_size=1, max_size=11), st.randoms(use_true_random=False))
def test_no_file_is_dropped_in_silence(tmp_path_factory, ways, random):
    folder = tmp_path_factory.mktemp("spoilt")
    root = make_cremad(folder / "corpus", speakers=("1001",))
    clips = sorted((root / "AudioWAV").iterdir())
    for clip, way in zip(random.sample(clips, len(ways)), ways, strict=True):
        spoil(clip, way)
    n_files = sum(len(names) for _, _, names in os.walk(root))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", str(folder / "cache"))
        packed = prepare(CREMAD, root, on_bad="exclude")
    report = packed.report
    assert len(packed.manifest) + len(report.bad) + len(report.copies) == report.n_files == n_files
    assert len(report.bad) == sum(way not in ("right", "copy") for way in ways)
    shutil.rmtree(folder)


def test_few_clips_are_in_memory_at_once(root, monkeypatch):
    decoded_sounds, n_alive = [], []

    def remembered(path):
        sound = decode(path)
        decoded_sounds.append(weakref.ref(sound))
        return sound

    def slow_row(*arguments, row=packing._Writer.row):
        time.sleep(0.02)  # decoding would run far ahead
        n_alive.append(sum(sound() is not None for sound in decoded_sounds))
        return row(*arguments)

    monkeypatch.setattr(packing, "_IN_FLIGHT", 4)
    monkeypatch.setattr(packing, "decode", remembered)
    monkeypatch.setattr(packing._Writer, "row", slow_row)
    assert len(prepare(CREMAD, root).manifest) == 12
    assert 1 < max(n_alive) <= 6


def test_large_files_are_packed_a_block_at_a_time_to_the_same_bytes(root, tmp_path, monkeypatch):
    clips = sorted((root / "AudioWAV").iterdir())
    soundfile.write(clips[3], np.random.default_rng(0).uniform(-1, 1, (200_000, 2)), 44_100, format="WAV")
    spoil(clips[5], "cut")
    monkeypatch.setattr(decoding, "_BLOCK_S", 1)

    def packed(cache_name):
        monkeypatch.setenv("SER_CACHE", str(tmp_path / cache_name))
        corpus = prepare(CREMAD, root, on_bad="exclude")
        return corpus, {name: (corpus.folder / name).read_bytes() for name in ("samples.i16", "sounds.csv")}

    def never(path):
        raise AssertionError(f"{path} is decoded whole")

    expected, content = packed("whole")
    monkeypatch.setattr(packing, "_LARGE_BYTES", 0)
    monkeypatch.setattr(packing, "decode", never)
    streamed, same = packed("blocks")
    assert same == content and list(streamed.manifest) == list(expected.manifest)
    assert streamed.report == expected.report and len(streamed.report.bad) == 1


@pytest.mark.parametrize("deep", [("été", "日本語", "🎧 a: b, c", "ñ" * 100), ("x" * 200,) * 12])
def test_folders_may_be_deep_and_named_in_any_script(root, deep):
    folder = root.joinpath("AudioWAV", *deep)
    folder.mkdir(parents=True)
    make_clip(root / "1002_DFA_ANG_XX.wav", seed=1)
    (root / "1002_DFA_ANG_XX.wav").rename(folder / "1002_DFA_ANG_XX.wav")  # libsndfile takes no path so long
    packed = prepare(CREMAD, root)
    assert len(packed.manifest) == 13
    assert packed.manifest[12].path == "/".join([*deep, "1002_DFA_ANG_XX.wav"])


def left_in_cache():
    """But for digests of what was read, each of which is whole."""
    root = cache.cache_root()
    digests = [path for path in (root / "digests").glob("*") if path.suffix != ".lock"]
    assert all(len(hash) == 32 for path in digests for hash in json.loads(path.read_text()))
    return (
        [path for path in root.iterdir() if path.suffix != ".lock" and path.name != "digests"]
        if root.exists()
        else []
    )


def test_a_read_only_cache_is_one_error(root, monkeypatch):
    def read_only(self, *arguments, **options):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", read_only)
        with pytest.raises(UserError, match=r"Read-only file system.*SER_CACHE"):
            prepare(CREMAD, root)
    assert left_in_cache() == []


@contextmanager
def files_no_larger_than(n_bytes):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("n_bytes", [0, 1000, 50_000])
def test_a_disk_that_fills_up_is_one_error_and_leaves_nothing_half_written(root, n_bytes):
    with files_no_larger_than(n_bytes), pytest.raises(UserError, match=r"File too large.*SER_CACHE"):
        prepare(CREMAD, root)
    assert left_in_cache() == []
    assert len(prepare(CREMAD, root).manifest) == 12
