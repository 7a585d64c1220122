"""A list with dimensions and votes, and without emotions, from the audit to predictions and a comparison."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import config
from layouts import tone
from made_checkpoint import SMALL

from ser_lightning import cli
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import make_data, train
from ser_lightning.utils.errors import UserError

TARGETS = ("arousal", "valence", "dominance")
VOTES = ("calm", "glad", "upset")


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """Six speakers, seven clips each: two that most annotators call by each emotion, and one that is tied."""
    folder, random = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    lines = [",".join(["path", "speaker", *TARGETS, *(f"votes.{name}" for name in VOTES)])]
    for number in range(42):
        speaker, take = divmod(number, 7)
        kind = take % 3
        votes = [4 if name == kind else int(name == (kind + 1) % 3) for name in range(3)]
        numbers = random.normal([2 + 2 * kind, 5 - kind, 4], 0.5).round(2)
        tone(folder / "clips" / f"{number}.wav", kind + speaker / 50 + take / 1000)
        cells = [f"clips/{number}.wav", f"p{speaker}", *numbers, *(votes if take < 6 else ("", 2, 2))]
        lines.append(",".join(map(str, cells)))
    path = folder / "my.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def overrides(listed, *more):
    settings = ["data=csv", f"data.manifest={listed}", "model=cnn", *SMALL, "trainer.precision=32"]
    return [*settings, "trainer.max_epochs=1", *more]


def ser(*arguments):
    done = CliRunner().invoke(cli.main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def audited(listed, *more):
    return json.loads(ser("data", "audit", "csv", f"data.manifest={listed}", *more, "--json"))


def test_dimensions_go_from_the_audit_to_values_and_one_page(listed, tmp_path):
    targets = f"data.targets=[{','.join(TARGETS)}]"
    found = audited(listed, targets, "data.ranges={arousal: [0, 8]}")
    assert found["passed"] and found["clips"]["found"] == 42 and not found["labels"]
    assert list(found["targets"]) == [*TARGETS]
    assert 0 < found["targets"]["arousal"]["min"] < 4 < found["targets"]["arousal"]["max"] < 8
    runs = [RunDirectory(tmp_path / "runs" / loss) for loss in ("ccc", "mse", "ccc+mse")]
    for run in runs:
        train(config(*overrides(listed, targets, f"model.loss={run.path.name}")), run)
    result = runs[0].read_result()
    assert (result.task, result.targets) == ("regression", [*TARGETS])
    clips = listed.parent / "clips"
    rows = list(csv.DictReader(ser("predict", runs[0].path, clips / "0.wav", "--csv", "-").splitlines()))
    assert all(np.isfinite(float(rows[0][name])) for name in TARGETS)
    page, table = tmp_path / "page.html", tmp_path / "table.csv"
    ser("compare", *(run.path for run in runs), "--html", page, "--csv", table)
    with table.open() as file:
        compared = {row["name"]: row for row in csv.DictReader(file)}
    assert {f"cnn (loss={run.path.name})" for run in runs} == set(compared)
    text = page.read_text(encoding="utf-8")
    for name, run in (("ccc", runs[0]), ("mse", runs[1]), ("ccc+mse", runs[2])):
        own = run.read_result().metrics.test
        assert float(compared[f"cnn (loss={name})"]["ccc.valence"]) == pytest.approx(own.targets["valence"].ccc)
        assert f"{own.ccc:.3f}".replace("-", "−") in text and f"cnn (loss={name})" in text
    assert "CCC of each target" in text and all(name in text for name in TARGETS)


@pytest.mark.parametrize(("labels", "n_clips", "n_unlabelled"), [("votes_soft", 42, 6), ("votes_majority", 36, 0)])
def test_votes_go_from_the_audit_to_labels_without_a_column_of_emotions(
    listed, tmp_path, labels, n_clips, n_unlabelled
):
    found = audited(listed, f"data.labels={labels}")
    assert found["passed"] and found["clips"]["found"] == n_clips
    assert {name: each["clips"]["found"] for name, each in found["labels"].items()} == dict.fromkeys(VOTES, 12)
    n_found = [each["text"] for each in found["findings"] if each["kind"] == "unlabelled"]
    assert n_found == ([f"{n_unlabelled} clips without a majority: they only train"] if n_unlabelled else [])
    run = RunDirectory(tmp_path / "run")
    train(config(*overrides(listed, f"data.labels={labels}")), run)
    result = run.read_result()
    assert result.protocol.label_source == labels
    assert 0 <= result.distribution.js_divergence <= 1
    rows = ser("predict", run.path, listed.parent / "clips" / "0.wav", "--csv", "-").splitlines()
    (row,) = csv.DictReader(rows)
    assert row["label"] in VOTES and sum(float(row[f"p_{name}"]) for name in VOTES) == pytest.approx(1, abs=1e-3)


def test_a_label_map_joins_what_annotators_chose(listed):
    mapped = "+data.label_map={calm: low, glad: high, upset: high}"
    data = make_data(config(*overrides(listed, "data.labels=votes_majority", mapped)))
    assert data.task.outputs == ("high", "low")
    counts = [sum(clip.emotion == name for clip in data.manifest) for name in data.task.outputs]
    assert counts == [30, 12]  # who is tied between glad and upset is high


@pytest.mark.parametrize("labels", ["votes_soft", "votes_majority"])
@pytest.mark.parametrize(
    ("votes", "said"),
    [
        ("5,1,", "in every clip most annotators chose calm, so nothing can be learnt: add clips of other emotions"),
        (",0,", "votes.calm, votes.glad, votes.upset have no vote in any line: fill them"),
    ],
)
def test_votes_that_tell_no_clips_apart_are_refused(listed, labels, votes, said):
    header, *rows = listed.read_text().splitlines()
    same = listed.with_name("same.csv")
    same.write_text("\n".join([header, *(f"{row.rsplit(',', 3)[0]},{votes}" for row in rows)]) + "\n")
    with pytest.raises(UserError, match=said):
        make_data(config(*overrides(same, f"data.labels={labels}")))


@pytest.mark.parametrize(
    ("old", "new", "more", "said"),
    [
        ("votes.calm", "joy", [], "lacks the column emotion"),
        ("p0,", "p0,", [], "data.labels=votes_majority needs no emotion"),
        (",4,1,0\n", ",some,1,0\n", ["data.labels=votes_soft"], "line 2: votes.calm is 'some', .* and so on in "),
        (",4,1,0\n", ",-4,1,0\n", ["data.labels=votes_soft"], "votes.calm is '-4', .*: write 0 or more, or leave"),
    ],
)
def test_what_is_wrong_with_votes_is_one_line(listed, old, new, more, said):
    wrong = listed.with_name("wrong.csv")
    wrong.write_text(listed.read_text().replace(old, new))
    with pytest.raises(UserError, match=said) as caught:
        make_data(config(*overrides(wrong, *more)))
    assert str(caught.value).count("\n") <= 1
