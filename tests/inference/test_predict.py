"""`ser predict` as it is used: folders of good, odd and broken files, pipes, long recordings, what it writes."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from ser_lightning import cli, load_model
from ser_lightning.data.prepare.decoding import stream_raw
from ser_lightning.inference import recordings
from ser_lightning.inference.checkpoint import read_checkpoint
from ser_lightning.inference.predict import predict_all
from ser_lightning.inference.recordings import find_recordings
from ser_lightning.inference.windows import Windows
from ser_lightning.utils.errors import UserError

RATE_HZ = 16_000


def noise(seconds, *, rate_hz=RATE_HZ, channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((int(seconds * rate_hz), channels))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good, silent, stereo 48 kHz, long, broken, and what is no audio."""
    here = tmp_path_factory.mktemp("recordings")
    soundfile.write(here / "a good one.wav", noise(1.5), RATE_HZ)
    soundfile.write(here / "silent.flac", np.zeros(2 * RATE_HZ), RATE_HZ)
    (here / "deeper").mkdir()
    soundfile.write(here / "deeper" / "stereo.ogg", noise(2, rate_hz=48_000, channels=2), 48_000)
    soundfile.write(here / "long.wav", noise(30, seed=1), RATE_HZ)
    (here / "broken.wav").write_bytes((here / "long.wav").read_bytes()[:70_000])
    (here / "empty.wav").write_bytes(b"")
    (here / "notes.txt").write_text("nothing to hear")
    return here


def ser(*arguments, stdin=None):
    done = CliRunner().invoke(cli.main, ["predict", *map(str, arguments)], input=stdin)
    return done.exit_code, done.stdout, done.stderr


def test_a_folder_of_all_sorts(checkpoint, model, folder):
    code, out, errors = ser(checkpoint, folder)
    assert code == 1
    assert f"{folder}/broken.wav: is truncated" in errors and f"{folder}/empty.wav: is empty" in errors
    lines = {line[:18].strip(): line for line in out.splitlines()}
    assert set(lines) == {"recording", "a good one.wav", "deeper/stereo.ogg", "long.wav", "silent.flac"}
    assert "silent" in lines["silent.flac"][18:] and "%" not in lines["silent.flac"]
    assert model.predict_file(folder / "a good one.wav").label in lines["a good one.wav"]
    assert "0:30.0" in lines["long.wav"]


def test_what_it_writes_is_what_the_model_says(checkpoint, model, folder, tmp_path):
    places = {kind: tmp_path / f"answers.{kind}" for kind in ("csv", "json", "jsonl")}
    code, _, errors = ser(checkpoint, folder, *(f"--{kind}={place}" for kind, place in places.items()))
    assert code == 1 and all(f"written: {place}" in errors for place in places.values())
    rows = {Path(row["path"]).name: row for row in csv.DictReader(places["csv"].open())}
    whole = {Path(one["path"]).name: one for one in json.loads(places["json"].read_text())["recordings"]}
    lines = [json.loads(line) for line in places["jsonl"].read_text().splitlines()]
    assert {Path(one["path"]).name: one for one in lines} == whole
    assert rows.keys() == whole.keys() and len(whole) == 6
    for name in ("a good one.wav", "deeper/stereo.ogg", "long.wav", "silent.flac"):
        expected, found = model.predict_file(folder / name), whole[Path(name).name]
        assert found["label"] == rows[Path(name).name]["label"] == expected.label
        assert found["probabilities"] == pytest.approx(dict(expected.probabilities), abs=1e-5)
        assert len(found["segments"]) == len(expected.segments)
    assert rows["silent.flac"]["silent"] == "True" and rows["silent.flac"]["label"] == "silent"
    assert {segment["label"] for segment in whole["silent.flac"]["segments"]} == {"silent"}
    assert "truncated" in rows["broken.wav"]["error"] and rows["broken.wav"]["label"] == ""
    assert "truncated" in whole["broken.wav"]["error"]


