"""Imports point down: the contracts of pyproject.toml, by import-linter."""

import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def test_imports_point_down_and_no_room_says_less_than_what_it_is():
    linter = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    rooms = [path.parent for path in (ROOT / "ser_lightning").glob("*/__init__.py")]
    assert len(rooms) > 12
    for room in rooms:
        assert (room / "__init__.py").read_text().startswith('"""'), room
