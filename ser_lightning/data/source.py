"""A corpus and where it lies; several of them are told apart by their names.

`data.sources` opens them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ser_lightning.data.corpora import Corpus
from ser_lightning.data.download import default_folder, download
from ser_lightning.data.prepare.cache import find
from ser_lightning.data.prepare.scan import Scan, scan
from ser_lightning.data.spelling import loose_key
from ser_lightning.utils.errors import UserError, some

_POINTER_BYTES = 200  # what stands in for a file in Git LFS is no larger


@dataclass(frozen=True, kw_only=True)
class Source:
    """A corpus and the folder that it lies in.

    ``root`` None: where a download would put it. ``setting`` is the one that says where, for messages.
    """

    corpus: Corpus
    root: Path | None
    setting: str = "data.root"

    def find(self, *, fetch: bool) -> Scan:
        """List its files; ``fetch``: download it first, where it is not there."""
        root = self.root
        if root is None and self.corpus.remote is not None:
            root = default_folder(self.corpus)
            if not root.is_dir() and not fetch:
                root = None
        if fetch and root is not None and not self._is_there(root):
            download(self.corpus, root)
        return find(self.corpus, root, setting=self.setting)

    def _is_there(self, root: Path) -> bool:
        """Return whether as many files of sound are there as there should be, whatever they are."""
        try:
            scanned = scan(self.corpus, root)
        except UserError:
            return False
        sounds = [file for file in scanned.files if file.size_bytes > _POINTER_BYTES]
        return len(sounds) >= (self.corpus.n_clips or 1)


def named_apart(sources: Sequence[Source]) -> list[Source]:
    """Return the sources; of users' lists that share a name, or have a corpus's, later ones get a number behind it.

    Raises: UserError for a corpus, or a list, that is named twice.
    """
    named: dict[str, Source] = {}
    for source in sources:
        corpus, name, number = source.corpus, source.corpus.name, 2
        while name in named:
            if corpus.listing is None or corpus.where_to_get == named[name].corpus.where_to_get:
                names = ", ".join(other.corpus.name for other in sources)
                raise UserError(f"a corpus is named twice: {names}: name it once, or give one list another name")
            name, number = f"{corpus.name}_{number}", number + 1
        named[name] = source if name == corpus.name else replace(source, corpus=replace(corpus, name=name))
    return list(named.values())


def check_speakers(sources: Sequence[Source], same_speakers: bool | None) -> None:
    """Raise UserError for speakers of the same name in two lists, unless it is said whether they are one."""
    named = [(source.corpus.title, source.corpus.listing) for source in sources]
    lists = [(title, listing) for title, listing in named if listing is not None]
    spellings: dict[str, list[str]] = {}
    for _, listing in lists:
        names = sorted(listing.known_speakers)
        for key, name in {loose_key(name): name for name in names}.items():
            spellings.setdefault(key, []).append(name)
    twice = sorted(" or ".join(dict.fromkeys(names)) for names in spellings.values() if len(names) > 1)
    if twice and same_speakers is None:
        raise UserError(
            f"more than one list ({', '.join(str(listing.folder / title) for title, listing in lists)}) "
            f"has speakers called {some(twice)}: if these are the same people, add data.same_speakers=yes; "
            "if not, data.same_speakers=no"
        )
