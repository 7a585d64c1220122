"""Keep which files belong to which browser, from its first open page of the demo to its last."""

import os
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gradio_client.utils import strip_invalid_filename_characters

from ser_lightning.demo import limits


class Session:
    """A browser: the pages it has open, by the names they give themselves, and its folder of uploads."""

    def __init__(self, folder: Path):
        self.pages: Counter[str] = Counter()
        self._folder = folder

    def holds(self, path: str) -> bool:
        """Return whether this is a regular file that was uploaded in this session, or that was made of one."""
        try:
            if not Path(os.path.abspath(path)).is_relative_to(self._folder):
                return False  # without a look at the disk
            place = Path(path).resolve(strict=True)
            return place.is_relative_to(self._folder) and stat.S_ISREG(place.stat().st_mode)
        except (OSError, ValueError, RuntimeError):  # names that no file can have; links in a circle
            return False

    def keep(self, content: BinaryIO, name: str) -> Path:
        """Copy an upload to a folder of its own, in which lies, too, what is made of it.

        Raises: OSError where it cannot be kept.
        """
        name = strip_invalid_filename_characters(Path(name).name)
        place = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            path = place / (name if name.strip(".") else "recording")
            with path.open("xb") as file:
                shutil.copyfileobj(content, file)
        except OSError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return path

    def end(self) -> None:
        """Delete the session's files."""
        _delete(self._folder)


class Sessions:
    """All sessions, by their cookie. ``root`` is the folder in which each has its own."""

    def __init__(self, root: Path):
        self._root = root.resolve()
        self._by_cookie: dict[str, Session] = {}

    def of(self, cookie: str | None) -> Session | None:
        """Return the session of a browser that has a page open."""
        return self._by_cookie.get(cookie or "")

    @contextmanager
    def open_page(self, cookie: str, page: str) -> Iterator[None]:
        """Keep a session while the page is open. With the last page of a browser its files go."""
        session = self._by_cookie.get(cookie)
        if session is None:
            session = Session(Path(tempfile.mkdtemp(prefix="session_", dir=self._root)))
            self._by_cookie[cookie] = session
        session.pages[page] += 1
        try:
            yield
        finally:
            session.pages -= Counter({page: 1})
            if not session.pages:
                del self._by_cookie[cookie]
                session.end()

    def keep(self, content: BinaryIO, name: str, session: Session) -> Path:
        """Copy an upload to its session; where all take too much room, the oldest go. Raises: OSError."""
        path = session.keep(content, name)
        uploads = sorted(map(_changed_and_size, self._root.glob("session_*/*")), reverse=True)
        taken = 0
        for _, n_bytes, upload in uploads:
            taken += n_bytes
            if taken > limits.KEPT_BYTES and upload != path.parent:
                _delete(upload)
        return path


def _delete(folder: Path) -> None:
    """Delete a folder into which an answer may be written just now: by another name, it takes nothing more."""
    gone = folder.with_name(f"gone_{folder.name}")
    try:
        folder.rename(gone)
    except OSError:  # on Windows, of what is open
        gone = folder
    shutil.rmtree(gone, ignore_errors=True)


def _changed_and_size(upload: Path) -> tuple[float, int, Path]:
    """Return when an upload's folder changed, how many bytes it has, and the folder."""
    try:
        n_bytes = sum(file.stat().st_size for file in upload.rglob("*") if file.is_file())
        return upload.stat().st_mtime, n_bytes, upload
    except FileNotFoundError:  # its page was closed just now
        return 0, 0, upload
