"""Pack and read the file of a reference: an archive of arrays, NPZ, that is read without running anything in it.

N: all clips that its runs were tested on, in the order of their ids.  R: runs.  P: predictions of all runs.
K: labels.  L: bytes of the longest id.

- ``record``: bytes of JSON: the speakers of the N clips, the settings, and what is kept of each run's result.
- ``ids`` (L, N): bytes of the ids, letter by letter: those of one place are alike, and so take little room.
- ``truth`` (N,): the true label of each clip.
- ``tested`` (R, N / 8): bits that say which clips a run was tested on.
- ``codes`` (P, K): probabilities, 255 being 1; run by run, in the order of the clips.
"""

import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation.metrics import confusion, scores
from ser_lightning.reference.record import kept_result, kept_settings, refuse_places
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.runs.result import Result, parse_record
from ser_lightning.tasks.predictions import Predictions
from ser_lightning.utils.errors import UserError, first_line
from ser_lightning.utils.files import read_bytes

SHIPPED = Path(__file__).parent
MOST_BYTES, MOST_BYTES_IN_ALL = 150_000, 4_000_000
LARGEST_ERROR = 1.5 / 255  # of a probability: half a step, and a step where two would be the highest
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
TOLERANCE = 1e-3  # of scores that are read back
_SCORES = ("uar", "accuracy", "macro_f1")
_MOST_BYTES_UNPACKED = 20_000_000
_FORMAT = 1
_STEPS = 255


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """A model's results on a corpus and split.

    ``complete``: its runs have every fold of the split. ``runs`` can be compared as those of a directory, and
    ``probabilities`` has (N, K) of each.
    """

    name: str
    complete: bool
    runs: Sequence[FinishedRun]
    probabilities: Sequence[NDArray[np.float64]]
    n_bytes: int


def quantised(predictions: Predictions) -> NDArray[np.uint8]:
    """Return probabilities in steps of 1/255, the same label being the highest: (N, K) uint8."""
    codes = np.rint(predictions.probabilities.clip(0, 1) * _STEPS).astype(np.uint8)
    is_predicted = np.arange(codes.shape[1]) == predictions.predicted[:, None]
    highest = codes[is_predicted][:, None]
    codes[(codes == highest) & ~is_predicted & (highest > 0)] -= 1  # of two that became equal, it was the other
    return codes


def pack(
    name: str,
    runs: Sequence[FinishedRun],
    predictions: Sequence[Predictions],
    *,
    complete: bool,
    places: Sequence[str],
) -> bytes:
    """Return the file; the same runs give the same bytes. ``predictions`` of each run are sorted as its ids are.

    Raises: UserError where it would name one of the ``places``.
    """
    clips = {
        id: (speaker, truth)
        for run in runs
        for id, speaker, truth in zip(run.ids, run.speakers, run.truth, strict=True)
    }
    ids = sorted(clips)
    record = {
        "format": _FORMAT,
        "name": name,
        "complete": complete,
        "settings": kept_settings(runs[0]),
        "runs": [kept_result(run) for run in runs],
        "speakers": [clips[id][0] for id in ids],
    }
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    refuse_places(text, places)
    letters = np.array([id.encode() for id in ids])
    file = io.BytesIO()
    np.savez_compressed(
        file,
        record=np.frombuffer(text.encode(), np.uint8),
        ids=letters.view(np.uint8).reshape(len(ids), -1).T.copy(),
        truth=np.array([clips[id][1] for id in ids], np.uint8),
        tested=np.packbits([np.isin(ids, run.ids) for run in runs], axis=1),
        codes=np.concatenate([quantised(of_run) for of_run in predictions]),
    )
    return file.getvalue()


def unpack(data: bytes, file_name: str) -> Reference:
    """Read what `pack` made. Raises: UserError for anything else."""
    try:
        _refuse_swelling(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            record = json.loads(arrays["record"].tobytes())
            if record["format"] > _FORMAT:
                raise UserError(f"{file_name} is of a later version than this: update ser_lightning")
            if not isinstance(record["settings"], dict) or not NAME.fullmatch(record["name"]):
                raise ValueError("its settings or its name are none")
            letters, speakers = np.ascontiguousarray(arrays["ids"].T), np.array(record["speakers"])
            ids = np.array([row.tobytes().rstrip(b"\0").decode() for row in letters])
            truth, codes = arrays["truth"].astype(np.int64), arrays["codes"]
            tested = np.unpackbits(arrays["tested"], axis=1, count=len(ids)).astype(bool)
        ends = np.cumsum(tested.sum(axis=1))
        if len(record["runs"]) != len(tested) or ends[-1] != len(codes):
            raise ValueError("its parts do not fit together")
        name, probabilities = str(record["name"]), np.split(codes / _STEPS, ends[:-1])
        runs = [
            _read_run(plain, file_name, name, record["settings"], ids[rows], speakers[rows], truth[rows], shares)
            for plain, rows, shares in zip(record["runs"], tested, probabilities, strict=True)
        ]
    except UserError:
        raise
    except Exception as error:  # whatever a file of another kind leads to
        raise UserError(f"{file_name} is no reference, or a damaged one ({first_line(error)})") from error
    complete = bool(record["complete"])
    return Reference(name=name, complete=complete, runs=runs, probabilities=probabilities, n_bytes=len(data))


def _refuse_swelling(data: bytes) -> None:
    """Raise ValueError for an archive that would become far larger than any reference, or is packed otherwise."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > _MOST_BYTES_UNPACKED:
        raise ValueError("it holds too much")
    if any(entry.compress_type not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED) for entry in entries):
        raise ValueError("it is packed in another way")


def check_scores(result: Result, truth: NDArray, predicted: NDArray) -> None:
    """Raise ValueError where the test scores of a result are not those of its predictions."""
    labels = result.predicts.outputs
    computed = scores(confusion(truth, predicted, len(labels)), labels)
    recorded = result.metrics.test
    if any(abs(getattr(recorded, name) - getattr(computed, name)) > TOLERANCE for name in _SCORES):
        raise ValueError("its predictions do not give the scores that it says")


def _read_run(
    plain: Any,
    file_name: str,
    name: str,
    settings: Any,
    ids: NDArray,
    speakers: NDArray,
    truth: NDArray,
    shares: NDArray,
) -> FinishedRun:
    """Return a run out of what is kept of its result, and its clips. Raises: ValueError where they do not fit."""
    result = parse_record(plain, file_name)
    if not isinstance(result, Result):
        raise ValueError("one of its runs is not finished")
    predictions = Predictions(
        ids=ids.tolist(),
        speakers=speakers.tolist(),
        labels=truth,
        probabilities=shares,
        names=result.predicts.outputs,
    )
    result.check_predictions(predictions)
    check_scores(result, truth, predictions.predicted)
    return FinishedRun(
        path=Path(f"{file_name}:fold{result.protocol.fold}-seed{result.seed}"),
        result=result,
        config=settings,
        ids=tuple(predictions.ids),
        speakers=tuple(predictions.speakers),
        truth=truth,
        predicted=predictions.predicted,
        finished_s=0.0,
        reference=name,
    )


def read_reference(path: Path) -> Reference:
    """Read a file. Raises: UserError for one that is none."""
    try:
        data = read_bytes(path, most_bytes=MOST_BYTES)
    except ValueError as error:
        raise UserError(f"{path} is no reference: {error}") from error
    return unpack(data, path.name)


def read_references(folder: Path = SHIPPED) -> list[Reference]:
    """Read all references of a folder, in the order of the files' names."""
    return [read_reference(path) for path in sorted(folder.glob("*.npz"))]
