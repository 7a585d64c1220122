"""`ser predict` as it is used: folders of good, odd and broken files, pipes, long recordings, what it writes."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from ser_lightning import cli
from ser_lightning.data.audio import stream_raw
from ser_lightning.inference.predict import predict_all
from ser_lightning.inference.recordings import find_recordings
from ser_lightning.inference.windows import Windows

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
    """What was heard of it before does not count."""
    path = tmp_path / "late.flac"
    soundfile.write(path, noise(120), RATE_HZ)
    content = bytearray(path.read_bytes())
    content[-3000:-1000] = bytes(2000)
    path.write_bytes(content)
    good = tmp_path / "good.wav"
    soundfile.write(good, noise(1), RATE_HZ)
    recordings = find_recordings([str(path), str(good), str(path)])
    outcomes = list(predict_all(model, recordings, windows=Windows(window_s=0.5, hop_s=0.5)))
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
    from ser_lightning.data.audio import samples_of

    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), samples_of(samples.T, 11_025))


@pytest.mark.parametrize(
    ("arguments", "stdin", "complaint"),
    [
        (["nowhere.wav"], None, "nowhere.wav is not there"),
        (["-", "--raw-rate", "16000"], b"abc", "middle of a frame"),
        (["-", "-"], b"", "named once"),
        (["a good one.wav", "--raw-rate", "16000"], None, "for it alone"),
        (["a good one.wav", "--hop", "9"], None, "0 < hop"),
        (["a good one.wav", "--device", "toaster"], None, "device toaster is not known"),
        (["a good one.wav", "--csv", "/nowhere/a.csv"], None, "/nowhere is not there"),
    ],
)
def test_what_cannot_be_done_is_one_line(checkpoint, folder, monkeypatch, arguments, stdin, complaint):
    monkeypatch.chdir(folder)
    code, _, errors = ser(checkpoint, *arguments, stdin=stdin)
    assert code == 1 and complaint in errors and len(errors.splitlines()) == 1


def test_a_folder_without_audio_is_refused(checkpoint, tmp_path):
    code, _, errors = ser(checkpoint, tmp_path)
    assert code == 1 and "holds no audio files" in errors


def test_stopped_in_the_middle_it_keeps_what_it_has(checkpoint, folder, tmp_path, monkeypatch):
    def stop_after_two(*arguments, **options):
        outcomes = predict_all(*arguments, **options)
        yield next(outcomes)
        yield next(outcomes)
        raise KeyboardInterrupt

    monkeypatch.setattr("ser_lightning.commands.predicting.predict_all", stop_after_two)
    place = tmp_path / "answers.csv"
    code, _, errors = ser(checkpoint, folder, "--csv", place)
    assert code == 130 and "2 of 6 recordings read" in errors and "interrupted" in errors
    assert len(list(csv.DictReader(place.open()))) == 2


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
