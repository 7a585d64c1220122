"""Small corpora in the layouts they are published in, made of tones; some files in the formats that surprise."""

from itertools import product
from pathlib import Path

import numpy as np
import soundfile

from ser_lightning.data.corpora import Corpus
from ser_lightning.data.corpora.emodb import EMOTIONS as EMODB_EMOTIONS
from ser_lightning.data.corpora.ravdess import EMOTIONS as RAVDESS_EMOTIONS

RAVDESS_ACTORS = ("01", "02", "03", "04", "08", "10", "11")  # one of each published fold at least
EMODB_SPEAKERS = ("03", "08", "09", "10", "11")
IEMOCAP_TURNS = (  # the code of a turn, and what three evaluators chose
    ("ang", ("Anger;", "Anger;", "Frustration;")),
    ("hap", ("Happiness;", "Happiness;", "Happiness;")),
    ("exc", ("Excited;", "Excited; Happiness;", "Happiness;")),
    ("neu", ("Neutral;", "Neutral;", "Neutral;")),
    ("sad", ("Sadness;", "Sadness;", "Neutral;")),
    ("fru", ("Frustration;", "Frustration;", "Anger;")),
    ("xxx", ("Anger;", "Neutral;", "Other;")),
)


def make_ravdess(root: Path, *, actors=RAVDESS_ACTORS, doubled: bool = False) -> Path:
    """48 kHz, each actor's first clip in stereo; ``doubled``: as in the archive that holds everything twice."""
    folders = [root, root / "audio_speech_actors_01-24"] if doubled else [root / "Audio_Speech_Actors_01-24"]
    for actor, (number, code) in product(actors, enumerate(RAVDESS_EMOTIONS)):
        name = f"03-01-{code}-01-{1 + number % 2:02d}-01-{actor}.wav"
        for folder in folders:
            tone(
                folder / f"Actor_{actor}" / name,
                number + int(actor) / 100,
                rate_hz=48_000,
                channels=1 + (number == 0),
            )
    return root


def make_emodb(root: Path, *, speakers=EMODB_SPEAKERS) -> Path:
    """16 kHz mono, one text."""
    for speaker, (number, code) in product(speakers, enumerate(EMODB_EMOTIONS)):
        tone(root / "wav" / f"{speaker}a01{code}a.wav", number + int(speaker) / 100)
    return root


def make_iemocap(root: Path, *, turns=IEMOCAP_TURNS) -> Path:
    """Five sessions of an improvised dialog and a scripted one; of each code a turn of both speakers in each."""
    for session, dialog in product(range(1, 6), ("F_impro01", "M_script01_1")):
        name, lines = f"Ses0{session}{dialog}", ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        below = root / "IEMOCAP_full_release" / f"Session{session}"
        for number, (code, choices) in enumerate(turns):
            for sex in "FM":
                turn = f"{name}_{sex}{number:03d}"
                values = f"[2.5000, {1 + number / 4:.4f}, 3.0000]"
                lines.append(f"[{number}.2901 - {number}.9357]\t{turn}\t{code}\t{values}")
                lines += [f"C-E{rater}:\t{choice}\t()" for rater, choice in enumerate(choices, start=2)]
                lines += ["C-F1:\tDisgust;\t(self)", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
                tone(
                    below / "sentences" / "wav" / name / f"{turn}.wav",
                    number + session / 10 + ("script" in name) / 20 + (sex == "M") / 100,
                )
        tables = below / "dialog" / "EmoEvaluation"
        (tables / "Categorical").mkdir(parents=True, exist_ok=True)
        (tables / f"{name}.txt").write_text("\n".join(lines) + "\n")
        (tables / f"._{name}.txt").write_bytes(b"\0\xff")
        (tables / "Categorical" / f"{name}_e2_cat.txt").write_text("another form of the same\n")
    return root


def make_msp_podcast(root: Path, *, parts=("Train", "Development", "Test1", "Test2"), rows=()) -> Path:
    """Of each part and class, X too, a clip of three speakers; who the third one in training is, is not known."""
    lines = ["FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"]
    for number, (part, code, speaker) in enumerate(product(parts, "ASHUFDCNOX", range(3))):
        name = f"MSP-PODCAST_{number:04d}_0001.wav"
        who = "Unknown,Unknown" if (part, speaker) == ("Train", 2) else f"{10 * parts.index(part) + speaker},Female"
        lines.append(f"{name},{code},2.2,4.0,{1 + number / 20:.6f},{who},{part}")
        tone(root / "Audios" / name, number / 10)
    (root / "Labels").mkdir(exist_ok=True)
    (root / "Labels" / "labels_consensus.csv").write_text("\n".join([*lines, *rows]) + "\n")
    return root


def ravdess_names():
    """Every name of the published set: all combinations, but for a strong neutral."""
    codes = ["01", "02"]
    for emotion, intensity, statement, repetition in product(range(1, 9), codes, codes, codes):
        if not (emotion == 1 and intensity == "02"):
            for actor in range(1, 25):
                yield f"03-01-{emotion:02d}-{intensity}-{statement}-{repetition}-{actor:02d}"


def esd_paths():
    """Every clip of the published set, in a copy without folders of its parts."""
    folders = [folder for folder in ("Neutral", "Angry", "Happy", "Sad", "Surprise") for _ in range(350)]
    for speaker, (number, folder) in product(range(1, 21), enumerate(folders, start=1)):
        yield f"{speaker:04d}/{folder}/{speaker:04d}_{number:06d}.wav"


def make_examples(root: Path, corpus: Corpus) -> Path:
    """The files that a corpus names as examples, at 16 kHz."""
    for number, path in enumerate(corpus.examples):
        tone(root / corpus.audio_folder / path, number / 2)
    return root


def make_csv(folder: Path, *, n_clips: int = 10, emotions=("calm", "upset")) -> Path:
    """A user's list of so many clips, two of each speaker, beside their files; returns the CSV."""
    lines = ["path,emotion,speaker,sex,age,fold"]
    for number in range(n_clips):
        emotion, speaker = emotions[number % len(emotions)], number // 2
        path = f"clips/{number}.wav"
        tone(folder / path, number % len(emotions) + speaker / 50)
        sex = "female" if speaker % 2 else "male"
        lines.append(f"{path},{emotion},p{speaker},{sex},{20 + 7 * speaker},{speaker % 3}")
    listed = folder / "my.csv"
    listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return listed


def tone(path: Path, number: float, *, rate_hz: int = 16_000, channels: int = 1, seconds: float = 0.3) -> None:
    """A tone that rises with ``number``, in a little noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(int(1000 * number)).standard_normal((len(t), channels))
    samples = 0.3 * np.sin(2 * np.pi * (200 + 150 * number) * t)[:, None] + 0.01 * noise  # (T, C)
    soundfile.write(path, samples, rate_hz, subtype="PCM_16")
