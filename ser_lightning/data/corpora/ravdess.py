"""RAVDESS, speech: 1,440 clips, 24 actors, eight emotions (Livingstone and Russo, doi 10.5281/zenodo.1188976)."""

import re

from ser_lightning.data.corpora.corpus import Corpus, MisnamedFile, NameFacts, RemoteFile

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
_OTHER_MODALITIES = {"01": "video with sound", "02": "video without sound"}
_OTHER_CHANNELS = {"02": "song"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")

_FOLDER = "Audio_Speech_Actors_01-24"
_RECORD = "https://zenodo.org/records/1188976/files"


def parse(name: str) -> NameFacts:
    """Read ``03-01-06-01-02-01-12``: modality, channel, emotion, intensity, statement, repetition, actor.

    The actor's sex is in the number: odd male, even female.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise MisnamedFile(
            "is not named like 03-01-06-01-02-01-12 "
            "(modality, channel, emotion, intensity, statement, repetition, actor)"
        )
    modality, channel, emotion, intensity, statement, repetition, actor = match.groups()
    if modality != "03":
        kind = _OTHER_MODALITIES.get(modality, "of no known kind")
        raise MisnamedFile(f"is {kind} (modality {modality}): only sound without video (03) is taken")
    if channel != "01":
        kind = _OTHER_CHANNELS.get(channel, "of no known kind")
        raise MisnamedFile(f"is {kind} (channel {channel}): only speech (01) is taken")
    if emotion not in EMOTIONS:
        raise MisnamedFile(f"has the unknown emotion code {emotion} (known: 01 to 08)")
    if intensity not in _INTENSITIES:
        raise MisnamedFile(f"has the unknown intensity {intensity} (known: 01 and 02)")
    if EMOTIONS[emotion] == "neutral" and intensity == "02":
        raise MisnamedFile("is neutral and strong: the corpus has no such clip")
    if statement not in ("01", "02") or repetition not in ("01", "02"):
        raise MisnamedFile(f"has the unknown statement or repetition {statement}-{repetition} (known: 01 and 02)")
    if not 1 <= int(actor) <= 24:
        raise MisnamedFile(f"has the unknown actor {actor} (known: 01 to 24)")
    return NameFacts(
        id=name,
        speaker=actor,
        emotion=EMOTIONS[emotion],
        sentence=statement,
        intensity=_INTENSITIES[intensity],
        sex="male" if int(actor) % 2 else "female",
    )


def _remote() -> tuple[RemoteFile, ...]:
    return (
        RemoteFile(
            path=_FOLDER,
            urls=(f"{_RECORD}/{_FOLDER}.zip?download=1",),
            digest="md5:bc696df654c87fed845eb13823edef8a",
            unpack=True,
        ),
    )


CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS",
    n_speakers=24,
    clips_by_label={emotion: 96 if emotion == "neutral" else 192 for emotion in EMOTIONS.values()},
    audio_folder=_FOLDER,
    parse=parse,
    where_to_get=(
        f"Zenodo record 1188976 (the file {_FOLDER}.zip), "
        "or the Kaggle set uwrfkaggler/ravdess-emotional-speech-audio"
    ),
    licence="Creative Commons Attribution-NonCommercial-ShareAlike 4.0 (CC BY-NC-SA 4.0)",
    remote=_remote,
    examples={
        "Actor_01/03-01-01-01-01-01-01.wav": {"speaker": "01", "emotion": "neutral", "intensity": "normal"},
        "Actor_02/03-01-02-01-02-01-02.wav": {"speaker": "02", "emotion": "calm", "intensity": "normal"},
        "Actor_12/03-01-03-02-01-01-12.wav": {"speaker": "12", "emotion": "happiness", "intensity": "strong"},
        "Actor_12/03-01-04-01-02-01-12.wav": {"speaker": "12", "emotion": "sadness", "intensity": "normal"},
        "Actor_23/03-01-05-02-01-01-23.wav": {"speaker": "23", "emotion": "anger", "intensity": "strong"},
        "Actor_24/03-01-06-01-02-01-24.wav": {"speaker": "24", "emotion": "fear", "intensity": "normal"},
        "Actor_07/03-01-07-01-01-01-07.wav": {"speaker": "07", "emotion": "disgust", "intensity": "normal"},
        "Actor_08/03-01-08-02-02-01-08.wav": {"speaker": "08", "emotion": "surprise", "intensity": "strong"},
    },
)
