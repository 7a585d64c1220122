"""MSP-Podcast: turns of podcasts, nine emotions, three dimensions (Lotfian and Busso, 2019, Trans. Aff. Computing).

The corpus grows: releases differ in clips, labels and partitions, so that no numbers of all of them can be given.
Everything is read out of ``Labels/labels_consensus.csv``, a row a clip::

    FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set
    MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1

Speakers of some training clips are not known, and Test3 has no labels. The same speakers may be in several of the
test sets, which is why clips of a test set that is not tested on are not used at all.
"""

from pathlib import Path

from ser_lightning.data.corpora.corpus import Corpus, Listing, NameFacts
from ser_lightning.data.csv_table import as_number, read_table, refuse_faults, repetitions
from ser_lightning.data.manifest import UNKNOWN_SPEAKER
from ser_lightning.utils.errors import UserError

EMOTIONS = {
    "A": "anger",
    "S": "sadness",
    "H": "happiness",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
    "O": "other",
}
_NO_LABEL = ("X", "")  # annotators do not agree; not published
_PARTS = ("Train", "Development", "Test1", "Test2", "Test3")
_VALUES = {"arousal": "emoact", "valence": "emoval", "dominance": "emodom"}
_TABLES = ("Labels/labels_consensus.csv", "labels_consensus.csv", "Labels/labels_concensus.csv")


def read_listing(folder: Path) -> Listing:
    """Return the clips that the table of labels beside the folder of sounds lists.

    Raises: UserError for a table that is not there, or cannot be read.
    """
    places = [above / name for above in (folder.parent, folder) for name in _TABLES]
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        raise UserError(f"there is no table of labels beside {folder}: it lies in {_TABLES[0]}")
    rows = read_table(
        table,
        needed=("filename", "emoclass", "spkrid", "split_set"),
        optional=("gender", *_VALUES.values()),
        as_written=("filename",),
    )
    faults = [f"line {line}: {fault}" for line, row in rows if (fault := _fault(row))]
    different = {tuple(row.values()): (line, row["filename"]) for line, row in reversed(rows)}
    clips = sorted((line, name, name) for line, name in different.values())
    refuse_faults(table, faults, repetitions(clips, "is listed, with differences,"))
    files = {row["filename"]: _facts(row) for _, row in rows}
    return Listing(folder=folder, files=files, lines={row["filename"]: line for line, row in rows})


def _fault(row: dict[str, str]) -> str:
    """Return what is wrong with a line of the table, or "" where nothing is."""
    if row["emoclass"] not in (*EMOTIONS, *_NO_LABEL):
        return f"{row['emoclass']} is no class of the corpus ({', '.join(EMOTIONS)}, X)"
    if row["split_set"] not in _PARTS:
        return f"{row['split_set']!r} is no part of the corpus ({', '.join(_PARTS)})"
    for column in _VALUES.values():
        if as_number(row.get(column) or "0") is None:
            return f"{column} is {row[column]!r}, which is no number"
    return ""


def _facts(row: dict[str, str]) -> NameFacts:
    """Return what a line says of its clip; unknown speakers are told apart by their podcasts."""
    name = row["filename"].rpartition(".")[0] or row["filename"]
    recording = "_".join(name.split("_")[1:2])
    is_known = row["spkrid"] and row["spkrid"].casefold() != "unknown"
    sex = row.get("gender", "").casefold()
    return NameFacts(
        id=name,
        speaker=row["spkrid"] if is_known else f"{UNKNOWN_SPEAKER} of podcast {recording}",
        emotion=EMOTIONS.get(row["emoclass"], ""),
        sex=sex if sex in ("female", "male") else "",
        fold=row["split_set"],
        values={
            name: number
            for name, column in _VALUES.items()
            if (number := as_number(row.get(column, ""))) is not None
        },
    )


CORPUS = Corpus(
    name="msp_podcast",
    title="MSP-Podcast",
    n_speakers=None,
    clips_by_label=dict.fromkeys(EMOTIONS.values()),
    audio_folder="Audios",
    labelled_by="annotators",
    read_listing=read_listing,
    value_ranges=dict.fromkeys(_VALUES, (1.0, 7.0)),
    releases={"1.11": {"Train": 84_030, "Development": 19_815, "Test1": 30_647, "Test2": 14_815}},
    where_to_get=(
        "the MSP laboratory of the University of Texas at Dallas (https://lab-msp.com), with which a person's "
        "institution signs an agreement"
    ),
    licence="under the laboratory's agreement, for academic use or for commercial use",
)
