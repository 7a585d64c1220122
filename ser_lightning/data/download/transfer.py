"""Download one file over HTTP: resume what is there, retry what breaks off, verify what came."""

import errno
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TypeVar

import requests
from requests import Response, Session
from urllib3.exceptions import HTTPError, NameResolutionError
from urllib3.util import Retry

from ser_lightning.data.corpora.corpus import RemoteFile
from ser_lightning.data.download import lfs
from ser_lightning.data.download.errors import Corrupt, Stopped, TryLater, Unavailable, Unreachable
from ser_lightning.data.download.verify import verify
from ser_lightning.utils.progress import Progress

T = TypeVar("T")
_CHUNK_BYTES = 1 << 14  # lost at most where the connection breaks
_HEADWAY_BYTES = 1 << 20  # an attempt that gets this much further is no failure
_RESOLVING = re.compile(r"Failed to resolve '[^']*' \((.*)\)")  # the host is named anyway
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_ATTEMPTS_OFFLINE = 2  # where no host was reached yet
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_TEMPORARY = (408, 425, 429)  # HTTP states beside 5xx that may pass


@dataclass(frozen=True, kw_only=True)
class Patience:
    """A policy: how often to ask one address for one file, and how long to wait.

    The wait after a failed attempt doubles from ``backoff_s`` on, less up to half by chance. A server that asks
    for more than ``longest_wait_s`` is given up.
    """

    attempts: int = 5
    backoff_s: float = 1.0
    longest_wait_s: float = 120.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0


