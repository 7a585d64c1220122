"""Splits that corpora come with: parts by name, and what is in none of them."""

import pytest
from conftest import config
from hydra.utils import instantiate
from layouts import esd_paths, ravdess_names

from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.splits.official import OfficialParts
from ser_lightning.data.splits.split import TestedElsewhere, split
from ser_lightning.utils.errors import UserError

PARTS = {"train": ["Train"], "val": ["Development"], "test": ["Test1"]}


def manifest(*rows, corpus="c"):
    return Manifest(
        Utterance(id=f"{number}", path="", corpus=corpus, speaker=speaker, emotion="anger", fold=fold)
        for number, (speaker, fold) in enumerate(rows)
    )


CLIPS = manifest(("a", "Train"), ("b", "Development"), ("c", "Test1"), ("d", "Test2"), ("e", "Train"), ("d", ""))


def test_parts_are_those_that_the_corpus_names_and_others_are_not_used():
    parts = split(CLIPS, OfficialParts(**PARTS), 0)
    assert (parts.train, parts.val, parts.test) == ((0, 4), (1,), (2,))
    second = split(CLIPS, OfficialParts(**{**PARTS, "test": ["Test2"]}), 0)
    assert (second.train, second.val, second.test) == ((0, 4), (1,), (3,))
    assert parts.hash(CLIPS) != second.hash(CLIPS)


def test_where_another_corpus_is_tested_the_unused_stay_unused():
    other = Utterance(id="x", path="", corpus="other", speaker="x", emotion="anger")
    parts = split(Manifest([*CLIPS, other]), TestedElsewhere(OfficialParts(**PARTS), test_corpus="other"), 0)
    assert (parts.train, parts.val, parts.test) == ((0, 2, 4), (1,), (6,))


def test_speakers_on_two_sides_are_refused_unless_they_are_declared():
    shared = manifest(("a", "Train"), ("a", "Development"), ("a", "Test1"), ("b", "Test1"))
    with pytest.raises(UserError, match="shares speakers between its parts: a"):
        split(shared, OfficialParts(**PARTS), 0)
    assert split(shared, OfficialParts(**PARTS, speaker_independent=False), 0).test == (2, 3)


def test_what_cannot_be_is_said():
    with pytest.raises(UserError, match="the part Train is in two subsets"):
        OfficialParts(train=["Train"], val=["Train"], test=["Test1"])
    with pytest.raises(UserError, match="no clip is of the parts Train, Development, Test1"):
        split(manifest(("a", ""), ("b", "x")), OfficialParts(**PARTS), 0)
    with pytest.raises(UserError, match="leaves no clip to test on"):
        split(manifest(("a", "Train"), ("b", "Development")), OfficialParts(**PARTS), 0)


def whole(corpus):
    """The clips of a whole corpus, of which nothing is known but who speaks them and what part they are of."""
    found = load_corpus(corpus)
    if found.releases:
        counts = found.releases["1.11"]
        facts = [(f"{part}{number // 100}", part) for part, n_clips in counts.items() for number in range(n_clips)]
        return manifest(*facts, corpus=corpus)
    cremad = (file.path for file in load_corpus("cremad").remote() if file.path.startswith("AudioWAV/"))
    paths = {"esd": esd_paths(), "cremad": cremad, "ravdess": (f"{name}.wav" for name in ravdess_names())}[corpus]
    return manifest(*((facts.speaker, facts.fold) for facts in map(found.facts, paths)), corpus=corpus)


@pytest.mark.parametrize(
    ("corpus", "rule", "fold", "counts"),
    [
        ("esd", "official", 0, (30_000, 2_000, 3_000)),  # 300, 20 and 30 of each of 20 speakers and 5 emotions
        ("msp_podcast", "official", 0, (84_030, 19_815, 30_647)),  # as the laboratory publishes them of 1.11
        ("msp_podcast", "official_test2", 0, (84_030, 19_815, 14_815)),
        ("cremad", "evar", 0, (5_158, 732, 1_552)),  # all clips of 63, 9 and 19 actors
        ("cremad", "actors5", 0, (4_509, 1_470, 1_463)),
        ("cremad", "actors5", 4, (4_422, 1_463, 1_557)),
        ("ravdess", "actors5", 0, (14 * 60, 5 * 60, 5 * 60)),
        ("ravdess", "actors5", 4, (15 * 60, 5 * 60, 4 * 60)),  # the last group has four actors
    ],
)
def test_whole_corpora_are_split_at_their_published_counts(corpus, rule, fold, counts):
    parts = split(whole(corpus), instantiate(config(f"data={corpus}").data.splits[rule]), fold)
    assert tuple(map(len, (parts.train, parts.val, parts.test))) == counts
