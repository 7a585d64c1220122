"""The description of a corpus that the package works from, and how one is loaded by its name."""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from ser_lightning.data.manifest import UNKNOWN_SPEAKER
from ser_lightning.data.spelling import normalise
from ser_lightning.data.votes import Votes
from ser_lightning.utils.errors import UserError

SYNTHETIC = "synthetic speech: says nothing about emotion"  # wherever a result on such a corpus is shown


class MisnamedFile(ValueError):
    """A file name that does not follow the corpus's convention, or carries a code it does not define."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NameFacts:
    """What a corpus's file name, or its list, says of the recording.

    ``age`` is the speaker's, in years; '' is unknown. ``values`` are numbers that raters gave, such as arousal, by
    name; names without one are unknown.
    """

    id: str
    speaker: str
    emotion: str
    sentence: str = ""
    intensity: str = ""
    sex: str = ""
    age: str = ""
    fold: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Files that are listed rather than found by their names: path below ``folder`` (or absolute) to facts.

    ``lines`` are those of the list, by path. ``has_times``: it has columns of where clips begin in their files,
    which nothing reads.
    """

    folder: Path
    files: Mapping[str, NameFacts]
    lines: Mapping[str, int] = field(default_factory=dict)
    has_times: bool = False

    @property
    def known_speakers(self) -> set[str]:
        """Return the names of the speakers, but for those whom nobody knows."""
        return {facts.speaker for facts in self.files.values()} - {UNKNOWN_SPEAKER}


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of a corpus as it is published; what is None is not known, and so not checked.

    ``path`` is where it lands under the corpus's folder, with forward slashes; for an archive to ``unpack``, the
    folder that its content lands in. ``urls`` are mirrors in the order to try them. ``digest`` is "sha256:..."
    or "md5:..." in hexadecimal, of which the end may be cut off down to 128 bits.
    """

    path: str
    urls: tuple[str, ...]
    size_bytes: int | None = None
    digest: str | None = None
    unpack: bool = False


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus as a value: everything the engine does is driven by these fields.

    ``n_speakers`` and ``clips_by_label`` are of the whole corpus, None where releases differ; the keys of the
    latter, in order, are its labels. ``releases`` has the clips of each official part, of documented releases.
    ``audio_folder`` is looked for under the root; without it the root itself is taken for the audio folder.
    ``parse`` turns a file name without its ending into facts, raising `MisnamedFile`; with ``folders_in_names`` it
    is given the folders below ``audio_folder`` too. A corpus whose labels lie in tables has ``read_listing``
    instead, which reads out of the audio folder, or beside it, what files there are; a clip without an emotion has
    no label. A user's own list is a ``listing``.
    ``labelled_by`` is "speaker" where a clip's label is what its speaker was to show, or "annotators".
    ``read_votes`` reads annotators' votes, out of the corpus's own tables under its root.
    ``value_ranges`` names the numbers that its clips can have, such as arousal, each with the lowest and the
    highest there may be. Where ``parse`` or ``listing`` do not know them, ``read_values`` reads them out of the
    corpus's own tables when they are asked for: from its root, or a table that the user gives, to the values of
    each clip by its id; None where there is no such table.
    ``synthesise`` is set where the corpus is made rather than found, and writes it into a folder; ``version``
    is raised whenever it would write something else.
    ``remote`` is set where the corpus can be downloaded, and lists its files.
    ``examples`` are for the tests: paths below ``audio_folder``, and for each some fields of the `NameFacts` that
    ``parse`` must return. Every label is there, and as many speakers as the default split needs.
    """

    name: str
    title: str
    n_speakers: int | None
    clips_by_label: Mapping[str, int | None]
    audio_folder: str
    where_to_get: str
    licence: str
    parse: Callable[[str], NameFacts] | None = None
    folders_in_names: bool = False
    read_listing: Callable[[Path], Listing] | None = None
    listing: Listing | None = None
    labelled_by: str = "speaker"
    read_votes: Callable[[Path | None, Path | None], Votes | None] | None = None
    releases: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    value_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    read_values: Callable[[Path | None, Path | None], Mapping[str, Mapping[str, float]] | None] | None = None
    synthesise: Callable[[Path], None] | None = None
    version: int = 1
    remote: Callable[[], tuple[RemoteFile, ...]] | None = None
    examples: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return its class names."""
        return tuple(self.clips_by_label)

    def facts(self, path: str) -> NameFacts:
        """Return what ``parse`` reads of a path below the audio folder. Raises: MisnamedFile."""
        assert self.parse is not None
        name = posixpath.splitext(path)[0]
        return self.parse(normalise(name if self.folders_in_names else posixpath.basename(name)))

    @property
    def n_clips(self) -> int | None:
        """Return how many clips with a label the full corpus has; None where releases differ."""
        counts = [count for count in self.clips_by_label.values() if count is not None]
        return sum(counts) if len(counts) == len(self.clips_by_label) else None


def load_corpus(name: str) -> Corpus:
    """Return the corpus of that name: the ``CORPUS`` of the module ``ser_lightning.data.corpora.<name>``.

    Raises: UserError where there is none.
    """
    try:
        return import_module(f"{__package__}.{name}").CORPUS
    except (ModuleNotFoundError, AttributeError) as error:
        known = corpus_names()
        if name in known:
            raise
        raise UserError(f"no corpus is called {name!r}: there are {', '.join(known)}, or give a CSV") from error


def own_corpus(name: str) -> Corpus | None:
    """Return the corpus of that name; None where it is none of the package's, such as a user's list."""
    return load_corpus(name) if name in corpus_names() else None


def corpus_names() -> list[str]:
    """Return the names of all corpora, in alphabetical order."""
    folder = Path(__file__).parent
    names = sorted(module.name for module in iter_modules([str(folder)]))
    return [name for name in names if hasattr(import_module(f"{__package__}.{name}"), "CORPUS")]
