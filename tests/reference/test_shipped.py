"""The references that ship: their sizes, what they say, and the page that is made of them."""

import re
from dataclasses import replace
from fnmatch import fnmatch
from functools import cache

import numpy as np
import pytest
from conftest import ROOT, config
from made_reference import make_reference, make_run, make_runs
from omegaconf import OmegaConf

from ser_lightning.data.corpora import load_corpus
from ser_lightning.reference.add import _check_split, add
from ser_lightning.reference.files import MOST_BYTES, MOST_BYTES_IN_ALL, SHIPPED, read_reference, read_references
from ser_lightning.reference.fitting import with_all_folds
from ser_lightning.reference.leaderboard import leaderboard
from ser_lightning.utils.errors import UserError

PATHS = sorted(SHIPPED.glob("*.npz"))
files = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


@cache
def reference_of(path):
    return read_reference(path)


def test_they_are_small():
    sizes = {path.name: path.stat().st_size for path in PATHS}
    assert sizes
    assert max(sizes.values()) <= MOST_BYTES == 150_000
    assert sum(sizes.values()) <= MOST_BYTES_IN_ALL == 4_000_000


def test_they_are_data_of_the_package():
    lines = re.findall(r'^"ser_lightning\.reference" = \["(.+)"\]$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert len(lines) == 1
    assert all(fnmatch(path.name, lines[0]) for path in PATHS)


@files
def test_a_file_is_called_by_what_it_holds(path):
    reference = reference_of(path)
    protocol = reference.runs[0].result.protocol
    assert path.name == f"{protocol.corpus}.{protocol.split}.{reference.name}.npz"
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", reference.name)


@files
def test_a_file_names_no_place(path):
    with np.load(path) as arrays:
        text = arrays["record"].tobytes().decode()
    assert not re.findall(r"(?<![\w…])~?/\w[^\s\"]*", text)
    assert not re.findall(r"/(?:home|root|work|tmp|Users|mnt)\b", text)


@files
def test_each_fold_has_the_clips_of_its_split_by_todays_rule(path):
    reference = reference_of(path)
    protocol = reference.runs[0].result.protocol
    if load_corpus(protocol.corpus).parse is None:
        pytest.skip("its clips are split by more than their names")
    splits = OmegaConf.to_container(config(f"data={protocol.corpus}").data.splits, resolve=True)
    others = [run for each in PATHS for run in reference_of(each).runs if reference_of(each) is not reference]
    runs = [replace(run, config={"data": {"splits": splits}}) for run in reference.runs]
    _check_split(runs, others)
    wrong = runs[0].result.model_copy(
        update={"protocol": runs[0].result.protocol.model_copy(update={"split_hash": "changed"})}
    )
    with pytest.raises(UserError, match="split_hash changed"):
        _check_split([replace(runs[0], result=wrong), *runs[1:]], others)


def test_the_leaderboard_is_current():
    page = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    assert page == leaderboard(read_references()), "run: ser reference leaderboard > docs/leaderboard.md"


def test_a_leaderboard_ranks_complete_references_and_lists_the_others(tmp_path):
    make_reference(tmp_path, "low", 0.4)
    make_reference(tmp_path, "high", 0.9, seeds=(0, 1))
    make_run(tmp_path / "part", accuracy=1.0)
    add([tmp_path / "part"], "part", to=tmp_path)
    runs = make_runs(tmp_path / "more", seeds=(2,))
    make_run(runs / "fold0", seed=4)
    add([runs], "uneven", to=tmp_path)
    page = leaderboard(read_references(tmp_path))
    table, rest = page.split("Tested on some of the folds", maxsplit=1)
    assert re.findall(r"^\| (\d) \| `(\w+)` \|", table, re.M) == [("1", "high"), ("2", "uneven"), ("3", "low")]
    assert "| 2 (0, 1) |" in table and "| single seed (2) |" in table
    assert re.findall(r"^\| ([\d, ]+) \| `(\w+)` \|", rest, re.M) == [("0", "part")]
    assert "- `uneven` also holds 1 run of seeds that lack folds (fold 0 seed 4)" in rest


def test_protocols_do_not_rank_each_other(tmp_path):
    make_reference(tmp_path, "one")
    for fold in (0, 1):
        make_run(tmp_path / "runs" / f"{fold}", fold=fold, protocol={"speaker_clips": 10})
    add([tmp_path / "runs"], "ten", to=tmp_path)
    page = leaderboard(read_references(tmp_path))
    assert re.findall(r"^\| (\d) \| `(\w+)` \|", page, re.M) == [("1", "one"), ("1", "ten")]
    assert "each speaker known from 10 of their clips" in page


def test_runs_of_seeds_with_all_folds_are_those_that_count():
    for path in PATHS:
        runs = with_all_folds(reference_of(path).runs)
        assert len(runs) == len({run.fold for run in runs}) * len({run.seed for run in runs})
