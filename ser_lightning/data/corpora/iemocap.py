"""IEMOCAP: ten actors in five sessions of two, ten emotions (Busso et al., 2008, doi 10.1007/s10579-008-9076-6).

10,039 turns, of which 7,532 have a label that most evaluators agree on. Labels, dimensions and evaluators' choices
stand in ``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt``, a turn after the other::

    [6.2901 - 8.2357]   Ses01F_impro01_F000   neu   [2.5000, 2.5000, 2.5000]
    C-E2:   Neutral;   ()
    C-E4:   Neutral; Frustration;   (unsure)
    C-F1:   Neutral;   ()

The brackets hold valence, activation and dominance. C-E2 is an evaluator, C-F1 the actor, who is not counted. The
turn's speaker is the letter at the end of its name: the first one says who wore the markers.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ser_lightning.data.corpora.corpus import Corpus, Listing, NameFacts
from ser_lightning.data.votes import Votes, read_votes_table
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import read_bytes

EMOTIONS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "excitement",
    "sad": "sadness",
    "neu": "neutral",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
}
_NO_AGREEMENT = "xxx"
_FOLDER = "IEMOCAP_full_release"
_TURN = re.compile(r"\[[\d.]+ - [\d.]+\]\s+(\w+)\s+(\w+)\s+\[([\d.]+), ([\d.]+), ([\d.]+)\]\s*")
_ID = re.compile(r"(Ses0([1-5])[FM]_\w+)_([FM])\d+")
_ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_RANGE = (0.5, 5.5)  # the scale goes from 1 to 5; the tables' means are taken as they are, a little beyond it too
_EVALUATOR = re.compile(r"C-E\d+:\s*([^(]*)")


@dataclass
class _Turn:
    """A turn of a table: its name, code, valence, activation and dominance, and how many evaluators chose what."""

    id: str
    code: str
    values: tuple[float, ...]
    votes: dict[str, int] = field(default_factory=dict)


def read_listing(folder: Path) -> Listing:
    """Return the turns that the tables under ``folder`` name. One that evaluators do not agree on has no emotion.

    Raises: UserError for a table that cannot be read or has another entry of a turn, and where there is none.
    """
    files = {}
    for turn in _turns(folder):
        match = _ID.fullmatch(turn.id)
        if match is None or (turn.code not in EMOTIONS and turn.code != _NO_AGREEMENT):
            raise UserError(
                f"the label tables of {folder} have a turn {turn.id} of {turn.code}: a turn is called like "
                f"Ses01F_impro01_F000, and is of {', '.join(EMOTIONS)} or {_NO_AGREEMENT}"
            )
        dialog, session, sex = match.groups()
        valence, activation, dominance = turn.values
        files[f"Session{session}/sentences/wav/{dialog}/{turn.id}.wav"] = NameFacts(
            id=turn.id,
            speaker=f"Ses0{session}{sex}",
            emotion=EMOTIONS.get(turn.code, ""),
            sex="female" if sex == "F" else "male",
            values={"valence": valence, "arousal": activation, "dominance": dominance},
        )
    return Listing(folder=folder, files=files)


def read_votes(root: Path | None, given: Path | None) -> Votes | None:
    """Return how many evaluators chose each emotion for each turn; several choices of one evaluator all count."""
    if given is not None:
        return read_votes_table(given, tuple(EMOTIONS.values()))  # which says what it lacks
    assert root is not None
    folder = root / _FOLDER if (root / _FOLDER).is_dir() else root
    counts = {turn.id: tuple(turn.votes.get(name, 0) for name in EMOTIONS.values()) for turn in _turns(folder)}
    return Votes(labels=tuple(EMOTIONS.values()), by_clip=counts, counted=True, source="EmoEvaluation")


def _turns(folder: Path) -> Iterator[_Turn]:
    """Yield the turns of all tables, each once. Raises: UserError as `read_listing`."""
    tables = [
        path
        for path in sorted(folder.glob("Session[1-5]/dialog/EmoEvaluation/*.txt"))
        if not path.name.startswith(".")  # what Macs leave beside files
    ]
    if not tables:
        raise UserError(f"{folder} holds no label tables, Session1/dialog/EmoEvaluation/*.txt and so on")
    named: dict[str, tuple[_Turn, Path]] = {}
    for table in tables:
        turns = list(_turns_of(table))
        if not turns:
            raise UserError(f"{table} names no turn: replace it by the corpus's own table, or remove it")
        for turn in turns:
            first, place = named.setdefault(turn.id, (turn, table))
            if turn != first:
                raise UserError(f"{turn.id} stands in {place}, and otherwise in {table}: remove what is not right")
    yield from (turn for turn, _ in named.values())


def _turns_of(table: Path) -> Iterator[_Turn]:
    """Yield the turns of one table. Raises: UserError where it cannot be read."""
    try:
        raw = read_bytes(table)
    except (OSError, ValueError) as error:
        raise UserError(f"{table} cannot be read ({getattr(error, 'strerror', None) or error})") from error
    encoding = next((name for bom, name in _ENCODINGS.items() if raw.startswith(bom)), "latin-1")
    lines = raw.decode(encoding, errors="replace").splitlines()
    turn = None
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line.startswith("["):
            match = _TURN.fullmatch(line)
            if match is None:
                raise UserError(f"{table} cannot be read: line {number} is no turn ({line[:60]!r})")
            if turn is not None:
                yield turn
            name, code, *values = match.groups()
            turn = _Turn(name, code, tuple(map(float, values)))
        elif turn is not None and (match := _EVALUATOR.match(line)):
            for choice in filter(None, map(str.strip, match[1].split(";"))):
                # the words begin with the codes; any further word is something else
                emotion = EMOTIONS.get(choice.lower()[:3], "other")
                turn.votes[emotion] = turn.votes.get(emotion, 0) + 1
    if turn is not None:
        yield turn


CORPUS = Corpus(
    name="iemocap",
    title="IEMOCAP",
    n_speakers=10,
    clips_by_label={
        "anger": 1103,
        "happiness": 595,
        "excitement": 1041,
        "sadness": 1084,
        "neutral": 1708,
        "frustration": 1849,
        "fear": 40,
        "surprise": 107,
        "disgust": 2,
        "other": 3,
    },
    audio_folder=_FOLDER,
    labelled_by="annotators",
    read_listing=read_listing,
    read_votes=read_votes,
    value_ranges=dict.fromkeys(("valence", "arousal", "dominance"), _RANGE),
    where_to_get=(
        "the University of Southern California (https://sail.usc.edu/iemocap/), where a person applies with a "
        "release form"
    ),
    licence="for research only, under the release form; its authors ask for a citation of Busso et al. (2008)",
)
