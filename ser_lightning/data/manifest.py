"""The manifest: one row an utterance, with speaker, emotion, sentence and file."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ser_lightning.utils.errors import counted

UNKNOWN_SPEAKER = (
    "unknown speaker"  # and where from: such clips count as one speaker's, and nothing is claimed of them
)


def speakers_not_known(n_clips: int) -> str:
    """Say that nothing can be claimed of a test's speakers, since those of so many clips are not known."""
    return f"SPEAKERS NOT KNOWN of {counted(n_clips, 'clip')}: those of the test may be in training, too"


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One labelled recording.

    ``id`` names it on every machine (the file name without its ending); ``path`` is relative to the corpus root.
    ``audio_hash`` is over the decoded 16-bit samples, so two files with the same sound share it. ``age`` is the
    speaker's, in years. ``fold`` is the part or the fold that the corpus, or the user's list, puts it in.
    ``values`` are numbers that raters gave, such as arousal, by name; names without one are unknown. ``source_…``
    and ``n_clipped`` (samples in flat tops) are of the file as it lies there; ``peak`` is of the decoded samples,
    32,768 being full scale.
    """

    id: str
    path: str
    corpus: str
    speaker: str
    emotion: str
    sentence: str = ""
    intensity: str = ""
    sex: str = ""
    age: str = ""
    fold: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    n_samples: int = 0
    duration_s: float = 0.0
    audio_hash: str = ""
    source_rate_hz: int = 0
    source_channels: int = 0
    n_clipped: int = 0
    peak: int = 0

    @property
    def speaker_is_known(self) -> bool:
        """Return whether it is known who speaks; the name of a corpus may stand before, and where from behind."""
        name = self.speaker.rpartition(":")[2]
        return name != UNKNOWN_SPEAKER and not name.startswith(f"{UNKNOWN_SPEAKER} of ")

    @property
    def age_group(self) -> str:
        """Return the decade that the age lies in, such as "20-29"; nothing where it is unknown."""
        if not self.age:
            return ""
        decade = int(float(self.age)) // 10 * 10
        return f"{decade}-{decade + 9}"


class Manifest(Sequence[Utterance]):
    """An ordered, immutable list of utterances; its order is that of the sample memory."""

    def __init__(self, utterances: Iterable[Utterance]):
        self._rows = tuple(utterances)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # int or slice, as tuple takes it
        return self._rows[index]

    def column(self, name: str) -> list[str]:
        """Return one field or property of every utterance, in order."""
        return [getattr(row, name) for row in self._rows]

    def same_sound(self) -> list[list[int]]:
        """Return rows whose decoded samples are the same, bit for bit: a list each, in the manifest's order."""
        groups = defaultdict(list)
        for index, row in enumerate(self):
            groups[row.audio_hash].append(index)
        return [group for group in groups.values() if len(group) > 1]

    def by_speaker(self, rows: Iterable[int]) -> list[list[int]]:
        """Return rows by who speaks: a list each, in the order given; unknown speakers have one for each clip."""
        groups = defaultdict(list)
        for row in rows:
            clip = self._rows[row]
            groups[clip.speaker if clip.speaker_is_known else row].append(row)
        return list(groups.values())
