"""EmoDB, the Berlin database: 535 clips, 10 actors, seven emotions (Burkhardt et al., Interspeech 2005)."""

import re

from ser_lightning.data.corpora.corpus import Corpus, MisnamedFile, NameFacts, RemoteFile

EMOTIONS = {  # the initials of the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
_AGES = {  # in years, as the corpus's own page lists its speakers
    "03": "31",
    "08": "34",
    "09": "21",
    "10": "32",
    "11": "26",
    "12": "30",
    "13": "32",
    "14": "35",
    "15": "25",
    "16": "31",
}
_MALE = frozenset("03 10 11 12 15".split())
_TEXTS = tuple("a01 a02 a04 a05 a07 b01 b02 b03 b09 b10".split())
_FOLDER = "wav"
_NAME = re.compile(r"(\d\d)([a-z]\d\d)([A-Z])[a-z]?")


def parse(name: str) -> NameFacts:
    """Read ``03a01Fa``: speaker, text, emotion, version."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise MisnamedFile("is not named like 03a01Fa (speaker, text, emotion, version)")
    speaker, text, code = match.groups()
    if code not in EMOTIONS:
        raise MisnamedFile(f"has the unknown emotion code {code} (known: {', '.join(EMOTIONS)})")
    if speaker not in _AGES:
        raise MisnamedFile(f"has the unknown speaker {speaker} (known: {', '.join(_AGES)})")
    if text not in _TEXTS:
        raise MisnamedFile(f"has the unknown text {text} (known: {', '.join(_TEXTS)})")
    return NameFacts(
        id=name,
        speaker=speaker,
        emotion=EMOTIONS[code],
        sentence=text,
        sex="male" if speaker in _MALE else "female",
        age=_AGES[speaker],
    )


def _remote() -> tuple[RemoteFile, ...]:
    """Return the archive, of which no checksum is published: what guards it is the archive's own."""
    site = "emodb.bilderbar.info/download/download.zip"
    return (RemoteFile(path=_FOLDER, urls=(f"https://{site}", f"http://{site}"), unpack=True),)


CORPUS = Corpus(
    name="emodb",
    title="EmoDB",
    n_speakers=10,
    clips_by_label=dict(zip(EMOTIONS.values(), (127, 81, 46, 69, 71, 62, 79), strict=True)),
    audio_folder=_FOLDER,
    parse=parse,
    where_to_get=(
        "emodb.bilderbar.info/download/download.zip, "
        "or the Kaggle set piyushagni5/berlin-database-of-emotional-speech-emodb"
    ),
    licence="free for research; its authors ask for a citation of Burkhardt et al. (2005)",
    remote=_remote,
    examples={
        "03a01Wa.wav": {"speaker": "03", "emotion": "anger", "sentence": "a01", "sex": "male", "age": "31"},
        "08a02La.wav": {"speaker": "08", "emotion": "boredom", "sentence": "a02", "sex": "female", "age": "34"},
        "09a04Eb.wav": {"speaker": "09", "emotion": "disgust", "sentence": "a04", "sex": "female", "age": "21"},
        "10a05Aa.wav": {"speaker": "10", "emotion": "fear", "sentence": "a05", "sex": "male", "age": "32"},
        "11b01Fc.wav": {"speaker": "11", "emotion": "happiness", "sentence": "b01", "sex": "male", "age": "26"},
        "15b10Ta.wav": {"speaker": "15", "emotion": "sadness", "sentence": "b10", "sex": "male", "age": "25"},
        "16b03Nd.wav": {"speaker": "16", "emotion": "neutral", "sentence": "b03", "sex": "female", "age": "31"},
    },
)