def test_files_that_are_all_good_end_well_and_go_to_stdout(checkpoint, folder):
    code, out, errors = ser(checkpoint, folder / "a good one.wav", "--csv", "-")
    assert (code, errors) == (0, "")
    assert [row["path"] for row in csv.DictReader(io.StringIO(out))] == [str(folder / "a good one.wav")]


def test_one_long_recording_is_shown_by_segment(checkpoint, folder):
    code, out, _ = ser(checkpoint, folder / "long.wav", "--window", 5, "--hop", 5)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:7]] == [
        [f"0:{start:04.1f}", f"0:{start + 5:04.1f}"] for start in range(0, 30, 5)
    ]


def test_damage_at_the_end_of_a_long_file_is_found(model, tmp_path):
    """What was read of it before does not count."""
    path = tmp_path / "late.flac"
    soundfile.write(path, noise(120), RATE_HZ)
    content = bytearray(path.read_bytes())
    content[-3000:-1000] = bytes(2000)
    path.write_bytes(content)
    good = tmp_path / "good.wav"
    soundfile.write(good, noise(1), RATE_HZ)
    named = find_recordings([str(path), str(good), str(path)])
    outcomes = list(predict_all(model, named, windows=Windows(window_s=0.5, hop_s=0.5)))
    assert [outcome.error is None for outcome in outcomes] == [False, True, False]
    assert [outcome.name for outcome in outcomes] == [str(path), str(good), str(path)]


def test_a_pipe_holds_a_file_or_bare_samples(checkpoint, model, folder):
    code, out, _ = ser(checkpoint, "-", "--csv", "-", stdin=(folder / "a good one.wav").read_bytes())
    of_file = next(csv.DictReader(io.StringIO(out)))
    samples = (noise(1.5, rate_hz=8_000, channels=2) * 32_767).astype("<i2")
    bare_code, bare, _ = ser(
        checkpoint, "-", "--raw-rate", 8_000, "--raw-channels", 2, "--csv", "-", stdin=samples.tobytes()
    )
    assert (code, bare_code) == (0, 0)
    assert of_file["label"] == model.predict_file(folder / "a good one.wav").label
    expected = model.predict(samples.T, 8_000)
    found = next(csv.DictReader(io.StringIO(bare)))
    assert float(found[f"p_{expected.label}"]) == pytest.approx(expected.confidence, abs=1e-5)


def test_bare_samples_in_pieces_are_what_they_are_whole():
    samples = (noise(70, rate_hz=11_025) * 32_767).astype("<i2")
    blocks = list(stream_raw(io.BytesIO(samples.tobytes()), 11_025))
    from ser_lightning.data.prepare.decoding import samples_of

    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), samples_of(samples.T, 11_025))


@pytest.mark.parametrize(
    ("arguments", "stdin", "complaint"),
    [
        (["nowhere.wav"], None, "nowhere.wav is not there"),
        (["-", "--raw-rate", "16000"], b"abc", "middle of a frame"),
        (["-", "-"], b"", "named once"),
        (["a good one.wav", "--raw-rate", "16000"], None, "for it alone"),
        (["a good one.wav", "--hop", "9"], None, "hop ≤ window"),
        (["a good one.wav", "--device", "toaster"], None, "device toaster is not known"),
        (["a good one.wav", "--device", "hpu"], None, "device hpu cannot be used here"),
        (["a good one.wav", "--csv", "/nowhere/a.csv"], None, "/nowhere is not there"),
    ],
)
def test_what_cannot_be_done_is_one_line(checkpoint, folder, monkeypatch, arguments, stdin, complaint):
    monkeypatch.chdir(folder)
    code, _, errors = ser(checkpoint, *arguments, stdin=stdin)
    assert code == 1 and complaint in errors and len(errors.splitlines()) == 1


