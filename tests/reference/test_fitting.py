"""`ser compare --reference`: which references stand beside runs, on which clips, and how they are shown."""

import json
import re

import numpy as np
import pytest
from comparable_runs import fewer_draws
from made_reference import make_reference, make_run, make_runs
from test_cli import ser

from ser_lightning.compare.html.page import write_page
from ser_lightning.compare.ranking import compare
from ser_lightning.compare.read import read_runs
from ser_lightning.reference.add import add
from ser_lightning.reference.files import read_reference
from ser_lightning.reference.fitting import fitting_runs, why_none_fits


@pytest.fixture(scope="module", autouse=True)
def quick():
    with fewer_draws():
        yield


def beside(references, place):
    """The comparison of the runs in ``place`` with these references."""
    read = read_runs([place])
    read.runs += fitting_runs([read_reference(path) for path in references], read.runs)
    (comparison,) = compare(read)
    return comparison


def test_a_reference_is_a_group_of_its_own_even_beside_its_own_runs(tmp_path):
    path = make_reference(tmp_path, accuracy=0.7)
    alone, with_itself = compare(read_runs([tmp_path / "runs-base"])), beside([path], tmp_path / "runs-base")
    mine, reference = sorted(with_itself.groups, key=lambda group: group.reference)
    assert (mine.name, reference.name) == ("cnn", "base (reference)")
    assert reference.scores == mine.scores == alone[0].groups[0].scores
    assert [run.path for run in reference.runs] == [f"mine.actors5.base.npz:fold{fold}-seed0" for fold in (0, 1)]
    assert (with_itself.pairs[0].difference.value, with_itself.pairs[0].permutation_p) == (0, 1)
    assert not with_itself.warnings


def test_only_the_folds_of_the_runs_count_and_seeds_need_not_be_the_same(tmp_path):
    path = make_reference(tmp_path, accuracy=0.6, seeds=(0, 1))
    make_run(tmp_path / "mine", accuracy=0.9, fold=1, seed=12)
    comparison = beside([path], tmp_path / "mine")
    mine, reference = comparison.groups
    assert (reference.folds, reference.seeds, reference.n_clips) == (["1"], [0, 1], 48)
    (pair,) = comparison.pairs
    assert (pair.first, pair.second, pair.n_clips, pair.n_speakers) == ("cnn", "base (reference)", 48, 4)
    assert pair.difference.value == pytest.approx(mine.headline.value - reference.headline.value)
    assert not [line for line in comparison.warnings if "seed" in line]


def test_every_seed_is_tested_with_every_seed_and_missing_folds_are_said(tmp_path):
    make_run(tmp_path / "runs" / "a", accuracy=0.6, fold=0, seed=0)
    make_run(tmp_path / "runs" / "b", accuracy=0.6, fold=0, seed=1)
    path, _ = add([tmp_path / "runs"], "base", to=tmp_path)
    make_runs(tmp_path / "mine", accuracy=0.8, seeds=(1, 5, 6))
    comparison = beside([path], tmp_path / "mine")
    (reference,) = [group for group in comparison.groups if group.reference]
    fold_0 = [run.scores["uar"] for group in comparison.groups for run in group.runs if run.fold == "0"]
    assert len(fold_0) == 5
    mine = np.mean([uar for uar in fold_0 if uar not in [run.scores["uar"] for run in reference.runs]])
    (pair,) = comparison.pairs
    assert pair.difference.value == pytest.approx(mine - reference.headline.value)
    assert "base (reference) was not tested on fold 1, as others were: its clips are others" in comparison.warnings
    assert [line for line in comparison.warnings if "seed" in line] == [
        "tested on the folds and seeds that both have, which are not all of either's: cnn and base (reference)"
    ]


def test_seeds_without_all_folds_do_not_tilt_the_score(tmp_path):
    runs = make_runs(tmp_path / "runs", accuracy=0.5)
    make_run(tmp_path / "runs" / "lucky", accuracy=1.0, fold=0, seed=5, settings={})
    path, _ = add([runs], "base", to=tmp_path)
    make_runs(tmp_path / "mine", seeds=(3,))
    (group,) = [group for group in beside([path], tmp_path / "mine").groups if group.reference]
    assert (group.seeds, group.folds, group.incomplete) == ([0], ["0", "1"], [])
    make_run(tmp_path / "one", fold=0)
    (group,) = [group for group in beside([path], tmp_path / "one").groups if group.reference]
    assert group.seeds == [0, 5]


