import io

import pytest
from finished_run import make_run
from rich.console import Console

from ser_lightning.data.prepare.preparation_report import Report
from ser_lightning.data.prepare.scan import BadFile
from ser_lightning.report.console import finish, print_summary
from ser_lightning.report.data_warnings import data_warnings


def said(run_dir) -> str:
    stream = io.StringIO()
    print_summary(run_dir, Console(file=stream, width=80))
    return stream.getvalue()


def lines_with(text: str, word: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if word in line]


@pytest.mark.pictures
def test_finish_draws_both_pictures_from_the_directory_alone(tmp_path):
    make_run(tmp_path / "run")
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    finish(moved)
    for name in ("confusion.png", "curves.png"):
        assert (moved / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.pictures
def test_finish_of_a_failed_run_draws_the_curves_it_got_to(tmp_path):
    make_run(tmp_path, status="failed", reason="loss is nan", metrics={}, confusion_matrix=None)
    finish(tmp_path)
    assert (tmp_path / "curves.png").exists()
    assert not (tmp_path / "confusion.png").exists()


@pytest.mark.pictures
def test_finish_of_a_run_that_failed_at_once_draws_nothing(tmp_path):
    (tmp_path / "result.json").write_text('{"schema": 1, "status": "failed", "reason": "no corpus"}')
    finish(tmp_path)
    assert not list(tmp_path.glob("*.png"))


def test_summary_tells_recall_clips_and_confusions_per_class(tmp_path):
    make_run(tmp_path)
    text = said(tmp_path)
    assert "anger 75.0% 4 fear (25.0%)" in lines_with(text, "anger")
    assert "fear 33.3% 3 neutral (66.7%)" in lines_with(text, "fear")
    assert "neutral 66.7% 3 anger (33.3%)" in lines_with(text, "neutral")


def test_summary_tells_the_whole_story_in_plain_eighty_columns(tmp_path):
    make_run(tmp_path)
    text = said(tmp_path)
    assert lines_with(text, "validation") == ["validation 50.0% 60.0% 57.4% 1.250"]
    assert "test 58.3% 60.0% 57.4% 1.250" in lines_with(text, "test ")
    for fact in (
        "best epoch 2, 3 trained",
        "912 clips/s",
        "123,456 parameters",
        "3 min 12 s",
        str(tmp_path),
    ):
        assert fact in text
    assert "speakers5, fold 2: no test speaker is in training" in text
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines() if str(tmp_path) not in line)


def test_shared_speakers_and_synthetic_speech_cannot_be_missed(tmp_path):
    result = make_run(tmp_path)
    make_run(tmp_path, synthetic=True, protocol={**result["protocol"], "speaker_independent": False})
    text = said(tmp_path)
    assert "SPEAKERS SHARED" in text
    assert "synthetic speech: says nothing about emotion" in text
    assert "no test speaker" not in text


NOTHING = {"speakers": [], "n_sounds": 0}
APART = {"train/test": NOTHING, "val/test": NOTHING, "train/val": NOTHING}


@pytest.mark.parametrize(
    ("pair", "shared", "words"),
    [
        ("train/test", {}, "fold 2: no test speaker is in training"),
        ("train/test", {"speakers": ["a", "b"]}, "SPEAKERS SHARED between training and test (2)"),
        ("train/test", {"n_sounds": 3}, "SOUNDS SHARED between training and test (3)"),
        ("val/test", {"speakers": ["a"]}, "SPEAKERS SHARED between validation and test (1)"),
        ("train/val", {"speakers": ["my:OAF"]}, "validation shares 1 speaker with training (my:OAF)"),
    ],
)
def test_each_pair_of_parts_is_told_apart(tmp_path, pair, shared, words):
    make_run(tmp_path, leakage={**APART, pair: {**NOTHING, **shared}})
    text = " ".join(said(tmp_path).split())
    assert words in text
    test_is_apart = not shared or pair == "train/val"
    assert ("no test speaker is in training" in text) is test_is_apart
    assert ("SHARED" in text) is not test_is_apart


def test_clips_of_unknown_speakers_are_left_out_of_the_claim(tmp_path):
    make_run(tmp_path, leakage=APART, warnings={"unknown_speaker": 3})
    text = " ".join(said(tmp_path).split())
    assert "no test speaker is in training, as far as they are known: 3 clips of unknown speakers" in text


