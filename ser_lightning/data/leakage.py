"""Compares the parts of a split with what a checkpoint was trained on: shared speakers and sounds.

A speaker is known by name and corpus, or, in users' lists, by name and contents of the list; a sound by the hash
of its samples, whoever is said to speak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ser_lightning.data.corpora.corpus import corpus_names
from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.prepare.decoding import SILENT_PEAK
from ser_lightning.data.spelling import loose_key
from ser_lightning.runs.result_parts import Shared
from ser_lightning.utils.errors import UserError, some

TRAIN_TEST, VAL_TEST, CALIBRATION_TEST = OF_TEST = ("train/test", "val/test", "calibration/test")
TRAIN_VAL = "train/val"
_OF_RECORD = ("heard", "lists", "same_speakers")  # keys of a stamp that are its own record

Leakage = Mapping[str, Shared]  # by pair of parts; without a validation set there is only one pair


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What a checkpoint was trained on and its epoch chosen on, out of its stamp.

    ``speakers`` (with the corpus's name) and ``sounds`` (hashes) are by part, "train" and "val"; of the record of
    a temperature's fit, "calibration". ``lists`` has the digest of each corpus that is a user's list, '' where it
    is not known. ``n_unknown`` clips are of unknown speakers, who may be anybody. ``others`` are records of what
    reached it in other ways: through teachers, or by a fit of the temperature. They stay apart, since lists of one
    name may be different ones.
    """

    speakers: Mapping[str, frozenset[str]]
    sounds: Mapping[str, frozenset[str]]
    lists: Mapping[str, str]
    same_speakers: bool | None
    n_unknown: int = 0
    others: tuple["TrainingRecord", ...] = ()

    @classmethod
    def from_stamp(cls, stamp: Mapping[str, Any]) -> "TrainingRecord | None":
        """Return what a stamp says; None for one that is too old to say it, of itself or of its teacher."""
        if stamp.get("heard") is None or (stamp.get("teacher") and "other_records" not in stamp):
            return None
        own, *others = map(cls._of, plain_records(stamp))
        return replace(own, others=tuple(others))

    @classmethod
    def test_of_stamp(cls, stamp: Mapping[str, Any]) -> "TrainingRecord | None":
        """Return who and what is in the test of its own split, as a part "test"; None where a stamp is too old."""
        if stamp.get("held_out") is None:
            return None
        return cls._of({**stamp, "heard": {"test": stamp["held_out"]}})

    @classmethod
    def _of(cls, plain: Mapping[str, Any]) -> "TrainingRecord":
        """Return one of `plain_records`; of old stamps, which do not name lists, all but our corpora are lists."""
        heard = plain["heard"]
        speakers = {part: frozenset(of["speakers"]) for part, of in heard.items()}
        names = {who.partition(":")[0] for part in speakers.values() for who in part}
        return cls(
            speakers=speakers,
            sounds={part: frozenset(of["clips"]) for part, of in heard.items()},
            lists=plain.get("lists", dict.fromkeys(names - set(corpus_names()), "")),
            same_speakers=plain.get("same_speakers"),
            n_unknown=sum(of.get("n_unknown", 0) for of in heard.values()),
        )

    @property
    def itself(self) -> "TrainingRecord":
        """Return the record of its own split alone."""
        return replace(self, others=())

    @property
    def n_unknown_of_others(self) -> int:
        """Return how many clips of unknown speakers reached it through teachers or calibration."""
        return sum(other.n_unknown for other in self.others)

    @property
    def validates_on_training_speakers(self) -> bool:
        """Return whether the best epoch was selected on speakers that training had, too."""
        return bool(self.speakers["train"] & self.speakers["val"])

    def has_corpus_of(self, clips: LabelledClips) -> bool:
        """Return whether a corpus of these clips was trained on."""
        ours = {who.partition(":")[0] for part in self.speakers.values() for who in part} - self.lists.keys()
        corpora = {part.corpus.name for part in clips.parts} - clips.lists.keys()
        return bool(ours & corpora or set(self.lists.values()) & set(clips.lists.values()))

    def leakage(self, clips: LabelledClips, rows: Sequence[int], *, same_speakers: bool | None) -> Leakage:
        """Compare the clips of a test, and the validation set, with what was trained on.

        Args:
            clips: those of which some were tested.
            rows: of the test, in their manifest.
            same_speakers: whether speakers of the same name in another list, or in a list and a corpus of ours, are
                the same people; None: not known, and then they count as different people.

        Raises: UserError where that is not known of two lists, and everything depends on it.
        """
        used = self.used(clips, rows, same_speakers=same_speakers)
        leakage = {
            f"{part}/test": Shared(speakers=sorted(speakers), n_sounds=len(sounds))
            for part, (speakers, sounds) in used.items()
        }
        if self.speakers["val"] or self.sounds["val"]:
            speakers = self.speakers["train"] & self.speakers["val"]
            n_sounds = len(self.sounds["train"] & self.sounds["val"])
            leakage[TRAIN_VAL] = Shared(speakers=sorted(speakers), n_sounds=n_sounds)
        return leakage

    def used(
        self, clips: LabelledClips, rows: Sequence[int], *, same_speakers: bool | None
    ) -> dict[str, tuple[set[str], set[str]]]:
        """Return which speakers of clips, by name, and which of their sounds each part has, those of `others` too.

        Parts that nobody and nothing is in are left out. Args and Raises: as `leakage`.
        """
        tested = [clips.manifest[row] for row in rows]
        tested_sounds = {clip.audio_hash for clip in tested if clip.peak >= SILENT_PEAK}  # silence is nobody's
        names = {clips.origin(row): clips.manifest[row].speaker for row in rows}
        records = (self, *self.others)
        parts = dict.fromkeys(
            part for record in records for part in record.speakers if record.speakers[part] or record.sounds[part]
        )
        known = {part: set[str]() for part in parts}
        possible = {part: set[str]() for part in parts}
        for record in records:
            for (corpus, speaker), name in names.items():
                namesakes, same = record._called_alike(corpus, speaker, clips.lists.get(corpus), same_speakers)
                if same is False:
                    continue
                for part in [part for part, speakers in record.speakers.items() if namesakes & speakers]:
                    (possible if same is None else known)[part].add(name)
        sounds = {
            part: set[str]().union(*(tested_sounds & record.sounds.get(part, set()) for record in records))
            for part in parts
        }
        doubtful = sorted(set().union(*possible.values()))
        if doubtful and not any(known.values()) and not any(sounds.values()):
            raise UserError(
                f"{some(doubtful)} of this list: the model was trained on speakers of these names in another "
                "list. If they are the same people, add data.same_speakers=yes; if not, data.same_speakers=no"
            )
        return {part: (known[part] | possible[part], sounds[part]) for part in parts}

    def used_by(self, part: str, clips: LabelledClips, rows: Sequence[int]) -> tuple[set[str], set[str]]:
        """Return what `used` says of one part, nothing where it has none; clips say whose names are the same."""
        return self.used(clips, rows, same_speakers=clips.same_speakers).get(part, (set(), set()))

    def _called_alike(
        self, corpus: str, speaker: str, digest: str | None, same_speakers: bool | None
    ) -> tuple[set[str], bool | None]:
        """Return who of the record a speaker might be, and whether it is so; None: not known.

        ``digest`` is that of the corpus where it is a user's list.
        """
        if digest is None:
            namesakes = set() if corpus in self.lists else {f"{corpus}:{speaker}"}
            if same_speakers:
                namesakes |= self._called(speaker, in_lists=True)
            return namesakes, True
        same_lists = [name for name, other in self.lists.items() if other == digest]
        if same_lists and not self.same_speakers:
            return {f"{corpus if corpus in same_lists else same_lists[0]}:{speaker}"}, True
        namesakes = self._called(speaker, in_lists=True)
        if same_speakers:
            namesakes |= self._called(speaker, in_lists=False)
        return namesakes, True if same_lists else same_speakers

    def _called(self, speaker: str, *, in_lists: bool) -> set[str]:
        """Return who of the record is called so, in a user's list or in a corpus of ours."""
        key, everybody = loose_key(speaker), set[str]().union(*self.speakers.values())
        parts = ((who, *who.partition(":")) for who in everybody)
        return {
            who for who, corpus, _, name in parts if (corpus in self.lists) is in_lists and loose_key(name) == key
        }

    def namesakes(self, clips: LabelledClips, rows: Sequence[int]) -> list[str]:
        """Return the speakers of a test who are called like ones trained on, a list's like a corpus's of ours."""
        namesakes = set()
        for corpus, speaker in {clips.origin(row) for row in rows}:
            in_lists = corpus not in clips.lists
            if any(record._called(speaker, in_lists=in_lists) for record in (self, *self.others)):
                namesakes.add(speaker)
        return sorted(namesakes)


def keeps_test_apart(leakage: Leakage) -> bool:
    """Return whether no speaker and no sound of the test is in training or validation, or calibrated it."""
    return not any(leakage.get(pair) for pair in OF_TEST)


def plain_records(stamp: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return everything that a stamp says a model was trained, selected and calibrated on, as plain values.

    The first is of its own split; then come those of its teachers, and that of its temperature.
    """
    own = {key: stamp[key] for key in _OF_RECORD if key in stamp}
    calibration = (stamp.get("calibrated") or {}).get("record")
    return [own, *stamp.get("other_records", ()), *([calibration] if calibration else [])]
