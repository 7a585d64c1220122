"""Which runs are one model's: those whose settings differ in nothing but fold and seed. And what to call them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from ser_lightning.evaluation.collect import FinishedRun

# Settings, by dotted name, that make no other model. All the rest do: trainer.precision and trainer.devices, for
# example, since formats round differently, and every device adds a batch to a step.
NOT_OF_THE_MODEL = (
    *("seed", "data.seed", "data.fold"),  # what the runs of a group vary
    *("data.split", "data.splits"),  # the protocol says it, and the hash of the split
    *("resume", "logger"),  # how a run was started, and who was told of it
    *("data.root", "data.roots", "data.test_root", "data.manifest", "data.votes"),  # where things lie
    *("data.download", "data.on_bad"),  # what is there in the end is in the hash of the split
    *("data.num_workers", "data.eval_batch_size"),  # padding changes no answer
    *("trainer.accelerator", "trainer.strategy", "trainer.deterministic", "trainer.benchmark"),  # rounding at most
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.log_every_n_steps"),  # what is shown
    *("trainer.profiler", "trainer.detect_anomaly", "trainer.default_root_dir"),
    "trainer.num_sanity_val_steps",
    "model.net.gradient_checkpointing",  # memory against time
)
_LONGEST = 40  # letters of a value in a name
_MOST_SETTINGS = 60  # that are tried for a name
_Values = list[Any]


def by_model(runs: Sequence[FinishedRun]) -> dict[str, list[FinishedRun]]:
    """Runs by the name of their group."""
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(json.dumps([run.model, settings(run)], sort_keys=True, default=str), []).append(run)
    return dict(zip(_names([group[0] for group in groups.values()]), groups.values(), strict=True))


def settings(run: FinishedRun) -> dict[str, Any]:
    """The config without what makes no other model; what is off is left out, since older configs lack new parts."""
    return _pruned(run.config, "")


def differing(nodes: Sequence[Any], prefix: str = "") -> dict[str, _Values]:
    """Where several settings are not all the same: dotted name -> each one's value, None where it has none."""
    if all(node == nodes[0] for node in nodes):
        return {}
    if any(isinstance(node, Mapping) and "_target_" not in node for node in nodes):
        nodes = [{} if node is None else node for node in nodes]  # it only holds others: which of them is it?
    if not all(isinstance(node, Mapping) for node in nodes):
        return {prefix: list(nodes)}
    found: dict[str, _Values] = {}
    for key in dict.fromkeys(key for node in nodes for key in node):
        found |= differing([node.get(key) for node in nodes], f"{prefix}.{key}".lstrip("."))
    return found


def _pruned(config: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}.{key}".lstrip(".")
        value = _pruned(value, name) if isinstance(value, Mapping) else _plain(value)
        if name not in NOT_OF_THE_MODEL and value not in (None, {}):
            kept[str(key)] = value
    return kept


def _plain(value: Any) -> Any:
    """So that 1 and 1.0 are one setting."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _names(firsts: Sequence[FinishedRun]) -> list[str]:
    """The model's, and the fewest settings that tell groups of one model apart."""
    names: dict[int, str] = {}
    for model in dict.fromkeys(run.model for run in firsts):
        mine = [number for number, run in enumerate(firsts) if run.model == model]
        more = _telling([settings(firsts[number]) for number in mine])
        names |= {number: model + text for number, text in zip(mine, more, strict=True)}
    return _all_different([names[number] for number in range(len(firsts))])


def _telling(several: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to write behind a name that all of these would have."""
    values = differing(several)
    shown = _fewest(values, len(several))
    texts = []
    for number in range(len(several)):
        parts = [f"{name.removeprefix('model.')}={_short(values[name][number])}" for name in shown]
        texts.append(f" ({', '.join(parts)})" if parts else "")
    return texts


def _fewest(values: Mapping[str, _Values], n_groups: int) -> tuple[str, ...]:
    """The fewest settings whose values, taken together, are another for each group."""
    texts = {name: [_short(each) for each in values[name]] for name in values}
    names = sorted(texts, key=lambda name: (name.rpartition(".")[2].startswith("_"), name.count(".")))
    for chosen in _candidates(names[:_MOST_SETTINGS], texts):
        if _n_told_apart(chosen, texts) == n_groups:
            return chosen
    return ()


def _candidates(names: Sequence[str], texts: Mapping[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """None, one, two, and then as many as it takes, each the one that helps most."""
    for size in (0, 1, 2):
        yield from combinations(names, size)
    chosen: tuple[str, ...] = ()
    while len(chosen) < len(names):
        left = [name for name in names if name not in chosen]
        chosen = (*chosen, max(left, key=lambda name: _n_told_apart((*chosen, name), texts)))
        yield chosen


def _n_told_apart(chosen: Sequence[str], texts: Mapping[str, list[str]]) -> int:
    return len(set(zip(*(texts[name] for name in chosen), strict=True))) if chosen else 1


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "on" if "_target_" not in value else str(value["_target_"]).rpartition(".")[2]
    text = "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :]


def _all_different(names: Sequence[str]) -> list[str]:
    """Numbered where shortened values leave two the same."""
    taken: list[str] = []
    for name in names:
        n, unique = 1, name
        while unique in taken:
            n += 1
            unique = f"{name} #{n}"
        taken.append(unique)
    return taken
