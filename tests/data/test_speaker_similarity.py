"""Speakers are compared by made-up embeddings: who is one person, who is two, and when nothing can be said."""

from types import SimpleNamespace

import numpy as np
import pytest

from ser_lightning.data.audit.speaker_similarity import compare_speakers, similarity
from ser_lightning.data.audit.speakers import similarity_findings, similarity_table

WIDTH = 32
EMOTIONS = ("anger", "fear", "sadness")


def made(n_speakers=14, n_clips=40, *, apart=1.0, seed=0):
    """Embeddings of people who differ, of clips that differ by emotion and by chance; names, emotions."""
    random = np.random.default_rng(seed)
    people = apart * random.standard_normal((n_speakers, 1, WIDTH))
    emotions = np.tile(np.arange(n_clips) % 3, (n_speakers, 1))
    effects = random.standard_normal((3, WIDTH))
    noise = random.standard_normal((n_speakers, n_clips, WIDTH)) * np.linspace(0.5, 2, WIDTH)
    embeddings = 5 + people + effects[emotions] + noise  # around no origin, as those of an encoder are
    names = np.repeat([f"s{number:02d}" for number in range(n_speakers)], n_clips)
    return embeddings.reshape(-1, WIDTH), names.astype("U8"), np.array(EMOTIONS)[emotions.ravel()]


def compared(embeddings, names, emotions, *, seconds=3.0):
    return compare_speakers(
        embeddings,
        speakers=names.tolist(),
        emotions=emotions.tolist(),
        durations_s=[seconds] * len(names),
    )


def fold(train, test, number=0):
    parts = {"train": train, "val": (), "test": test}
    return SimpleNamespace(fold=number, **{name: SimpleNamespace(speakers=who) for name, who in parts.items()})


def split_of(*folds, independent=True):
    return SimpleNamespace(name="kfold", speaker_independent=independent, folds=folds)


def test_different_people_are_no_finding():
    result = compared(*made())
    assert len(result.speakers) == 14
    assert (result.same_person, result.alike, result.two_people, result.cannot_tell) == ((), (), (), "")
    assert result.different[2] < result.different_limit <= result.halves_limit < result.halves[1]
    assert len(result.nearest) == 3
    assert result.nearest[0].similarity == result.different[2]
    assert list(similarity_findings(result, [split_of(fold(result.speakers[:7], result.speakers[7:]))])) == []


@pytest.mark.parametrize("n_renamed", [12, 20])
def test_one_person_under_two_names_is_found(n_renamed):
    embeddings, names, emotions = made()
    names[np.flatnonzero(names == "s03")[:n_renamed]] = "new"
    result = compared(embeddings, names, emotions, seconds=6.0)
    assert [pair.speakers for pair in result.same_person] == [("new", "s03")]
    pair = result.same_person[0]
    assert result.different_limit <= pair.limit <= pair.similarity
    assert "new" not in {name for each in result.nearest for name in each.speakers}


def test_several_at_once_do_not_hide_each_other():
    embeddings, names, emotions = made()
    doubled = ("s01", "s05", "s06", "s09")
    for name in doubled:
        names[np.flatnonzero(names == name)[::2]] = name + "b"
    result = compared(embeddings, names, emotions)
    assert {pair.speakers for pair in result.same_person} == {(name, name + "b") for name in doubled}


def test_two_people_under_one_name_are_found():
    embeddings, names, emotions = made()
    names[names == "s11"] = "s02"
    result = compared(embeddings, names, emotions)
    assert [each.speaker for each in result.two_people] == ["s02"]
    assert result.two_people[0].n_clips == (40, 40)
    assert result.two_people[0].similarity < result.groups_limit
    (finding,) = similarity_findings(result, [])
    assert (finding.severity, finding.kind) == ("warning", "two_people")
    assert finding.names[0].startswith("s02: 40 and 40 clips, similarity ")


