"""One name in several spellings is one name, and names that may be one are told apart by their author."""

import unicodedata

import pytest

from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.spelling import normalise, spelling_faults


@pytest.mark.parametrize(
    "written",
    [
        "s 01",
        " s 01 ",
        "s  01",
        "s\t01",
        "s\u00a001",
        "s\u202f01",
        "\ufeffs 01",
        "s\u200b 01\u200b",
        "s \u200d01\u2060",
        "s\ufe0f 01\U000e0101",
        "s\u3164 01\u115f\u1160\uffa0",
        "s \U000e0073\U000e007f01",
        "\x07s \x9f01\x00",
    ],
)
def test_blanks_of_every_kind_are_one(written):
    assert normalise(written) == "s 01"


def test_accents_are_composed_and_nothing_else_changes():
    assert normalise(unicodedata.normalize("NFD", "Renée Müller")) == "Renée Müller"
    assert normalise("ﬁ Ⅳ S01.0") == "ﬁ Ⅳ S01.0"
    assert normalise("\u200b\ufeff ") == ""


@pytest.mark.parametrize(
    "names",
    [
        ("S00", "s00"),
        ("03", "3"),
        ("3", "3.0"),
        ("03", "3", "3.00"),
        ("s1", "s01"),
        ("a1b", "a01b"),
        ("Anna B", "AnnaB"),
        ("ÉVA", "éva"),
        ("s\uff11", "s1"),
        ("0", "00"),
        ("s_00", "s-00", "s 00", "s00.", "s00", "s\u201300"),
        ("3", "+3", "3.0", "3,0"),
        ("3.5", "3.50", "3,5", "+3.50"),
        ("\u0663", "3"),
        ("\u06f1\u06f2", "12"),
        ('"anna"', "anna", "'anna'", "«anna»"),
        ("01-02", "01_02", "1 2"),
    ],
)
def test_names_that_differ_by_little_are_all_named(names):
    faults = spelling_faults([*names, "other", *names], "speaker")
    assert len(faults) == 1
    assert all(f" {name}" in faults[0] for name in names)
    assert "write one speaker in one way, or rename one of them" in faults[0]


@pytest.mark.parametrize(
    "names",
    [
        ("1.0", "2.0", "10.0"),
        ("03", "04", "30"),
        ("1.05", "1.5"),
        ("1 1", "11"),
        ("s10", "s100"),
        ("Ses01F", "Ses01M"),
        ("3.0", "3.1"),
        ("3", "-3"),
        ("1-1", "11", "1.1"),
        ("a/b", "ab"),
        ("10.5", "1.5"),
        (".", "-"),
        ("100", "10"),
    ],
)
def test_names_that_are_different_are_left_in_peace(names):
    assert spelling_faults(names, "speaker") == []


def test_names_of_published_clips_stay_as_they_are():
    for name in ("1001_DFA_ANG_XX", "03-01-06-01-02-01-12", "03a01Fa", "s01_t1_ANG_1"):
        assert normalise(name) == name
    cremad = [load_corpus("cremad").parse(f"{actor}_DFA_ANG_XX").speaker for actor in range(1001, 1092)]
    emodb = "03 08 09 10 11 12 13 14 15 16".split()
    for speakers in (cremad, emodb, [f"{n:02d}" for n in range(1, 25)], [f"s{n:02d}" for n in range(1, 25)]):
        assert spelling_faults(speakers, "speaker") == []
