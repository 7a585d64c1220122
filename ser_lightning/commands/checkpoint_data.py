"""The data that a checkpoint is tested on, or calibrated with: its own, or others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.labels import rules_for
from ser_lightning.data.leakage import TrainingRecord
from ser_lightning.data.splits.split import Split
from ser_lightning.inference.checkpoint import Checkpoint
from ser_lightning.runs.result_parts import ALL
from ser_lightning.tasks.task import Task
from ser_lightning.training.compose import compose_config
from ser_lightning.training.experiment import unsplit_data
from ser_lightning.training.test_checkpoint import LAST, best_by
from ser_lightning.utils.errors import UserError, first_line
from ser_lightning.utils.safe_instantiate import check_description

_NAMING_CORPORA = ("_target_", "corpus", "corpora", "manifest", "test_corpus")  # settings of the data
_NEW_SETTINGS = (
    "same_speakers",
    "targets",
    "batch_seconds",
    "max_clip_seconds",
    "on_long",
)  # older checkpoints lack some
_NOTHING = object()
_NO_SETTING = "is no setting of the data, such as data.fold=1 or data.root=DIR"


@dataclass(frozen=True, kw_only=True, eq=False)
class Test:
    """The clips a checkpoint is tested on: rows of labelled clips, and the protocol that result.json records.

    ``batch_seconds``: see `EmotionDataModule`.
    """

    __test__ = False  # no test class

    config: DictConfig
    clips: LabelledClips
    rows: Sequence[int]
    batch_seconds: float | None
    protocol: Mapping[str, Any]


def data_config(saved: Checkpoint, overrides: Sequence[str], *, trust: bool) -> DictConfig:
    """Return the config of a checkpoint with other data, or with changes to its own.

    ``trust``: see `utils.safe_instantiate`.
    Raises: UserError for overrides that are not of the data, or that cannot be applied.
    """
    data = {**dict.fromkeys(_NEW_SETTINGS), **saved.config["data"]}
    config = OmegaConf.create({**saved.config, "data": data})
    names = [text.lstrip("+~").partition("=")[0] for text in overrides]
    if "data" in names:
        strange = [text for name, text in zip(names, overrides, strict=True) if not _is_of_data(name)]
        if strange:
            raise UserError(f"{strange[0]} {_NO_SETTING}")
        config.data = compose_config(*saved.task.data_overrides, *overrides).data
        return config
    check_description(saved.config["data"], source=str(saved.path), trust=trust)
    groups = [text for text in overrides if "/" in text.partition("=")[0]]
    if groups:
        raise UserError(f"{groups[0]} needs data=NAME beside it: the checkpoint's own data are as they were")
    strange = [text for text in overrides if not text.lstrip("+").startswith("data.") or "=" not in text]
    if strange:
        raise UserError(f"{strange[0]} {_NO_SETTING}")
    for text in overrides:
        _set(config, text)
    return config


def _is_of_data(name: str) -> bool:
    return name == "data" or name.startswith(("data.", "data/"))


def _set(config: DictConfig, text: str) -> None:
    name, _, value = text.lstrip("+").partition("=")
    is_open = text.startswith("+") or name.startswith("data.roots.")  # where a corpus lies, whatever it is called
    if not is_open and OmegaConf.select(config, name, default=_NOTHING) is _NOTHING:
        raise UserError(f"the checkpoint's data have no setting {name}: they have {', '.join(config.data)}")
    try:
        config.merge_with_dotlist([f"{name}={value}"])
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(f"{text} cannot be set: {first_line(error)}") from error


def choose_test(saved: Checkpoint, overrides: Sequence[str], *, all_clips: bool, trust: bool = False) -> Test:
    """Return the clips that overrides ask for: a fold's test, or all clips of a corpus that was not trained on.

    Raises: UserError for overrides that cannot be applied, and for labels that the model does not know.
    """
    config = data_config(saved, overrides, trust=trust)
    data = unsplit_data(config)
    _check_outputs(data.task, saved.task)
    split_was_named = any(text.partition("=")[0].lstrip("+") in ("data.split", "data.fold") for text in overrides)
    if all_clips or (not split_was_named and not _trained_here(saved, config, data.clips)):
        return _all_clips(config, data, saved)
    data.setup()
    protocol = data.protocol() | {"selection": _selection(saved)}
    return Test(
        config=config,
        clips=data.clips,
        rows=data.split.test,
        batch_seconds=data.batch_seconds,
        protocol=_with_training(protocol, saved),
    )


def _check_outputs(data: Task, model: Task) -> None:
    """Raise UserError for data of which the model predicts something else."""
    if data.name != model.name or (data.outputs != model.outputs and not data.labels):
        raise UserError(
            f"the model predicts {model.summary}, and from these data {data.summary} would be predicted"
        )
    _check_labels(data.labels, model.labels)


def _check_labels(corpus: Sequence[str], model: Sequence[str]) -> None:
    unknown = sorted(set(corpus) - set(model))
    if unknown:
        raise UserError(
            f"the model does not know {', '.join(unknown)} (it knows {', '.join(model)}): map the labels of the "
            f"corpus, with data/label_map=six, or with a rule for each, as in {rules_for(unknown[:1])}"
        )


def _trained_here(saved: Checkpoint, config: DictConfig, clips: LabelledClips) -> bool:
    """Return whether any of these corpora was trained on; without a record, whether the names are the same."""
    own = saved.config["data"]
    if all(config.data.get(key) == own.get(key) for key in _NAMING_CORPORA):
        return True  # what is in the list now may be something else, and it is split all the same
    record = TrainingRecord.from_stamp(saved.stamp)
    if record is None:
        names = {part.corpus.name for part in clips.parts}
        return bool(names & set(str(saved.protocol["corpus"]).split("+")))
    return record.has_corpus_of(clips)


def _all_clips(config: DictConfig, data: EmotionDataModule, saved: Checkpoint) -> Test:
    clips = data.clips
    rows = np.flatnonzero(clips.testable).tolist()
    nobody = Split(train=(), val=(), test=tuple(rows), speaker_independent=True)
    protocol = {
        "corpus": clips.name,
        "split": ALL,
        "fold": ALL,
        "split_hash": nobody.hash(clips.manifest),
        "speaker_independent": True,
        **clips.facts,
        "n_train": saved.protocol["n_train"],
        "n_val": saved.protocol["n_val"],
        "n_test": len(rows),
        "selection": _selection(saved),
        "trained_on": saved.protocol["corpus"],
    }
    return Test(config=config, clips=clips, rows=rows, batch_seconds=data.batch_seconds, protocol=protocol)


def _with_training(protocol: Mapping[str, Any], saved: Checkpoint) -> dict[str, Any]:
    """Return the protocol with what the model was trained on, where this is not the test of its own run."""
    if protocol["split_hash"] == saved.protocol["split_hash"]:
        return dict(protocol)
    trained = {"n_train": saved.protocol["n_train"], "n_val": saved.protocol["n_val"]}
    fold = f"{saved.protocol['corpus']}, {saved.protocol['split']}, fold {saved.protocol['fold']}"
    return {**protocol, **trained, "trained_on": fold}


def _selection(saved: Checkpoint) -> str:
    apart = saved.protocol["speaker_independent"]
    is_selected = saved.protocol["n_val"] and saved.is_best
    return best_by(saved.stamp, speaker_independent=apart) if is_selected else LAST
