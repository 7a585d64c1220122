"""Say a result's protocol in words: corpora, labels, and what was known of each speaker."""

import re
from collections.abc import Mapping
from typing import Any

from ser_lightning.runs.label_sources import MAJORITY, SOFT
from ser_lightning.runs.result_parts import Model

_NAMES = {"selection": "epoch selection", "speaker_clips": "clips known per speaker"}
_LABEL_SOURCES = {
    "values": "numbers given to the clips",
    MAJORITY: "raters' majority",
    SOFT: "raters' vote shares",
}


def corpora(facts: Mapping[str, Any]) -> str:
    """Return the name of the corpus, or, where a model was tested on another than it was trained on, both."""
    corpus, trained_on = facts["corpus"], facts.get("trained_on")
    if facts.get("test_corpus"):
        return f"{corpus}, tested on {facts['test_corpus']}"
    if not trained_on or trained_on == corpus or trained_on.startswith(f"{corpus}, "):  # another fold of it
        return str(corpus)
    return f"{trained_on}, tested on {corpus}"


def label_source(name: str) -> str:
    """Return in words whose labels a result holds for."""
    return _LABEL_SOURCES.get(name, name)


def in_words(protocol: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the names and values that `readable` gives, as a person reads them."""
    values = {**protocol, "label_source": label_source(protocol["label_source"])}
    return [(name_of(name), text) for name, text in values.items()]


def name_of(fact: str) -> str:
    """Return what a person calls a fact of the protocol."""
    return _NAMES.get(fact, fact.replace("_", " "))


def known_of_speakers(n_clips: int | str | None) -> str | None:
    """Return from how many of a speaker's clips statistics were fitted; None where from the tested clip alone."""
    if n_clips is None:
        return None
    clips = "all their clips" if n_clips == "all" else f"{n_clips} of their clips"
    return f"each speaker known from {clips}, without labels"


def model_title(model: Model) -> str:
    """Return what a model is called in titles: by the encoder it is built on, if there is one."""
    built_on = model.pretrained
    return f"{without_folders(built_on.name)}, {built_on.mode}," if built_on is not None else model.name


def without_folders(text: str) -> str:
    """Return a text in which absolute paths are their last part: the rest says where things lie on one machine."""
    return re.sub(r"(?<!\S)/\S*/(?=\S)", "", text)