def test_floats_in_the_range_of_integers_are_named_as_what_they_are_heard_as(checkpoint, tmp_path):
    speech, places = noise(1), {kind: tmp_path / f"a.{kind}" for kind in ("csv", "json")}
    soundfile.write(tmp_path / "unscaled.wav", 32_768 * speech, RATE_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "loud.wav", np.clip(10 * speech, -1, 1), RATE_HZ)
    soundfile.write(tmp_path / "good.wav", speech, RATE_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "click.wav", speech[: RATE_HZ // 20], RATE_HZ)
    code, _, errors = ser(checkpoint, tmp_path, *(f"--{kind}={place}" for kind, place in places.items()))
    said = {line.rpartition("/")[2].partition(":")[0]: line for line in errors.splitlines() if ".wav" in line}
    assert code == 0 and said.keys() == {"unscaled.wav", "loud.wav", "click.wav"}
    assert "click.wav: short, 0.05 s: less than 0.3 s is hardly a word" in said["click.wav"]
    assert "divide 16-bit values by 32,768" in said["unscaled.wav"] and "clipped, " in said["loud.wav"]
    shares = {Path(row["path"]).name: float(row["clipped"]) for row in csv.DictReader(places["csv"].open())}
    assert shares["unscaled.wav"] > 0.99 and 0.1 < shares["loud.wav"] < 0.8 and shares["good.wav"] == 0
    in_json = {
        Path(one["path"]).name: one["clipped"] for one in json.loads(places["json"].read_text())["recordings"]
    }
    assert in_json == pytest.approx(shares)


def test_a_folder_without_audio_is_refused(checkpoint, tmp_path):
    code, _, errors = ser(checkpoint, tmp_path)
    assert code == 1 and "holds no audio files" in errors


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "SIGHUP")]
)
def test_stopped_in_the_middle_it_keeps_what_it_has(checkpoint, folder, tmp_path, monkeypatch, number, said):
    def stop_after_two(*arguments, **options):
        outcomes = predict_all(*arguments, **options)
        yield next(outcomes)
        yield next(outcomes)
        os.kill(os.getpid(), number)
        time.sleep(5)

    handler = signal.getsignal(number)
    monkeypatch.setattr("ser_lightning.inference.predict.predict_all", stop_after_two)
    place = tmp_path / "answers.csv"
    code, _, errors = ser(checkpoint, folder, "--csv", place)
    assert code == 128 + number and "2 of 6 recordings read" in errors and said in errors
    assert len(list(csv.DictReader(place.open()))) == 2
    assert signal.getsignal(number) is handler


def test_what_a_folders_walk_passes_over_is_counted(checkpoint, folder, tmp_path):
    for name in ("a.wav", ".hidden.wav", "video.mp4", "notes.txt"):
        (tmp_path / name).write_bytes((folder / "a good one.wav").read_bytes())
    (tmp_path / ".git").mkdir()
    code, out, errors = ser(checkpoint, tmp_path)
    assert code == 0 and "a.wav" in out and "mp4" not in out
    assert "4 are passed over, hidden or of no audio format: .git/, .hidden.wav, notes.txt, video.mp4" in errors
    code, out, errors = ser(checkpoint, tmp_path / "video.mp4")  # named, it is read, whatever it is called
    assert (code, errors) == (0, "") and "video.mp4" in out


def test_only_files_are_opened(checkpoint, folder, tmp_path):
    """Nor what lies beside them: libsndfile would open ``._x.mp3`` for ``x.mp3``, and wait."""
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "._x.mp3")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket.wav"))
        soundfile.write(tmp_path / "x.mp3", noise(1), RATE_HZ)
        code, out, errors = ser(checkpoint, tmp_path)
        named = (tmp_path / "folder.wav" / "x.wav", tmp_path / "pipe.wav", tmp_path / "._x.mp3")
        soundfile.write(named[0], noise(1), RATE_HZ)
        code_named, *_ = ser(checkpoint, *named)
    assert code == code_named == 1 and "x.mp3" in out
    for name in ("pipe.wav", "device.wav", "socket.wav"):
        assert f"{name}: is a pipe or a device, not a file" in errors


class Endless:
    """A pipe that never ends."""

    def __init__(self, beginning=b""):
        self.n_bytes, self.beginning = 0, beginning

    def read(self, n_bytes):
        self.n_bytes += n_bytes
        content, self.beginning = self.beginning.ljust(n_bytes, b"\0"), b""
        return content


