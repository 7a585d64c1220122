"""`ser compare`: what it prints where, what it writes, and how it ends."""

import json
import sys
from types import ModuleType

import pytest
from comparable_runs import fewer_draws, make_grid, make_run
from test_cli import ser
from wandb_log import clean_environment, read_run

assert clean_environment  # a fixture of every test here


@pytest.fixture(scope="module", autouse=True)
def quick():
    with fewer_draws():
        yield


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Two models, two folds. Shared: do not write there."""
    return make_grid(tmp_path_factory.mktemp("grid"), {"cnn": 0.5, "mamba": 0.9})


def test_tables_go_to_stdout_and_files_are_written(grid, tmp_path):
    files = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "json", "markdown")}
    options = [text for kind, path in files.items() for text in (f"--{kind}", path)]
    code, out, err = ser("compare", grid, *options)
    assert code == 0, err
    assert out.startswith("cremad · split actors5 · unseen speakers")
    assert "1  mamba" in out
    assert err.splitlines() == [f"written: {path}" for path in files.values()]
    assert json.loads(files["json"].read_text())["comparisons"][0]["groups"][0]["name"] == "mamba"
    assert files["csv"].read_text().startswith("corpus,split,")
    assert files["markdown"].read_text().startswith("**cremad")
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


@pytest.mark.parametrize(("kind", "begins"), [("csv", "corpus,"), ("json", "{"), ("markdown", "**")])
def test_a_dash_leaves_nothing_else_on_stdout(grid, tmp_path, kind, begins):
    make_run(tmp_path / "broken", status="failed", reason="loss is nan")
    code, out, err = ser("compare", grid, tmp_path, f"--{kind}", "-")
    assert code == 0
    assert out.startswith(begins) and "written" not in out
    assert err == f"not compared: {tmp_path}/broken: loss is nan\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere is not there"),
        (["GRID", "--csv", "nowhere/x.csv"], "--csv nowhere/x.csv cannot be written: nowhere is not there"),
        (["GRID", "--json", "GRID"], "is a directory: name a file"),
        (["GRID", "--csv", "-", "--json", "-"], "only one of them can have stdout"),
        (["GRID", "--html", "-"], "--html needs the name of a file"),
        (["GRID", "--markdwon", "x"], "--markdwon"),
        ([], "Missing argument 'DIR...'"),
    ],
)
def test_a_mistake_is_a_line(grid, arguments, said):
    code, out, err = ser("compare", *(str(grid) if each == "GRID" else each for each in arguments))
    assert (code, out) == (1, "")
    assert err.startswith("failed: ") and err.count("\n") == 1
    assert said in err


def test_two_protocols_end_with_1_and_separate_makes_two_tables(grid, tmp_path):
    make_run(tmp_path / "shared", protocol={"split": "random", "speaker_independent": False})
    code, out, err = ser("compare", grid, tmp_path)
    assert (code, out) == (1, "")
    assert "cannot be ranked together:\n  split: actors5 in " in err and "and 3 more, random in" in err
    code, out, _ = ser("compare", grid, tmp_path, "--separate")
    assert code == 0
    assert [line.split(" · ")[2] for line in out.splitlines() if line.startswith("cremad")] == [
        "unseen speakers",
        "SPEAKERS SHARED",
    ]


def test_the_page_is_made_from_the_same_comparisons(grid, tmp_path, monkeypatch):
    made = []
    module = ModuleType("report")
    module.write_page = lambda path, comparisons: made.append((path, comparisons))
    monkeypatch.setitem(sys.modules, "ser_lightning.compare.html.page", module)
    code, _, err = ser("compare", grid, "--html", tmp_path / "page.html")
    assert (code, err) == (0, f"written: {tmp_path}/page.html\n")
    ((path, (comparison,)),) = made
    assert path == tmp_path / "page.html"
    assert [group.name for group in comparison.groups] == ["mamba", "cnn"]


def test_wandb_gets_the_tables_and_the_confusion_matrices(grid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked for something"))
    code, _, err = ser("compare", grid, "--wandb")
    assert code == 0
    (place,) = (tmp_path / "outputs" / "compare").iterdir()
    assert f"wandb sync outputs/compare/{place.name}/wandb/offline-run-" in err
    run = read_run(place)
    assert (run.run.job_type, run.exit_code) == ("compare", 0)
    assert (run.summary["best"], run.config["protocol/split"]) == ("mamba", "actors5")
    (groups,) = run.column("groups")
    (path,) = (place / "wandb").glob(f"offline-run-*/files/{groups['path']}")
    table = json.loads(path.read_text())
    assert [row[table["columns"].index("name")] for row in table["data"]] == ["mamba", "cnn"]
    (matrix,) = run.column("confusion/mamba_table")
    (path,) = (place / "wandb").glob(f"offline-run-*/files/{matrix['path']}")
    assert sum(row[2] for row in json.loads(path.read_text())["data"]) == 96
    assert run.column("pairs")


def test_wandb_that_is_disabled_leaves_nothing(grid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    code, out, err = ser("compare", grid, "--wandb")
    assert (code, err) == (0, "")
    assert "mamba" in out
    assert not list(tmp_path.glob("outputs/compare/*"))


def test_wandb_without_a_place_to_write_to_is_a_warning(grid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").touch()
    code, _, err = ser("compare", grid, "--wandb")
    assert code == 0
    assert err.startswith("W&B has no place to write to: ")


def test_wandb_that_breaks_is_a_warning(grid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ser_lightning.tracking.comparison._charts", lambda comparison: 1 / 0)
    code, _, err = ser("compare", grid, "--wandb")
    assert code == 0
    assert err == "the comparison was not logged to W&B: ZeroDivisionError: division by zero\n"
