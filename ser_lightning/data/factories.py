"""Makes data modules of what conf/data says: the arguments of these functions are its keys."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.data.long_clips import MAX_CLIP_SECONDS, LongClips
from ser_lightning.data.source import Source
from ser_lightning.data.sources import Sources
from ser_lightning.data.spelling import normalise
from ser_lightning.data.splits.rules import SplitFromFile
from ser_lightning.data.user_csv import read_csv_corpus
from ser_lightning.runs.label_sources import INTENDED, current_name
from ser_lightning.utils.errors import UserError


def one_corpus(*, corpus: str, root: str | None = None, **options: Any) -> EmotionDataModule:
    """Make the data module of a corpus by its name; ``options`` are those of `_module`."""
    return _module([_source(corpus, root, "data.corpus", "data.root")], **options)


def user_csv(*, manifest: str | None, **options: Any) -> EmotionDataModule:
    """Make the data module of a user's CSV; ``options`` are those of `_module`."""
    if manifest is None:
        raise UserError("data=csv needs data.manifest=FILE, a CSV with the columns path, emotion, speaker")
    source = _source(manifest, None, "data.manifest", is_list=True, **_of_lists(options))
    return _module([source], **options)


def pooled_corpora(
    *,
    corpora: Sequence[str],
    roots: Mapping[str, str | None] | None = None,
    test_corpus: str | None = None,
    test_root: str | None = None,
    **options: Any,
) -> EmotionDataModule:
    """Make the data module of several corpora as one; ``roots`` says where each lies, by its name.

    ``options`` are those of `_module`.
    Raises: UserError for a root of a corpus that there is not.
    """
    if isinstance(corpora, str):
        raise UserError(f"data.corpora={corpora} is no list: say data.corpora=[{corpora}]")
    if not corpora:
        raise UserError("data.corpora is empty: name at least one, as in data.corpora=[cremad,ravdess]")
    roots = roots or {}
    if not isinstance(roots, Mapping):
        raise UserError(f"data.roots={roots} names no corpora: say data.roots.cremad=DIR, and so for each")
    for name in roots:
        _source(name, None, f"data.roots.{name}")
    training = [
        _source(name, roots.get(name), "data.corpora", f"data.roots.{name}", **_of_lists(options))
        for name in corpora
    ]
    test_setting = "data.test_root"
    if test_corpus is not None and test_root is None and test_corpus in roots:
        test_root, test_setting = roots[test_corpus], f"data.roots.{test_corpus}"
    return _module(training, test_corpus=test_corpus, test_root=test_root, test_setting=test_setting, **options)


def _module(
    training: Sequence[Source],
    *,
    test_corpus: str | None = None,
    test_root: str | None = None,
    test_setting: str = "data.test_root",
    label_map: Mapping[str, str] | None = None,
    labels: str = INTENDED,
    votes: str | None = None,
    targets: Sequence[str] | None = None,
    ranges: Mapping[str, Sequence[float]] | None = None,
    on_bad: str = "error",
    download: bool = False,
    same_speakers: bool | str | None = None,
    max_clip_seconds: float | None = None,
    on_long: str | None = None,
    **serving: Any,
) -> EmotionDataModule:
    """Make the data module of these corpora, and of one that is only tested on.

    The arguments are those of `Sources`, `LongClips` and `EmotionDataModule`.
    Raises: UserError for those that are no value of theirs.
    """
    if test_root is not None and test_corpus is None:
        raise UserError(f"data.test_root={test_root} has no effect without data.test_corpus=NAME")
    test = None
    if test_corpus is not None:
        read = _of_lists({"labels": labels, "targets": targets, "ranges": ranges})
        test = _source(test_corpus, test_root, "data.test_corpus", test_setting, **read)
    if same_speakers in ("yes", "no"):  # which YAML reads as true and false where they are not quoted
        same_speakers = same_speakers == "yes"
    if same_speakers is not None and not isinstance(same_speakers, bool):
        raise UserError(
            f"data.same_speakers={same_speakers}: say yes or no, or null where there is nothing to answer"
        )
    sources = Sources(
        training=training,
        test=test,
        targets=_targets(targets),
        ranges=_ranges(ranges),
        label_map=label_map,
        labels=labels,
        votes=_path(votes, "data.votes"),
        on_bad=on_bad,
        fetch=download,
        same_speakers=same_speakers,
        long_clips=LongClips(
            max_clip_seconds=MAX_CLIP_SECONDS if max_clip_seconds is None else max_clip_seconds,
            on_long=on_long or "error",
        ),
    )
    return EmotionDataModule(sources=sources, **serving)


def _source(
    name: str,
    root: str | None,
    named_by: str,
    setting: str = "data.root",
    *,
    is_list: bool = False,
    **read: Any,
) -> Source:
    """Return a corpus by its name, or a user's own by the path of its CSV, with what is to be ``read`` of that.

    ``named_by`` and ``setting`` are the settings that say its name and where it lies.
    """
    if not isinstance(name, str):
        raise UserError(f"{named_by}={name} is neither the name of a corpus nor the path of a CSV")
    try:
        if is_list or name.lower().endswith((".csv", ".tsv", ".txt")):
            corpus = read_csv_corpus(Path(name).expanduser(), **read)
        else:
            corpus = load_corpus(name)
    except UserError as error:
        raise UserError(f"{named_by}: {error}") from error
    return Source(corpus=corpus, root=_path(root, setting), setting=setting)


def _of_lists(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `read_csv_corpus` is to read of users' lists.

    Their column fold where the chosen split is made of it, and emotions where these are the labels.
    """
    rule = (options.get("splits") or {}).get(options.get("split"))
    targets = _targets(options.get("targets"))
    return {
        "folds": isinstance(rule, SplitFromFile) and rule.reads_manifest,
        "emotions": not targets and current_name(options.get("labels", INTENDED)) == INTENDED,
        "targets": targets,
        "ranges": _ranges(options.get("ranges")),
    }


def _targets(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the numbers to predict, in lower case. Raises: UserError for what is no list of names."""
    given = given or ()
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise UserError(f"data.targets={given} is no list of names: say data.targets=[arousal,valence]")
    return tuple(normalise(name).lower() for name in given)


def _ranges(given: Mapping[str, Sequence[float]] | None) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest value of numbers by name. Raises: UserError for what is no such range."""
    if not isinstance(given or {}, Mapping):
        raise UserError(f"data.ranges={given} is no range for each number: say data.ranges.arousal=[1,7]")
    ranges = {}
    for name, ends in (given or {}).items():
        try:
            low, high = (float(end) for end in ends)
        except (TypeError, ValueError):
            low = high = math.nan
        if not low < high:
            raise UserError(f"data.ranges.{name}={ends} is no range: say the lowest and the highest, as [1, 7]")
        ranges[normalise(str(name)).lower()] = (low, high)
    return ranges


def _path(text: str | None, setting: str) -> Path | None:
    """Return the path that a setting names, if it does. Raises: UserError for what is no text."""
    if text is not None and not isinstance(text, str):
        raise UserError(f"{setting}={text} is no path of a file or folder")
    return Path(text).expanduser() if text is not None else None