def test_a_pair_between_different_speakers_and_halves_of_one_is_a_warning():
    embeddings, names, emotions = made()
    chosen = np.flatnonzero(names == "s03")[:20]
    embeddings[chosen] += 0.9 * np.random.default_rng(1).standard_normal(WIDTH)  # another microphone
    names[chosen] = "new"
    result = compared(embeddings, names, emotions)
    assert result.same_person == ()
    (finding,) = similarity_findings(result, [split_of(fold(("new",), ("s03",)))])
    assert (finding.severity, finding.kind) == ("warning", "alike_speakers")
    assert finding.names[0].startswith("new = s03: similarity ")


def test_the_order_of_clips_does_not_decide():
    embeddings, names, emotions = made()
    names[np.flatnonzero(names == "s03")[:20]] = "new"
    order = np.random.default_rng(1).permutation(len(names))
    result = compared(embeddings[order], names[order], emotions[order])
    assert [pair.speakers for pair in result.same_person] == [("new", "s03")]


def test_a_pair_fails_the_splits_that_part_it_alone():
    embeddings, names, emotions = made()
    names[np.flatnonzero(names == "s03")[:20]] = "new"
    result = compared(embeddings, names, emotions)
    rest = ("s00", "s01")
    parted = split_of(fold(("s03", *rest), ("new",)), fold(("new", "s03"), rest, 1), fold(("new",), ("s03",), 2))
    (finding,) = similarity_findings(result, [parted])
    assert (finding.severity, finding.kind) == ("error", "same_person_across_split")
    assert finding.text == "split kfold parts 1 pair of speakers as alike as halves of one speaker"
    assert finding.names[0].startswith("new = s03: similarity ")
    assert finding.names[0].endswith("(folds 0, 2)")
    for harmless in (split_of(fold(("new", "s03"), rest)), split_of(fold(("new",), ("s03",)), independent=False)):
        (finding,) = similarity_findings(result, [harmless])
        assert (finding.severity, finding.kind) == ("warning", "same_person")


def test_what_cannot_be_told_is_said_and_fails_nothing():
    embeddings, names, emotions = made(n_speakers=9)
    few = compared(embeddings, names, emotions)
    assert few.cannot_tell == "10 speakers with 60 s and 10 clips each are needed, and 9 have as much"
    embeddings, names, emotions = made()
    short = compared(embeddings, names, emotions, seconds=1.0)
    assert short.cannot_tell.endswith("and 0 have as much")
    assert len(short.not_compared) == 14
    alike = compared(*made(apart=0.02))
    assert alike.cannot_tell == "different speakers are about as alike as random halves of one"
    nothing = compared(np.ones_like(embeddings), names, emotions)
    assert nothing.cannot_tell == "the means of their embeddings are no more than noise"
    for result in (few, short, alike, nothing):
        assert (result.same_person, result.two_people) == ((), ())
        (finding,) = similarity_findings(result, [])
        assert (finding.severity, finding.kind) == ("warning", "speakers_not_compared")
        assert result.cannot_tell in finding.text
        assert list(similarity_table(result))


def test_speakers_with_little_speech_are_named_and_left_out():
    embeddings, names, emotions = made()
    names[np.flatnonzero(names == "s03")[:9]] = "new"
    result = compared(embeddings, names, emotions)
    assert result.not_compared == ("new",)
    assert result.same_person == ()
    (finding,) = similarity_findings(result, [])
    assert (finding.severity, finding.names) == ("note", ("new",))
    assert finding.text == "1 speaker not compared by embeddings, for less than 60 s or 10 clips of speech"


def test_similarity_does_not_depend_on_the_number_of_clips():
    random = np.random.default_rng(0)
    mean, other = random.standard_normal((2, WIDTH))
    true = mean @ other / np.linalg.norm(mean) / np.linalg.norm(other)
    for n_clips in (5, 50):
        sets = [who + random.standard_normal((2, 1000, n_clips, WIDTH)) for who in (mean, other)]
        own = [similarity(*pair) for pair in sets[0].swapaxes(0, 1)]
        different = [similarity(one, two) for one, two in zip(sets[0][0], sets[1][0], strict=True)]
        assert np.nanmedian(own) == pytest.approx(1, abs=0.03)
        assert np.nanmedian(different) == pytest.approx(true, abs=0.03)