class Part:
    """A file that has come in part: ``.NAME.part`` beside it, hidden so that nothing takes it for audio.

    Bytes of several attempts may only be joined where they are of one version. A checksum proves that in the end;
    without one, ``.NAME.origin`` holds what the server called the version, and it is asked for that one only.
    """

    def __init__(self, target: Path):
        self.path = target.with_name(f".{target.name}.part")
        self._origin = target.with_name(f".{target.name}.origin")

    def n_bytes(self) -> int:
        """Return how many bytes are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> str | None:
        """Return what the server at ``url`` called the version that the bytes are of."""
        if not self._origin.exists():
            return None
        origin, _, version = self._origin.read_text(encoding="utf-8").partition("\n")
        return version if origin == url else None

    def begin(self, url: str, version: str | None) -> None:
        """Remove what was there, and note where the bytes to come are from."""
        self.drop()
        if version is not None:
            self._origin.write_text(f"{url}\n{version}", encoding="utf-8")

    def drop(self) -> None:
        """Remove what was there, and the note."""
        self.path.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)


class _IsPointer(Unavailable):
    """An error of an address that gives a Git LFS pointer, which is carried along."""

    def __init__(self, pointer: lfs.Pointer):
        super().__init__("gives a Git LFS pointer")
        self.pointer = pointer


class Transfer:
    """A client that fetches files from addresses, and waits and asks again where that helps.

    Args:
        session: of `requests`; threads may share it.
        patience: how often to try and how long to wait.
        progress: is told how many bytes are there.
        stop: once set, everything under way ends with `Stopped`.
    """

    def __init__(self, *, session: Session, patience: Patience, progress: Progress, stop: Event):
        self._session = session
        self._patience = patience
        self._progress = progress
        self._stop = stop
        self._timeouts_s = (patience.connect_timeout_s, patience.read_timeout_s)
        self._answered = Event()  # set once any host did: a network that then goes away may come back

    def fetch(self, url: str, file: RemoteFile, part: Part, settle: Callable[[Path], None]) -> None:
        """Fetch ``file`` from ``url`` and hand the path of the complete, verified content to ``settle``.

        Raises: Unavailable where this address does not give it; what came is kept in ``part`` where it can be
            resumed. ``settle`` may raise Corrupt.
        """
        try:
            self._retrying(lambda: self._attempt(url, {}, file, part, settle), part)
        except _IsPointer as answer:
            pointer = answer.pointer
            algorithm, _, expected = (file.digest or "").partition(":")
            if file.digest is None:
                file = replace(file, size_bytes=pointer.size_bytes, digest=f"sha256:{pointer.sha256}")
            elif algorithm == "sha256" and not pointer.sha256.startswith(expected):
                raise Unavailable("gives a Git LFS pointer to another file") from None
            address, headers = self._retrying(lambda: self._resolve(url, pointer), part)
            self._retrying(lambda: self._attempt(address, headers, file, part, settle), part)

    def _retrying(self, attempt: Callable[[], T], part: Part) -> T:
        """Return what an attempt does, made again as often as patience allows; headway starts the count anew."""
        n_failed, furthest = 0, part.n_bytes()
        while True:
            try:
                with _translated_errors():
                    return attempt()
            except TryLater as error:
                n_failed = 1 if part.n_bytes() >= furthest + _HEADWAY_BYTES else n_failed + 1
                furthest = max(furthest, part.n_bytes())
                if isinstance(error, Unreachable) and not self._answered.is_set() and n_failed >= _ATTEMPTS_OFFLINE:
                    raise
                if n_failed >= self._patience.attempts:
                    raise Unavailable(f"{error}, {n_failed} times") from error
                self._back_off(n_failed, error)

    def _back_off(self, n_failed: int, error: TryLater) -> None:
        """Wait before the next attempt. Raises: Unavailable where the server asks for too long; Stopped."""
        longest_s = self._patience.longest_wait_s
        backoff_s = self._patience.backoff_s * random.uniform(0.5, 1.0)
        wait_s = min(backoff_s * 2 ** (n_failed - 1), longest_s)
        if error.after_s is not None:
            if error.after_s > longest_s:
                raise Unavailable(f"{error}, and asks to wait {error.after_s:.0f} s") from error
            wait_s = error.after_s + backoff_s  # not all threads at once
        if self._stop.wait(wait_s):
            raise Stopped from error

    def _attempt(
        self, url: str, headers: dict[str, str], file: RemoteFile, part: Part, settle: Callable[[Path], None]
    ) -> None:
        """Fetch, verify and settle a file once. Raises: Unavailable; _IsPointer where a Git LFS pointer came."""
        if file.digest is None and part.version(url) is None:
            part.drop()
        resumed = part.n_bytes()
        try:
            if not (resumed and resumed == file.size_bytes):
                self._receive(url, headers, file, part)
            if pointer := lfs.read_pointer(part.path):
                part.drop()
                raise _IsPointer(pointer)
            verify(part.path, file)
            settle(part.path)
        except Corrupt as error:
            part.drop()
            if resumed:  # the older bytes may be to blame
                raise TryLater(str(error)) from error
            raise
        part.drop()

    def _receive(self, url: str, headers: dict[str, str], file: RemoteFile, part: Part) -> None:
        """Ask for what is missing in ``part``, and append it; begin anew where the server gives all of the file.

        Raises: Unavailable where it gives neither.
        """
        start = part.n_bytes()
        headers = {**headers, "Accept-Encoding": "identity"}  # a range of compressed bytes is of no use
        if start:
            headers["Range"] = f"bytes={start}-"
            if (version := part.version(url)) is not None:
                headers["If-Range"] = version
        with self._session.get(url, headers=headers, stream=True, timeout=self._timeouts_s) as response:
            self._answered.set()
            total = _total_bytes(response)
            if response.status_code == 416 and total == start:
                return  # nothing was missing
            if response.status_code == 200:
                part.begin(url, _version(response) if file.digest is None else None)
            elif response.status_code not in (206, 416):
                raise _refusal(response)
            elif response.status_code == 416 or _first_byte(response) != start:
                part.drop()
                raise TryLater("does not give the rest of the file")
            self._append(response, file, part, total)

    def _append(self, response: Response, file: RemoteFile, part: Part, total: int | None) -> None:
        """Append the body to ``part``. Raises: TryLater if it breaks off, Corrupt if it is too long, Stopped."""
        n_bytes = part.n_bytes()
        with part.path.open("ab") as out:
            for chunk in response.iter_content(_CHUNK_BYTES):
                out.write(chunk)
                n_bytes += len(chunk)
                self._progress.at(file.path, n_bytes, of=total)
                if self._stop.is_set():
                    raise Stopped
                if file.size_bytes is not None and n_bytes > file.size_bytes + _CHUNK_BYTES:
                    raise Corrupt(f"gives more than {file.size_bytes} bytes")
        if n_bytes < (total if total is not None else file.size_bytes or 0):
            raise TryLater(f"breaks off after {n_bytes} bytes")

    def _resolve(self, url: str, pointer: lfs.Pointer) -> tuple[str, dict[str, str]]:
        """Ask the repository where the file itself lies; return address and headers. Raises: Unavailable."""
        address = lfs.batch_address(url)
        if address is None:
            raise Unavailable("gives a Git LFS pointer instead of the file")
        headers = {"Accept": lfs.MEDIA_TYPE, "Content-Type": lfs.MEDIA_TYPE}
        question = lfs.batch_request(pointer)
        with self._session.post(address, json=question, headers=headers, timeout=self._timeouts_s) as response:
            self._answered.set()
            if response.status_code != 200:
                raise _refusal(response)
            return lfs.download_address(response.content)


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn the errors of `requests` into ours, which say whether to try again."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise Unavailable(f"is not trusted ({_short(error)})") from error
    except requests.Timeout as error:
        raise TryLater("does not answer in time") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise TryLater("breaks off") from error
    except requests.ConnectionError as error:
        if _is_unreachable(error):
            reason = _RESOLVING.sub(r"\1", _short(error))
            raise Unreachable(f"cannot be reached ({reason})") from error
        raise TryLater(f"gives no connection ({_short(error)})") from error
    except (requests.RequestException, HTTPError) as error:
        raise Unavailable(f"gives nothing ({type(error).__name__}: {_short(error)})") from error


def _is_unreachable(error: BaseException) -> bool:
    """Return whether the name could not be resolved, or no route leads to the host: in the chain of causes."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    chain = [reason, getattr(reason, "__cause__", None), getattr(reason, "__context__", None)]
    return any(isinstance(link, NameResolutionError) or getattr(link, "errno", None) in _NO_WAY for link in chain)


