"""ESD: 35,000 clips, 20 speakers of Mandarin or English, five emotions (Zhou et al., Speech Communication, 2022).

The number in a file's name says everything: each speaker reads the same 350 sentences of the language once in every
emotion, emotion by emotion. The tables beside the clips, ``0001.txt`` with lines of name, text and emotion, are not
read: they repeat that order, come in several encodings, and some copies lack them.
"""

import re

from ser_lightning.data.corpora.corpus import Corpus, MisnamedFile, NameFacts

EMOTIONS = {  # in the order of the numbers; the keys are the folders' names
    "Neutral": "neutral",
    "Angry": "anger",
    "Happy": "happiness",
    "Sad": "sadness",
    "Surprise": "surprise",
}
_FOLDERS = {name.casefold(): name for name in EMOTIONS}
_N_SENTENCES = 350
_N_EVALUATION, _N_TEST = 20, 30  # the first sentences of every emotion, and the next; all others are for training
_FEMALE = frozenset("0001 0002 0003 0007 0009 0015 0016 0017 0018 0019".split())
_N_MANDARIN = 10  # speakers; the others speak English
_NAME = re.compile(r"(?:.*/)?(\d{4})_(\d{6})")


def parse(path: str) -> NameFacts:
    """Read ``0011/Angry/0011_000351``: speaker, emotion, number. ``fold`` is the corpus's own part of the clip."""
    match = _NAME.fullmatch(path)
    if match is None:
        raise MisnamedFile("is not named like 0011/Angry/0011_000351 (speaker, emotion, number)")
    speaker, number = match.groups()
    if not 1 <= int(speaker) <= 20:
        raise MisnamedFile(f"has the unknown speaker {speaker} (known: 0001 to 0020)")
    block, place = divmod(int(number) - 1, _N_SENTENCES)
    if not 0 <= block < len(EMOTIONS):
        raise MisnamedFile(f"has the unknown number {number} (known: 000001 to {_N_SENTENCES * len(EMOTIONS):06d})")
    named = list(EMOTIONS)[block]
    folders = [folder.strip() for folder in path.split("/")[:-1]]
    others = [folder for folder in folders if _FOLDERS.get(folder.casefold(), named) != named]
    if others:
        raise MisnamedFile(f"lies in the folder {others[0]}, and its number {number} is of {named}")
    language = "zh" if int(speaker) <= _N_MANDARIN else "en"
    return NameFacts(
        id=f"{speaker}_{number}",
        speaker=speaker,
        emotion=EMOTIONS[named],
        sentence=f"{language}-{place + 1:03d}",
        sex="female" if speaker in _FEMALE else "male",
        fold="evaluation" if place < _N_EVALUATION else "test" if place < _N_EVALUATION + _N_TEST else "train",
    )


CORPUS = Corpus(
    name="esd",
    title="ESD",
    n_speakers=20,
    clips_by_label=dict.fromkeys(EMOTIONS.values(), 7000),
    audio_folder="Emotion Speech Dataset",
    parse=parse,
    folders_in_names=True,
    where_to_get=(
        "the GitHub page HLTSingapore/Emotional-Speech-Data, which links to the files and to the licence that "
        "a person fills in and mails to the authors"
    ),
    licence="for research only, under a licence that is signed; its authors ask for a citation of Zhou et al.",
    examples={
        "0001/Neutral/0001_000001.wav": {
            "speaker": "0001",
            "emotion": "neutral",
            "sentence": "zh-001",
            "sex": "female",
            "fold": "evaluation",
        },
        "0004/Neutral/train/0004_000350.wav": {"speaker": "0004", "emotion": "neutral", "fold": "train"},
        "0011/Angry/0011_000351.wav": {"speaker": "0011", "emotion": "anger", "sentence": "en-001", "sex": "male"},
        "0012/Sad/test/0012_001092.wav": {"speaker": "0012", "emotion": "sadness", "fold": "test"},
        "0013/Happy/train/0013_001042.wav": {"speaker": "0013", "emotion": "happiness", "fold": "train"},
        "0015/Angry/evaluation/0015_000355.wav": {"speaker": "0015", "emotion": "anger", "fold": "evaluation"},
        "0020/Surprise/0020_001750.wav": {"speaker": "0020", "emotion": "surprise", "sentence": "en-350"},
    },
)
