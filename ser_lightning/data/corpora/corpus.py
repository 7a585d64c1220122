"""What the corpus engine needs to know of a corpus."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


class MisnamedFile(ValueError):
    """A file name that does not follow the corpus's convention, or carries a code it does not define."""


@dataclass(frozen=True, kw_only=True)
class NameFacts:
    """What a corpus's file name says of the recording."""

    id: str
    speaker: str
    emotion: str
    sentence: str = ""
    intensity: str = ""
    sex: str = ""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus as a value: everything the engine does is driven by these fields.

    ``audio_folder`` is looked for under the root; without it the root itself is taken for the audio folder.
    ``parse`` turns a file name without its ending into facts, raising `MisnamedFile`.
    ``synthesise`` is set where the corpus is made rather than found, and writes it into a folder; ``version``
    is raised whenever it would write something else.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    n_clips: int
    audio_folder: str
    parse: Callable[[str], NameFacts]
    where_to_get: str
    licence: str
    synthesise: Callable[[Path], None] | None = None
    version: int = 1


def load_corpus(name: str) -> Corpus:
    """The corpus of that name: the ``CORPUS`` of the module ``ser_lightning.data.corpora.<name>``.

    Raises: ValueError where there is no such module.
    """
    module = f"{__package__}.{name}"
    try:
        return import_module(module).CORPUS
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"no corpus is called {name!r}: expected a file {name}.py in {__package__}") from error
