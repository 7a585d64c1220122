"""One look at the test set, with the checkpoint that the validation set chose.

N: test clips.  K: classes.
"""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch.nn import functional

from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.evaluation.predictions import Predictions
from ser_lightning.metrics import confusion, scores
from ser_lightning.models.module import EmotionModule
from ser_lightning.run import RunDirectory


def judge(
    trainer: Trainer, module: EmotionModule, data: EmotionDataModule, run: RunDirectory
) -> tuple[dict[str, Any], Predictions]:
    """Load the chosen checkpoint, validate and test it.

    Returns: what result.json says of it, and the test predictions.
    """
    epochs, selection = _choose(trainer, module, run)
    validated = _validate(trainer, module, data)
    trainer.test(module, datamodule=data, verbose=False)
    rows, logits = (tensor.cpu() for tensor in module.outputs.compute())  # (N,), (N, K)
    predictions = _predictions(data, rows.tolist(), logits.softmax(-1).double().numpy())
    matrix = confusion(predictions.labels, predictions.predicted, len(data.labels))
    loss = functional.cross_entropy(logits, torch.from_numpy(predictions.labels)).item()
    protocol = data.protocol() | {"selection": selection}
    untested = protocol["n_test"] - len(rows)
    judgement = {
        "metrics": {"val": validated, "test": {**scores(matrix, data.labels), "loss": loss}},
        "confusion_matrix": matrix.tolist(),
        "labels": list(data.labels),
        "protocol": protocol,
        "human": data.collection.human_scores(data.split.test),
        "synthetic": data.collection.synthetic,
        "contamination": module.contamination,
        "model": module.facts(),
        "epochs": epochs,
        "warnings": data.collection.warnings() | ({"untested": untested} if untested else {}),
    }
    return judgement, predictions


def _choose(trainer: Trainer, module: EmotionModule, run: RunDirectory) -> tuple[dict[str, int], str]:
    """Give the module the weights that are to be tested."""
    trained = trainer.current_epoch
    for path, selection in ((run.best, "best validation"), (run.last, "last epoch")):
        if path.is_file():
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
            module.load_state_dict(checkpoint["state_dict"])
            return {"trained": trained, "chosen": checkpoint["epoch"] + 1}, selection
    return {"trained": trained, "chosen": trained}, "last epoch"


def _validate(trainer: Trainer, module: EmotionModule, data: EmotionDataModule) -> dict[str, Any] | None:
    if not data.split.val:
        return None
    trainer.validate(module, datamodule=data, verbose=False)
    values = {name: value.item() for name, value in trainer.callback_metrics.items()}
    recall = {label: values.get(f"val/recall.{label}") for label in data.labels}
    return {name: values[f"val/{name}"] for name in ("uar", "accuracy", "macro_f1", "loss")} | {"recall": recall}


def _predictions(data: EmotionDataModule, rows: list[int], probabilities: np.ndarray) -> Predictions:
    clips = [data.manifest[row] for row in rows]
    return Predictions(
        ids=[clip.id for clip in clips],
        speakers=[clip.speaker for clip in clips],
        labels=np.array([data.labels.index(clip.emotion) for clip in clips], dtype=np.int64),
        probabilities=probabilities,
        names=data.labels,
    )
