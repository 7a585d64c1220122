"""Find a corpus's files, and parse their names or the list that names them."""

import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ser_lightning.data.corpora import Corpus, MisnamedFile, NameFacts
from ser_lightning.data.corpora.corpus import Listing
from ser_lightning.data.spelling import normalise, spelling_faults
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.files import other_ending

# What corpora ship beside their audio. Anything else is taken for audio until decoding says otherwise.
_NO_AUDIO = frozenset(
    (
        ".csv .tsv .txt .md .rst .pdf .json .jsonl .xml .yaml .yml .html .htm .py .r .sh .log .zip .tar .gz "
        ".tgz .lab .textgrid .eaf .png .jpg .jpeg .flv .mp4 .avi .ini .db .doc .docx .xls .xlsx .cff .bib"
    ).split()
)

_WITH_HINT = 10  # of the files that are not there, which are named


@dataclass(frozen=True, kw_only=True)
class BadFile:
    """A file that cannot be used, and why (the reason reads on after the file's name).

    ``line`` is that of a user's list, 0 where there is none.
    """

    path: str
    reason: str
    line: int = 0

    @property
    def named(self) -> str:
        """Return the path, with the line."""
        return f"{self.path} (line {self.line})" if self.line else self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """A file with a name that was understood; ``path`` is relative to the audio folder.

    ``copies`` are further files of that name and size, as in archives that hold a corpus twice. ``line`` is that
    of a user's list, 0 where there is none.
    """

    path: str
    size_bytes: int
    facts: NameFacts
    copies: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A listing of what lies under a root: files to decode, in the order of their ids, and bad files.

    ``states`` has an entry for each file to decode and each copy, by path: what the file system says of it, which
    is something else once it was written to or replaced, whatever size and times it was then given.
    """

    folder: Path
    files: tuple[SourceFile, ...]
    bad: tuple[BadFile, ...]
    states: Mapping[str, tuple[int, ...]]


def scan(corpus: Corpus, root: Path | None, *, setting: str = "data.root") -> Scan:
    """List and parse every file of ``corpus`` under ``root``, or those that the corpus itself lists.

    ``setting`` is what ``root`` was given by, as messages name it.
    Raises: UserError where the folder is missing or holds nothing that could be the corpus.
    """
    if corpus.listing is not None:
        return _listed(corpus.listing)
    if root is None:
        raise UserError(f"{corpus.title} needs {setting}=DIR. {how_to_get(corpus, setting)}")
    if not root.is_dir():
        fault = "is a file, not a folder" if root.exists() else "does not exist"
        raise UserError(f"{setting}={root} {fault}. {how_to_get(corpus, setting)}")
    folder = root / corpus.audio_folder
    if not folder.is_dir():
        below = [place for place in root.glob(f"*/{corpus.audio_folder}") if place.is_dir()]  # one level too high
        folder = below[0] if len(below) == 1 else root
    if corpus.read_listing is not None:
        return _listed(corpus.read_listing(folder))
    scanned = _parsed(corpus, folder)
    if not scanned.files:
        bad = scanned.bad
        example = f" ({counted(bad, 'file')}, such as {bad[0].path}, which {bad[0].reason})" if bad else ""
        raise UserError(f"{folder} holds no {corpus.title} audio{example}. {how_to_get(corpus, setting)}")
    return scanned


def _parsed(corpus: Corpus, folder: Path) -> Scan:
    """Return the files below ``folder``, by what their names say; a video is none where there is other audio of it.

    Raises: UserError where names of speakers differ by spelling alone.
    """
    files: dict[str, SourceFile] = {}
    bad: list[BadFile] = []
    states = {}
    for name, stat in _with_videos(folder, bad):
        try:
            name.encode()
            facts = corpus.facts(name)
        except UnicodeEncodeError:
            bad.append(BadFile(path=ascii(name), reason="has a name that is not UTF-8: rename it"))
            continue
        except MisnamedFile as error:
            if not _is_video(name):
                bad.append(BadFile(path=name, reason=str(error)))
            continue
        first = files.get(facts.id)
        if first is not None and _is_video(name) and not _is_video(first.path):
            continue
        if first is None:
            files[facts.id] = SourceFile(path=name, size_bytes=stat.st_size, facts=facts)
        elif first.size_bytes == stat.st_size:
            files[facts.id] = replace(first, copies=(*first.copies, name))
        else:
            bad.append(BadFile(path=name, reason=same_name(first)))
            continue
        states[name] = _state(stat)
    faults = spelling_faults((file.facts.speaker for file in files.values()), "speaker")
    if faults:
        raise UserError(f"{folder} cannot be used: {'; '.join(faults)}")
    return Scan(folder=folder, files=tuple(files[key] for key in sorted(files)), bad=tuple(bad), states=states)


def _listed(listing: Listing) -> Scan:
    """Return the files that a list names; those that are not there are bad ones."""
    files: dict[str, SourceFile] = {}
    bad: list[BadFile] = []
    states = {}
    for written, facts in listing.files.items():
        path, line = _path_on_disk(listing.folder, written), listing.lines.get(written, 0)
        try:
            stat = (listing.folder / path).stat()
        except (OSError, ValueError) as error:
            hint = other_ending(listing.folder / path) if len(bad) < _WITH_HINT else ""
            reason = f"cannot be found ({getattr(error, 'strerror', None) or error}{hint})"
            bad.append(BadFile(path=path, reason=reason, line=line))
            continue
        if facts.id in files:
            first = files[facts.id]
            reason = (
                f"differs from {first.path} (line {first.line}) by its ending alone, which is no part of a clip's "
                "name: rename it, or remove one of the lines"
            )
            bad.append(BadFile(path=path, reason=reason, line=line))
        else:
            files[facts.id] = SourceFile(path=path, size_bytes=stat.st_size, facts=facts, line=line)
            states[path] = _state(stat)
    return Scan(
        folder=listing.folder, files=tuple(files[key] for key in sorted(files)), bad=tuple(bad), states=states
    )


def _state(stat: os.stat_result) -> tuple[int, ...]:
    """Return size, times and inode. The time of the change is the system's own: no program can set it back."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def changed_files(scanned: Scan) -> list[str]:
    """Return the files that were written to, replaced or removed since they were scanned."""
    changed = []
    for path, state in scanned.states.items():
        try:
            is_same = _state(_stat(str(scanned.folder / path))) == state
        except OSError:
            is_same = False
        if not is_same:
            changed.append(path)
    return changed


