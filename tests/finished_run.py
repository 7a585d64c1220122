"""Make a run directory as a finished training leaves it, without training."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from ser_lightning.evaluation.metrics import confusion, scores
from ser_lightning.runs.predictions import write_predictions
from ser_lightning.tasks.predictions import Predictions

LABELS = ("anger", "fear", "neutral")
TRUE = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
GUESS = [0, 0, 0, 1, 1, 2, 2, 2, 2, 0]
EPOCHS = 3


def make_run(run_dir: Path, **changes: Any) -> dict[str, Any]:
    """Write result.json (with top-level keys changed as given), metrics.csv and predictions.csv."""
    run_dir.mkdir(parents=True, exist_ok=True)
    write_predictions(run_dir / "predictions.csv", make_predictions())
    _write_history(run_dir / "metrics.csv")
    result = {**finished_result(), **changes}
    (run_dir / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return result


def make_predictions() -> Predictions:
    """Ten clips of five speakers, 0.8 on the guess and the rest shared."""
    probabilities = np.full((len(TRUE), len(LABELS)), 0.1)
    probabilities[np.arange(len(TRUE)), GUESS] = 0.8
    return Predictions(
        ids=[f"clip{number}" for number in range(len(TRUE))],
        speakers=[f"s{number // 2}" for number in range(len(TRUE))],
        labels=np.array(TRUE),
        probabilities=probabilities,
        names=LABELS,
    )


def _write_history(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file,
            ["epoch", "step", "lr", "train/loss", "train/clips_per_s", "val/loss", "val/uar", "val/accuracy"],
        )
        writer.writeheader()
        for epoch in range(EPOCHS):
            row = {"epoch": epoch + 1, "step": 10 * epoch, "lr": 1e-3, "train/loss": 1.5 - 0.2 * epoch}
            writer.writerow({**row, "train/clips_per_s": 900, "val/uar": 0.4 + 0.1 * epoch, "val/loss": 1.6})


def finished_result() -> dict[str, Any]:
    """The record of a finished run."""
    matrix = confusion(TRUE, GUESS, n_classes=len(LABELS))
    test = {**scores(matrix, LABELS).plain(), "loss": 1.25}
    return {
        "schema": 2,
        "status": "finished",
        "metrics": {"val": {**test, "uar": 0.5}, "test": test},
        "confusion_matrix": matrix.tolist(),
        "labels": list(LABELS),
        "protocol": {
            "corpus": "toy",
            "split": "speakers5",
            "fold": 2,
            "split_hash": "abc",
            "speaker_independent": True,
            "label_source": "intended",
            "n_train": 40,
            "n_val": 10,
            "n_test": len(TRUE),
            "selection": "best val/uar",
        },
        "model": {"name": "cnn", "parameters": 123456},
        "seed": 7,
        "epochs": {"trained": EPOCHS, "best": 2},
        "throughput": {"train_clips_per_s": 912.4},
        "seconds": 192.0,
        "environment": {"packages": {"torch": "2"}},
        "config": "config.yaml",
        "warnings": {},
        "synthetic": False,
    }
