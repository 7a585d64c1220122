"""Unpack a zip that comes from elsewhere: nothing outside its folder, nothing unchecked, all of it or nothing.

A hidden marker beside the folder, ``.NAME.unpacked``, lists what came out with its sizes: that is how a finished
download is recognised once the archive itself is gone.
"""

import errno
import json
import os
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ser_lightning.data.download.errors import Corrupt
from ser_lightning.utils.files import written_whole

_MOST_BYTES = 20 * 10**9  # an archive that claims to hold more is no corpus of acted speech
_CHUNK_BYTES = 1 << 20
_ENCRYPTED = 0x1  # flag bit
_BAD_ADDRESSES = (errno.EINVAL, errno.ENAMETOOLONG)  # a place before the archive's start, a name no disk takes

Member = tuple[PurePosixPath, zipfile.ZipInfo]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the zip ``archive`` into ``folder``, replacing what has the same name there.

    Where the archive has a folder called like ``folder`` itself, only what is in that one is taken.
    Raises: Corrupt for an archive that is damaged, or that reaches outside the folder; ``folder`` is as it was.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        sizes = _extract(archive, partial, folder.name)
        _move(partial, folder)
        with written_whole(_marker(folder)) as file:
            json.dump(sizes, file, indent=0)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_unpacked(folder: Path) -> bool:
    """Return whether everything that was once unpacked into ``folder`` is still there."""
    try:
        sizes = json.loads(_marker(folder).read_text(encoding="utf-8"))
        return all((folder / path).stat().st_size == size_bytes for path, size_bytes in sizes.items())
    except (OSError, ValueError):
        return False


def _marker(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.unpacked")


def _extract(archive: Path, into: Path, name: str) -> dict[str, int]:
    """Extract what is in the folder ``name`` of a zip, or all of it where there is none.

    Returns: the size in bytes of each file, by its path below ``into``.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = _members(file.infolist(), name)
            for path, info in members:
                _extract_one(file, info, into / path)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, UnicodeError) as error:
        raise Corrupt(f"gives a damaged archive ({error})") from error
    except OSError as error:
        if error.errno not in _BAD_ADDRESSES:
            raise
        raise Corrupt(f"gives a damaged archive ({error.strerror})") from error
    return {path.as_posix(): info.file_size for path, info in members}


def _members(infos: list[zipfile.ZipInfo], name: str) -> list[Member]:
    """Return the files to extract, and where each goes: of the topmost folder ``name``, or all where there is none.

    Raises: Corrupt where anything in the archive, not only in that folder, is not as it should be.
    """
    if sum(info.file_size for info in infos) > _MOST_BYTES:
        raise Corrupt(f"gives an archive that claims to hold more than {_MOST_BYTES // 10**9} GB")
    members = [(_safe_path(info), info) for info in infos if not info.is_dir()]
    if not members:
        raise Corrupt("gives an archive without files")
    files = {PurePosixPath(path.as_posix().casefold()) for path, _ in members}
    if len(files) < len(members) or any(parent in files for path in files for parent in path.parents):
        raise Corrupt("gives an archive that holds two things of one name")
    tops = [path.parts[: path.parts.index(name) + 1] for path, _ in members if name in path.parts[:-1]]
    if not tops:
        return members
    top = PurePosixPath(*min(tops, key=len))
    return [(path.relative_to(top), info) for path, info in members if top in path.parents]


def _safe_path(info: zipfile.ZipInfo) -> PurePosixPath:
    """Return the path of a file in the archive. Raises: Corrupt for what could do harm, and what is encrypted."""
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in info.filename or not path.parts:
        raise Corrupt(f"gives an archive that reaches outside its folder ({info.filename!r})")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Corrupt(f"gives an archive that holds a link or a device ({info.filename!r})")
    if info.flag_bits & _ENCRYPTED:
        raise Corrupt("gives an encrypted archive")
    return path


def _extract_one(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    """Extract a file to ``path``, to its end, since zipfile compares the CRC there.

    It never gives more than the declared size. Raises: Corrupt where it gives less.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)
    if path.stat().st_size != info.file_size:
        raise Corrupt(f"gives a damaged archive ({info.filename!r} is shorter than declared)")


def _move(partial: Path, folder: Path) -> None:
    """Move the folder in one step where nothing is there yet, else file by file into what is."""
    if not folder.exists():
        partial.rename(folder)
        return
    for path in [path for path in partial.rglob("*") if path.is_file()]:
        target = folder / path.relative_to(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
