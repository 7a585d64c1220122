"""Preparation: once, whole, honest about what it found."""

import json
import multiprocessing
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import make_clip, make_cremad
from filelock import FileLock
from layouts import make_csv

from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.prepare import cache, content_digest, packing, resampling
from ser_lightning.data.prepare.cache import prepare
from ser_lightning.data.prepare.checksums import damage, write_checksums
from ser_lightning.data.prepare.coded import NEEDS_PACKAGE
from ser_lightning.data.prepare.decoding import UnreadableAudio, decode
from ser_lightning.data.prepare.preparation_report import SQUARE_WAVES
from ser_lightning.data.user_csv import read_csv_corpus
from ser_lightning.utils.errors import UserError

CREMAD = load_corpus("cremad")
NEW = ("soxr", resampling.QUALITY)  # what names of folders depend on since soxr


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A corpus of twelve clips that a test may spoil, with a cache of its own."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    return make_cremad(tmp_path / "corpus", speakers=("1001",))


def test_what_is_packed_is_what_was_decoded(root):
    packed = prepare(CREMAD, root)
    rows = [5, 0, 11]
    waveform, lengths = packed.gather(rows)
    assert waveform.dtype == np.int16
    for clip, length, row in zip(waveform, lengths, rows, strict=True):
        expected = decode(root / "AudioWAV" / packed.manifest[row].path).samples
        assert np.array_equal(clip[:length], expected)
        assert not clip[length:].any()
    assert waveform.shape[1] == lengths.max()


def test_the_manifest_says_what_the_names_say(root):
    row = prepare(CREMAD, root).manifest[0]
    assert (row.id, row.speaker, row.sentence, row.emotion) == ("1001_DFA_ANG_XX", "1001", "DFA", "anger")
    assert (row.sex, row.age, row.intensity, row.n_samples) == ("male", "51", "unspecified", 4800)


def test_the_folder_itself_may_be_given(root):
    assert prepare(CREMAD, root / "AudioWAV").folder == prepare(CREMAD, root).folder


def test_a_second_call_decodes_nothing(root, monkeypatch):
    prepare(CREMAD, root)
    monkeypatch.setattr(packing, "decode", lambda path: pytest.fail("decoded again"))
    assert len(prepare(CREMAD, root).manifest) == 12


def test_a_changed_file_is_prepared_anew(root):
    before = prepare(CREMAD, root).folder
    make_clip(root / "AudioWAV" / "1001_DFA_ANG_XX.wav", seed=99)
    assert prepare(CREMAD, root).folder != before


def test_other_contents_of_the_same_names_sizes_and_times_are_prepared_anew(root, tmp_path):
    """As versions of a corpus out of archives that give every file the same time."""
    other = Path(shutil.copytree(root, tmp_path / "other"))
    for path in (other / "AudioWAV").iterdir():
        content = path.read_bytes()
        path.write_bytes(content[:-2000] + content[-1000:] + content[-2000:-1000])
    for path in [*(root / "AudioWAV").iterdir(), *(other / "AudioWAV").iterdir()]:
        os.utime(path, (1_704_067_200, 1_704_067_200))
    one, two = prepare(CREMAD, root), prepare(CREMAD, other)
    assert one.folder != two.folder
    assert not set(one.manifest.column("audio_hash")) & set(two.manifest.column("audio_hash"))


def test_a_file_that_is_written_over_and_given_its_former_time_is_noticed(root):
    """As ``mp3gain -p`` does."""
    before = prepare(CREMAD, root).folder
    path = root / "AudioWAV" / "1001_DFA_ANG_XX.wav"
    content, stat = path.read_bytes(), path.stat()
    path.write_bytes(content[:-2000] + content[-1000:] + content[-2000:-1000])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert prepare(CREMAD, root).folder != before


