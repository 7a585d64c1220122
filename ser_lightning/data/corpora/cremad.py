"""CREMA-D: 7,442 clips, 91 actors, six emotions (Cao et al., 2014, doi 10.1109/TAFFC.2014.2336244)."""

import re
from collections.abc import Mapping
from pathlib import Path

from ser_lightning.data.corpora.corpus import Corpus, MisnamedFile, NameFacts
from ser_lightning.data.corpora.cremad_remote import AUDIO_FOLDER, remote_files
from ser_lightning.data.corpora.cremad_votes import read_levels, read_votes
from ser_lightning.data.votes import Votes

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
_INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")

# VideoDemographics.csv of the corpus: the last two digits of the 43 women's ids; the other 48 actors are men.
_FEMALE = frozenset(
    (
        "02 03 04 06 07 08 09 10 12 13 18 20 21 24 25 28 29 30 37 43 46 47 49 52 53 54 55 56 58 60 61 63 72 "
        "73 74 75 76 78 79 82 84 89 91"
    ).split()
)
# The same table: the age of every actor in years, from 1001 on.
_AGES = (
    "51 21 21 42 29 58 38 46 24 27 32 23 22 24 32 61 42 25 29 61 30 22 22 59 48 33 44 57 33 42 31 30 31 74 48 49 "
    "45 21 51 42 42 37 25 40 22 22 22 38 25 62 56 33 35 36 57 52 25 36 21 28 51 56 33 53 38 25 66 34 27 25 41 33 "
    "24 31 40 25 20 21 21 21 30 20 45 46 34 33 62 23 24 50 29"
).split()


def parse(name: str) -> NameFacts:
    """Read ``1001_DFA_ANG_XX``: actor, sentence, emotion, intensity.

    Some copies write an unspecified intensity with one X; the id returned always has two.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise MisnamedFile("is not named like 1001_DFA_ANG_XX (actor, sentence, emotion, intensity)")
    speaker, sentence, code, level = match.groups()
    level = "XX" if level == "X" else level
    if code not in EMOTIONS:
        raise MisnamedFile(f"has the unknown emotion code {code} (known: {', '.join(EMOTIONS)})")
    if level not in _INTENSITIES:
        raise MisnamedFile(f"has the unknown intensity {level} (known: {', '.join(_INTENSITIES)})")
    if not 1001 <= int(speaker) <= 1091:
        raise MisnamedFile(f"has the unknown actor {speaker} (known: 1001 to 1091)")
    return NameFacts(
        id=f"{speaker}_{sentence}_{code}_{level}",
        speaker=speaker,
        emotion=EMOTIONS[code],
        sentence=sentence,
        intensity=_INTENSITIES[level],
        sex="female" if speaker[2:] in _FEMALE else "male",
        age=_AGES[int(speaker) - 1001],
    )


def _read_votes(root: Path | None, given: Path | None) -> Votes | None:
    return read_votes(root, given, id_of=lambda name: parse(name).id)


def _read_values(root: Path | None, given: Path | None) -> Mapping[str, Mapping[str, float]] | None:
    levels = read_levels(root, given, id_of=lambda name: parse(name).id)
    return None if levels is None else {clip: {"voice_level": level} for clip, level in levels.items()}


CORPUS = Corpus(
    name="cremad",
    title="CREMA-D",
    n_speakers=91,
    clips_by_label={emotion: 1087 if emotion == "neutral" else 1271 for emotion in EMOTIONS.values()},
    audio_folder=AUDIO_FOLDER,
    parse=parse,
    read_votes=_read_votes,
    value_ranges={"voice_level": (0, 100)},
    read_values=_read_values,
    where_to_get=(
        "the GitHub repository CheyneyComputerScience/CREMA-D (with Git LFS), its GitLab mirror "
        "cs-cooper-lab/crema-d-mirror, or the Kaggle set ejlok1/cremad"
    ),
    licence="Open Database License 1.0, contents under the Database Contents License 1.0",
    remote=remote_files,
    examples={
        "1001_DFA_ANG_XX.wav": {"speaker": "1001", "emotion": "anger", "intensity": "unspecified"},
        "1002_IEO_DIS_LO.wav": {"speaker": "1002", "emotion": "disgust", "intensity": "low"},
        "1020_IEO_FEA_MD.wav": {"speaker": "1020", "emotion": "fear", "intensity": "medium"},
        "1034_IEO_HAP_HI.wav": {"speaker": "1034", "emotion": "happiness", "intensity": "high"},
        "1040_ITH_NEU_X.wav": {"speaker": "1040", "emotion": "neutral", "intensity": "unspecified"},
        "1091_WSI_SAD_XX.wav": {"speaker": "1091", "emotion": "sadness", "intensity": "unspecified"},
    },
)
