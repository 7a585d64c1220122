"""Make directories of runs as finished trainings leave them, of models with chosen accuracies, without training."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ser_lightning.evaluation import bootstrap, significance
from ser_lightning.evaluation.metrics import confusion, scores
from ser_lightning.runs.predictions import write_predictions
from ser_lightning.tasks.predictions import Predictions

LABELS = ("anger", "fear", "neutral")
CLIPS_PER_SPEAKER = 12
_EPOCHS = 3


@contextmanager
def fewer_draws() -> Iterator[None]:
    """Quicker, and less exact, where the numbers do not matter; with eight speakers still every permutation."""
    with pytest.MonkeyPatch.context() as patch:
        for name, n in {"N_RESAMPLES": 200, "N_PERMUTATIONS": 499, "PERMUTATIONS_A_TEST": 0}.items():
            patch.setattr(significance if "PERMUTATIONS" in name else bootstrap, name, n)
        patch.setattr("gc.collect", lambda *_: 0)  # statsmodels calls it for Holm's method, 0.1 s each time
        yield


def make_grid(
    root: Path,
    accuracies: Mapping[str, float],
    *,
    folds: Sequence[int] = (0, 1),
    seeds: Sequence[int] = (0,),
    speakers_per_fold: int = 4,
    **changes: Any,
) -> Path:
    """A run a model, fold and seed, in ``root/<model>/fold<f>-seed<s>``; ``changes`` are those of `make_run`."""
    for model, accuracy in accuracies.items():
        for fold in folds:
            for seed in seeds:
                place = root / model / f"fold{fold}-seed{seed}"
                make_run(place, model, accuracy, fold, seed, n_speakers=speakers_per_fold, **changes)
    return root


def make_run(
    place: Path,
    model: str = "cnn",
    accuracy: float = 0.6,
    fold: int = 0,
    seed: int = 0,
    *,
    n_speakers: int = 4,
    clips_per_speaker: int = CLIPS_PER_SPEAKER,
    labels: Sequence[str] = LABELS,
    settings: Mapping[str, Any] | None = None,
    protocol: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """One run: of clips that depend on the fold alone, about ``accuracy`` of them recognised.

    ``settings`` are put into config.yaml by dotted name, ``protocol`` and ``changes`` into result.json.
    """
    place.mkdir(parents=True)
    said = _predictions(
        f"{model} {accuracy} {settings}", accuracy, fold, seed, n_speakers, clips_per_speaker, labels
    )
    write_predictions(place / "predictions.csv", said)
    (place / "config.yaml").write_text(yaml.safe_dump(_config(model, fold, seed, settings or {})), encoding="utf-8")
    result = {**_result(said, model, fold, seed), **changes}
    result["protocol"] = {**result["protocol"], **(protocol or {})}
    (place / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return place


def _predictions(
    name: str, accuracy: float, fold: int, seed: int, n_speakers: int, clips_per_speaker: int, labels: Sequence[str]
) -> Predictions:
    random = np.random.default_rng([*name.encode(), fold, seed])
    n, k = n_speakers * clips_per_speaker, len(labels)
    true = np.arange(n) % k
    easy = np.repeat(random.normal(scale=0.05, size=n_speakers), clips_per_speaker)
    wrong = (true + random.integers(1, k, n)) % k
    guess = np.where(random.random(n) < accuracy + easy, true, wrong)
    probabilities = np.full((n, k), 0.2 / (k - 1))
    probabilities[np.arange(n), guess] = 0.8
    speakers = [f"s{fold}-{number // clips_per_speaker}" for number in range(n)]
    ids = [f"{speaker}-{number}" for number, speaker in enumerate(speakers)]
    return Predictions(ids=ids, speakers=speakers, labels=true, probabilities=probabilities, names=labels)


def _config(model: str, fold: int, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model": {
            "name": model,
            "net": {"_target_": f"nets.{model}", "dropout": 0.4},
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.002},
            "augment": {"mixup": {"_target_": "augment.Mixup", "alpha": 0.3}},
        },
        "trainer": {"max_epochs": _EPOCHS, "accelerator": "auto", "devices": 1},
        "data": {
            "corpus": "cremad",
            "root": None,
            "split": "actors5",
            "fold": fold,
            "batch_size": 32,
            "seed": seed,
        },
        "logger": {"wandb": None},
        "seed": seed,
    }
    for name, value in settings.items():
        *parents, last = name.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return config


def _result(said: Predictions, model: str, fold: int, seed: int) -> dict[str, Any]:
    matrix = confusion(said.labels, said.predicted, n_classes=len(said.names))
    test = {**scores(matrix, said.names).plain(), "loss": 1.25}
    rising = [0.3, 0.4, 0.5]
    return {
        "schema": 2,
        "status": "finished",
        "metrics": {"val": {**test, "uar": rising[-1]}, "test": test},
        "confusion_matrix": matrix.tolist(),
        "labels": list(said.names),
        "protocol": {
            "corpus": "cremad",
            "split": "actors5",
            "fold": fold,
            "split_hash": f"hash{fold}",
            "speaker_independent": True,
            "label_source": "intended",
            "n_train": 40,
            "n_val": 10,
            "n_test": len(said.ids),
            "selection": "best validation",
        },
        "synthetic": False,
        "contamination": None,
        "model": {"name": model, "parameters": 1000 * len(model)},
        "epochs": {"trained": _EPOCHS, "best": _EPOCHS},
        "history": {
            "epoch": [1, 2, 3],
            "train/loss": [1.5, 1.2, 1.0],
            "val/loss": [1.6, None, 1.4],
            "val/uar": rising,
        },
        "throughput": {"train_clips_per_s": 900.0, "train_s": 120.0},
        "seconds": 192.0,
        "seed": seed,
        "environment": {"packages": {"torch": "2"}},
        "config": "config.yaml",
        "warnings": {},
    }
