"""What the file names of single corpora say; what holds for all of them is in test_corpus_contract.py."""

from collections import Counter
from itertools import product

import pytest
from layouts import esd_paths, ravdess_names

from ser_lightning.data.corpora import MisnamedFile, load_corpus
from ser_lightning.data.corpora.corpus import NameFacts
from ser_lightning.utils.errors import UserError


def test_ravdess_says_all_it_knows():
    facts = load_corpus("ravdess").parse("03-01-06-01-02-01-12")
    assert facts == NameFacts(
        id="03-01-06-01-02-01-12", speaker="12", emotion="fear", sentence="02", intensity="normal", sex="female"
    )


def test_ravdess_reads_every_published_name():
    corpus = load_corpus("ravdess")
    facts = [corpus.parse(name) for name in ravdess_names()]
    assert len({fact.id for fact in facts}) == len(facts) == corpus.n_clips == 1440
    emotions = Counter(fact.emotion for fact in facts)
    assert emotions.pop("neutral") == 96
    assert emotions == {label: 192 for label in corpus.labels if label != "neutral"}
    assert Counter(fact.speaker for fact in facts) == {f"{actor:02d}": 60 for actor in range(1, 25)}
    assert Counter(fact.sex for fact in facts) == {"male": 720, "female": 720}
    assert Counter(fact.intensity for fact in facts) == {"normal": 768, "strong": 672}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("03-02-06-01-02-01-12", "is song .*only speech"),
        ("01-01-06-01-02-01-12", "is video with sound .*only sound"),
        ("02-01-06-01-02-01-12", "is video without sound"),
        ("04-01-06-01-02-01-12", "no known kind .*modality 04"),
        ("03-03-06-01-02-01-12", "no known kind .*channel 03"),
        ("03-01-09-01-02-01-12", "emotion code 09"),
        ("03-01-06-03-02-01-12", "intensity 03"),
        ("03-01-01-02-02-01-12", "neutral and strong"),
        ("03-01-06-01-03-01-12", "statement or repetition"),
        ("03-01-06-01-01-00-12", "statement or repetition"),
        ("03-01-06-01-02-01-25", "actor 25"),
        ("03-01-06-01-02-01-00", "actor 00"),
        ("3-1-6-1-2-1-12", "is not named like"),
    ],
)
def test_ravdess_says_what_is_wrong(name, reason):
    with pytest.raises(MisnamedFile, match=reason):
        load_corpus("ravdess").parse(name)


def test_emodb_says_all_it_knows():
    facts = load_corpus("emodb").parse("03a01Fa")
    assert facts == NameFacts(id="03a01Fa", speaker="03", emotion="happiness", sentence="a01", sex="male", age="31")


def test_emodb_reads_every_name_that_its_rule_allows():
    corpus = load_corpus("emodb")
    speakers = "03 08 09 10 11 12 13 14 15 16".split()
    texts = "a01 a02 a04 a05 a07 b01 b02 b03 b09 b10".split()
    names = [speaker + text + code + "a" for speaker, text, code in product(speakers, texts, "WLEAFTN")]
    facts = [corpus.parse(name) for name in names]
    assert len({fact.id for fact in facts}) == 700
    assert Counter(fact.emotion for fact in facts) == dict.fromkeys(corpus.labels, 100)
    assert {fact.speaker for fact in facts if fact.sex == "male"} == {"03", "10", "11", "12", "15"}
    ages = {fact.speaker: int(fact.age) for fact in facts}
    assert len(ages) == 10
    assert {who for who, age in ages.items() if age < 30} == {"09", "11", "15"}
    assert (min(ages.values()), max(ages.values()), sum(ages.values())) == (21, 35, 297)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("03a01Xa", "emotion code X"),
        ("04a01Fa", "speaker 04"),
        ("03a03Fa", "text a03"),
        ("03A01FA", "is not named like"),
        ("03a01Fab", "is not named like"),
    ],
)
def test_emodb_says_what_is_wrong(name, reason):
    with pytest.raises(MisnamedFile, match=reason):
        load_corpus("emodb").parse(name)


def savee_paths():
    """Every clip in the published folders, and the names that the copy in one folder gives them."""
    numbers = {code: 30 if code == "n" else 15 for code in ("a", "d", "f", "h", "n", "sa", "su")}
    for speaker in ("DC", "JE", "JK", "KL"):
        for code, n in numbers.items():
            for number in range(1, n + 1):
                yield f"{speaker}/{code}{number:02d}.wav", f"ALL/{speaker}_{code}{number:02d}.wav"


