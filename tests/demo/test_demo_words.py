"""What the demo says of models and answers, and what it makes of files."""

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import make_clip
from finished_run import make_run
from made_checkpoint import make_checkpoint_of
from made_prediction import made

from ser_lightning import load_model
from ser_lightning.demo import limits, words
from ser_lightning.demo.about import About, about
from ser_lightning.demo.answering import show
from ser_lightning.inference.checkpoint import read_checkpoint

SMALL = ("model.net.channels=[8,16]", "model.frontend.n_mels=40", "logger=none")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, cremad_root):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    folder.mkdir()
    return make_checkpoint_of(folder / "best.ckpt", "data=cremad", f"data.root={cremad_root}", *SMALL)


@pytest.fixture(scope="module")
def model(checkpoint):
    return load_model(checkpoint)


def shares_in(html) -> dict[str, float]:
    found = re.findall(r'data-label="([^"]+)" data-probability="([^"]+)"', html)
    return {label: float(share) for label, share in found}


def test_a_model_of_acted_speech_says_so_and_under_which_protocol(checkpoint):
    said = about(read_checkpoint(checkpoint))
    assert (said.name, said.trained_on) == ("cnn", "CREMA-D")
    assert "acted speech" in said.warning and "conclude nothing" in said.warning
    assert "Split actors5, fold 0" in said.facts[0] and "are not in training" in said.facts[0]
    assert "not calibrated" in said.facts[-1]


@pytest.mark.parametrize(
    ("corpora", "is_acted"), [(["msp_podcast"], False), (["cremad"], True), (["cremad", "msp_podcast"], True)]
)
def test_speech_that_was_not_acted_is_not_said_to_be(checkpoint, corpora, is_acted):
    read = read_checkpoint(checkpoint)
    data = {"corpora": corpora}
    changed = replace(read, stamp={**read.stamp, "config": {**read.config, "data": data}})
    assert ("acted" in about(changed).warning) == is_acted


@pytest.mark.parametrize("part", ["frontend", "net"])
def test_a_model_that_normalises_by_speaker_says_that_there_is_one_recording(checkpoint, part):
    read = read_checkpoint(checkpoint)
    model = {**read.config["model"], part: {**read.config["model"][part], "normalise": "speaker"}}
    changed = replace(read, stamp={**read.stamp, "config": {**read.config, "model": model}})
    assert any("from the one recording" in fact for fact in about(changed).facts)


