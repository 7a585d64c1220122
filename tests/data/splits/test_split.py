"""Splits: disjoint, complete, the same everywhere."""

from dataclasses import replace

import pytest
from conftest import config
from hydra.utils import instantiate

from ser_lightning.data.corpora.cremad import EMOTIONS, parse
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.splits.rules import (
    LeaveOneSpeakerOut,
    RandomClips,
    SpeakerFolds,
    SpeakerParts,
    SplitFromFile,
    StratifiedSpeakerFolds,
)
from ser_lightning.data.splits.split import TestedElsewhere, split
from ser_lightning.utils.errors import UserError


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


def test_evar_is_the_benchmarks_partition():
    clips = manifest(ACTORS)
    parts = split(clips, cremad_rule("evar"), 0)
    held = {
        name: {clips[i].speaker for i in rows}
        for name, rows in vars(parts).items()
        if name in ("train", "val", "test")
    }
    assert {name: len(actors) for name, actors in held.items()} == {"train": 63, "val": 9, "test": 19}
    assert {"1001", "1069", "1083"} <= held["test"] and {"1009", "1082"} <= held["val"]
    assert parts.speaker_independent
    with pytest.raises(UserError, match="fold"):
        split(clips, cremad_rule("evar"), 1)


def test_a_speaker_in_two_parts_is_named():
    with pytest.raises(UserError, match="speaker 1002 is in two parts of a split"):
        SpeakerParts(test=["1001-1003"], val=[1002])
    with pytest.raises(UserError, match="1018-1001 runs backwards: write the smaller number first"):
        SpeakerParts(test=["1018-1001"], val=[1019])


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


def test_loso_tests_each_speaker_once_and_the_next_validates():
    clips = manifest(["03", "08", "09", "10"])
    rule = LeaveOneSpeakerOut()
    assert list(rule.folds(clips)) == [0, 1, 2, 3]
    for fold, (tested, chosen) in enumerate([("03", "08"), ("08", "09"), ("09", "10"), ("10", "03")]):
        parts = split(clips, rule, fold)
        assert {clips[i].speaker for i in parts.test} == {tested}
        assert {clips[i].speaker for i in parts.val} == {chosen}


def uneven(n_speakers=37):
    """Speakers of two sexes with different numbers of clips, one emotion rare."""
    rows = []
    for number in range(n_speakers):
        for clip in range(5 + number % 7):
            emotion = "fear" if number % 6 == 0 and clip == 0 else ("anger", "neutral")[clip % 2]
            name = f"{number:02d}_{clip}"
            sex = "female" if number % 3 else "male"
            rows.append(
                Utterance(id=name, path=name, corpus="x", speaker=f"{number:02d}", emotion=emotion, sex=sex)
            )
    return Manifest(rows)


def test_kfold_deals_speakers_so_that_every_fold_is_alike():
    clips = uneven()
    rule = StratifiedSpeakerFolds(n_folds=5, seed=3)
    parts = [split(clips, rule, fold) for fold in range(5)]
    assert sorted(i for part in parts for i in part.test) == list(range(len(clips)))
    for part in parts:
        rows = [clips[i] for i in part.test]
        assert abs(len(rows) - len(clips) / 5) <= 4
        assert 1 <= sum(row.emotion == "fear" for row in rows) <= 2  # seven in all
        assert abs(sum(row.sex == "male" for row in rows) / len(rows) - 1 / 3) < 0.12
        assert part.val == parts[(parts.index(part) + 1) % 5].test


def test_kfold_is_the_same_everywhere_and_another_by_seed():
    clips = uneven()
    backwards = Manifest(reversed(clips))
    hashes = {split(clips, StratifiedSpeakerFolds(seed=seed), 0).hash(clips) for seed in range(4)}
    assert len(hashes) == 4
    assert split(backwards, StratifiedSpeakerFolds(), 0).hash(backwards) in hashes
    assert split(clips, StratifiedSpeakerFolds(), 0).hash(clips) == "82f8174756b98c3d"
    assert split(clips, LeaveOneSpeakerOut(), 0).hash(clips) == "af6bdb553efb9388"


