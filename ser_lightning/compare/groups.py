"""Group the runs of a comparison by model, and name the groups by what tells them apart."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, count
from typing import Any

from ser_lightning.compare.one_model import RECORDED, of_one_model, recorded, settings
from ser_lightning.report.numbers import shortened
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.utils.nested import differing

# What a group is told by, the first of these that differs: what was compared on purpose before what had to follow.
_EXPERIMENT = "experiment"  # the name of a recipe, out of the overrides
_ORDER = (
    *(_EXPERIMENT, "model.net", "model.frontend.normalise", "model.speaker_clips", "model.speaker_alone"),
    *("model.augment", "model.frontend", "model", "data"),
)
_BOOKKEEPING = ("callbacks", "monitor", "trainer", *RECORDED)  # after all others
_LONGEST = 40  # letters of a value in a name
_MOST_SETTINGS = 60  # that are tried for a name


def by_model(runs: Sequence[FinishedRun]) -> dict[str, list[FinishedRun]]:
    """Return runs by the name of their group. A reference is a group of its own, whatever its settings."""
    groups: dict[str, list[FinishedRun]] = {}
    references: dict[str, list[FinishedRun]] = {}
    for run in runs:
        if run.reference is not None:
            references.setdefault(f"{run.reference} (reference)", []).append(run)
        else:
            groups.setdefault(json.dumps([run.model, settings(run)], sort_keys=True, default=str), []).append(run)
    models = [part for group in groups.values() for part in of_one_model(group)]
    return dict(zip(_names([group[0] for group in models]), models, strict=True)) | references


def by_importance(names: Iterable[str]) -> list[str]:
    """Return settings in the order in which a person wants to know of them."""
    order = (*_ORDER, "", *_BOOKKEEPING)

    def rank(name: str) -> tuple[int, bool, int]:
        place = next((at for at, part in enumerate(order) if part and _is_part(name, part)), order.index(""))
        return place, name.rpartition(".")[2].startswith("_"), name.count(".")

    return sorted(names, key=rank)


def _is_part(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _names(firsts: Sequence[FinishedRun]) -> list[str]:
    """Return the model's name for each, and the fewest settings that tell groups of one model apart.

    Where shortened values leave two names the same, they are numbered.
    """
    names: dict[int, str] = {}
    for model in dict.fromkeys(run.model for run in firsts):
        numbers = [number for number, run in enumerate(firsts) if run.model == model]
        suffixes = _suffixes([_named_settings(firsts[number]) for number in numbers])
        names |= {number: model + suffix for number, suffix in zip(numbers, suffixes, strict=True)}
    unique: list[str] = []
    for number in range(len(firsts)):
        numbered = chain([names[number]], (f"{names[number]} #{n}" for n in count(2)))
        unique.append(next(name for name in numbered if name not in unique))
    return unique


def _suffixes(several: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what to write behind the name that all of these have; what most of them share is not written."""
    values = {name: _short(of_setting) for name, of_setting in differing(several).items()}
    shown = _fewest(values)
    usual = {name: max(values[name], key=values[name].count) for name in shown}
    usual = {name: text for name, text in usual.items() if 2 * values[name].count(text) > len(several)}
    texts = []
    for number in range(len(several)):
        parts = [
            f"{name.removeprefix('model.')}={values[name][number]}"
            for name in shown
            if values[name][number] != usual.get(name) and (name != _EXPERIMENT or several[number].get(_EXPERIMENT))
        ]
        texts.append(f" ({', '.join(parts)})" if parts else "")
    return texts


def _named_settings(run: FinishedRun) -> dict[str, Any]:
    """Return settings, what is recorded, and the name of the recipe that many settings came from, where known."""
    overrides = run.result.overrides or run.config.get("overrides") or []
    names = [text.partition("=")[2] for text in overrides if text.lstrip("+").startswith(f"{_EXPERIMENT}=")]
    return settings(run) | recorded(run) | ({_EXPERIMENT: names[-1]} if names else {})


def _fewest(texts: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return the fewest settings whose values, taken together, tell groups apart as far as all do.

    Bookkeeping is only taken for what the other settings leave the same.
    """
    names = by_importance(texts)
    shown: tuple[str, ...] = ()
    for bookkeeping in (False, True):
        tier = [name for name in names if any(_is_part(name, part) for part in _BOOKKEEPING) == bookkeeping]
        tier = tier[:_MOST_SETTINGS]
        goal = _n_told_apart((*shown, *tier), texts)
        candidates = ((*shown, *names) for names in _candidates(tier, texts))
        shown = next(chosen for chosen in candidates if _n_told_apart(chosen, texts) == goal)
    return shown


def _candidates(names: Sequence[str], texts: Mapping[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Yield none, one, two, and then as many as it takes, each the one that helps most."""
    for size in (0, 1, 2):
        yield from combinations(names, size)
    chosen: tuple[str, ...] = ()
    while len(chosen) < len(names):
        left = [name for name in names if name not in chosen]
        chosen = (*chosen, max(left, key=lambda name: _n_told_apart((*chosen, name), texts)))
        yield chosen


def _n_told_apart(chosen: Sequence[str], texts: Mapping[str, list[str]]) -> int:
    return len(set(zip(*(texts[name] for name in chosen), strict=True))) if chosen else 1


def _short(values: Sequence[Any]) -> list[str]:
    """Return a setting's values as a name has them."""
    texts = []
    for value in values:
        if isinstance(value, Mapping):
            texts.append(str(value["_target_"]).rpartition(".")[2] if "_target_" in value else "on")
        elif isinstance(value, float):
            texts.append(f"{value:.6g}")
        else:
            texts.append("null" if value is None else str(value))
    short = shortened(texts, _LONGEST)
    return [short[text] for text in texts]