def test_summary_without_a_validation_set(tmp_path):
    result = make_run(tmp_path)
    make_run(tmp_path, metrics={"val": None, "test": result["metrics"]["test"]})
    text = said(tmp_path)
    assert "validation" not in text
    assert lines_with(text, "58.3%")


def test_summary_of_an_absent_class(tmp_path):
    result = make_run(tmp_path)
    test = {**result["metrics"]["test"], "recall": {"anger": 0.75, "fear": None, "neutral": 0.5}}
    make_run(tmp_path, metrics={"val": None, "test": test}, confusion_matrix=[[4, 0, 0], [0, 0, 0], [0, 0, 3]])
    assert "fear absent 0 –" in lines_with(said(tmp_path), "fear")


def test_summary_of_a_failure_gives_the_reason(tmp_path):
    (tmp_path / "result.json").write_text('{"schema": 1, "status": "failed", "reason": "no corpus in [/data]"}')
    text = said(tmp_path)
    assert "failed: no corpus in [/data]" in text
    assert str(tmp_path) in text


def test_data_warnings_are_counted(tmp_path):
    make_run(tmp_path, warnings={"silent": 1, "duplicate_audio": 3, "left_out_by_label": 1234, "odd_thing": 2})
    assert lines_with(said(tmp_path), "data warning") == [
        "data warning: 1 silent clip, used all the same",
        "data warning: 3 clips that sound the same as another",
        "data warning: 1,234 clips without a label here, left out",
        "data warning: 2 odd thing",
    ]


def test_data_warnings_that_were_logged_before_are_not_repeated(tmp_path):
    make_run(tmp_path, warnings={"silent": 1, "missing": 9, "clipped": 3, "left_out_by_label": 2})
    page = io.StringIO()
    print_summary(tmp_path, Console(file=page, width=100), data_warnings_said=True)
    assert lines_with(page.getvalue(), "data warning") == [
        "data warning: 9 clips of the corpus missing: this is a part of it",
        "data warning: 2 clips without a label here, left out",
    ]


def test_every_kind_of_warning_has_words():
    bad = (BadFile(path="x", reason="is empty"),)
    report = Report(
        folder="", n_files=1, bad=bad, silent=("a",), duplicate_audio=(("a", "b"),), n_missing=1, copies=("c",)
    )
    kinds = {*report.warnings(), "left_out_by_label"}
    assert data_warnings({"untested": 48}) == []  # of a run that was cut: the data are as they were
    assert len(report.warnings()) == 5
    for kind in kinds:
        (one,), (several,) = data_warnings({kind: 1}), data_warnings({kind: 2})
        assert one.startswith("1 ") and several.startswith("2 ") and one[2:] != several[2:]
        assert "_" not in one + several


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"test_corpus": "ravdess"}, "cnn on toy, tested on ravdess"),
        ({"corpus": "emodb", "trained_on": "cremad"}, "cnn on cremad, tested on emodb"),
        ({"trained_on": "toy, actors5, fold 3"}, "cnn on toy"),
        ({}, "cnn on toy"),
    ],
)
def test_the_title_names_the_corpus_that_was_tested_on(tmp_path, changes, title):
    result = make_run(tmp_path)
    make_run(tmp_path, protocol={**result["protocol"], **changes})
    assert said(tmp_path).splitlines()[1] == title


def test_labels_are_shown_letter_by_letter(tmp_path):
    labels = ["[red]anger[/red]", "fear", "neutral"]
    result = make_run(tmp_path)
    recall = dict.fromkeys(labels, 0.5)
    make_run(
        tmp_path, labels=labels, metrics={"val": None, "test": {**result["metrics"]["test"], "recall": recall}}
    )
    assert "[red]anger[/red]" in said(tmp_path)


def test_how_to_sync_is_told_only_where_there_is_something_to_sync(tmp_path):
    run_dir = tmp_path / "a run"
    make_run(run_dir)
    assert "wandb sync" not in said(run_dir)
    for name in ("offline-run-1-x", "offline-run-2-x"):
        (run_dir / "wandb" / name).mkdir(parents=True)
    hint = lines_with(said(run_dir), "wandb sync")[0]
    assert f"'{run_dir}/wandb/offline-run-1-x' '{run_dir}/wandb/offline-run-2-x'" in hint
