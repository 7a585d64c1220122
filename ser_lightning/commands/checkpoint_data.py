"""Choose the data that a checkpoint is tested on, or calibrated with: its own, or others."""

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
# which older checkpoints lack
_NEW_SETTINGS = ("same_speakers", "targets", "batch_seconds", "max_clip_seconds", "on_long")
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
        for name, text in zip(names, overrides, strict=True):
            if name != "data" and not name.startswith(("data.", "data/")):
                raise UserError(f"{text} {_NO_SETTING}")
        config.data = compose_config(*saved.task.data_overrides, *overrides).data
        return config
    check_description(saved.config["data"], source=str(saved.path), trust=trust)
    groups = [text for text in overrides if "/" in text.partition("=")[0]]
    if groups:
        raise UserError(f"{groups[0]} needs data=NAME beside it: the checkpoint's own data are as they were")
    for text in overrides:
        if not text.lstrip("+").startswith("data.") or "=" not in text:
            raise UserError(f"{text} {_NO_SETTING}")
    for text in overrides:
        _set(config, text)
    return config


def _set(config: DictConfig, text: str) -> None:
    """Apply an override to a config. Raises: UserError for a setting that is not there, or a value that is none."""
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
    protocol, own = data.protocol() | {"selection": _selection(saved)}, saved.protocol
    if protocol["split_hash"] != own["split_hash"]:  # not the test of its own run
        protocol |= {
            "n_train": own["n_train"],
            "n_val": own["n_val"],
            "trained_on": f"{own['corpus']}, {own['split']}, fold {own['fold']}",
        }
    return Test(
        config=config,
        clips=data.clips,
        rows=data.split.test,
        batch_seconds=data.batch_seconds,
        protocol=protocol,
    )


def _check_outputs(data: Task, model: Task) -> None:
    """Raise UserError for data of which the model predicts something else, or labels that it does not know."""
    if data.name != model.name or (data.outputs != model.outputs and not data.labels):
        raise UserError(
            f"the model predicts {model.summary}, and from these data {data.summary} would be predicted"
        )
    if unknown := sorted(set(data.labels) - set(model.labels)):
        raise UserError(
            f"the model does not know {', '.join(unknown)} (it knows {', '.join(model.labels)}): map the labels of "
            f"the corpus, with data/label_map=six, or with a rule for each, as in {rules_for(unknown[:1])}"
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
    """Return the test on every clip that can be tested, whatever the split."""
    clips = data.clips
    rows = np.flatnonzero(clips.testable).tolist()
    split = Split(train=(), val=(), test=tuple(rows), speaker_independent=True)
    protocol = {
        "corpus": clips.name,
        "split": ALL,
        "fold": ALL,
        "split_hash": split.hash(clips.manifest),
        "speaker_independent": True,
        **clips.facts,
        "n_train": saved.protocol["n_train"],
        "n_val": saved.protocol["n_val"],
        "n_test": len(rows),
        "selection": _selection(saved),
        "trained_on": saved.protocol["corpus"],
    }
    return Test(config=config, clips=clips, rows=rows, batch_seconds=data.batch_seconds, protocol=protocol)


def _selection(saved: Checkpoint) -> str:
    """Return how the checkpoint's epoch was selected, in the words of result.json."""
    if not (saved.protocol["n_val"] and saved.is_best):
        return LAST
    return best_by(saved.stamp, speaker_independent=saved.protocol["speaker_independent"])
