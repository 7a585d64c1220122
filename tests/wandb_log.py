"""Read a .wandb file back: a LevelDB-style log of protobuf records.

Recent wandb has no reader of it in Python.
"""

import json
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from ser_lightning.tracking import run as wandb_run

_BLOCK = 32 * 1024
_FILE_HEADER = struct.Struct("<4sHB")  # ":W&B", magic, version
_CHUNK_HEADER = struct.Struct("<IHB")  # checksum, length, type
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_records(path: Path) -> Iterator[Record]:
    """Every whole record of the file, in order; AssertionError where the framing or a checksum is wrong."""
    data = path.read_bytes()
    ident, magic, _ = _FILE_HEADER.unpack_from(data)
    assert (ident, magic) == (b":W&B", 0xBEE1)
    payload, position = b"", _FILE_HEADER.size
    while position + _CHUNK_HEADER.size <= len(data):
        left_in_block = _BLOCK - position % _BLOCK
        if left_in_block < _CHUNK_HEADER.size:  # too little for a header: padding
            position += left_in_block
            continue
        checksum, length, kind = _CHUNK_HEADER.unpack_from(data, position)
        start = position + _CHUNK_HEADER.size
        chunk, position = data[start : start + length], start + length
        if len(chunk) < length:  # still being written
            return
        assert zlib.crc32(bytes([kind]) + chunk) == checksum
        assert bool(payload) == (kind in (_MIDDLE, _LAST))
        payload += chunk
        if kind in (_FULL, _LAST):
            yield Record.FromString(payload)
            payload = b""


def read_run(run_dir: Path, *, piece: int = 0, patience_s: float = 20.0) -> "OfflineRun":
    """The offline W&B run of a run directory, read once W&B's own process has written its last record."""
    give_up = time.monotonic() + patience_s
    while len(paths := sorted((run_dir / "wandb").glob("offline-run-*/*.wandb"))) <= piece:  # written there, too
        assert time.monotonic() < give_up, f"{run_dir} has no run of W&B"
        time.sleep(0.02)
    path = paths[piece]
    while (run := OfflineRun(path)).exit_code is None:
        assert time.monotonic() < give_up, f"{path} has no exit record"
        time.sleep(0.02)
    return run


def _merge(into: dict[str, Any], updates: Any) -> dict[str, Any]:
    for item in updates:
        *parents, last = item.nested_key or [item.key]
        place = into
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = json.loads(item.value_json)
    return into


class OfflineRun:
    """What an offline W&B run holds."""

    def __init__(self, path: Path):
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None
        self.run: Any = None
        self.kinds: set[str] = set()
        for record in read_records(path):
            self._take(record)

    def _take(self, record: Record) -> None:
        kind = record.WhichOneof("record_type")
        self.kinds.add(kind)
        if kind == "run":
            self.run = record.run
            _merge(self.config, record.run.config.update)
        elif kind == "config":
            _merge(self.config, record.config.update)
        elif kind == "history":
            self.history.append(_merge({}, record.history.item))
        elif kind == "summary":
            _merge(self.summary, record.summary.update)
        elif kind == "exit":
            self.exit_code = record.exit.exit_code

    def column(self, key: str) -> list[Any]:
        """Every value that was logged under a key, in order."""
        return [row[key] for row in self.history if key in row]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No credentials, no settings and no home of whoever runs the tests; nothing left open."""
    # not that of its own process, which W&B keeps there: put back after a teardown, it would name a dead one
    settings = [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_SERVICE"]
    for name in (*settings, "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield
    wandb_run.finish()