def test_a_pipe_without_end_ends(model, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(recordings, "_MOST_PIPED_BYTES", 10_000_000)
    wave = (folder / "a good one.wav").read_bytes()
    for stdin, most, reason in (
        (Endless(), 1 << 20, "begins like no format"),
        (Endless(wave), 12_000_000, "longer than 0 GB, the most that is taken from a pipe: name a file"),
    ):
        monkeypatch.setattr(recordings, "_stdin", lambda stdin=stdin: stdin)
        (outcome,) = predict_all(model, find_recordings(["-"]))
        assert reason in outcome.error
        assert stdin.n_bytes <= most and list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_reason_for_a_traceback(model, folder, monkeypatch):
    class Full(io.BytesIO):
        name = "full"

        def write(self, content):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(recordings, "_stdin", (folder / "a good one.wav").open("rb").__enter__)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", Full)
    (outcome,) = predict_all(model, find_recordings(["-"]))
    assert "No space left on device" in outcome.error and "TMPDIR" in outcome.error


def test_names_that_no_text_can_hold_are_escaped_everywhere(checkpoint, folder, tmp_path):
    names = ("good.wav", os.fsdecode(b"J\xfcrgen.wav"), "\x1b[2Jgone.wav", os.fsdecode(b"broken\xff.wav"))
    (tmp_path / "in").mkdir()
    for name in names:
        cut = 1000 if "broken" in name else None
        (tmp_path / "in" / name).write_bytes((folder / "a good one.wav").read_bytes()[:cut])
    places = {kind: tmp_path / f"answers.{kind}" for kind in ("csv", "json", "jsonl")}
    code, out, errors = ser(checkpoint, tmp_path / "in")
    written, *_ = ser(checkpoint, tmp_path / "in", *(f"--{kind}={place}" for kind, place in places.items()))
    assert code == written == 1
    assert "J\\xfcrgen.wav" in out and "\\x1b[2Jgone.wav" in out and "\x1b[2J" not in out + errors
    assert "broken\\xff.wav: is truncated" in errors
    expected = {"good.wav", "J\\xfcrgen.wav", "\\x1b[2Jgone.wav", "broken\\xff.wav"}
    in_csv = {Path(row["path"]).name for row in csv.DictReader(places["csv"].open(encoding="utf-8"))}
    in_json = {Path(one["path"]).name for one in json.loads(places["json"].read_text())["recordings"]}
    in_lines = {Path(json.loads(line)["path"]).name for line in places["jsonl"].read_text().splitlines()}
    assert in_csv == in_json == in_lines == expected


def test_an_answer_that_is_no_number_is_an_error(checkpoint, folder, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    for weight in content["state_dict"].values():
        if weight.is_floating_point():
            weight.fill_(float("nan"))
    torch.save(content, tmp_path / "nan.ckpt")
    place = tmp_path / "answers.json"
    code, _, errors = ser(tmp_path / "nan.ckpt", folder / "a good one.wav", "--json", place)
    assert code == 1 and "a good one.wav: the model's output is no number (NaN)" in errors
    json.loads(place.read_text(), parse_constant=lambda name: pytest.fail(name))
    with pytest.raises(ValueError, match="no number"):
        load_model(tmp_path / "nan.ckpt").predict(noise(1)[:, 0], RATE_HZ)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(checkpoint, tmp_path, temperature):
    read_checkpoint(checkpoint).write(tmp_path / "a.ckpt", temperature=temperature)
    with pytest.raises(UserError, match="temperature: Input should be"):
        load_model(tmp_path / "a.ckpt")


@pytest.mark.slow
def test_an_hour_takes_less_than_a_gigabyte(checkpoint, tmp_path):
    path = tmp_path / "hour.wav"
    with soundfile.SoundFile(path, "w", RATE_HZ, 1) as file:
        for seed in range(60):
            file.write(noise(60, seed=seed))
    code = (
        "import resource, sys; from ser_lightning.cli import main\n"
        "try: main(['predict', *sys.argv[1:]])\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, str(checkpoint), str(path), "--csv", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert int(done.stderr.split()[-1]) < 1_000_000  # kB
    assert float(next(csv.DictReader(io.StringIO(done.stdout)))["duration_s"]) == 3600
