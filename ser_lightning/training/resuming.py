"""Check that a resumed run has the settings and the data that it began with."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.runs.label_sources import INTENDED, current_name
from ser_lightning.tasks.registry import task_of
from ser_lightning.utils.errors import UserError, some
from ser_lightning.utils.nested import differing
from ser_lightning.utils.safe_instantiate import with_current_names

_FACTS = ("label_source", "label_map", "test_corpus")  # of the protocol
# Settings that say where something lies, which may have been moved: what is there is compared itself.
_PLACES = re.compile(
    r"data\.(root|roots\..*|test_root|manifest|votes|corpora|test_corpus|splits\.\w+\.path)|model\.teacher"
)


def check_same_config(before: Mapping[str, Any], now: Mapping[str, Any], *, arguments: Collection[str]) -> None:
    """Compare the config in a checkpoint's stamp with today's, but for where things lie.

    Args:
        before: the stamp of the checkpoint.
        now: today's.
        arguments: those of the network that are made for the stamp: see `Network.checkpoint_arguments`.

    Raises: UserError that names the settings that differ.
    """
    values = differing([with_current_names(stamp["config"]) for stamp in (before, now)])
    made = {f"model.net.{name}" for name in arguments}
    changed = [
        f"{name} was {was} and is {is_now}"
        for name, (was, is_now) in values.items()
        if name not in made and not _PLACES.fullmatch(name)
    ]
    if changed:
        raise UserError(
            f"the settings are not those that this run was trained with so far: {some(changed)}. Restore them in "
            "its config.yaml, or start a new run with its own hydra.run.dir"
        )


def check_same_data(stamp: Mapping[str, Any], data: EmotionDataModule) -> None:
    """Compare today's data with those that a checkpoint's stamp records: split, labels, speakers and sounds.

    Where the files lie makes no difference.
    Raises: UserError that names what differs.
    """
    differences = list(_differences(stamp, data))
    if differences:
        raise UserError(
            f"the data are not those that this run was trained on so far: {'; '.join(differences)}. "
            "Restore them (the list, the files) as they were, or start a new run with its own hydra.run.dir"
        )


def check_same_teacher(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare the teacher in a checkpoint's stamp with today's. Raises: UserError where it is another."""
    digests = [stamp.get("teacher", {}).get("sha256") for stamp in (before, now)]
    if digests[0] != digests[1]:
        raise UserError(
            "the checkpoint at model.teacher is not the one that this run has learnt from so far: restore it, or "
            "start a new run with its own hydra.run.dir"
        )


def _differences(stamp: Mapping[str, Any], data: EmotionDataModule) -> Iterator[str]:
    """Yield in words where today's data differ from those of a checkpoint's stamp."""
    before, now, record = dict(stamp["protocol"]), data.protocol(), data.training_record()
    before["label_source"] = current_name(before.get("label_source", INTENDED))
    tasks = (task_of(stamp), data.task)
    outputs = [task.outputs for task in tasks]
    if tasks[0].name != tasks[1].name or outputs[0] != outputs[1]:
        was, is_now = (", ".join(names) for names in outputs)
        yield f"the {tasks[0].outputs_word} were {was} and are {is_now}"
    for name in _FACTS:
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name)} and is {now.get(name)}"
    n_more = sum(now[key] - before[key] for key in ("n_train", "n_val", "n_test"))
    if n_more:
        yield f"clips {'more' if n_more > 0 else 'fewer'}: {abs(n_more):,}"
    moved = list(_moved(stamp["heard"], data)) if "heard" in stamp else []
    yield from moved
    if before["split_hash"] != now["split_hash"] and not moved and not n_more:
        yield "clips have other names, or are in other parts of the split"
    elif "contents" in stamp and stamp["contents"] != record["contents"] and not moved:
        yield "clips have other labels, speakers or sounds"


def _moved(trained: Mapping[str, Any], data: EmotionDataModule) -> Iterator[str]:
    """Yield speakers and clips that changed part of the split, and sounds that are gone.

    The stamp does not record who was in the test.
    """
    rows_now = {"train": data.split.train, "val": data.split.val, "test": data.split.test}
    people, manifest = data.clips.people, data.manifest
    now = {part: {people[row] for row in rows} for part, rows in rows_now.items()}
    changed = {}
    for who in sorted(set().union(*now.values(), *(trained[part]["speakers"] for part in trained))):
        was = [part for part in trained if who in trained[part]["speakers"]]
        if was != [part for part in trained if who in now[part]]:
            is_now = [part for part in now if who in now[part]]
            changed[who] = f"{'+'.join(was) or 'test or none'} → {'+'.join(is_now) or 'none'}"
    if changed:
        yield f"speakers changed part: {some([f'{who} ({how})' for who, how in changed.items()])}"
    sounds = {part: {manifest[row].audio_hash for row in rows} for part, rows in rows_now.items()}
    clips = {part: set(trained[part]["clips"]) for part in trained}
    before = set().union(*clips.values())
    elsewhere = [
        manifest[row].id
        for part, rows in rows_now.items()
        for row in rows
        if people[row] not in changed
        and manifest[row].audio_hash not in clips.get(part, ())
        and manifest[row].audio_hash in before
    ]
    if elsewhere:
        yield f"clips changed part: {some(elsewhere)}"
    gone = before - set().union(*sounds.values())
    if gone:
        yield f"sounds gone from training and validation: {len(gone):,}"
