"""Data modules by what conf/data says: the arguments of these functions are its keys."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.data.sources import Source, Sources
from ser_lightning.data.user_csv import read_csv_corpus
from ser_lightning.errors import UserError


def one_corpus(*, corpus: str, root: str | None = None, **options: Any) -> EmotionDataModule:
    """A corpus of ours by its name; ``options`` are those of `_module`."""
    return _module([_source(corpus, root)], **options)


def user_csv(*, manifest: str | None, **options: Any) -> EmotionDataModule:
    """A user's own corpus, listed in a CSV; ``options`` are those of `_module`."""
    if manifest is None:
        raise UserError("data=csv needs data.manifest=FILE, a CSV with the columns path, emotion, speaker")
    return _module([Source(corpus=read_csv_corpus(Path(manifest).expanduser()), root=None)], **options)


def pooled_corpora(
    *,
    corpora: Sequence[str],
    roots: Mapping[str, str | None],
    test_corpus: str | None = None,
    test_root: str | None = None,
    **options: Any,
) -> EmotionDataModule:
    """Several corpora as one; ``roots`` says where each lies, by its name. ``options`` are those of `_module`."""
    if not corpora:
        raise UserError("data.corpora is empty: name at least one, as in data.corpora=[cremad,ravdess]")
    training = [_source(name, roots.get(name)) for name in corpora]
    if test_corpus is not None:
        test_root = test_root or roots.get(test_corpus)
    return _module(training, test_corpus=test_corpus, test_root=test_root, **options)


def _module(
    training: Sequence[Source],
    *,
    test_corpus: str | None = None,
    test_root: str | None = None,
    label_map: Mapping[str, str] | None = None,
    labels: str = "intended",
    votes: str | None = None,
    on_bad: str = "error",
    download: bool = False,
    same_speakers: bool | str | None = None,
    **serving: Any,
) -> EmotionDataModule:
    """``test_corpus`` is tested on, and only that; the rest is as in `Sources` and `EmotionDataModule`."""
    if test_root is not None and test_corpus is None:
        raise UserError(f"data.test_root={test_root} has no effect without data.test_corpus=NAME")
    sources = Sources(
        training=training,
        test=_source(test_corpus, test_root) if test_corpus is not None else None,
        label_map=label_map,
        labels=labels,
        votes=_path(votes),
        on_bad=on_bad,
        fetch=download,
        same_speakers=_answer(same_speakers),
    )
    return EmotionDataModule(sources=sources, **serving)


def _source(name: str, root: str | None) -> Source:
    """By its name, or, of a user's own, by the path of its CSV."""
    corpus = read_csv_corpus(Path(name).expanduser()) if name.endswith(".csv") else load_corpus(name)
    return Source(corpus=corpus, root=_path(root))


def _answer(text: bool | str | None) -> bool | None:
    """Yes or no, which YAML reads as true and false where they are not quoted."""
    answers = {None: None, True: True, False: False, "yes": True, "no": False}
    if text not in answers:
        raise UserError(f"data.same_speakers={text}: say yes or no, or null where there is nothing to answer")
    return answers[text]


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text is not None else None
