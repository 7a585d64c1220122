"""Compares the parts of a split with what a checkpoint was trained on: shared speakers and sounds.

A speaker is known by name and corpus, or, in users' lists, by name and contents of the list; a sound by the hash
of its samples, whoever is said to speak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ser_lightning.data.corpora.corpus import corpus_names
from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.prepare.decoding import SILENT_PEAK
from ser_lightning.data.spelling import loose_key
from ser_lightning.runs.result_parts import Shared
from ser_lightning.utils.errors import UserError, some

TRAIN_TEST, VAL_TEST, TRAIN_VAL = "train/test", "val/test", "train/val"


Leakage = Mapping[str, Shared]  # by pair of parts; without a validation set there is only one pair


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What a checkpoint was trained on and its epoch chosen on, out of its stamp.

    ``speakers`` (with the corpus's name) and ``sounds`` (hashes) are by part, "train" and "val". ``lists`` has the
    digest of each corpus that is a user's list, '' where it is not known. ``n_unknown`` clips are of unknown
    speakers, who may be anybody.
    """

    speakers: Mapping[str, frozenset[str]]
    sounds: Mapping[str, frozenset[str]]
    lists: Mapping[str, str]
    same_speakers: bool | None
    n_unknown: int = 0

    @classmethod
    def from_stamp(cls, stamp: Mapping[str, Any]) -> "TrainingRecord | None":
        """Return what a stamp says; None for one that is too old to say it."""
        heard = stamp.get("heard")
        if heard is None:
            return None
        speakers = {part: frozenset(of["speakers"]) for part, of in heard.items()}
        names = {who.partition(":")[0] for part in speakers.values() for who in part}
        return cls(
            speakers=speakers,
            sounds={part: frozenset(of["clips"]) for part, of in heard.items()},
            lists=stamp.get("lists", dict.fromkeys(names - set(corpus_names()), "")),
            same_speakers=stamp.get("same_speakers"),
            n_unknown=sum(of.get("n_unknown", 0) for of in heard.values()),
        )

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
        tested = [clips.manifest[row] for row in rows]
        sounds = {clip.audio_hash for clip in tested if clip.peak >= SILENT_PEAK}  # silence is nobody's
        names = {clips.origin(row): clips.manifest[row].speaker for row in rows}
        known = {part: set[str]() for part in self.speakers}
        unsure = {part: set[str]() for part in self.speakers}
        for (corpus, speaker), name in names.items():
            alike, same = self._called_alike(corpus, speaker, clips.lists.get(corpus), same_speakers)
            if same is not False:
                for part, speakers in self.speakers.items():
                    if alike & speakers:
                        (unsure if same is None else known)[part].add(name)
        n_sounds = {part: len(sounds & trained) for part, trained in self.sounds.items()}
        open_question = sorted(set().union(*unsure.values()))
        if open_question and not any(known.values()) and not any(n_sounds.values()):
            raise UserError(
                f"{some(open_question)} of this list: the model was trained on speakers of these names in another "
                "list. If they are the same people, add data.same_speakers=yes; if not, data.same_speakers=no"
            )
        with_test = {
            f"{part}/test": Shared(speakers=sorted(known[part] | unsure[part]), n_sounds=n_sounds[part])
            for part in self.speakers
            if self.speakers[part] or self.sounds[part]
        }
        return with_test | self._train_val()

    def _called_alike(
        self, corpus: str, speaker: str, digest: str | None, same_speakers: bool | None
    ) -> tuple[set[str], bool | None]:
        """Whom of the record a speaker might be, and whether that is so; None: not known.

        ``digest`` is that of the corpus where it is a user's list.
        """
        if digest is None:
            itself = set() if corpus in self.lists else {f"{corpus}:{speaker}"}
            return itself | (self._called(speaker, in_lists=True) if same_speakers else set()), True
        own = [name for name, known in self.lists.items() if known == digest]
        if own and not self.same_speakers:
            return {f"{corpus if corpus in own else own[0]}:{speaker}"}, True
        alike = self._called(speaker, in_lists=True)
        if same_speakers:
            alike |= self._called(speaker, in_lists=False)
        return alike, True if own else same_speakers

    def _called(self, speaker: str, *, in_lists: bool) -> set[str]:
        """Return who of the record is called so, in a user's list or in a corpus of ours."""
        key, everybody = loose_key(speaker), set[str]().union(*self.speakers.values())
        parts = ((who, *who.partition(":")) for who in everybody)
        return {
            who for who, corpus, _, name in parts if (corpus in self.lists) is in_lists and loose_key(name) == key
        }

    def namesakes(self, clips: LabelledClips, rows: Sequence[int]) -> list[str]:
        """Return the speakers of a test who are called like ones trained on, a list's like a corpus's of ours."""
        tested = {clips.origin(row) for row in rows}
        return sorted({who for corpus, who in tested if self._called(who, in_lists=corpus not in clips.lists)})

    def _train_val(self) -> dict[str, Shared]:
        if not (self.speakers["val"] or self.sounds["val"]):
            return {}
        speakers = self.speakers["train"] & self.speakers["val"]
        n_sounds = len(self.sounds["train"] & self.sounds["val"])
        return {TRAIN_VAL: Shared(speakers=sorted(speakers), n_sounds=n_sounds)}


def keeps_test_apart(leakage: Leakage) -> bool:
    """Return whether no speaker and no sound of the test is in training or validation."""
    return not any(leakage.get(pair) for pair in (TRAIN_TEST, VAL_TEST))
