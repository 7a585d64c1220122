"""Make a comparison out of nothing: seeded chance, but values that agree with each other.  K: labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import nan
from typing import Any

import numpy as np

from ser_lightning.compare.comparison import Comparison, Group, Pair, Run
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.tasks.classification import Classification

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "calm", "surprise")
MODELS = ("cnn_transformer", "resnet18", "cnn_gru", "mamba", "cnn")
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u2028\u202e"


def make_comparison(
    *,
    names: Sequence[str] = MODELS,
    labels: Sequence[str] = EMOTIONS[:6],
    n_seeds: int = 3,
    n_folds: int = 5,
    n_speakers: int = 24,
    n_epochs: int = 20,
    seed: int = 0,
    **changes: Any,
) -> Comparison:
    """Groups of these names, best first, and every pair of them; ``changes`` replace fields of the comparison."""
    random = np.random.default_rng(seed)
    speakers = [f"{1001 + number}" for number in range(n_speakers)]
    skill = np.sort(random.uniform(0.45, 0.72, len(names)))[::-1]
    groups = [
        make_group(
            name, uar, random, labels=labels, speakers=speakers, n_seeds=n_seeds, n_folds=n_folds, n_epochs=n_epochs
        )
        for name, uar in zip(names, skill, strict=True)
    ]
    groups.sort(key=lambda group: -group.headline.value)
    protocol = {
        "corpus": "cremad",
        "split": "actors5",
        "label_source": "intended",
        "selection": "best val/uar",
        "test clips": f"{groups[0].n_clips:,}",
    }
    n_pairs = len(groups) * (len(groups) - 1) // 2
    values: dict[str, Any] = {
        "protocol": protocol,
        "task": Classification(tuple(labels)),
        "groups": groups,
        "pairs": [make_pair(*two, random, n_pairs=n_pairs) for two in combinations(groups, 2)],
        "failed": [],
        "warnings": [],
        "speaker_independent": True,
        "synthetic": False,
    }
    return Comparison(**{**values, **changes})


def make_group(
    name: str,
    skill: float,
    random: np.random.Generator,
    *,
    labels: Sequence[str] = EMOTIONS[:6],
    speakers: Sequence[str] = ("a", "b"),
    n_seeds: int = 1,
    n_folds: int = 2,
    n_epochs: int = 5,
    **changes: Any,
) -> Group:
    """A group whose recall, UAR, accuracy and macro-F1 are those of its confusion matrix."""
    confusion = _confusion(random, skill, len(labels), clips_per_label=12 * len(speakers) * n_seeds)
    recall = confusion.diagonal() / confusion.sum(axis=1)
    precision = confusion.diagonal() / np.maximum(confusion.sum(axis=0), 1)
    uar, accuracy = float(recall.mean()), float(confusion.trace() / confusion.sum())
    shares = np.clip(random.normal(accuracy, 0.09, len(speakers)), 0.05, 1)
    runs = [
        make_run(f"outputs/{name}/fold{fold}-seed{seed}", uar, random, fold=str(fold), seed=seed, n_epochs=n_epochs)
        for fold in range(n_folds)
        for seed in range(n_seeds)
    ]
    values: dict[str, Any] = {
        "name": name,
        "model": name.split(",")[0],
        "runs": runs,
        "seeds": list(range(n_seeds)),
        "folds": [str(fold) for fold in range(n_folds)],
        "incomplete": [],
        "n_clips": int(confusion.sum()) // n_seeds,
        "n_speakers": len(speakers),
        "scores": {
            "uar": _around(uar, 0.022),
            "accuracy": _around(accuracy, 0.021),
            "macro_f1": Estimate(
                float(np.mean(2 * precision * recall / np.maximum(precision + recall, 1e-9))), nan, nan
            ),
        },
        "sds": {"uar": 0.006 if n_seeds > 1 else None, "accuracy": 0.007 if n_seeds > 1 else None},
        "by_output": {label: _around(float(share), 0.045) for label, share in zip(labels, recall, strict=True)},
        "confusion": confusion.tolist(),
        "by_speaker": dict(zip(speakers, shares.round(4).tolist(), strict=True)),
        "parameters": int(10 ** random.uniform(5, 7.3)),
        "minutes": float(random.uniform(2, 40)),
        "differs": {
            "model.name": ("cnn_transformer", name),
            "model.dropout": (0.1, round(random.uniform(0, 0.5), 2)),
        },
    }
    return Group(**{**values, **changes})


def make_run(path: str, uar: float, random: np.random.Generator, *, fold: str, seed: int, n_epochs: int) -> Run:
    """A run that learns as runs do: fast, then slowly, with noise; the epoch of the highest UAR chosen."""
    epochs = np.arange(n_epochs)
    fade = np.exp(-4 * epochs / n_epochs)
    final = uar + random.normal(0, 0.02)
    val_uar = np.clip(final - (final - 0.17) * fade + random.normal(0, 0.012, n_epochs), 0, 1)
    history: Mapping[str, list[float | None]] = {
        "epoch": (epochs + 1).tolist(),
        "train/loss": (0.35 + 1.4 * fade + random.normal(0, 0.02, n_epochs)).tolist(),
        "val/loss": (1.0 + 0.75 * fade + 0.2 * epochs / n_epochs + random.normal(0, 0.03, n_epochs)).tolist(),
        "val/uar": val_uar.tolist(),
        "val/accuracy": (val_uar + 0.005).tolist(),
    }
    return Run(
        path=path,
        seed=seed,
        fold=fold,
        scores={"uar": final, "accuracy": final + 0.004},
        val_headline=float(val_uar.max()),
        minutes=float(random.uniform(3, 9)),
        trained=n_epochs,
        best=int(val_uar.argmax()) + 1,
        history=history,
    )


def make_pair(first: Group, second: Group, random: np.random.Generator, *, n_pairs: int = 1) -> Pair:
    """A pair whose difference is that of the two groups, and whose p falls as it grows."""
    difference = first.headline.value - second.headline.value
    p = float(np.clip(np.exp(-abs(difference) / 0.008) * random.uniform(0.5, 1), 1e-4, 1))
    only_second = (0.11 + float(random.uniform(0, 0.03))) * first.n_clips
    return Pair(
        first=first.name,
        second=second.name,
        n_clips=first.n_clips,
        n_speakers=first.n_speakers,
        difference=_around(difference, 0.017, within=(-1, 1)),
        permutation_p=p,
        permutation_holm_p=min(1.0, p * n_pairs),
        only_first=only_second + (first.scores["accuracy"].value - second.scores["accuracy"].value) * first.n_clips,
        only_second=only_second,
        mcnemar_p=p / 2,
        mcnemar_holm_p=min(1.0, p / 2 * n_pairs),
        smallest_p=2e-4,
        effect_size=difference / 0.05,
    )


def _confusion(random: np.random.Generator, skill: float, n_labels: int, *, clips_per_label: int) -> Any:
    """(K, K) counts with recall around ``skill``."""
    rows = []
    for label in range(n_labels):
        recall = float(np.clip(skill + random.normal(0, 0.1), 0.05, 0.97))
        spread = random.dirichlet(np.full(n_labels - 1, 1.5)) * (1 - recall)
        rows.append(random.multinomial(clips_per_label, np.insert(spread, label, recall)))
    return np.array(rows)


def _around(value: float, half: float, within: tuple[float, float] = (0, 1)) -> Estimate:
    return Estimate(value, max(value - half, within[0]), min(value + 0.95 * half, within[1]))


def hostile_comparison(**changes):
    made = make_comparison(
        names=[HOSTILE, f"b{HOSTILE}"], labels=[HOSTILE, "fear"], n_folds=1, n_seeds=1, n_speakers=2, **changes
    )
    groups = [
        replace(
            group,
            runs=[replace(run, path=HOSTILE, fold=HOSTILE) for run in group.runs],
            incomplete=[HOSTILE],
            by_speaker={HOSTILE: 0.5, "b": 0.6},
            differs={HOSTILE: (HOSTILE, [HOSTILE, None])},
        )
        for group in made.groups
    ]
    return replace(
        made,
        groups=groups,
        protocol={**made.protocol, "corpus": HOSTILE, "split": HOSTILE, HOSTILE: HOSTILE},
        warnings=[HOSTILE],
        failed=[(HOSTILE, HOSTILE)],
    )
