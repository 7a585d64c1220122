"""Test the checkpoint that the validation set chose, once.

N: test clips.  K: classes.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from lightning.pytorch import Trainer

from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.data.leakage import TrainingRecord, keeps_test_apart
from ser_lightning.data.long_clips import joined
from ser_lightning.models.module import EmotionModule
from ser_lightning.runs.directory import STAMP, RunDirectory
from ser_lightning.runs.result_parts import Epochs, Model, Protocol
from ser_lightning.training.callbacks import validation_scores
from ser_lightning.utils.errors import UserError

BEST, LAST = "best validation", "last epoch"  # how the tested epoch was selected
_ON_TRAINING_SPEAKERS = f"{BEST}, on training speakers"


def evaluate_best(
    trainer: Trainer,
    module: EmotionModule,
    data: EmotionDataModule,
    run: RunDirectory,
    validated: Mapping[int, Mapping[str, float]] = MappingProxyType({}),
) -> tuple[dict[str, Any], Any]:
    """Load the best checkpoint, or the last where nothing was validated, then validate and test it.

    Args:
        validated: what the validation set gave during the training, by the number of steps. Where that of the best
            checkpoint is among it, it is not measured again.

    Returns: what result.json says of it, and the test predictions.
    """
    trainer.loggers = []  # what follows is no epoch: W&B gets it from result.json
    epochs, selection, checkpoint = _load_tested_weights(trainer, module, run)
    stamp = checkpoint.get(STAMP)
    measured = validated.get(checkpoint["global_step"]) if selection == BEST else None
    val_scores = _validate(trainer, module, data, measured)
    if trainer.limit_test_batches == 0:
        raise UserError("it is trained and not tested, as trainer.limit_test_batches=0 says: `ser eval` tests it")
    trainer.test(module, datamodule=data, verbose=False)
    pieces, logits = (tensor.cpu() for tensor in module.outputs.gathered())
    rows, logits = joined(torch.from_numpy(data.clips.pieces.clip)[pieces], logits, data.task)  # (N,), (N, K)
    tested = rows.tolist()
    evaluation = data.task.evaluate(data.clips.test_clips(tested, data.task), logits.numpy())
    trained_on = stamp or data.training_record()
    record, leakage = TrainingRecord.from_stamp(trained_on), None
    protocol = data.protocol() | module.protocol | {"selection": selection}
    if record is not None:
        leakage = record.leakage(data.clips, tested, same_speakers=data.clips.same_speakers)
        protocol["speaker_independent"] &= keeps_test_apart(leakage)
    if selection == BEST:
        protocol["selection"] = best_by(trained_on, speaker_independent=protocol["speaker_independent"])
    warnings = {
        "untested": protocol["n_test"] - len(tested),
        "unknown_trained": record.n_unknown_of_others if record is not None else 0,
    }
    facts: dict[str, Any] = {
        **evaluation.result_fields(),
        "metrics": {"val": val_scores, "test": evaluation.scores},
        **data.clips.result_facts(tested),
        "protocol": Protocol(**protocol),
        "leakage": leakage,
        "contamination": module.contamination,
        "model": Model(**module.description()),
        "epochs": epochs,
        "warnings": data.warnings() | {kind: count for kind, count in warnings.items() if count},
    }
    return facts, evaluation.predictions


def best_by(stamp: Mapping[str, Any], *, speaker_independent: bool) -> str:
    """Say how the epoch was selected by a validation set: on training speakers, though the test is on others?

    Where the test is on training speakers too, ``speaker_independent`` is False, and says more.
    """
    record = TrainingRecord.from_stamp(stamp)
    shared = record is not None and record.validates_on_training_speakers
    return _ON_TRAINING_SPEAKERS if shared and speaker_independent else BEST


def _load_tested_weights(
    trainer: Trainer, module: EmotionModule, run: RunDirectory
) -> tuple[Epochs, str, dict[str, Any]]:
    """Load the weights that are to be tested; the last value returned is their checkpoint, or its stamp alone.

    Raises: UserError where the best ones were kept, and are gone.
    """
    kept = (Path(callback.best_model_path).name for callback in trainer.checkpoint_callbacks)  # type: ignore[attr-defined]
    if run.best.name in kept and not run.best.is_file():
        raise UserError(f"{run.best}, which is to be tested, is gone: the same command trains anew")
    trained, older = trainer.current_epoch, {}
    for path, selection in ((run.best, BEST), (run.last, LAST)):
        if path.is_file():
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
            if selection == LAST and checkpoint["global_step"] != trainer.global_step:
                older = {STAMP: checkpoint.get(STAMP)}
                continue  # where not every epoch is kept: the last epoch is in the module
            module.load_state_dict(checkpoint["state_dict"])
            epochs = Epochs(trained=trained, best=checkpoint["epoch"] + 1)
            return epochs, selection, checkpoint
    return Epochs(trained=trained, best=trained), LAST, older


def _validate(
    trainer: Trainer, module: EmotionModule, data: EmotionDataModule, validated: Mapping[str, float] | None
) -> Any:
    """Return the scores of the validation set, measured unless ``validated`` has them; None without one."""
    if not data.split.val or trainer.limit_val_batches == 0:
        return None
    if validated is None:
        trainer.validate(module, datamodule=data, verbose=False)
        validated = validation_scores(trainer)
    return data.task.logged_scores(validated)
