"""A container's user: a number without a name."""

import os
import tempfile
from pathlib import Path

import pytest

from ser_lightning.utils.user import name_user


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    yield
    os.environ.pop("USER", None)
    os.environ.pop("HOME", None)


def test_a_user_without_a_name_gets_one_and_a_home(nobody, tmp_path):
    import getpass

    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    name_user()
    assert getpass.getuser() == f"user{os.getuid()}"
    assert Path.home().parent == tmp_path and Path.home().stat().st_mode & 0o777 == 0o700


def test_a_home_that_another_prepared_is_not_taken(nobody, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"home-of-user{os.getuid()}").symlink_to("elsewhere")
    name_user()
    assert "HOME" not in os.environ


def test_a_user_with_a_name_keeps_it(monkeypatch):
    monkeypatch.setenv("USER", "anna")
    monkeypatch.setenv("HOME", "/home/anna")
    name_user()
    assert (os.environ["USER"], os.environ["HOME"]) == ("anna", "/home/anna")
