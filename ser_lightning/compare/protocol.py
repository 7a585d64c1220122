"""Sort runs by protocol: what results must share to be ranked together.

These are corpus, what is predicted, split, and how the epoch was selected.
"""

import json
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from ser_lightning.report.protocol import label_source, name_of
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.utils.errors import UserError, some
from ser_lightning.utils.nested import differing

_BY_FOLD = {"fold", "split_hash", "n_train", "n_val", "n_test"}  # of result.json's protocol
_MANY_LABELS = 12
_LONGEST = 40  # letters of a value, where protocols are told apart
_MOST_VALUES = 3
_DEFAULTS = {
    "speaker_clips": 1,  # the tested clip alone; older results do not say so
    "speaker_independent": "as the split says",
}


def sections(runs: Sequence[FinishedRun], *, separate: bool) -> list[list[FinishedRun]]:
    """Return runs by protocol, the one with most runs first; more than one only if ``separate``.

    Raises: UserError where there are several and they are not to be separate; it says in what they differ.
    """
    by_facts: dict[str, list[FinishedRun]] = {}
    for run in runs:
        by_facts.setdefault(protocol_key(run), []).append(run)
    families = [family for alike in by_facts.values() for family in _families(alike)]
    if len(families) > 1 and not separate:
        differences = _different_facts(list(by_facts.values())) or _different_clips(families)
        raise UserError(
            f"these runs were made under {len(families)} protocols and cannot be ranked together:\n{differences}\n"
            "Name directories whose runs belong together, or get a table for each protocol with --separate"
        )
    return sorted(families, key=len, reverse=True)


def readable(runs: Sequence[FinishedRun]) -> dict[str, str]:
    """Return the protocol that runs of a section share, for people."""
    hashes = {run.fold: run.result.protocol.split_hash for run in sorted(runs, key=by_fold_and_seed)}
    apart = all(run.result.protocol.speaker_independent for run in runs)
    facts = {
        name: _text(value) for name, value in {**_protocol_facts(runs[0]), "speaker_independent": apart}.items()
    }
    return facts | {"split_hash": ", ".join(f"{fold}: {text}" for fold, text in hashes.items())}


def protocol_key(run: FinishedRun) -> str:
    """Return a text that is the same for runs under one protocol, whichever fold they tested."""
    return json.dumps(_facts(run), sort_keys=True)


def difference(one: FinishedRun, other: FinishedRun) -> str:
    """Return in a few words in what the protocol of one run is not that of another, and in which clips."""
    values = differing([{name: _text(value) for name, value in _facts(run).items()} for run in (one, other)])
    texts = [
        f"{name_of(name)} {' and not '.join(shorten(text or 'none', _LONGEST, placeholder=' …') for text in both)}"
        for name, both in values.items()
    ]
    if "corpus" in values:
        texts = [text for name, text in zip(values, texts, strict=True) if name == "corpus"]
    if not texts:
        same_fold = one.fold == other.fold
        texts = [f"other clips in fold {one.fold}" if same_fold else f"fold {one.fold} and not {other.fold}"]
    return ", ".join(texts[:_MOST_VALUES])


def by_fold_and_seed(run: FinishedRun) -> tuple[bool, int, str, int]:
    """Return a key for sorting by fold and seed, in which fold 10 comes after fold 9."""
    fold = run.fold
    return (not fold.isdigit(), int(fold) if fold.isdigit() else 0, fold, run.seed)


def _facts(run: FinishedRun) -> dict[str, Any]:
    """Return what runs of one section have in common.

    Of a training, split and hash say which speakers are shared, in some folds perhaps, and older results only claim
    it; a model that was tested later, on other clips, may know them where another does not.
    """
    knows_some = run.result.checkpoint is not None and not run.result.protocol.speaker_independent
    return {
        name: value for name, value in _protocol_facts(run).items() if knows_some or name != "speaker_independent"
    }


def _protocol_facts(run: FinishedRun) -> dict[str, Any]:
    """Return what a result holds for, whichever fold it tested."""
    result = run.result
    protocol = {name: value for name, value in result.protocol.facts().items() if name not in _BY_FOLD}
    if run.training is not None and run.tests_others:
        protocol["trained_on"] = protocol["trained_on"].removesuffix(f", fold {run.training.fold}")
    predicts = {name: value for name, value in result.predicts.entry().items() if name != "ranges"}
    return {**protocol, **predicts, **({"synthetic": True} if result.synthetic else {})}


def _families(runs: Sequence[FinishedRun]) -> list[list[FinishedRun]]:
    """Return runs whose splits agree: wherever two have a fold in common, it has the same hash.

    Runs of one data configuration stay together as far as that allows.
    """
    hashes: list[dict[str, str]] = []
    members: list[list[FinishedRun]] = []
    lately: dict[str, int] = {}  # the family that the runs of a data configuration joined
    for run in runs:
        data = run.config.get("data")
        kept = {key: data[key] for key in data if key not in ("fold", "seed")} if isinstance(data, Mapping) else {}
        configuration = json.dumps(kept, sort_keys=True, default=str)
        fold, text = run.fold, run.result.protocol.split_hash
        order = [*([lately[configuration]] if configuration in lately else []), *range(len(hashes))]
        number = next((family for family in order if hashes[family].get(fold, text) == text), len(hashes))
        if number == len(hashes):
            hashes.append({})
            members.append([])
        hashes[number][fold] = text
        members[number].append(run)
        lately[configuration] = number
    return members


def _different_facts(groups: Sequence[Sequence[FinishedRun]]) -> str:
    """Return a line for each fact that is not the same in all groups, of runs under one protocol each."""
    facts = [_facts(group[0]) for group in groups]
    lines = []
    for name in dict.fromkeys(name for of_group in facts for name in of_group):
        values: dict[str, list[FinishedRun]] = {}
        for of_group, group in zip(facts, groups, strict=True):
            value = of_group.get(name, _DEFAULTS.get(name))
            text = label_source(value) if name == "label_source" else _text(value)
            values.setdefault(text, []).extend(group)
        if len(values) > 1:
            lines.append(f"  {name_of(name)}: {_in_which(values)}")
    return "\n".join(lines)


def _different_clips(families: Sequence[Sequence[FinishedRun]]) -> str:
    """Return the first fold that is split in two ways."""
    runs = sorted((run for family in families for run in family), key=by_fold_and_seed)
    for fold in dict.fromkeys(run.fold for run in runs):
        values: dict[str, list[FinishedRun]] = {}
        for run in runs:
            if run.fold == fold:
                values.setdefault(run.result.protocol.split_hash, []).append(run)
        if len(values) > 1:
            return f"  the clips of fold {fold}, split_hash: {_in_which(values)}"
    raise AssertionError("families differ in a hash")


def _in_which(values: Mapping[str, Sequence[FinishedRun]]) -> str:
    """Return each value, cut where it is long, with one of its runs."""
    texts = []
    for value, runs in values.items():
        others = f" and {len(runs) - 1:,} more" if len(runs) > 1 else ""
        texts.append(f"{shorten(value, _LONGEST, placeholder=' …')} in {runs[0].path}{others}")
    return some(texts, _MOST_VALUES)


def _text(value: Any) -> str:
    """Write the value of a fact for people."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value[:_MANY_LABELS])) + (" …" if len(value) > _MANY_LABELS else "")
    return ", ".join(f"{key} → {new}" for key, new in value.items()) if isinstance(value, dict) else str(value)
