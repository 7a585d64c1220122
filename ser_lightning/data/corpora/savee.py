"""SAVEE: 480 clips, four men, seven emotions (Haq and Jackson, 2009, Surrey Audio-Visual Expressed Emotion)."""

import re

from ser_lightning.data.corpora.corpus import Corpus, MisnamedFile, NameFacts

EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
_SPEAKERS = ("DC", "JE", "JK", "KL")
_NAME = re.compile(r"(?:.*/)?([A-Z]{2})[/_]([a-z]{1,2})(\d\d)")


def parse(path: str) -> NameFacts:
    """Read ``DC/a01``, as the corpus is published, or ``DC_a01``, as copies have it: speaker, emotion, number.

    Each emotion has sentences of its own, so that a sentence is named by both.
    """
    match = _NAME.fullmatch(path)
    if match is None:
        raise MisnamedFile("is not named like DC/a01 or DC_a01 (speaker, emotion, number of the sentence)")
    speaker, code, number = match.groups()
    if speaker not in _SPEAKERS:
        raise MisnamedFile(f"has the unknown speaker {speaker} (known: {', '.join(_SPEAKERS)})")
    if code not in EMOTIONS:
        raise MisnamedFile(f"has the unknown emotion code {code} (known: {', '.join(EMOTIONS)})")
    n_sentences = 30 if code == "n" else 15
    if not 1 <= int(number) <= n_sentences:
        raise MisnamedFile(f"has the unknown number {number} (known of {EMOTIONS[code]}: 01 to {n_sentences})")
    return NameFacts(
        id=f"{speaker}_{code}{number}",
        speaker=speaker,
        emotion=EMOTIONS[code],
        sentence=f"{code}{number}",
        sex="male",
    )


CORPUS = Corpus(
    name="savee",
    title="SAVEE",
    n_speakers=4,
    clips_by_label={emotion: 120 if emotion == "neutral" else 60 for emotion in EMOTIONS.values()},
    audio_folder="AudioData",
    parse=parse,
    folders_in_names=True,
    where_to_get=(
        "the University of Surrey, where a person registers (http://kahlan.eps.surrey.ac.uk/savee/), or the Kaggle "
        "set ejlok1/surrey-audiovisual-expressed-emotion-savee"
    ),
    licence="free for research, on registration; its authors ask for a citation of Haq and Jackson",
    examples={
        "DC/a01.wav": {"speaker": "DC", "emotion": "anger", "sentence": "a01", "sex": "male", "id": "DC_a01"},
        "DC/n30.wav": {"speaker": "DC", "emotion": "neutral", "sentence": "n30"},
        "JE_d15.wav": {"speaker": "JE", "emotion": "disgust", "sentence": "d15", "id": "JE_d15"},
        "ALL/JK_f02.wav": {"speaker": "JK", "emotion": "fear", "sentence": "f02"},
        "JK/h03.wav": {"speaker": "JK", "emotion": "happiness", "sentence": "h03"},
        "KL/sa04.wav": {"speaker": "KL", "emotion": "sadness", "sentence": "sa04"},
        "KL_su05.wav": {"speaker": "KL", "emotion": "surprise", "sentence": "su05"},
    },
)