def test_two_references_are_not_tested_against_each_other(tmp_path):
    paths = [make_reference(tmp_path, name, accuracy) for name, accuracy in (("low", 0.4), ("high", 0.9))]
    comparison = beside(paths, make_runs(tmp_path / "mine", accuracy=0.65))
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [
        ("high (reference)", "cnn"),
        ("cnn", "low (reference)"),
    ]


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ({"corpus": "yours"}, "base (corpus mine and not yours)"),
        ({"split": "kfold"}, "base (split actors5 and not kfold)"),
        ({"speaker_clips": "all"}, "base (clips known per speaker none and not all)"),
        ({"label_source": "votes_majority"}, "base (label source intended and not votes_majority)"),
        ({"selection": "last"}, "base (epoch selection best validation and not last)"),
        ({"split_hash": "changed"}, "base (other clips in fold 0)"),
        ({"fold": 4}, "base (fold 0 and not 4)"),
    ],
    ids=str,
)
def test_another_protocol_fits_none_and_a_line_says_why(tmp_path, protocol, said):
    references = [read_reference(make_reference(tmp_path))]
    runs = read_runs([make_run(tmp_path / "mine", protocol=protocol)]).runs
    assert fitting_runs(references, runs) == []
    assert why_none_fits(references, runs) == f"no reference fits these runs: {said}"


def test_the_command_marks_references_in_table_page_and_json(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")  # the table breaks names where it has less room
    path = make_reference(tmp_path, accuracy=0.9)
    runs = make_runs(tmp_path / "mine", accuracy=0.4)
    files = [text for kind in ("json", "html", "csv") for text in (f"--{kind}", tmp_path / f"x.{kind}")]
    code, out, err = ser("compare", runs, "--reference", path, *files)
    assert code == 0, err
    assert "1  base (reference)" in out
    assert "base (reference) − cnn" in out
    groups = json.loads((tmp_path / "x.json").read_text())["comparisons"][0]["groups"]
    assert [(group["name"], group["reference"]) for group in groups] == [("base (reference)", True), ("cnn", False)]
    page = (tmp_path / "x.html").read_text()
    assert page.count('<tr data-group="0" class="shipped">') == 2  # the ranking, and each speaker
    assert '<tr data-group="1" class="shipped">' not in page
    assert "Hollow marks: references" in page
    assert 'data-shown="0"' in page and 'data-shown="1"' in page
    assert page.count('class="mark c0 shipped"') == 2 and 'class="mark c1 shipped"' not in page  # UAR against costs


def test_the_page_begins_with_two_groups_that_were_tested(tmp_path):
    paths = [make_reference(tmp_path, name, accuracy) for name, accuracy in (("good", 0.8), ("best", 0.95))]
    comparison = beside(paths, make_runs(tmp_path / "mine", accuracy=0.4))
    write_page(tmp_path / "x.html", [comparison])
    page = (tmp_path / "x.html").read_text()
    assert re.findall(r'data-side="(\d)" data-shown="(\d)"', page) == [("0", "0"), ("1", "2")]
    assert [place.split("<")[0] for place in page.split('<b data-name="')[1:]] == [
        '0">best (reference)',
        '1">cnn',
    ]
    assert re.search(r"<b>best \(reference\)</b> leads.*; cnn is (not )?significantly different", page, re.DOTALL)


def test_without_a_name_all_that_ship_are_looked_at(tmp_path):
    runs = make_runs(tmp_path / "mine")
    code, out, err = ser("compare", runs, "--reference")
    assert code == 0
    assert err.startswith("no reference fits these runs: ") and "(corpus cremad and not mine)" in err
    assert (err.count("\n"), "reference" in out) == (1, False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("whisper-base-frosen", "did you mean whisper-base-frozen? (known: "),
        ("RUNS", "directories of runs stand before --reference"),
        ("nowhere.npz", "failed: No such file or directory: nowhere.npz"),
    ],
)
def test_a_name_that_none_has_is_a_line(tmp_path, name, said):
    runs = make_runs(tmp_path / "mine")
    code, out, err = ser("compare", runs, "--reference", runs if name == "RUNS" else name)
    assert (code, out) == (1, "")
    assert said in err and err.count("\n") == 1
