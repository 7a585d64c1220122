"""Download all the files of a corpus into one folder."""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from threading import Event, Lock
from urllib.parse import urlsplit

from platformdirs import user_data_path
from requests import Session
from requests.adapters import HTTPAdapter

from ser_lightning.data.corpora.corpus import Corpus, RemoteFile
from ser_lightning.data.download.archive import is_unpacked, unpack
from ser_lightning.data.download.errors import Corrupt, Unavailable, Unreachable
from ser_lightning.data.download.lfs import read_pointer
from ser_lightning.data.download.transfer import Part, Patience, Transfer
from ser_lightning.data.download.verify import verify
from ser_lightning.utils.errors import UserError, counted, some
from ser_lightning.utils.files import alone, writable
from ser_lightning.utils.progress import progress

_REASONS = 10  # that a message gives for what is not available
_HOPELESS = 10  # files in a row that a host fails to give before it is asked no more

log = logging.getLogger(__name__)


def default_folder(corpus: Corpus) -> Path:
    """Return ``$SER_DATA/NAME``, or the corpus's place in the user's data directory."""
    given = os.environ.get("SER_DATA")
    root = Path(given).expanduser() if given else user_data_path("ser_lightning") / "corpora"
    return root / corpus.name


def download(
    corpus: Corpus,
    folder: Path,
    *,
    jobs: int = 8,
    on_licence: Callable[[str], None] | None = None,
    patience: Patience | None = None,
) -> Path:
    """Bring ``corpus`` into ``folder``; what is there and right is kept, what is there and wrong is replaced.

    ``jobs`` files at a time. ``on_licence`` is told under which licence the corpus is before the first byte, and
    may raise to refuse; without it that is logged. An interrupted download goes on where it was when called again.
    Returns: ``folder``, in which every file is complete.
    Raises: UserError where files are not available, listing them with the reasons.
    """
    if corpus.remote is None:
        raise UserError(f"{corpus.title} cannot be downloaded: it is available from {corpus.where_to_get}")
    if jobs < 1:
        raise UserError(f"{jobs} downloads at a time do not get anywhere: at least 1 is needed")
    folder = folder.expanduser()
    with writable(folder, "free room there, or name a folder that can be written"):
        missing = [file for file in corpus.remote() if not _is_complete(file, folder)]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            waiting = "another download into %s is under way: waiting for it"
            with alone(folder / ".download.lock", on_wait=lambda: log.warning(waiting, folder)):
                missing = [file for file in missing if not _is_complete(file, folder)]  # it may have fetched some
                if missing:
                    (on_licence or log.warning)(
                        f"{corpus.title} is published under: {corpus.licence}. To download it is to accept that."
                    )
                    _fetch_all(corpus, missing, folder, jobs, patience or Patience())
    log.info("%s is in %s", corpus.title, folder)
    return folder


def _is_complete(file: RemoteFile, folder: Path) -> bool:
    """Return whether a file lies in ``folder`` as it was published, or unpacked there."""
    path = folder / file.path
    if file.unpack:
        return is_unpacked(path)
    if not path.is_file() or read_pointer(path):
        return False
    try:
        verify(path, file)
    except Corrupt:
        return False
    return True


