"""TESS: 2,800 clips, two women, seven emotions (Pichora-Fuller and Dupuis, 2020, doi 10.5683/SP2/E8H2MF)."""

import re

from ser_lightning.data.corpora import Corpus, MisnamedFile, NameFacts

EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",  # a pleasant one
    "sad": "sadness",
}
_AGES = {"OAF": "64", "YAF": "26"}  # in years
_NAME = re.compile(r"([A-Z]+)_([a-z]+)_([a-z]+)")


def parse(name: str) -> NameFacts:
    """Read ``OAF_back_angry``: speaker, target word, emotion.

    One published file, ``OA_bite_neutral``, lacks a letter of its speaker; the id returned has it. The sentence is
    the target word, which all clips carry with "Say the word …".
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise MisnamedFile("is not named like OAF_back_angry (speaker, word, emotion)")
    speaker, word, code = match.groups()
    speaker = "OAF" if speaker == "OA" else speaker
    if speaker not in _AGES:
        raise MisnamedFile(f"has the unknown speaker {speaker} (known: {', '.join(_AGES)})")
    if code not in EMOTIONS:
        raise MisnamedFile(f"has the unknown emotion code {code} (known: {', '.join(EMOTIONS)})")
    return NameFacts(
        id=f"{speaker}_{word}_{code}",
        speaker=speaker,
        emotion=EMOTIONS[code],
        sentence=word,
        sex="female",
        age=_AGES[speaker],
    )


CORPUS = Corpus(
    name="tess",
    title="TESS",
    n_speakers=2,
    clips_by_label=dict.fromkeys(EMOTIONS.values(), 400),  # 200 words, from each speaker
    audio_folder="TESS Toronto emotional speech set data",
    parse=parse,
    where_to_get=(
        "the University of Toronto's Dataverse (Borealis), doi 10.5683/SP2/E8H2MF, "
        "or the Kaggle set ejlok1/toronto-emotional-speech-set-tess"
    ),
    licence="Creative Commons Attribution-NonCommercial-NoDerivatives 4.0 (CC BY-NC-ND 4.0)",
    examples={
        "OAF_angry/OAF_back_angry.wav": {"speaker": "OAF", "emotion": "anger", "sentence": "back", "age": "64"},
        "YAF_disgust/YAF_ton_disgust.wav": {"speaker": "YAF", "emotion": "disgust", "sentence": "ton", "age": "26"},
        "OAF_Fear/OAF_dog_fear.wav": {"speaker": "OAF", "emotion": "fear", "sentence": "dog", "sex": "female"},
        "YAF_happy/YAF_mob_happy.wav": {"speaker": "YAF", "emotion": "happiness", "sentence": "mob"},
        "OAF_neutral/OA_bite_neutral.wav": {"speaker": "OAF", "emotion": "neutral", "id": "OAF_bite_neutral"},
        "OAF_Pleasant_surprise/OAF_witch_ps.wav": {"speaker": "OAF", "emotion": "surprise", "sentence": "witch"},
        "YAF_sad/YAF_love_sad.wav": {"speaker": "YAF", "emotion": "sadness", "sentence": "love"},
    },
)