def _short(error: Exception) -> str:
    """Return the end of an error's message, which is where `requests` puts the cause."""
    text = re.sub(r"\[Errno -?\d+\] ", "", str(error).rsplit(": ", 1)[-1]).strip("\"')( ")
    return text + ")" * (text.count("(") - text.count(")"))


def _refusal(response: Response) -> Unavailable:
    """Return the error that an answer without the file stands for: whether to ask again, and when."""
    try:
        after_s = Retry().get_retry_after(response.raw)  # seconds or a date
    except HTTPError:
        after_s = None
    reason = f"answers {response.status_code} {response.reason or ''}".rstrip()
    if response.status_code >= 500 or response.status_code in _TEMPORARY or after_s is not None:
        return TryLater(reason, after_s=after_s)
    return Unavailable(reason)


def _first_byte(response: Response) -> int | None:
    """Return where in the file the body begins, where the answer says so."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return None if match is None or match[1] is None else int(match[1])


def _total_bytes(response: Response) -> int | None:
    """Return the size of the file in bytes, where the answer says so."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is not None:
        return None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    plain = response.headers.get("Content-Encoding", "identity") == "identity"
    return int(length) if length.isdigit() and plain and response.status_code == 200 else None


def _version(response: Response) -> str | None:
    """Return a name of the version that a range can be asked of (RFC 9110, 13.1.5: no weak ones)."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
