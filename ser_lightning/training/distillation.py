"""Distillation: a model learns, beside the labels, the answers of a trained one for the training clips.

N: clips of the set, pieces of long ones included.  K: classes.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from ser_lightning.data.batches import Batch, ClipBatches, LengthBuckets
from ser_lightning.data.corpora import own_corpus
from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.data.leakage import TrainingRecord
from ser_lightning.models.module import EmotionModule
from ser_lightning.runs.directory import STAMP, RunDirectory
from ser_lightning.runs.result_parts import CorpusFacts
from ser_lightning.runs.result_parts import Teacher as TeacherRecord
from ser_lightning.tasks.registry import task_of
from ser_lightning.training.parts import cache_features, fit_statistics, make_module
from ser_lightning.utils.command_line import assignment, train_command
from ser_lightning.utils.errors import UserError, some
from ser_lightning.utils.files import sha256_of
from ser_lightning.utils.progress import track
from ser_lightning.utils.safe_instantiate import check_description, with_current_names

log = logging.getLogger(__name__)

_PARTS = {"_target_", "frontend", "net"}
_BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Teacher:
    """A checkpoint that was read: ``weights`` by name, and the ``stamp``; ``setting`` is what the config named."""

    setting: str
    record: TeacherRecord
    weights: Mapping[str, Any]
    stamp: Mapping[str, Any]

    @property
    def temperature(self) -> float:
        """Return what its logits are divided by, where `ser calibrate` fitted it."""
        return float(self.stamp.get("temperature", 1.0))

    def check(self, data: EmotionDataModule) -> None:
        """Check that it has the labels of these data, and does not know what their split holds back.

        Raises: UserError where it, or its own teacher, was trained on clips or speakers of the validation or the
            test, or its epoch or temperature chosen on those of the test; what the split's own training shares
            with them is no fault.
        """
        task = task_of(self.stamp)
        if task.name != data.task.name or task.outputs != data.task.outputs:
            raise UserError(
                f"model.teacher={self.setting} has the {task.outputs_word} {', '.join(task.outputs)}, and the data "
                f"have {', '.join(data.task.outputs)}"
            )
        record = TrainingRecord.from_stamp(self.stamp)
        if record is None:
            raise UserError(f"model.teacher={self.setting} does not say what it was trained on: train it again")
        if n_unknown := record.n_unknown + record.n_unknown_of_others:
            log.warning(
                "model.teacher=%s learnt from %d clips of unknown speakers, who may be in this test",
                self.setting,
                n_unknown,
            )
        for used, held_back, shared in _overlaps(record, data):
            raise UserError(
                f"model.teacher={self.setting} was {used} on {shared} of the {held_back} of this split: train one "
                "with the same data.split and data.fold"
            )

    def module(self, trainer: Trainer, data: EmotionDataModule) -> EmotionModule:
        """Return the model on the device, in eval mode, ready for the clips of these data.

        Raises: UserError for code that is not of this package, and for weights that do not fit.
        """
        config = with_current_names(self.stamp["config"])
        config["model"] |= {"augment": None, "class_weights": None}  # which training alone has
        check_description(config["model"], source=self.setting, trust=False)
        module = make_module(OmegaConf.create(config), task=data.task, sample_rate_hz=data.sample_rate_hz)
        cache_features(trainer, module, data)
        try:
            module.load_state_dict(self.weights)
        except (RuntimeError, TypeError) as error:
            raise UserError(f"model.teacher={self.setting}: its weights fit no network here") from error
        fit_statistics(module, data, is_loaded=True)
        return module.eval().requires_grad_(False)


def distil(teacher: Teacher, student: EmotionModule, trainer: Trainer, data: EmotionDataModule) -> str | None:
    """Let ``student`` learn the answers of ``teacher`` for the training clips, as they are, beside the labels.

    Returns: the teacher's contamination, or its own teacher's, see `Network.contamination`: through its answers,
        the student may have learnt from the same clips.
    """
    module = teacher.module(trainer, data)
    pieces = data.clips.pieces_of(data.split.train)
    logits = torch.full((len(data.clips.pieces.clip), data.task.n_outputs), torch.nan)  # (N, K)
    buckets = LengthBuckets(
        pieces,
        data.clips.pieces.n_samples,
        batch_size=_BATCH_SIZE,
        shuffle=False,
        batch_seconds=data.batch_seconds,
    )
    clips = ClipBatches(data.clips)
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        for rows in track(list(buckets), f"answers of {teacher.record.name}", size=len):
            batch = Batch(*(tensor.to(module.device) for tensor in clips[rows]))
            logits[rows] = module.logits(batch).float().cpu() / teacher.temperature
    if not torch.isfinite(logits[pieces]).all():
        raise UserError(f"model.teacher={teacher.setting} does not answer with numbers: its weights are damaged")
    student.learn_from(logits)
    return module.contamination or teacher.stamp.get("contamination")


def read_teacher(path: str | None) -> Teacher | None:
    """Read a run's best checkpoint; None where there is no path.

    Raises: UserError where there is none, it is none of ours, or its run is not finished.
    """
    if path is None:
        return None
    run = RunDirectory(Path(path).expanduser())
    place = next((path for path in (run.path, run.best, run.last) if path.is_file()), None)
    if place is None:
        raise UserError(f"model.teacher={path} holds no checkpoint: name the directory of a run that is finished")
    if place != run.path and run.is_unfinished:
        command = train_command(assignment("resume", run.path))
        raise UserError(f"model.teacher={path} is a run that is not finished: go on with it first, {command}")
    try:
        content = torch.load(place, map_location="cpu", weights_only=True)
        stamp, weights = content[STAMP], content["state_dict"]
        model = stamp["config"]["model"]
        name = str(model["name"])
        others = [name for name, value in weights.items() if not torch.is_tensor(value)]
        if not all(name.endswith("_extra_state") for name in others) or not model.keys() >= _PARTS:
            raise ValueError("its weights or its config are none")
        task_of(stamp)
        TrainingRecord.from_stamp(stamp)
        corpora = _corpora(stamp)
        if not 0 < float(stamp.get("temperature", 1.0)) < math.inf:
            raise ValueError("its temperature is no number to divide by")
    except Exception as error:  # unpickling a file that is something else may raise anything
        raise UserError(f"model.teacher={path}: {place} is no checkpoint of ours, or a damaged one") from error
    record = TeacherRecord(path=str(place), sha256=sha256_of(place), name=name, corpora=corpora)
    return Teacher(setting=path, record=record, weights=weights, stamp=stamp)


def _corpora(stamp: Mapping[str, Any]) -> list[CorpusFacts]:
    """Return the corpora that a checkpoint, and its own teachers, were trained on."""
    own = [CorpusFacts(**facts) for facts in stamp.get("corpora") or ()]
    if stamp.get("corpora") is None:  # of an older version, whose checkpoints have the names alone
        for name in stamp["protocol"]["corpus"].split("+"):
            corpus = own_corpus(name)
            title, licence, source = name, "not known", "not known"
            if corpus is not None:
                title, licence, source = corpus.title, corpus.licence, corpus.where_to_get
            own.append(CorpusFacts(name=name, title=title, licence=licence, source=source))
    of_teachers = [CorpusFacts(**facts) for facts in (stamp.get("teacher") or {}).get("corpora", ())]
    return own + [facts for facts in of_teachers if facts not in own]


_HELD_BACK = {  # of each part, what a teacher may not have done with it; and which part of the split may have
    "test": (("train", "train", "trained"), ("val", "val", "selected"), ("calibration", "val", "calibrated")),
    "validation": (("train", "train", "trained"),),
}


def _overlaps(record: TrainingRecord, data: EmotionDataModule) -> Iterator[tuple[str, str, str]]:
    """Yield what a teacher shares with validation and test, beyond what the split's own training shares.

    Returns: how the teacher used it, the part of the split, and the speakers or clips.
    """
    own = TrainingRecord.from_stamp(data.training_record())
    assert own is not None
    rows_of = {"test": data.split.test, "validation": data.split.val}
    for held_back, uses in _HELD_BACK.items():
        for part, own_part, used in uses:
            speakers, sounds = record.used_by(part, data.clips, rows_of[held_back])
            own_speakers, own_sounds = own.used_by(own_part, data.clips, rows_of[held_back])
            if speakers - own_speakers:
                yield used, held_back, f"speakers ({some(sorted(speakers - own_speakers))})"
            elif sounds - own_sounds:
                yield used, held_back, "clips"