def test_a_copy_and_a_moved_folder_are_read_and_not_packed_again(root, tmp_path, monkeypatch):
    before = prepare(CREMAD, root)
    monkeypatch.setattr(packing, "decode", lambda path: pytest.fail("decoded again"))
    copied = Path(shutil.copytree(root, tmp_path / "copied", copy_function=shutil.copyfile))
    moved = root.rename(tmp_path / "moved")
    for place in (copied, moved):
        packed = prepare(CREMAD, place)
        assert packed.folder == before.folder
        assert packed.report.folder == str(place / "AudioWAV")  # where the files are read from
        assert pickle.loads(pickle.dumps(packed)).report.folder == packed.report.folder
    monkeypatch.setattr(content_digest, "_hash_file", lambda path: pytest.fail("read again"))
    assert prepare(CREMAD, moved).folder == before.folder


def test_a_digest_that_was_lost_is_made_again(root):
    before = prepare(CREMAD, root).folder
    (digest,) = (path for path in (cache.cache_root() / "digests").iterdir() if path.suffix != ".lock")
    digest.write_text("")
    assert prepare(CREMAD, root).folder == before


def test_what_changes_while_it_is_read_is_not_packed(root, monkeypatch):
    def decode_slowly(path):
        make_clip(root / "AudioWAV" / "1001_DFA_ANG_XX.wav", seed=7)
        return decode(path)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "decode", decode_slowly)
        with pytest.raises(UserError, match=r"1001_DFA_ANG_XX\.wav of .* changed while the corpus was read"):
            prepare(CREMAD, root)
    assert len(prepare(CREMAD, root).manifest) == 12


def test_what_could_not_be_read_has_no_contents_and_is_read_another_time(root, monkeypatch):
    def not_permitted(path):
        raise UnreadableAudio("cannot be opened (Permission denied)")

    hash_file, other = content_digest._hash_file, root.parent / "other"
    make_cremad(other, speakers=("1001",))
    make_clip(other / "AudioWAV" / "1001_DFA_ANG_XX.wav", seed=99)
    for place in (root, other):
        with monkeypatch.context() as patch:
            patch.setattr(
                content_digest, "_hash_file", lambda path: None if "ANG" in path.name else hash_file(path)
            )
            with pytest.raises(UserError, match=r"1001_DFA_ANG_XX\.wav of .* could not be read a moment ago"):
                prepare(CREMAD, place, on_bad="exclude")
            patch.setattr(cache, "decode", not_permitted)
            assert len(prepare(CREMAD, place, on_bad="exclude").manifest) == 10
        packed = prepare(CREMAD, place)
        assert len(packed.manifest) == len({row.audio_hash for row in packed.manifest}) == 12


def test_what_is_away_while_it_is_decoded_is_no_fault_of_the_file(root, monkeypatch):
    clip = root / "AudioWAV" / "1001_DFA_ANG_XX.wav"

    def decode_without(path):
        away = clip.rename(root / "away")
        try:
            return decode(path)
        finally:
            away.rename(clip)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "decode", decode_without)
        patch.setattr(packing, "usable_cores", lambda: 1)
        with pytest.raises(
            UserError, match=r"ANG_XX\.wav .* could be read at first, and then not \(is not there\)"
        ):
            prepare(CREMAD, root)
    assert len(prepare(CREMAD, root).manifest) == 12


@pytest.mark.parametrize("spoilt", [None, "no file", 3])
def test_nothing_else_is_taken_for_a_hash(root, spoilt):
    folder = prepare(CREMAD, root).folder
    (digest,) = (path for path in (cache.cache_root() / "digests").iterdir() if path.suffix != ".lock")
    digest.write_text(json.dumps([spoilt] * 12))
    assert prepare(CREMAD, root).folder == folder


