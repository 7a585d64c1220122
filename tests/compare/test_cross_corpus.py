"""The table and the picture of models that were tested on other corpora than they were trained on."""

import csv
import io
import json
from statistics import fmean

import pytest
from comparable_runs import fewer_draws, make_run
from matplotlib.image import imread
from rich.console import Console

from ser_lightning.commands.compare import compare as command
from ser_lightning.compare.cross_corpus import Cell, cells_of, draw_heat_map, print_cells, write_csv
from ser_lightning.compare.ranking import compare
from ser_lightning.compare.read import read_runs
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.tasks.regression import Regression
from ser_lightning.utils.errors import UserError

ACCURACY = {("a", "b"): 0.9, ("a", "c"): 0.5, ("b", "a"): 0.7, ("b", "c"): 0.4, ("c", "a"): 0.6, ("c", "b"): 0.3}


def crossed(root, *, models=("cnn",), seeds=(0, 1)):
    for (trained, tested), accuracy in ACCURACY.items():
        for model in models:
            for seed in seeds:
                protocol = {"corpus": trained, "test_corpus": tested, "split_hash": f"{trained}{tested}"}
                place = root / f"{trained}-{tested}-{model}-{seed}"
                make_run(place, model, accuracy, 0, seed, n_speakers=5, protocol=protocol)
    return root


def cells(root):
    with fewer_draws():
        return cells_of(compare(read_runs([root]), separate=True))


def test_every_pair_of_corpora_is_a_cell_of_its_own_runs(tmp_path):
    found = {(cell.trained_on, cell.tested_on): cell for cell in cells(crossed(tmp_path))}
    assert found.keys() == ACCURACY.keys()
    for pair, cell in found.items():
        records = [json.loads(path.read_text()) for path in tmp_path.glob(f"{'-'.join(pair)}-*/result.json")]
        assert cell.headline.value == pytest.approx(fmean(each["metrics"]["test"]["uar"] for each in records))
        assert cell.headline.low < cell.headline.value < cell.headline.high
        assert (cell.n_runs, cell.n_speakers, cell.n_clips, cell.task.n_outputs) == (2, 5, 60, 3)


def test_evaluations_of_checkpoints_on_other_corpora_are_cells_too(tmp_path):
    eval_of = {"corpus": "b", "split": "all", "fold": "all", "trained_on": "a"}
    make_run(tmp_path / "own", protocol={"corpus": "a"})
    make_run(tmp_path / "other", protocol=eval_of)
    (cell,) = cells(tmp_path)
    assert (cell.trained_on, cell.tested_on) == ("a", "b")


def test_what_makes_no_table_is_said(tmp_path):
    make_run(tmp_path / "one" / "own")
    with pytest.raises(UserError, match="no model was tested on another corpus"):
        cells(tmp_path / "one")
    for number, split in enumerate(("kfold", "loso")):
        protocol = {"corpus": "a", "test_corpus": "b", "split": split, "split_hash": split}
        make_run(tmp_path / "two" / str(number), protocol=protocol)
    with pytest.raises(UserError, match="cnn was trained on a and tested on b in several ways"):
        cells(tmp_path / "two")


def test_the_table_and_the_picture_show_all_of_it(tmp_path):
    found = cells(crossed(tmp_path / "runs", models=("cnn", "mamba"), seeds=(0,)))
    write_csv(tmp_path / "table.csv", found)
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and {row["model"] for row in rows} == {"cnn", "mamba"}
    assert [float(row["uar"]) for row in rows] == pytest.approx([cell.headline.value for cell in found], abs=1e-6)
    draw_heat_map(tmp_path / "two.png", found)
    draw_heat_map(tmp_path / "one.png", [cell for cell in found if cell.model == "cnn"])
    one, two = imread(tmp_path / "one.png"), imread(tmp_path / "two.png")
    assert two.shape[1] > 1.3 * one.shape[1]  # a square for each model
    blue = (one[..., 2] - one[..., 0] > 0.2).sum()
    assert blue > 0.05 * one[..., 0].size


def test_numbers_are_tables_and_pictures_of_their_own_headline(tmp_path):
    number = Estimate(-0.0312, -0.1, 0.2)
    cell = Cell(
        model="cnn",
        trained_on="a",
        tested_on="b",
        task=Regression(("arousal", "valence")),
        headline=number,
        n_clips=60,
        n_speakers=5,
        n_runs=2,
    )
    write_csv(tmp_path / "table.csv", [cell])
    assert (tmp_path / "table.csv").read_text().splitlines()[0] == (
        "model,trained_on,tested_on,ccc,ccc_low,ccc_high,n_targets,n_clips,n_speakers,n_runs"
    )
    shown = Console(file=io.StringIO(), width=120)
    print_cells([cell], shown)
    assert "CCC" in shown.file.getvalue() and "0.031" in shown.file.getvalue()
    draw_heat_map(tmp_path / "map.png", [cell])
    assert (tmp_path / "map.png").is_file()


def test_compare_prints_the_table_and_draws_it(tmp_path, capsys):
    crossed(tmp_path / "runs", seeds=(0,))
    with fewer_draws():
        command.callback(
            folders=(str(tmp_path / "runs"),), separate=False, heat_map=str(tmp_path / "map.png"), to_wandb=False
        )
    out = capsys.readouterr().out
    assert "trained on" in out and "95% interval" in out
    assert [line.split()[:2] for line in out.splitlines() if line.split()[:1] == ["a"]] == [["a", "b"], ["a", "c"]]
    assert (tmp_path / "map.png").is_file()