def _fetch_all(corpus: Corpus, files: list[RemoteFile], folder: Path, jobs: int, patience: Patience) -> None:
    """Fetch files, ``jobs`` at a time. Raises: UserError with those that are not available, and why."""
    wrong = [file.path for file in files if (folder / file.path).is_file()]
    if wrong:
        replaced = "%d files in %s are not as published, such as %s: they are replaced"
        log.warning(replaced, len(wrong), folder, wrong[0])
    stop, hosts = Event(), _Hosts()
    failures: dict[str, str] = {}
    with Session() as session, progress(f"downloading {corpus.title}", in_bytes=True) as shown:
        session.headers["User-Agent"] = "ser_lightning"
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=jobs))
        for file in files:
            shown.at(file.path, 0, of=file.size_bytes)
        transfer = Transfer(session=session, patience=patience, progress=shown, stop=stop)
        fetch = partial(_fetch, transfer=transfer, hosts=hosts, folder=folder)
        pool = ThreadPoolExecutor(jobs)
        try:
            running = {pool.submit(fetch, file): file.path for file in files}
            for n, future in enumerate(as_completed(running), 1):
                failures[running[future]] = future.result()
                n_fetched = n - sum(map(bool, failures.values()))
                shown.advance(0, note=f"{n_fetched} of {counted(files, 'file')}")
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    failures = {path: failures[path] for path in running.values() if failures[path]}
    asked = {urlsplit(url).netloc for file in files for url in file.urls}
    if len(failures) == len(files) and hosts.unreachable.keys() == asked:
        raise UserError(_offline(corpus, hosts.unreachable, folder))
    if failures:
        raise UserError(_complaint(corpus, failures, len(files), folder))


def _offline(corpus: Corpus, unreachable: Mapping[str, str], folder: Path) -> str:
    """Say that no host can be reached, why, and what to do."""
    hosts, reasons = ", ".join(sorted(unreachable)), sorted(set(unreachable.values()))
    return (
        f"{corpus.title} cannot be downloaded: {hosts} {'; '.join(reasons)}. Check the network and run the same "
        f"command again, or get it from {corpus.where_to_get}, and put it into {folder}"
    )


class _Hosts:
    """A record of which hosts still serve: one that fails for many files in a row is not waited for each time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failed_in_a_row: Counter[str] = Counter()
        self.unreachable: dict[str, str] = {}  # by host, why

    def serves(self, host: str) -> bool:
        return host not in self.unreachable and self._failed_in_a_row[host] < _HOPELESS

    def succeeded(self, host: str) -> None:
        with self._lock:
            self._failed_in_a_row[host] = 0

    def failed(self, host: str, error: Unavailable) -> None:
        if isinstance(error, Unreachable):
            self.unreachable[host] = str(error)
            return
        with self._lock:
            self._failed_in_a_row[host] += 1
            if self._failed_in_a_row[host] == _HOPELESS:
                log.warning("%s failed for %d files in a row, and is left alone: it %s", host, _HOPELESS, error)


def _fetch(file: RemoteFile, *, transfer: Transfer, hosts: _Hosts, folder: Path) -> str:
    """Fetch one file from the first address that gives it; return why none does, or nothing."""
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in file.urls:
        host = urlsplit(url).netloc
        if not hosts.serves(host):
            reasons.append(f"{host} {hosts.unreachable.get(host, 'failed too often before')}")
            continue
        try:
            transfer.fetch(url, file, Part(target), partial(_settle, file=file, target=target))
        except Unavailable as error:
            hosts.failed(host, error)
            reasons.append(f"{host} {error}")
        else:
            hosts.succeeded(host)
            return ""
    return "; ".join(reasons)


def _settle(content: Path, *, file: RemoteFile, target: Path) -> None:
    """Move a downloaded file to where it belongs, or unpack it there."""
    if file.unpack:
        log.info("unpacking %s; the archive is removed afterwards", target)
        unpack(content, target)
    else:
        os.replace(content, target)


def _complaint(corpus: Corpus, failures: dict[str, str], n_files: int, folder: Path) -> str:
    """Say which files are not available, by reason, and what to do."""
    lines = [f"{len(failures)} of {counted(n_files, 'file')} of {corpus.title} not available:"]
    by_reason = defaultdict(list)
    for path, reason in failures.items():
        by_reason[reason].append(path)
    lines += [f"  {some(paths)}: {reason}" for reason, paths in list(by_reason.items())[:_REASONS]]
    if len(by_reason) > _REASONS:
        lines.append("  and others for other reasons")
    lines.append("Run the same command again: what has come is kept, and it goes on from there.")
    lines.append(f"Or get {corpus.title} from {corpus.where_to_get}, and put it into {folder}.")
    return "\n".join(lines)
