"""Files that are written whole: links, pipes and devices stay what they are."""

import os
import threading
from pathlib import Path

import pytest

from ser_lightning.utils.errors import NoRoom
from ser_lightning.utils.files import replacing, written_whole


def write(path: Path, text: str) -> None:
    with written_whole(path) as file:
        file.write(text)


def test_a_link_stays_and_leads_to_what_was_written(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to("real.csv")
    write(link, "new")
    assert link.is_symlink() and (tmp_path / "real.csv").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "real.csv"]


def test_to_a_pipe_it_is_written(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write(pipe, "answers")
    reader.join(10)
    assert read == ["answers"] and pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no full device")
def test_a_device_stays_one(tmp_path):
    for name in ("null", "full"):
        (tmp_path / name).symlink_to(f"/dev/{name}")
    write(tmp_path / "null", "nothing")
    with pytest.raises(NoRoom):
        write(tmp_path / "full", "too much")
    assert Path("/dev/null").is_char_device() and Path("/dev/full").is_char_device()


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("a" * 251 + ".csv")
    write(path, "text")
    assert path.read_text() == "text" and len(list(tmp_path.iterdir())) == 1


def test_a_failure_names_the_file_and_leaves_it_as_it_was(tmp_path):
    path = tmp_path / "gone" / "a.csv"
    with pytest.raises(FileNotFoundError) as failed:
        write(path, "text")
    assert failed.value.filename == str(path)
    kept = tmp_path / "kept"
    kept.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(kept) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert kept.read_text() == "old" and list(tmp_path.iterdir()) == [kept]