def test_kfold_needs_speakers():
    with pytest.raises(UserError, match=r"5 folds need as many speakers, and there are 3.*n_folds"):
        split(manifest(["a", "b", "c"]), StratifiedSpeakerFolds(), 0)
    with pytest.raises(UserError, match=r"5 folds need as many speakers, and there are 2: data\.split=loso"):
        split(manifest(["a", "b"]), StratifiedSpeakerFolds(), 0)


def test_a_split_of_ones_own(tmp_path):
    clips = manifest(["a", "b", "c"], clips_each=2)
    path = tmp_path / "split.csv"
    path.write_text("id,fold\n" + "".join(f"{row.id},{'abc'.index(row.speaker) + 9}\n" for row in clips))
    rule = SplitFromFile(path=str(path))
    assert list(rule.folds(clips)) == [9, 10, 11]
    with pytest.raises(UserError, match=r"data\.fold=0 is not there: this split has folds 9 to 11.*data\.fold=9"):
        split(clips, rule, 0)
    assert {clips[i].speaker for i in split(clips, rule, 11).val} == {"a"}  # it wraps
    parts = split(clips, rule, 9)
    assert [{clips[i].speaker for i in part} for part in (parts.test, parts.val, parts.train)] == [
        {"a"},
        {"b"},
        {"c"},
    ]
    roles = {"a": "test", "b": "val", "c": "train"}
    path.write_text("id,fold\n" + "".join(f"{row.id},{roles[row.speaker]}\n" for row in clips))
    assert list(rule.folds(clips)) == [0]
    assert split(clips, rule, 0).test == parts.test
    with pytest.raises(UserError, match="this split has fold 0 alone"):
        split(clips, rule, 1)


def test_a_split_of_ones_own_is_held_to_its_promise(tmp_path):
    clips = manifest(["a", "b", "c"], clips_each=3)
    path = tmp_path / "split.csv"
    path.write_text("id,fold\n" + "".join(f"{row.id},{n % 3}\n" for n, row in enumerate(clips)))
    with pytest.raises(UserError, match="shares speakers between its parts: a, b, c"):
        split(clips, SplitFromFile(path=str(path)), 0)
    assert not split(clips, SplitFromFile(path=str(path), speaker_independent=False), 0).speaker_independent
    path.write_text("id,fold\n")
    with pytest.raises(UserError, match=r"no line for 9 of 9 clips"):
        split(clips, SplitFromFile(path=str(path)), 0)
    path.write_text("name,part\n")
    with pytest.raises(UserError, match="needs the columns id and fold"):
        split(clips, SplitFromFile(path=str(path)), 0)
    path.write_text(f"id,fold\n{clips[0].id},1\n{clips[1].id},2\n{clips[0].id},3\n")
    with pytest.raises(UserError, match=rf"line 4: {clips[0].id} is in fold 3, and in fold 1 further up"):
        split(clips, SplitFromFile(path=str(path)), 0)
    with pytest.raises(UserError, match=r"no fold for 9 of 9.*data\.splits\.file\.path=FILE"):
        split(clips, SplitFromFile(), 0)


