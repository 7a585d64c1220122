"""Where the files of CREMA-D can be had, and their checksums."""

import csv
import lzma
from pathlib import Path

from ser_lightning.data.corpora.corpus import RemoteFile

AUDIO_FOLDER = "AudioWAV"
# The audio is in Git LFS: the first host serves what the pointers point to, the second the repository itself.
_LFS_FILES = "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master"
_GIT_FILES = "https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/master"
_MIRROR = "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/raw/master"
_TABLES = (  # path, size in bytes, sha256 (its first 128 bits), as in commit 1658cd34 of the GitHub repository
    ("processedResults/tabulatedVotes.csv", 4_057_953, "774d9d759cb5caf2542758a39eca8c0f"),
    ("processedResults/summaryTable.csv", 449_048, "fb0e382700d32c0d9adc0c6815292215"),
    ("VideoDemographics.csv", 4_033, "e33ddc8b60bedf98541735801127cbb6"),
)


def remote_files() -> tuple[RemoteFile, ...]:
    """Return the tables of votes and of actors, and the 7,442 clips.

    The checksums of the clips, in the file beside this one, were made from the Git LFS pointers under AudioWAV/ in
    commit 1658cd34 of the GitHub repository: one line a pointer, ``name,size,oid`` with the oid cut to 32 digits,
    sorted by name, in xz.
    """
    with lzma.open(Path(__file__).with_name("cremad_checksums.csv.xz"), "rt", encoding="ascii") as file:
        clips = [(f"{AUDIO_FOLDER}/{name}.wav", int(size), sha256) for name, size, sha256 in csv.reader(file)]
    return tuple(
        RemoteFile(
            path=path,
            urls=(f"{host}/{path}", f"{_MIRROR}/{path}"),
            size_bytes=size_bytes,
            digest=f"sha256:{sha256}",
        )
        for host, files in ((_GIT_FILES, _TABLES), (_LFS_FILES, clips))
        for path, size_bytes, sha256 in files
    )