def test_a_path_through_a_link_is_that_of_the_file_that_it_leads_to(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    for place, first_seed in (("store/wav", 0), ("project/wav", 10)):
        (tmp_path / place).mkdir(parents=True)
        for number in range(2):
            make_clip(tmp_path / place / f"a_b_ANG_{number}.wav", seed=first_seed + number)
    (tmp_path / "store" / "v2").mkdir()
    (tmp_path / "project" / "current").symlink_to("../store/v2")
    for folder in ("current/../wav", "wav"):
        listed = tmp_path / "project" / "list.csv"
        listed.write_text(
            "path,emotion,speaker\n" + "".join(f"{folder}/a_b_ANG_{n}.wav,e{n},s{n}\n" for n in range(2))
        )
        packed = prepare(read_csv_corpus(listed), None)
        for row, clip in enumerate(packed.manifest):
            assert np.array_equal(packed.gather([row])[0][0], decode(listed.parent / clip.path).samples)


def test_a_package_that_is_installed_later_is_tried_whatever_a_file_is_called(root, monkeypatch):
    without = UnreadableAudio(f"is AMR, which {NEEDS_PACKAGE}: pip install")

    def decode_without(path):
        if "ANG" in path.name:
            raise without
        return decode(path)

    monkeypatch.setattr(cache, "coded_decoder", lambda: "")
    with monkeypatch.context() as patch:
        patch.setattr(packing, "decode", decode_without)
        for _ in range(2):
            with pytest.raises(UserError, match=NEEDS_PACKAGE):
                prepare(CREMAD, root)
    monkeypatch.setattr(cache, "coded_decoder", lambda: "av")
    assert len(prepare(CREMAD, root).manifest) == 12


def test_a_copy_that_becomes_another_sound_is_noticed(root):
    copy = root / "AudioWAV" / "again" / "1001_DFA_ANG_XX.wav"
    copy.parent.mkdir()
    shutil.copy2(root / "AudioWAV" / copy.name, copy)
    assert prepare(CREMAD, root).report.warnings()["copies"] == 1
    content = copy.read_bytes()
    copy.write_bytes(content[:-2000] + content[-1000:] + content[-2000:-1000])
    with pytest.raises(UserError, match="and other contents"):
        prepare(CREMAD, root)


def _prepare_and_report(root, cache_dir, queue):
    import os

    os.environ["SER_CACHE"] = cache_dir
    calls = []
    original = packing.decode
    packing.decode = lambda path: calls.append(path) or original(path)
    packed = prepare(CREMAD, Path(root))
    queue.put((len(calls), len(packed.manifest)))


def test_processes_started_together_prepare_once(root, tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    arguments = (str(root), str(tmp_path / "shared"), queue)
    processes = [context.Process(target=_prepare_and_report, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    answers = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(answers) == [(0, 12), (0, 12), (12, 12)]


def test_a_killed_preparation_leaves_nothing_that_passes_for_whole(root, monkeypatch):
    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(packing, "decode", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(CREMAD, root)
    assert len(prepare(CREMAD, root).manifest) == 12


def test_left_overs_of_a_kill_are_thrown_away(root):
    folder = prepare(CREMAD, root).folder
    partial = folder.with_name(folder.name + ".partial")
    folder.rename(partial)
    (partial / "samples.i16").write_bytes(b"half")
    assert prepare(CREMAD, root).gather([0])[0].any()
    assert not partial.exists()


def test_everything_that_is_wrong_is_listed_at_once(root):
    folder = root / "AudioWAV"
    (folder / "1001_DFA_ANG_XX.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "1001_DFA_DIS_XX.wav").write_bytes(b"")
    cut = folder / "1001_DFA_FEA_XX.wav"
    cut.write_bytes(cut.read_bytes()[:3000])
    soundfile.write(folder / "1001_DFA_HAP_XX.wav", np.full(1000, np.nan, np.float32), 16_000, subtype="FLOAT")
    make_clip(folder / "1001_DFA_JOY_XX.wav", seed=50)
    make_clip(folder / "holiday_in_rome_1.wav", seed=51)
    make_clip(folder / "1001_DFA_NEU_X.wav", seed=52)
    with pytest.raises(UserError) as caught:
        prepare(CREMAD, root)
    message = str(caught.value)
    for said in (
        "7 of 15 files",
        "1001_DFA_ANG_XX.wav: is a Git LFS pointer",
        "git lfs pull",
        "1001_DFA_DIS_XX.wav: is empty",
        "1001_DFA_FEA_XX.wav: is truncated",
        "1001_DFA_HAP_XX.wav: holds NaN",
        "1001_DFA_JOY_XX.wav: has the unknown emotion code JOY",
        "holiday_in_rome_1.wav: is not named like 1001_DFA_ANG_XX",
        "1001_DFA_NEU_XX.wav: has the same clip name as 1001_DFA_NEU_X.wav",
        "data.on_bad=exclude",
    ):
        assert said in message
    packed = prepare(CREMAD, root, on_bad="exclude")
    assert len(packed.manifest) == 8
    assert packed.report.warnings()["excluded"] == 7


def test_thousands_of_pointers_are_one_line(root):
    for actor in range(1002, 1014):
        make_clip(root / "AudioWAV" / f"{actor}_DFA_ANG_XX.wav", seed=0)
    for path in (root / "AudioWAV").iterdir():
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError) as caught:
        prepare(CREMAD, root, on_bad="exclude")
    summary, pointers, *_, whole_list, remedy = str(caught.value).splitlines()
    assert summary.startswith("24 of 24 files")
    assert "and 19 more: is a Git LFS pointer" in pointers
    assert len(Path(whole_list.split(": ")[1]).read_text().splitlines()) == 24
    assert "on_bad" in remedy


def test_oddities_are_warned_of_and_counted(root):
    folder = root / "AudioWAV"
    shutil.copy(folder / "1001_DFA_ANG_XX.wav", folder / "1001_DFA_SAD_XX.wav")
    soundfile.write(folder / "1001_IEO_SAD_XX.wav", np.zeros(4000), 16_000)
    report = prepare(CREMAD, root).report
    assert report.warnings() == {"silent": 1, "duplicate_audio": 2, "missing": 7430}
    said = "\n".join(report.lines())
    assert "1001_IEO_SAD_XX" in said
    assert "1001_DFA_ANG_XX = 1001_DFA_SAD_XX" in said


def test_too_many_clips_of_one_label_make_up_for_none_of_another(root):
    counts = dict.fromkeys(CREMAD.labels, 1) | {"sadness": 5}  # there are two of each
    report = prepare(replace(CREMAD, clips_by_label=counts), root).report
    assert report.warnings()["missing"] == 3


def test_floats_in_the_range_of_integers_are_warned_of(root):
    """As scipy.io.wavfile writes floats that nobody scaled."""
    for name in ("1001_DFA_ANG_XX.wav", "1001_DFA_SAD_XX.wav"):
        samples, rate_hz = soundfile.read(root / "AudioWAV" / name)
        soundfile.write(root / "AudioWAV" / name, 32_768 * samples, rate_hz, subtype="FLOAT")
    loud = np.clip(1.2 * np.sin(np.arange(8000) / 20), -1, 1)
    soundfile.write(root / "AudioWAV" / "1001_DFA_DIS_XX.wav", loud, 16_000)
    report = prepare(CREMAD, root).report
    assert report.warnings()["clipped"] == 3
    two = "1001_DFA_ANG_XX, 1001_DFA_SAD_XX"
    assert f"2 of these are {SQUARE_WAVES}: {two}" in report.lines()


def test_documents_beside_the_audio_are_no_clips(root):
    (root / "AudioWAV" / "README.md").write_text("hello")
    (root / "AudioWAV" / ".DS_Store").write_bytes(b"\0\0")
    assert len(prepare(CREMAD, root).manifest) == 12


def test_a_missing_corpus_says_where_to_get_it(tmp_path):
    for root in (tmp_path / "nowhere", tmp_path, None):
        with pytest.raises(UserError, match=r"CheyneyComputerScience/CREMA-D.*data\.root=DIR"):
            prepare(CREMAD, root)


def test_a_cache_that_cannot_be_written_says_what_to_do(root, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="SER_CACHE"):
        prepare(CREMAD, root)


def test_a_full_disk_leaves_nothing_behind(root, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packing.csv, "DictWriter", full)
        with pytest.raises(UserError, match="No space left"):
            prepare(CREMAD, root)
    left = [path.name for path in cache.cache_root().iterdir() if path.is_dir()]
    assert left == ["digests"]


@pytest.mark.parametrize(("rate_hz", "taken"), [(16_000, True), (48_000, False)])
def test_sounds_from_before_soxr_are_taken_unless_they_were_resampled(root, monkeypatch, rate_hz, taken):
    for clip in (root / "AudioWAV").glob("*SAD*"):
        soundfile.write(clip, soundfile.read(clip)[0], rate_hz)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "digest_of", lambda facts: content_digest.digest_of(f for f in facts if f not in NEW))
        old = prepare(CREMAD, root).folder
    now = prepare(CREMAD, root).folder
    assert (now == old) == taken
    assert prepare(CREMAD, root).folder == now  # and found again


def test_the_report_is_the_same_when_the_sounds_are_in_the_cache(root):
    shutil.copy(root / "AudioWAV" / "1001_DFA_ANG_XX.wav", root / "AudioWAV" / "1001_DFA_SAD_XX.wav")
    soundfile.write(root / "AudioWAV" / "1001_IEO_SAD_XX.wav", np.zeros(4000), 16_000)
    (root / "AudioWAV" / "1001_DFA_DIS_XX.wav").write_bytes(b"")
    first, second = (prepare(CREMAD, root, on_bad="exclude") for _ in range(2))
    assert first.report == second.report and list(first.manifest) == list(second.manifest)
    assert first.report.n_files == 12
    assert set(first.report.warnings()) == {"silent", "duplicate_audio", "missing", "excluded"}


def test_a_list_that_says_other_things_of_the_same_sounds_packs_and_reads_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    listed = make_csv(tmp_path)
    before = prepare(read_csv_corpus(listed), None)
    monkeypatch.setattr(packing, "decode", lambda path: pytest.fail("decoded again"))
    monkeypatch.setattr(content_digest, "_hash_file", lambda path: pytest.fail("read again"))
    text = listed.read_text()
    for number, other in enumerate(
        (
            text.replace(",0\n", ",1\n"),
            text.replace(",female,", ",,").replace(",20,", ",30,"),
            text.replace(",upset,", ",angry,").replace(",p0,", ",x,"),
            text.replace("clips/", "./clips//"),
            text.replace("clips/", f"{tmp_path}/clips/"),
            text.splitlines()[0] + "\n" + "\n".join(reversed(text.splitlines()[1:])) + "\n",
        )
    ):
        again = tmp_path / f"other{number}.csv"
        again.write_text(other)
        packed = prepare(read_csv_corpus(again), None)
        assert packed.folder == before.folder
        sounds = {Path(row.path).name: row.audio_hash for row in before.manifest}
        assert {Path(row.path).name: row.audio_hash for row in packed.manifest} == sounds
        for row, clip in enumerate(packed.manifest):
            expected = decode(tmp_path / clip.path).samples
            assert np.array_equal(packed.gather([row])[0][0], expected)
    assert (
        packed.manifest[0].speaker == "p0"
        and prepare(read_csv_corpus(tmp_path / "other2.csv"), None).manifest[0].speaker == "x"
    )


def test_a_decoder_that_is_installed_later_is_tried(root, monkeypatch):
    (root / "AudioWAV" / "1001_DFA_ANG_XX.wav").rename(root / "AudioWAV" / "1001_DFA_ANG_XX.m4a")
    monkeypatch.setattr(cache, "coded_decoder", lambda: "")
    without = prepare(CREMAD, root).folder
    monkeypatch.setattr(cache, "coded_decoder", lambda: "av")
    assert prepare(CREMAD, root).folder != without


def test_a_listed_file_that_is_missing_is_counted_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    listed = make_csv(tmp_path)
    (tmp_path / "clips" / "3.wav").unlink()
    report = prepare(read_csv_corpus(listed), None, on_bad="exclude").report
    assert report.warnings() == {"excluded": 1} | {k: n for k, n in report.warnings().items() if k == "padded"}
    with pytest.raises(UserError, match=r"clips/3\.wav \(line 5\): cannot be found"):
        prepare(read_csv_corpus(listed), None)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's accounts of memory")
def test_resident_memory_does_not_grow_with_what_is_read(root):
    def resident_bytes():
        line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("RssFile"))
        return int(line.split()[1]) * 1024

    for number in range(12):
        path = sorted((root / "AudioWAV").iterdir())[number]
        soundfile.write(path, np.random.default_rng(number).uniform(-0.5, 0.5, 1_000_000), 16_000)
    packed = prepare(CREMAD, root)
    packed.gather([0])
    before = resident_bytes()
    for row in range(12):
        packed.gather([row])
    assert resident_bytes() - before < 4_000_000  # of the 24 MB that were read


def test_what_cannot_be_listed_or_written_down_is_named(root, monkeypatch):
    odd = os.fsencode(root / "AudioWAV") + b"/1002_DFA_ANG_XX\xe9.wav"
    try:
        with open(odd, "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("a file system that takes no such name")

    def scandir(path, scandir=os.scandir):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    (root / "AudioWAV" / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError) as caught:
        prepare(CREMAD, root)
    assert "locked: is a folder that cannot be listed (Permission denied)" in str(caught.value)
    assert "1002_DFA_ANG_XX\\udce9.wav': has a name that is not UTF-8" in str(caught.value)
    assert len(prepare(CREMAD, root, on_bad="exclude").manifest) == 12


def test_who_waits_for_the_lock_leaves_the_writers_work_alone(root, monkeypatch):
    folder = prepare(CREMAD, root).folder
    partial = folder.with_name(folder.name + ".partial")
    folder.rename(partial)  # as if somebody were writing

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(FileLock, "acquire", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(CREMAD, root)
    assert (partial / "samples.i16").is_file()


def padded_to(path, n_samples):
    samples, rate_hz = soundfile.read(path, dtype="int16")
    soundfile.write(path, np.pad(samples, (0, n_samples - len(samples))), rate_hz, subtype="PCM_16")


def test_clips_that_were_padded_to_one_length_are_named(root):
    paths = sorted((root / "AudioWAV").iterdir())
    for path in paths[:10]:
        padded_to(path, 16_000)
    padded_to(paths[10], 15_000)  # one alone may end like that
    report = prepare(CREMAD, root).report
    assert report.padded == tuple(path.stem for path in paths[:10])
    assert report.warnings()["padded"] == 10
    assert any(line.startswith("10 clips of equal length, padded with zeros: 1001_") for line in report.lines())


def test_clips_of_one_length_that_do_not_end_in_zeros_are_not(root):
    for path in (root / "AudioWAV").iterdir():
        samples, rate_hz = soundfile.read(path, dtype="int16")
        soundfile.write(path, samples[:4000], rate_hz, subtype="PCM_16")
    assert "padded" not in prepare(CREMAD, root).report.warnings()


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("samples.i16", lambda content: content[:1000]),
        ("samples.i16", lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2)),
        ("samples.i16", lambda content: content[:5000] + b"!" + content[5001:]),
        ("sounds.csv", lambda content: content[: content.rindex(b"\n", 0, -1) + 1]),
        ("checksums.json", lambda content: b""),
        ("checksums.json", lambda content: b"[]"),
    ],
)
def test_what_was_damaged_is_packed_anew(root, caplog, name, spoil):
    packed = prepare(CREMAD, root)
    before, manifest = packed.gather(range(3)), list(packed.manifest)
    path = packed.folder / name
    path.write_bytes(spoil(path.read_bytes()))
    again = prepare(CREMAD, root)
    assert "is damaged" in caplog.text and "packed anew" in caplog.text
    assert list(again.manifest) == manifest and again.folder == packed.folder
    assert all((one == other).all() for one, other in zip(again.gather(range(3)), before, strict=True))
    caplog.clear()
    prepare(CREMAD, root)
    assert "damaged" not in caplog.text


def test_a_start_looks_at_some_blocks_and_an_audit_at_all(tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "samples.i16").write_bytes(os.urandom(40 << 20))
    (folder / "sounds.csv").write_text("content\n")
    write_checksums(folder)
    assert damage(folder, thorough=True) == damage(folder, thorough=False) == ""
    with (folder / "samples.i16").open("r+b") as file:
        file.seek(1 << 20)  # the second block, which lies between those that are looked at
        file.write(bytes(100))
    assert damage(folder, thorough=False) == ""
    assert damage(folder, thorough=True) == "1 of 40 blocks of samples.i16 were changed"
    with (folder / "samples.i16").open("r+b") as file:
        file.seek(20 << 20)
        file.write(bytes(20 << 20))
    assert "of 16 blocks of samples.i16 were changed" in damage(folder, thorough=False)
