"""Splits that corpora come with: parts by name, and what is in none of them."""

import pytest

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
