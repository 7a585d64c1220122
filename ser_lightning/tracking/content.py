"""Collect what W&B is told of a run directory: figures, charts, and the row of its table of runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.predictions import read_predictions
from ser_lightning.runs.result import ClassificationResult, Failure, Result
from ser_lightning.tasks.registry import all_tasks

_FIGURES = dict.fromkeys(name for kind in all_tasks().values() for name in kind.figures)


def pictures(run_dir: Path) -> dict[str, Any]:
    """Return the figures of a run directory, as far as they are there."""
    import wandb

    paths = {name: run_dir / f"{name}.png" for name in ("curves", *_FIGURES)}
    return {f"figures/{name}": wandb.Image(str(path)) for name, path in paths.items() if path.exists()}


def charts(run_dir: Path, result: Result | Failure) -> dict[str, Any]:
    """Return the predictions of a finished run, and the charts that are its task's."""
    import wandb

    file = RunDirectory(run_dir).predictions
    if isinstance(result, Failure) or not file.exists():
        return {}
    predictions = read_predictions(file, result.predicts.predictions_from_rows)
    n_words = predictions.n_words
    data = [[*row[:n_words], *map(float, row[n_words:])] for row in predictions.rows()]
    table = wandb.Table(columns=predictions.columns, data=data)
    drawn: dict[str, Any]
    if isinstance(result, ClassificationResult):
        rows = [list(pair) for pair in result.metrics.test.recall.items()]
        recall = wandb.Table(columns=["class", "recall"], data=rows)
        drawn = {
            "test/confusion_matrix": wandb.plot.confusion_matrix(
                y_true=predictions.labels.tolist(),
                preds=predictions.predicted.tolist(),
                class_names=list(predictions.names),
                title="test confusion",
            ),
            "test/recall": wandb.plot.bar(recall, "class", "recall", title="test recall per class"),
        }
    else:
        drawn = {
            f"test/scatter.{name}": wandb.plot.scatter(table, f"true.{name}", f"predicted.{name}", f"test {name}")
            for name in predictions.names
        }
    return {**drawn, "test/predictions": table}


def summary(result: Result | Failure) -> dict[str, Any]:
    """Return one row of W&B's run table; ``val/*`` become those of the best epoch instead of the last."""
    record = result.plain()
    row: dict[str, Any] = {
        key: record[key] for key in ("status", "reason", "seconds", "seed", "synthetic") if key in record
    }
    if isinstance(result, Result):
        for part in ("val", "test"):
            scores = record["metrics"][part] or {}
            by_output = {f"recall.{label}": share for label, share in scores.pop("recall", {}).items()}
            for target, of_target in scores.pop("targets", {}).items():
                by_output |= {f"{name}.{target}": value for name, value in of_target.items()}
            row |= {f"{part}/{name}": value for name, value in (scores | by_output).items()}
        calibration = record.get("calibration") or {}
        row |= {f"test/{name}": calibration.get(name) for name in ("ece", "nll", "brier", "confidence")}
        row |= flat({key: record[key] for key in ("epochs", "throughput", "model", "protocol")})
    return {key: value for key, value in row.items() if value is not None}


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to ``a/b`` keys; W&B's filters cannot address keys that contain a dot."""
    entries: dict[str, Any] = {}
    for key, value in config.items():
        nested = isinstance(value, Mapping) and value
        entries.update(flat(value, f"{prefix}{key}/") if nested else {f"{prefix}{key}": value})
    return entries