def test_what_the_run_knows_is_said_of_its_chosen_checkpoint_alone(checkpoint, tmp_path):
    make_run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name in ("best.ckpt", "last.ckpt"):
        (tmp_path / "checkpoints" / name).write_bytes(checkpoint.read_bytes())
    facts = " ".join(about(read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")).facts)
    assert "58.3%" in facts and "guessing gives 16.7%" in facts
    assert "58.3%" not in " ".join(about(read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")).facts)


def test_synthetic_speech_and_shared_speakers_are_named(checkpoint, tmp_path):
    read = read_checkpoint(checkpoint)
    data, protocol = read.stamp["config"]["data"], read.stamp["protocol"]
    changed = {
        "config": {**read.stamp["config"], "data": {**data, "corpus": "toy"}},
        "protocol": {**protocol, "speaker_independent": False, "split": "random"},
        "temperature": 1.7,
    }
    read.write(tmp_path / "toy.ckpt", **changed)
    said = about(read_checkpoint(tmp_path / "toy.ckpt"))
    assert said.trained_on == "synthetic speech" and "mean nothing" in said.warning
    assert "are in training, too" in said.facts[0] and "are calibrated" in said.facts[-1]


def test_a_corpus_of_ones_own_is_named_by_its_file(checkpoint, tmp_path):
    read = read_checkpoint(checkpoint)
    pooled = {"corpora": ["cremad", "/data/calls.csv"]}
    read.write(tmp_path / "a.ckpt", config={**read.stamp["config"], "data": pooled})
    assert about(read_checkpoint(tmp_path / "a.ckpt")).trained_on == "CREMA-D + calls"


def test_an_answer_has_a_bar_for_each_class_and_names_the_best():
    html = words.answer(made((0.1, 0.7, 0.2)))
    assert shares_in(html) == pytest.approx({"anger": 0.1, "fear": 0.7, "neutral": 0.2})
    assert "fear <span>70.0%</span>" in html and html.count('class="best"') == 1 and "<details>" not in html


def test_segments_are_listed_and_those_without_sound_said_to_be_so():
    html = words.answer(made((0.1, 0.7, 0.2), (0.8, 0.1, 0.1), (0.2, 0.2, 0.6), silent=(1,)))
    assert "The mean over 2 segments, without 1" in html
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", html)
    assert rows == [
        ("0:00.0–0:04.0", "fear", "70.0%"),
        ("0:02.0–0:06.0", "silent", ""),
        ("0:04.0–0:08.0", "neutral", "60.0%"),
    ]


def test_many_segments_are_cut_short():
    html = words.answer(made(*[(0.1, 0.7, 0.2)] * 750))
    assert html.count("<tr>") == 500 and "and 250 more" in html and "24:" not in html


def test_silence_has_no_bars():
    html = words.answer(made((0.1, 0.7, 0.2), silent=(0,)))
    assert "silent" in html and not shares_in(html)


def test_names_are_text_and_no_markup():
    evil = "<script>alert(1)</script>"
    said = About(name=evil, trained_on=evil, warning=evil, facts=[evil])
    prediction = made((0.1, 0.7, 0.2), (0.1, 0.7, 0.2), labels=("a", evil, '"><b>'))
    parts = (words.head(said), words.notes(said), words.complaint(evil), words.answer(prediction))
    for html in (*parts, words.picture({"light": Path(f"/{evil}.png")}, prediction)):
        assert "<script" not in html and '"><b>' not in html.replace('"><b style', "")


def test_a_file_is_answered_as_predict_file_does(model, tmp_path):
    clip = tmp_path / "1001_DFA_ANG_XX.flac"
    make_clip(clip, seed=3, seconds=9, rate_hz=44_100)
    told: list[float] = []
    shown = show(model, clip, window_s=2, hop_s=1, folder=tmp_path, on_progress=told.append)
    expected = model.predict_file(clip, windows=model_windows(2, 1))
    assert shares_in(shown.answer) == pytest.approx(dict(expected.probabilities), abs=1e-6)
    sources = re.findall(r'src="gradio_api/file=([^"]+)"', shown.picture)
    assert len(sources) == 2 and all(Path(source).read_bytes().startswith(b"\x89PNG") for source in sources)
    samples, rate_hz = soundfile.read(shown.player)
    assert rate_hz == 16_000 and len(samples) == 9 * 16_000 and told == [0.0]


def test_no_more_of_a_recording_is_decoded_than_is_answered(model, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "RECORDING_S", 40)
    path = tmp_path / "a day.flac"
    soundfile.write(path, np.zeros(24 * 3_600 * 1_000, np.int16), 1_000)
    began = time.monotonic()
    shown = show(model, path, window_s=4, hop_s=2, folder=tmp_path)
    assert "a day.flac is longer than 60 minutes" in shown.answer and "ser predict" in shown.answer
    assert time.monotonic() - began < 5 and shown.player is None


def model_windows(window_s, hop_s):
    from ser_lightning import Windows

    return Windows(window_s=window_s, hop_s=hop_s)


def test_progress_is_told_over_a_long_recording(model, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.tile(np.float32([0.1, -0.1]), 8_000 * 90), 16_000)
    told: list[float] = []
    show(model, path, window_s=10, hop_s=10, folder=tmp_path, on_progress=told.append)
    assert told == pytest.approx([0, 1 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("content", "window_s", "complaint"),
    [
        (b"", 4, "broken.wav is empty"),
        (b"RIFF\x00\x00\x00\x00WAVEnonsense", 4, "broken.wav "),
        (None, 1, "windows of 1 s every 2 s"),
    ],
)
def test_what_cannot_be_heard_is_one_clear_message(model, tmp_path, content, window_s, complaint):
    path = tmp_path / "broken.wav"
    if content is None:
        make_clip(path.with_name("1001_DFA_ANG_XX.wav"), seed=0)
        path = path.with_name("1001_DFA_ANG_XX.wav")
    else:
        path.write_bytes(content)
    shown = show(model, path, window_s=window_s, hop_s=2, folder=tmp_path)
    assert complaint in shown.answer and 'role="alert"' in shown.answer
    assert shown.picture is None and shown.player is None