def folds_of_a_list(names):
    """Four speakers, whose clips carry these names of folds in turn."""
    rows = manifest(["a", "b", "c", "d"], clips_each=2)
    return Manifest(replace(row, fold=names[n // 2 % len(names)]) for n, row in enumerate(rows))


@pytest.mark.parametrize(
    "names", [("train", "dev", "test"), ("Train", "Val", "Test"), ("Training", "valid", "EVAL")]
)
def test_parts_are_what_they_are_called(names):
    clips = folds_of_a_list(names)
    parts = split(clips, SplitFromFile(), 0)
    assert [{clips[i].fold for i in part} for part in (parts.train, parts.val, parts.test)] == [{n} for n in names]


def test_a_column_may_do_without_a_validation_part():
    clips = folds_of_a_list(("train", "train", "train", "test"))
    parts = split(clips, SplitFromFile(), 0)
    assert (len(parts.train), parts.val, len(parts.test)) == (6, (), 2)
    with pytest.raises(UserError, match="no clip to test on in fold 0"):
        split(folds_of_a_list(("train", "val")), SplitFromFile(), 0)


def test_folds_are_chosen_by_their_own_numbers():
    clips = folds_of_a_list(("1", "2", "4", "10"))
    for fold, following in ((1, "2"), (4, "10"), (10, "1")):
        parts = split(clips, SplitFromFile(), fold)
        assert {clips[i].fold for i in parts.test} == {str(fold)}
        assert {clips[i].fold for i in parts.val} == {following}
    for fold in (0, 3, "all", True, 1.0, None):
        with pytest.raises(UserError, match=rf"data\.fold={fold} is not there: this split has folds 1, 2, 4, 10;"):
            split(clips, SplitFromFile(), fold)
    with pytest.raises(UserError, match="has only 1 and 2: it needs three folds at least"):
        split(folds_of_a_list(("1", "2")), SplitFromFile(), 1)


def test_a_speaker_is_in_one_fold_of_a_config():
    with pytest.raises(UserError, match="speaker 1018 is in two folds of a split, 0 and 1"):
        SpeakerFolds(folds=[["1001-1018"], ["1018-1036"], ["1040"]])
    clips = manifest(["a é", "b", "c"])
    assert len(split(clips, SpeakerFolds(folds=[["a\u00a0e\u0301"], ["b"], ["c"]]), 0).test) == 10


def test_another_corpus_can_be_the_test():
    here, there = manifest(["a", "b", "c"]), manifest(["d"])
    clips = Manifest([*here, *(replace(row, corpus="other") for row in there)])
    parts = split(clips, TestedElsewhere(LeaveOneSpeakerOut(), test_corpus="other"), 0)
    assert {clips[i].speaker for i in parts.test} == {"d"}
    assert {clips[i].speaker for i in parts.val} == {"b"}
    assert {clips[i].speaker for i in parts.train} == {"a", "c"}


def read_by(speakers, n_sentences=20):
    """Every speaker reads every sentence as every emotion."""
    names = [
        (who, f"s{n}", emotion) for who in speakers for n in range(n_sentences) for emotion in EMOTIONS.values()
    ]
    rows = [(f"{who}_{text}_{emotion}", who, text, emotion) for who, text, emotion in names]
    return Manifest(
        Utterance(id=id, path=id, corpus="x", speaker=who, sentence=text, emotion=emotion)
        for id, who, text, emotion in rows
    )


@pytest.mark.parametrize(("fold", "tested", "trained"), [(0, "a", "b"), (1, "b", "a")])
def test_of_two_speakers_one_trains_and_validates_on_other_sentences(fold, tested, trained):
    clips = read_by(["a", "b"])
    parts = split(clips, LeaveOneSpeakerOut(), fold)
    assert {clips[i].speaker for i in parts.test} == {tested}
    assert {clips[i].speaker for i in (*parts.train, *parts.val)} == {trained}
    assert len(parts.test) == 120 and len(parts.val) == 12
    assert not {clips[i].sentence for i in parts.train} & {clips[i].sentence for i in parts.val}
    backwards = Manifest(reversed(clips))
    assert split(backwards, LeaveOneSpeakerOut(), fold).hash(backwards) == parts.hash(clips)


def test_two_speakers_without_sentences_are_split_by_clips_and_one_sentence_alone_trains():
    clips = manifest(["a", "b"])
    parts = split(clips, LeaveOneSpeakerOut(), 0)
    assert (len(parts.train), len(parts.val), len(parts.test)) == (9, 1, 10)
    parts = split(read_by(["a", "b"], n_sentences=1), LeaveOneSpeakerOut(), 0)
    assert (len(parts.train), len(parts.val), len(parts.test)) == (6, 0, 6)


@pytest.mark.parametrize("name", ["actors5", "kfold", "loso", "evar"])
def test_one_speaker_is_split_by_random_alone(name):
    clips = manifest(["1001"])
    with pytest.raises(UserError, match=r"one speaker alone, 1001, .*data\.split=random"):
        split(clips, cremad_rule(name), 0)
    assert len(split(clips, cremad_rule("random"), 0).train) == 7


def test_a_corpus_of_two_speakers_trains_on_one_and_validates_on_the_other_where_another_is_the_test():
    clips = Manifest([*read_by(["a", "b"], 3), *(replace(row, corpus="other") for row in read_by(["c"], 3))])
    parts = split(clips, TestedElsewhere(LeaveOneSpeakerOut(), test_corpus="other"), 0)
    assert [{clips[i].speaker for i in part} for part in (parts.train, parts.val, parts.test)] == [
        {"a"},
        {"b"},
        {"c"},
    ]
