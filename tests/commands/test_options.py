"""Files that options name: checked before any work, and nothing that matters is replaced."""

import os

import pytest

from ser_lightning.commands.options import check_places
from ser_lightning.utils.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run, a recording, a table and a link to it."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "result.json", "predictions.csv", "checkpoints/best.ckpt"):
        (run / name).write_text("a record")
    for name in ("checkpoints/model_card.md", "refused.json"):
        (run / name).write_text("a record")
    (tmp_path / "sweep" / "a job").mkdir(parents=True)  # which could not be composed
    (tmp_path / "sweep" / "a job" / "result.json").write_text("a record")
    (tmp_path / "sweep" / "sweep.json").write_text('{"command": [], "jobs": ["a job"]}')
    (tmp_path / "sweep.json").write_text('{"comparisons": []}')
    for name in ("speech.wav", "table.csv", "other.ckpt"):
        (tmp_path / name).write_text("something")
    (tmp_path / "link.jsonl").symlink_to("table.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"csv": "speech.wav"}, r"--csv speech\.wav is there, and its name does not end in \.csv"),
        ({"json": "run/result.json"}, r"--json run/result\.json is part of a run, and stays as it is"),
        ({"csv": "run/predictions.csv"}, "is part of a run"),
        ({"html": "run/checkpoints/best.ckpt"}, "is part of a run"),
        ({"markdown": "run/checkpoints/model_card.md"}, "is part of a run"),
        ({"json": "run/refused.json"}, "is part of a run"),
        ({"json": "sweep/sweep.json"}, "is part of a run"),
        ({"json": "sweep/a job/result.json"}, "is part of a run"),
        ({"csv": "a.csv", "json": "a.csv"}, r"--json a\.csv is where --csv goes: name two files"),
        ({"csv": "table.csv", "jsonl": "link.jsonl"}, "is where --csv goes"),
        ({"csv": "run"}, "is a directory: name a file"),
        ({"csv": "nowhere/a.csv"}, "nowhere is not there"),
        ({"csv": ""}, "--csv  names no file"),
        ({"heat-map": "-"}, "--heat-map needs the name of a file"),
        ({"output": "-"}, "--output needs the name of a file: a model is no text"),
        ({"output": "table.csv/a.onnx"}, "table.csv is no directory"),
        ({"csv": "-", "json": "-"}, "only one of them can have stdout"),
    ],
)
def test_what_would_be_lost_is_refused(folder, places, said):
    with pytest.raises(UserError, match=said):
        check_places(places)


def test_an_export_replaces_an_export_alone(folder):
    with pytest.raises(UserError, match=r"does not end in \.onnx"):
        check_places({"output": "other.ckpt"}, endings=(".onnx",))
    with pytest.raises(UserError, match="is part of a run"):
        check_places({"output": "run/checkpoints/best.ckpt"}, endings=(".ckpt",))
    check_places({"output": "other.ckpt"}, endings=(".ckpt",))
    check_places({"output": "run/checkpoints/best.calibrated.ckpt"}, endings=(".ckpt",))


def test_new_files_older_answers_and_devices_are_written(folder):
    check_places({"csv": "table.csv", "json": "new.anything", "jsonl": "/dev/null", "markdown": "-"})
    check_places({"json": "sweep.json"})  # a comparison that is called so


def test_a_list_of_clips_is_no_older_answer(folder):
    for first, is_list in (
        ("path,emotion,speaker", True),
        ('\ufeff"Path";"Emotion"', True),
        ("path,duration_s,label,p_anger", False),
    ):
        (folder / "my.csv").write_text(f"{first}\na.wav,anger,s1\n", encoding="utf-8")
        if is_list:
            with pytest.raises(UserError, match=r"--csv my\.csv is a list of clips, and stays as it is"):
                check_places({"csv": "my.csv"})
        else:
            check_places({"csv": "my.csv"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_where_nothing_may_be_written(folder):
    folder.chmod(0o555)
    with pytest.raises(UserError, match="may not be written by you"):
        check_places({"csv": "new.csv"})