def _path_on_disk(folder: Path, path: str) -> str:
    """Return the path as written, or in the file system's form: a list may be made on a Mac, its files on Linux."""
    if path.isascii():
        return path
    forms = [unicodedata.normalize(form, path) for form in ("NFC", "NFD")]
    return next((form for form in (path, *forms, normalise(path)) if os.path.lexists(folder / form)), path)


def same_name(first: SourceFile) -> str:
    """Return why a file that is called like ``first``, and is no copy of it, cannot be used."""
    return f"has the same clip name as {first.path}, and other contents"


def how_to_get(corpus: Corpus, setting: str) -> str:
    """Return where the corpus comes from and which override points to it."""
    command = (
        f"`ser data download {corpus.name}` fetches it. Or get it from " if corpus.remote else "It comes from "
    )
    return (
        f"{command}{corpus.where_to_get}, and point to it with {setting}=DIR, "
        f"where DIR holds {corpus.audio_folder}/ or is it."
    )


def _with_videos(folder: Path, bad: list[BadFile]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what `walk` does, then the videos, which are clips where there is no other file of them."""
    others: list[str] = []
    yield from walk(folder, bad, others)
    for name in others:
        if _is_video(name) and not _hidden(os.path.basename(name)):
            yield from _with_state(folder, name, bad)


def _with_state(folder: Path, name: str, bad: list[BadFile]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield a file with its size and times; one in a folder that can be listed and not entered is a bad one."""
    try:
        yield name, _stat(os.path.join(folder, name))
    except OSError as error:
        bad.append(BadFile(path=name, reason=f"cannot be opened ({error.strerror})"))


def _is_video(name: str) -> bool:
    return name.lower().endswith(".mp4")


def walk(
    folder: Path, bad: list[BadFile], passed_over: list[str] | None = None
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file that may be audio: its path below ``folder`` with forward slashes, and its size and times.

    Folders that cannot be listed are added to ``bad``; what is hidden, or named like no audio, to ``passed_over``.
    """

    def refused(error: OSError) -> None:
        below = os.path.relpath(error.filename, folder)
        bad.append(BadFile(path=below, reason=f"is a folder that cannot be listed ({error.strerror})"))

    others = [] if passed_over is None else passed_over
    walked = set()  # folders, by device and inode
    for here, folders, names in os.walk(folder, followlinks=True, onerror=refused):
        stat = os.stat(here)
        if (stat.st_dev, stat.st_ino) in walked:  # a link that leads back up
            folders.clear()
            continue
        walked.add((stat.st_dev, stat.st_ino))
        below = os.path.relpath(here, folder).replace(os.sep, "/")
        prefix = "" if below == "." else below + "/"
        others += [f"{prefix}{name}/" for name in sorted(folders) if _hidden(name)]
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(names):
            if _hidden(name) or os.path.splitext(name)[1].lower() in _NO_AUDIO:
                others.append(prefix + name)
            else:
                yield from _with_state(folder, prefix + name, bad)


def _stat(path: str) -> os.stat_result:
    """Return what the file system says of a file. Raises: OSError."""
    try:
        return os.stat(path)
    except OSError:  # a link to nowhere: decoding will name it
        return os.lstat(path)


def _hidden(name: str) -> bool:
    """Return whether a name is that of a hidden file or folder, or of what a Mac puts into archives."""
    return name.startswith(".") or name == "__MACOSX"
