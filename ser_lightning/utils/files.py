"""Write files and folders atomically, read them safely, and say where the cache lies."""

import hashlib
import json
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import yaml
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from ser_lightning.utils.errors import NoRoom, UserError, is_full
from ser_lightning.utils.text import cut

log = logging.getLogger(__name__)
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast, where there is one
_DEEPEST = 30  # levels of a config; ours have six


def cache_root() -> Path:
    """Return ``$SER_CACHE``, or the user's cache directory."""
    named = os.environ.get("SER_CACHE")
    return Path(named).expanduser() if named else user_cache_path("ser_lightning")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name to write to, which replaces ``path`` once that is done; a failure leaves ``path`` as it was.

    A link stays, and leads to what was written; to a pipe or a device it is written.
    Raises: NoRoom, which names ``path``, where the disk is full; another OSError, which names it too.
    """
    is_stream = path.exists() and not (path.is_file() or path.is_dir())
    place = Path(tempfile.mkdtemp(), "stream") if is_stream else Path(os.path.realpath(path))
    partial = place.with_name(f".{cut(place.name, 100)}.{os.getpid()}")
    try:
        yield partial
        if is_stream:
            with partial.open("rb") as source, path.open("wb") as stream:
                shutil.copyfileobj(source, stream)
        else:
            os.replace(partial, place)
    except (OSError, RuntimeError) as error:
        if is_full(error):
            raise NoRoom(path) from error
        if isinstance(error, OSError) and error.filename == str(partial):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        partial.unlink(missing_ok=True)
        if is_stream:
            place.parent.rmdir()


def remove_partials(folder: Path) -> None:
    """Remove what writers that were killed left in ``folder``, which must be this process's own."""
    for path in folder.glob(".*.*"):
        if re.fullmatch(r"\..+\.\d+", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def has_content(path: Path) -> bool:
    """Return whether there is a file with something in it: an empty one was left by a process that was killed."""
    return path.is_file() and path.stat().st_size > 0


@contextmanager
def written_whole(path: Path) -> Iterator[TextIO]:
    """Yield a text file that replaces ``path`` once it is written; a failure leaves ``path`` as it was."""
    with (
        replacing(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        yield file


def check_regular(path: Path) -> None:
    """Refuse what is no regular file: a pipe would be waited for, a device read without end.

    Raises: OSError where there is none; ValueError.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"{path.name} is {'a folder' if stat.S_ISDIR(mode) else 'a pipe or a device'}, and no file"
        )


def sha256_of(path: Path) -> str:
    """Return the digest of a file of any size, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bytes(path: Path, *, most_bytes: int = 50_000_000) -> bytes:
    """Return what a file holds. Raises: OSError; ValueError for what is no regular file, or is larger than that."""
    check_regular(path)
    if path.stat().st_size > most_bytes:
        raise ValueError(f"{path.name} is larger than {most_bytes:,} bytes")
    return path.read_bytes()


def read_text(path: Path, *, most_bytes: int = 50_000_000) -> str:
    """Return what a text file holds.

    Raises: OSError; ValueError for what is not there, is no regular file, is larger than that, or is not UTF-8.
    """
    try:
        return read_bytes(path, most_bytes=most_bytes).decode("utf-8")
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is not there") from error


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a YAML file, as plain data.

    Raises: OSError; ValueError for a file that holds none, or is nested or swells as none of ours does.
    """
    text, depth = read_text(path, most_bytes=1_000_000), 0
    try:
        for event in yaml.parse(text, _YAML):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST or isinstance(event, yaml.AliasEvent):
                raise ValueError(f"{path.name} is none of ours: it is nested too deeply, or refers to itself")
        settings = yaml.load(text, _YAML)
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
        raise ValueError(f"{path.name} holds no settings")
    return settings


@contextmanager
def writable(place: object, remedy: str) -> Iterator[None]:
    """Turn the OSError of a failed write into one for people; ``place`` says what, or where, it was to be written.

    Raises: UserError, with the remedy.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{place} cannot be written ({error.strerror or error}): {remedy}") from error


@contextmanager
def alone(lock: Path, *, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the file ``lock``, which one process at a time can; ``on_wait`` is called where another has it."""
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        on_wait()
        held.acquire()
    try:
        yield
    finally:
        held.release()


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """Yield a folder that becomes ``folder`` once it is written; after a failure nothing is left of it.

    For one process at a time: what a killed one left behind is thrown away.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def other_ending(path: Path) -> str:
    """Say which file of the same name, but for its ending, lies where this one does not; nothing without one."""
    try:
        names = sorted(file.name for file in path.parent.iterdir() if file.stem == path.stem and file.exists())
    except OSError:
        return ""
    return f", but {names[0]} is there" if names else ""


def shared_folder(paths: Sequence[str]) -> str:
    """Return the folder that all paths lie in, with its slash; nothing where only some are absolute."""
    if len({os.path.isabs(path) for path in paths}) > 1:
        return ""
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return folder and folder.rstrip("/") + "/"


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file of ours holds; None where it is not there, empty, or damaged, which is logged."""
    if not has_content(path):
        return None
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        log.warning("%s is damaged and ignored", path)
        return None
    return value


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, atomically: all of it, or nothing. NaN is refused: JSON has none."""
    text = json.dumps(value, indent=2, allow_nan=False)
    with written_whole(path) as file:
        file.write(text + "\n")
