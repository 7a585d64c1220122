"""Say in words what result.json counts under ``warnings``: for the console, the model card and comparisons."""

from collections.abc import Mapping

from ser_lightning.utils.errors import counted

_WORDS = {  # kind -> of one, and of several
    "silent": ("silent clip, used all the same", "silent clips, used all the same"),
    "duplicate_audio": ("clip that sounds the same as another", "clips that sound the same as another"),
    "missing": ("clip of the corpus missing", "clips of the corpus missing: this is a part of it"),
    "copies": ("file there twice, counted once", "files there twice, counted once"),
    "excluded": ("file that could not be used, left out", "files that could not be used, left out"),
    "left_out_by_label": ("clip without a label here, left out", "clips without a label here, left out"),
    "left_out_without_value": ("clip without a value of every target, left out", "clips without a value, left out"),
    "tied_votes": (
        "clip without a majority of votes, used in training alone",
        "clips without a majority of votes, used in training alone",
    ),
    "outside_split": ("clip that this split does not use", "clips of parts that this split does not use"),
    "unknown_speaker": (
        "clip of an unknown speaker: no claim about speakers covers it",
        "clips of unknown speakers: no claim about speakers covers them",
    ),
    "unknown_trained": (
        "training clip of an unknown speaker, who may be in the test",
        "training clips of unknown speakers, who may be in the test",
    ),
    "training_unfinished": (
        "checkpoint of a run that is not finished: a later epoch may be better",
        "checkpoints of runs that are not finished: a later epoch may be better",
    ),
    "namesakes": (
        "speaker with the name of one in another corpus: if it is the same person, add data.same_speakers=yes",
        "speakers called as ones of another corpus: if they are the same people, add data.same_speakers=yes",
    ),
    "whole_files": (
        "clip that is a whole file, whatever times the list has",
        "clips that are whole files, whatever times the list has",
    ),
    "clipped": ("clipped clip", "clipped clips"),
    "square_waves": ("clip that is little but clipping", "clips that are little but clipping"),
    "padded": ("clip of one length with others, padded with zeros", "clips of equal length, padded with zeros"),
    "cropped": ("clip too long to be used whole: its middle", "clips too long to be used whole: their middle"),
    "in_pieces": ("long clip, used in pieces", "long clips, used in pieces"),
    "one_validation_speaker": (
        "speaker in validation: the best epoch is the one that suits a single speaker",
        "speakers in validation",
    ),
    "validation_on_training_speakers": (
        "training speaker in validation: its scores say little about new speakers",
        "training speakers in validation: its scores say little about new speakers",
    ),
    "labels_not_in_train": ("label without a training clip", "labels without a training clip"),
    "labels_not_in_val": (
        "label without a validation clip, left out of validation UAR",
        "labels without a validation clip, left out of validation UAR",
    ),
    "labels_not_in_test": (
        "label without a test clip, left out of test UAR",
        "labels without a test clip, left out of test UAR",
    ),
}


def data_warnings(counts: Mapping[str, int] | None) -> list[str]:
    """Say what was odd about the data, a line for each kind."""
    lines = []
    for kind, n in (counts or {}).items():
        if kind == "untested":  # a run that was cut, which says nothing of the data
            continue
        plain = kind.replace("_", " ")  # of a result that another version wrote
        lines.append(counted(n, *_WORDS.get(kind, (plain, plain))))
    return lines