def test_savee_is_one_in_both_layouts():
    corpus = load_corpus("savee")
    published, copied = ([corpus.facts(path) for path in paths] for paths in zip(*savee_paths(), strict=True))
    assert published == copied
    assert Counter(facts.emotion for facts in published) == corpus.clips_by_label
    assert Counter(facts.speaker for facts in published) == dict.fromkeys(("DC", "JE", "JK", "KL"), 120)
    assert len({facts.id for facts in published}) == corpus.n_clips == 480
    assert corpus.facts("AudioData/JK/su07.wav").emotion == "surprise"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("XX/a01.wav", "speaker XX"),
        ("DC/s01.wav", "emotion code s "),
        ("DC/a16.wav", r"number 16 \(known of anger: 01 to 15"),
        ("DC/n31.wav", "number 31"),
        ("DC_a00.wav", "number 00"),
        ("a01.wav", "is not named like"),
        ("DC/a1.wav", "is not named like"),
    ],
)
def test_savee_says_what_is_wrong(path, reason):
    with pytest.raises(MisnamedFile, match=reason):
        load_corpus("savee").facts(path)


def test_esd_is_what_its_numbers_say():
    corpus = load_corpus("esd")
    facts = [corpus.facts(path) for path in esd_paths()]
    assert len({each.id for each in facts}) == corpus.n_clips == 35_000
    assert Counter(each.emotion for each in facts) == corpus.clips_by_label
    assert Counter(each.fold for each in facts) == {"train": 30_000, "evaluation": 2_000, "test": 3_000}
    assert Counter(each.sentence for each in facts if each.speaker > "0010").keys() == {
        f"en-{number:03d}" for number in range(1, 351)
    }
    assert len({each.speaker for each in facts if each.sex == "male"}) == 10


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("0011/Angry/0011_000001.wav", "lies in the folder Angry, and its number 000001 is of Neutral"),
        ("0011/sad/train/0011_000351.wav", "lies in the folder sad, and its number 000351 is of Angry"),
        ("0011/ SAD /0011_000351.wav", "lies in the folder SAD, and"),
        ("0021/Angry/0021_000351.wav", "speaker 0021"),
        ("0011/0011_001751.wav", "number 001751"),
        ("0011/0011_000000.wav", "number 000000"),
        ("0011/0011_1.wav", "is not named like"),
    ],
)
def test_esd_says_what_is_wrong(path, reason):
    with pytest.raises(MisnamedFile, match=reason):
        load_corpus("esd").facts(path)


def test_the_cremad_files_are_its_clips():
    corpus = load_corpus("cremad")
    files = [file for file in corpus.remote() if file.path.startswith("AudioWAV/")]
    facts = [corpus.parse(file.path.removeprefix("AudioWAV/").removesuffix(".wav")) for file in files]
    assert len({fact.id for fact in facts}) == len(files) == corpus.n_clips
    emotions = Counter(fact.emotion for fact in facts)
    assert emotions.pop("neutral") == 1087
    assert set(emotions.values()) == {1271}
    assert sum(file.size_bytes for file in files) == 605_899_936
    assert len({file.digest for file in files}) == 7439  # three pairs are the same sound


def test_the_cremad_actors_are_as_old_as_published():
    """Between 20 and 74 years, as Cao et al. (2014) say, and what the corpus's table adds up to by decade."""
    parse = load_corpus("cremad").parse
    ages = {actor: parse(f"{actor}_DFA_ANG_XX").age for actor in range(1001, 1092)}
    years = [int(age) for age in ages.values()]
    assert (min(years), max(years), round(sum(years) / 91)) == (20, 74, 36)
    assert Counter(age // 10 for age in years) == {2: 34, 3: 23, 4: 16, 5: 12, 6: 5, 7: 1}
    assert [ages[actor] for actor in (1001, 1002, 1034, 1091)] == ["51", "21", "74", "29"]


def test_a_known_clip_has_its_published_checksum():
    files = {file.path: file for file in load_corpus("cremad").remote()}
    clip = files["AudioWAV/1001_DFA_ANG_XX.wav"]
    assert (clip.size_bytes, clip.digest) == (72_862, "sha256:c6f94b2592487c7556bd86df7df6e8f4")
    assert clip.urls[0].startswith("https://media.githubusercontent.com/") and "/-/raw/" in clip.urls[1]


def test_the_whole_corpora_are_as_large_as_published():
    sizes = {name: load_corpus(name) for name in ("cremad", "ravdess", "emodb")}
    assert {name: corpus.n_clips for name, corpus in sizes.items()} == {
        "cremad": 7442,
        "ravdess": 1440,
        "emodb": 535,
    }
    assert sizes["emodb"].clips_by_label["anger"] == 127
    with pytest.raises(UserError, match=r"no corpus is called 'cremad_votes': there are .*cremad, .*emodb"):
        load_corpus("cremad_votes")
