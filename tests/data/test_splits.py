"""Splits: disjoint, complete, the same everywhere."""

import pytest
from conftest import config
from hydra.utils import instantiate

from ser_lightning.data.corpora.cremad import EMOTIONS, parse
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.splits import RandomClips, SpeakerFolds, split
from ser_lightning.errors import UserError


def manifest(speakers, clips_each=10):
    names = [f"{who}_DFA_{list(EMOTIONS)[n % 6]}_{n}" for who in speakers for n in range(clips_each)]
    rows = [(name, name.split("_")[0], list(EMOTIONS.values())[n % 6]) for n, name in enumerate(names)]
    return Manifest(Utterance(id=a, path=a, corpus="cremad", speaker=b, emotion=c) for a, b, c in rows)


ACTORS = [str(actor) for actor in range(1001, 1092)]


def cremad_rule(name="actors5"):
    return instantiate(config("data=cremad").data.splits[name])


@pytest.mark.parametrize("fold", range(5))
def test_actors5_is_the_published_partition(fold):
    bounds = [(1001, 1018), (1019, 1036), (1037, 1054), (1055, 1072), (1073, 1091)]
    clips = manifest(ACTORS)
    parts = split(clips, cremad_rule(), fold)

    def actors(subset):
        return sorted({int(clips[index].speaker) for index in subset})

    assert actors(parts.test) == list(range(bounds[fold][0], bounds[fold][1] + 1))
    following = bounds[(fold + 1) % 5]
    assert actors(parts.val) == list(range(following[0], following[1] + 1))
    assert not set(actors(parts.train)) & set(actors(parts.val) + actors(parts.test))
    assert len(parts.train) + len(parts.val) + len(parts.test) == len(clips)
    assert parts.speaker_independent


def test_the_hash_is_of_the_split_and_nothing_else():
    clips = manifest(ACTORS)
    backwards = Manifest(reversed(clips))
    hashes = {split(clips, cremad_rule(), fold).hash(clips) for fold in range(5)}
    assert len(hashes) == 5
    assert split(clips, cremad_rule(), 0).hash(clips) == split(backwards, cremad_rule(), 0).hash(backwards)
    assert split(clips, cremad_rule(), 0).hash(clips) == "48ce1589b43e4e96"
    assert split(clips, cremad_rule("random"), 0).hash(clips) == "5a0be1f681a72cef"


def test_random_shares_speakers_and_says_so():
    clips = manifest(ACTORS)
    parts = [split(clips, RandomClips(val_fraction=0.0), fold) for fold in range(5)]
    assert not any(part.speaker_independent or part.val for part in parts)
    assert sorted(index for part in parts for index in part.test) == list(range(910))
    assert all(len(part.test) == 182 for part in parts)
    shared = {clips[i].speaker for i in parts[0].train} & {clips[i].speaker for i in parts[0].test}
    assert len(shared) > 70
    assert len(split(clips, RandomClips(val_fraction=0.25), 0).val) == 182


def test_a_rule_that_breaks_its_promise_is_stopped():
    class Leaky(RandomClips):
        speaker_independent = True

    with pytest.raises(UserError, match="shares speakers"):
        split(manifest(ACTORS), Leaky(), 0)


def test_ranges_are_numbered_as_wide_as_written():
    rule = SpeakerFolds(folds=[["s01-s03"], ["08-10"], ["x"]])
    clips = manifest(["s01", "s02", "s03", "08", "09", "10", "x"])
    assert {clips[i].speaker for i in split(clips, rule, 1).test} == {"08", "09", "10"}


def test_what_cannot_be_split_says_why():
    with pytest.raises(UserError, match="folds 0 to 4"):
        split(manifest(ACTORS), cremad_rule(), 5)
    with pytest.raises(UserError, match=r"in no fold.*1099"):
        split(manifest(["1001", "1099"]), cremad_rule(), 0)
    with pytest.raises(UserError, match="no clip to train"):
        split(manifest(["1001", "1020"]), cremad_rule(), 0)


@pytest.mark.parametrize("name", ["1001_DFA_ANG", "1001_DFA_JOY_XX", "1001_DFA_ANG_ZZ", "0999_DFA_ANG_XX", "x"])
def test_misnamed_clips_are_refused(name):
    with pytest.raises(ValueError):
        parse(name)


def test_a_single_x_is_the_official_name():
    assert parse("1040_ITH_SAD_X").id == "1040_ITH_SAD_XX"
