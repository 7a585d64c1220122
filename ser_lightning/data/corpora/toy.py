"""Toy: synthetic speech made on the spot, to try the whole engine without any data.

It is no recording of anybody, and nothing measured on it says anything about emotion in real speech.
"""

import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from ser_lightning.data.corpora.corpus import Corpus, MisnamedFile, NameFacts
from ser_lightning.data.corpora.cremad import EMOTIONS

N_SPEAKERS = 24
N_SENTENCES = 5
_NAME = re.compile(r"(s\d{2})_(t\d+)_([A-Z]{3})_(\d+)")


def parse(name: str) -> NameFacts:
    """Read ``s01_t1_ANG_1``: speaker (odd male, even female), sentence, emotion, take."""
    match = _NAME.fullmatch(name)
    if match is None or match[3] not in EMOTIONS:
        raise MisnamedFile("is not named like s01_t1_ANG_1 (speaker, sentence, emotion, take)")
    speaker, sentence, code, _take = match.groups()
    return NameFacts(
        id=name,
        speaker=speaker,
        emotion=EMOTIONS[code],
        sentence=sentence,
        sex="male" if int(speaker[1:]) % 2 else "female",
    )


def _synthesise(folder: Path) -> None:
    from ser_lightning.data.synthesis import synthesise_corpus

    synthesise_corpus(folder, speakers=N_SPEAKERS, sentences=N_SENTENCES)


def _read_values(root: Path | None, given: Path | None) -> Mapping[str, Mapping[str, float]]:
    """Return how each clip was meant to be spoken, as the synthesis draws it: its files need not be read."""
    from ser_lightning.data.synthesis import clip_name, take_of

    takes = product(range(1, N_SPEAKERS + 1), range(1, N_SENTENCES + 1), EMOTIONS)
    names = [clip_name(f"s{number:02d}", sentence, emotion, 1) for number, sentence, emotion in takes]
    spoken = {name: take_of(name) for name in names}
    return {name: {"pitch_st": take.pitch_st, "level_db": take.level_db} for name, take in spoken.items()}


CORPUS = Corpus(
    name="toy",
    title="synthetic speech",
    n_speakers=N_SPEAKERS,
    clips_by_label=dict.fromkeys(EMOTIONS.values(), N_SPEAKERS * N_SENTENCES),
    audio_folder="audio",
    parse=parse,
    where_to_get="nowhere: it is synthesised into the cache",
    licence="MIT, as the program that makes it",
    value_ranges={"pitch_st": (-12, 24), "level_db": (-20, 30)},  # about the speaker's own; about neutral
    read_values=_read_values,
    synthesise=_synthesise,
    examples={
        "s01_t1_ANG_1.wav": {"speaker": "s01", "emotion": "anger", "sentence": "t1", "sex": "male"},
        "s02_t2_DIS_1.wav": {"speaker": "s02", "emotion": "disgust", "sentence": "t2", "sex": "female"},
        "s03_t1_FEA_1.wav": {"speaker": "s03", "emotion": "fear", "sentence": "t1", "sex": "male"},
        "s04_t5_HAP_2.wav": {"speaker": "s04", "emotion": "happiness", "sentence": "t5", "sex": "female"},
        "s23_t1_NEU_1.wav": {"speaker": "s23", "emotion": "neutral", "sentence": "t1", "sex": "male"},
        "s24_t10_SAD_1.wav": {"speaker": "s24", "emotion": "sadness", "sentence": "t10", "sex": "female"},
    },
)
