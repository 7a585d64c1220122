import csv
import io
import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from comparable_runs import LABELS, fewer_draws, make_grid, make_run
from rich.console import Console

from ser_lightning.compare.files import to_csv, to_json, to_markdown
from ser_lightning.compare.html.page import write_page
from ser_lightning.compare.ranking import compare
from ser_lightning.compare.read import read_runs
from ser_lightning.compare.tables import failures, print_comparisons
from ser_lightning.evaluation.metrics import confusion, scores
from ser_lightning.runs.predictions import write_predictions
from ser_lightning.tasks.predictions import Predictions
from ser_lightning.utils.errors import UserError


@pytest.fixture(scope="module", autouse=True)
def quick():
    with fewer_draws():
        yield


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Three models, two folds, two seeds. Shared: do not write there."""
    return make_grid(tmp_path_factory.mktemp("grid"), {"cnn": 0.5, "cnn_gru": 0.9, "mamba": 0.6}, seeds=(0, 1))


@pytest.fixture(scope="module")
def compared(grid):
    return only(grid)


def only(*places):
    (comparison,) = compare(read_runs(places))
    return comparison


def names(*places):
    return sorted(group.name for group in only(*places).groups)


def two(tmp_path, **settings):
    """The names of a plain run and of one with other settings."""
    make_run(tmp_path / "a", accuracy=0.9)
    make_run(tmp_path / "b", accuracy=0.4, settings={name.replace("__", "."): v for name, v in settings.items()})
    return names(tmp_path)


def said(comparisons, width=100):
    stream = io.StringIO()
    print_comparisons(comparisons, Console(file=stream, width=width, markup=False, highlight=False))
    return stream.getvalue()


def test_groups_are_ranked_and_pool_folds_for_each_seed(grid, compared):
    assert [group.name for group in compared.groups] == ["cnn_gru", "mamba", "cnn"]
    best = compared.groups[0]
    assert (best.folds, best.seeds, best.n_clips, best.n_speakers) == (["0", "1"], [0, 1], 96, 8)
    matrices = {
        seed: sum(
            np.array(
                json.loads((grid / "cnn_gru" / f"fold{fold}-seed{seed}" / "result.json").read_text())[
                    "confusion_matrix"
                ]
            )
            for fold in (0, 1)
        )
        for seed in (0, 1)
    }
    uars = [scores(matrix, LABELS).uar for matrix in matrices.values()]
    assert best.headline.value == pytest.approx(np.mean(uars))
    assert best.headline_sd == pytest.approx(np.std(uars, ddof=1))
    assert best.headline.low < best.headline.value < best.headline.high
    assert np.array_equal(best.confusion, sum(matrices.values()))
    assert np.mean(list(best.by_speaker.values())) == pytest.approx(best.scores["accuracy"].value)
    assert (best.minutes, len(best.runs), best.runs[0].history["val/uar"]) == (2.0, 4, [0.3, 0.4, 0.5])
    assert best.differs == {}
    assert compared.groups[1].differs["model.name"] == ("cnn_gru", "mamba")


def test_every_pair_is_tested_and_corrected(compared):
    assert [(pair.first, pair.second) for pair in compared.pairs] == [
        ("cnn_gru", "mamba"),
        ("cnn_gru", "cnn"),
        ("mamba", "cnn"),
    ]
    first = compared.pairs[0]
    uars = {group.name: group.headline.value for group in compared.groups}
    assert first.difference.value == pytest.approx(uars["cnn_gru"] - uars["mamba"])
    assert (first.n_clips, first.n_speakers) == (96, 8)
    gap = compared.groups[0].scores["accuracy"].value - compared.groups[1].scores["accuracy"].value
    assert (first.only_first - first.only_second) / 96 == pytest.approx(gap)
    assert first.permutation_p <= first.permutation_holm_p < 0.05
    assert first.mcnemar_p < first.mcnemar_holm_p < 0.05
    assert first.effect_size > 1
    assert compared.pairs[2].permutation_holm_p > 0.05


def test_a_single_seed_has_no_spread_and_a_single_group_no_pair(tmp_path):
    comparison = only(make_run(tmp_path / "run"))
    assert comparison.groups[0].headline_sd is None
    assert comparison.pairs == []
    assert "±" in said([comparison])


def test_models_that_say_the_same_are_equal(tmp_path):
    make_run(tmp_path / "a")
    again = make_run(tmp_path / "b")
    config = (again / "config.yaml").read_text().replace("lr: 0.002", "lr: 0.003")
    (again / "config.yaml").write_text(config)
    (pair,) = only(tmp_path).pairs
    assert (pair.difference.value, pair.permutation_p, pair.mcnemar_p, pair.effect_size) == (0, 1, 1, 0)


@pytest.mark.parametrize(
    "name",
    [
        "data.root",
        "data.num_workers",
        "trainer.accelerator",
        "trainer.enable_progress_bar",
        "resume",
        "logger.wandb",
    ],
)
def test_where_things_lie_and_how_they_are_shown_makes_no_other_group(tmp_path, name):
    make_run(tmp_path / "a", fold=0)
    make_run(tmp_path / "b", fold=1, settings={name: "else"})
    assert names(tmp_path) == ["cnn"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"model__optimizer__lr": 0.001}, "cnn (optimizer.lr=0.001)"),
        ({"trainer__devices": 2}, "cnn (trainer.devices=2)"),
        ({"trainer__precision": "32-true"}, "cnn (trainer.precision=32-true)"),
        ({"model__augment__mixup": None}, "cnn (augment.mixup=null)"),
        ({"model__net__dropout": 0.1, "model__net___target_": "nets.Other"}, "cnn (net.dropout=0.1)"),
    ],
)
def test_groups_of_a_model_are_told_apart_by_what_differs(tmp_path, settings, name):
    assert name in two(tmp_path, **settings)


def test_an_old_config_without_a_part_that_is_off_is_no_other_group(tmp_path):
    assert two(tmp_path, callbacks__average_weights=None) == ["cnn"]


def test_a_name_takes_as_many_settings_as_it_needs(tmp_path):
    for lr in (0.001, 0.002):
        for batch_size in (16, 32):
            settings = {"model.optimizer.lr": lr, "data.batch_size": batch_size}
            make_run(tmp_path / f"{lr}-{batch_size}", settings=settings)
    assert names(tmp_path)[0] == "cnn (optimizer.lr=0.001, data.batch_size=16)"
    assert len(names(tmp_path)) == 4


@pytest.mark.parametrize(
    ("settings", "overrides", "name"),
    [
        (
            {"model.frontend.normalise": "speaker", "trainer.max_epochs": 60},
            None,
            "cnn (frontend.normalise=speaker)",
        ),
        (
            {"model.frontend.normalise": "speaker", "model.optimizer.lr": 1e-4, "trainer.max_epochs": 60},
            ["experiment=by_speaker", "model=cnn"],
            "cnn (experiment=by_speaker)",
        ),
        ({"model.augment.mixup": None, "callbacks.average_weights.epochs": 3}, None, "cnn (augment.mixup=null)"),
        ({"trainer.max_epochs": 60}, ["trainer.max_epochs=60"], "cnn (trainer.max_epochs=60)"),
    ],
)
def test_what_was_compared_on_purpose_names_a_group_before_bookkeeping(tmp_path, settings, overrides, name):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", settings=settings, overrides=overrides)
    assert name in names(tmp_path)
    assert "trainer.max_epochs=60" not in names(tmp_path)[0] or "max_epochs" in name


def test_folds_of_students_pool_though_every_fold_has_its_own_teacher(tmp_path):
    for fold in range(2):
        teacher = {"path": f"outputs/{fold}", "sha256": str(fold), "name": "pretrained"}
        settings = {"model.teacher": f"outputs/{fold}", "trainer.threads": 1 + fold}
        make_run(tmp_path / str(fold), fold=fold, settings=settings, teacher=teacher)
    make_run(tmp_path / "alone")
    assert sorted(names(tmp_path)) == ["cnn (teacher=null)", "cnn (teacher=pretrained)"]


def test_bookkeeping_is_named_for_what_nothing_else_tells_apart(tmp_path):
    for number, (kind, epochs) in enumerate((("speaker", 30), ("clip", 30), ("clip", 60))):
        settings = {"model.frontend.normalise": kind, "trainer.max_epochs": epochs}
        make_run(tmp_path / str(number), settings=settings)
    assert sorted(names(tmp_path)) == [
        "cnn",
        "cnn (frontend.normalise=speaker)",
        "cnn (trainer.max_epochs=60)",
    ]


def test_settings_that_differ_are_listed_by_importance(tmp_path):
    make_run(tmp_path / "a")
    changed = {"trainer.max_epochs": 60, "data.batch_size": 8, "model.augment.mixup": None, "model.net.dropout": 0}
    make_run(tmp_path / "b", settings=changed)
    group = only(tmp_path).groups[1]
    order = ["model.net.dropout", "model.augment.mixup", "data.batch_size", "trainer.max_epochs"]
    assert [name for name in group.differs if name in order] == order


def test_long_values_keep_what_differs(tmp_path):
    wide = [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]
    for number in (3072, 3073):
        make_run(tmp_path / str(number), settings={"model.net.channels": [*wide, number, *wide]})
    assert all(str(number) in " ".join(names(tmp_path)) for number in (3072, 3073))
    assert max(map(len, names(tmp_path))) < 60


def test_what_is_odd_about_the_data_is_a_note_in_words(tmp_path):
    make_run(tmp_path / "a", warnings={"silent": 1, "left_out_by_label": 1234})
    make_run(tmp_path / "b", "mamba", warnings={"silent": 1})
    warnings = only(tmp_path).warnings
    assert "data: 1 silent clip, used all the same" in warnings
    assert "data of cnn: 1,234 clips without a label here, left out" in warnings


@pytest.mark.parametrize("is_last", [False, True])
def test_a_run_that_was_repeated_counts_once_the_last_one_that_is_finished(tmp_path, is_last):
    first, last = make_run(tmp_path / "first", accuracy=0.4), make_run(tmp_path / "last", accuracy=0.9)
    if is_last:
        make_run(tmp_path / "of a killed one", accuracy=0.1, warnings={"training_unfinished": 1})
    n_runs = 3 if is_last else 2
    os.utime(first / "result.json", (1e9, 1e9))
    comparison = only(tmp_path)
    assert [run.path for run in comparison.groups[0].runs] == [str(last)]
    counts = f"cnn, fold 0 seed 0: of {n_runs} runs the one that finished last counts, {last}"
    assert counts in comparison.warnings


def test_gaps_are_named(tmp_path):
    make_grid(tmp_path, {"cnn": 0.6, "mamba": 0.7}, folds=(0, 1, 2), seeds=(0, 1))
    for gone in ("cnn/fold1-seed1", "mamba/fold2-seed0", "mamba/fold2-seed1"):
        (tmp_path / gone / "result.json").unlink()
    comparison = only(tmp_path)
    by_name = {group.name: group for group in comparison.groups}
    assert by_name["cnn"].incomplete == ["fold 1 seed 1"]
    assert by_name["mamba"].incomplete == []
    warnings = "\n".join(comparison.warnings)
    assert "cnn is incomplete: it lacks fold 1 seed 1" in warnings
    assert "mamba was not tested on fold 2, as others were" in warnings
    assert "tested on the folds and seeds that both have" in warnings
    assert (comparison.pairs[0].n_clips, comparison.pairs[0].n_speakers) == (96, 8)


def test_groups_without_a_fold_and_seed_in_common_are_not_tested(tmp_path):
    make_run(tmp_path / "a", "cnn", fold=0)
    make_run(tmp_path / "b", "mamba", fold=1)
    comparison = only(tmp_path)
    assert comparison.pairs == []
    assert any("no fold and seed in common, hence no test" in line for line in comparison.warnings)


def test_of_clips_that_one_run_lacks_the_others_are_compared(tmp_path):
    make_run(tmp_path / "a", "cnn")
    make_run(tmp_path / "b", "mamba", n_speakers=3)
    (pair,) = only(tmp_path).pairs
    assert (pair.n_clips, pair.n_speakers) == (36, 3)


def test_folds_that_test_the_same_clips_are_repetitions(tmp_path):
    for seed in (0, 1):
        make_run(
            tmp_path / str(seed),
            seed=seed,
            protocol={"fold": seed, "test_corpus": "emodb", "split_hash": str(seed)},
        )
    comparison = only(tmp_path)
    assert comparison.groups[0].n_clips == 48
    assert comparison.groups[0].headline_sd > 0
    assert "folds test the same clips: every run counts as a repetition, as a seed does" in comparison.warnings


def test_a_label_that_no_clip_has_has_no_recall(tmp_path):
    comparison = only(make_run(tmp_path / "a", labels=("anger", "fear"), n_speakers=1, clips_per_speaker=1))
    assert list(comparison.groups[0].by_output) == ["anger"]
    assert "all clips are of one speaker" in comparison.warnings[0]
    json.loads(to_json([comparison]), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": {"corpus": "ravdess"}}, r"corpus: cremad in .*/a, ravdess in .*/b"),
        ({"protocol": {"split": "random"}}, "split: actors5 in .*, random in"),
        ({"protocol": {"selection": "last epoch"}}, "epoch selection: best validation in .*, last epoch in"),
        (
            {"protocol": {"label_source": "voice_votes"}},
            "label source: intended in .*, raters' majority in",
        ),
        ({"protocol": {"label_map": {"calm": "neutral"}}}, "label map: none in .*, calm → neutral in"),
        ({"protocol": {"test_corpus": "emodb"}}, "test corpus: none in"),
        ({"labels": ("anger", "fear")}, "labels: anger, fear, neutral in .*, anger, fear in"),
        ({"protocol": {"split_hash": "else"}}, "the clips of fold 0, split_hash: hash0 in"),
    ],
)
def test_results_of_two_protocols_are_not_ranked_together(tmp_path, changes, said):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", "mamba", **changes)
    match = rf"2 protocols and cannot be ranked together:\n(.*\n)*  {said}.*\n(.*\n)*.*--separate"
    with pytest.raises(UserError, match=match) as error:
        compare(read_runs([tmp_path]))
    place = len(str(tmp_path))
    assert max(map(len, str(error.value).splitlines())) < 2 * place + 120
    sections = compare(read_runs([tmp_path]), separate=True)
    assert [[group.name for group in each.groups] for each in sections] == [["cnn"], ["mamba"]]


def test_splits_of_two_kinds_are_kept_apart_fold_by_fold(tmp_path):
    for fold in (1, 0):
        make_run(tmp_path / f"a{fold}", fold=fold)
        make_run(
            tmp_path / f"b{fold}",
            fold=fold,
            settings={"data.splits": {"kfold": {"seed": 1}}},
            protocol={"split_hash": f"other{fold}"},
        )
    sections = compare(read_runs([tmp_path]), separate=True)
    assert sorted(each.protocol["split_hash"] for each in sections) == [
        "0: hash0, 1: hash1",
        "0: other0, 1: other1",
    ]


def test_a_clip_that_two_folds_label_differently_is_refused(tmp_path):
    make_run(tmp_path / "a")
    other = make_run(tmp_path / "b", fold=1)
    path = other / "predictions.csv"
    path.write_text(path.read_text().replace("s1-0-0,s1-0", "s0-0-0,s1-0"))
    with pytest.raises(UserError, match=r"clip s0-0-0 has another speaker or label in .*/b"):
        compare(read_runs([tmp_path]))


def test_synthetic_speech_shared_speakers_and_contamination_cannot_be_missed(tmp_path):
    make_run(tmp_path / "a", synthetic=True, contamination="it knows them", protocol={"speaker_independent": False})
    comparison = only(tmp_path)
    assert comparison.synthetic and not comparison.speaker_independent
    for text in (said([comparison]), to_markdown([comparison])):
        assert "SPEAKERS SHARED" in text and "SYNTHETIC SPEECH" in text
        assert "synthetic speech: says nothing about emotion" in text
        assert "cnn: it knows them" in text
    assert ",no,intended," in to_csv([comparison]) and ",yes,1,cnn" in to_csv([comparison])


def test_annotators_stand_beside_the_models(tmp_path):
    for fold, uar in enumerate((0.4, 0.5)):
        make_run(
            tmp_path / str(fold),
            fold=fold,
            annotators={"single": {"uar": uar, "accuracy": uar}, "majority": {"uar": 0.6}},
        )
    comparison = only(tmp_path)
    assert comparison.annotators == pytest.approx(0.45)
    assert "annotators" in said([comparison])
    make_run(tmp_path / "2", fold=2)
    assert only(tmp_path).annotators is None


def test_old_results_without_history_and_training_time_do(tmp_path):
    run = (
        only(make_run(tmp_path / "a", schema=1, history=None, epochs={"trained": 3, "chosen": 3}, throughput=None))
        .groups[0]
        .runs[0]
    )
    assert (run.history, run.minutes) == ({}, None)


def test_the_terminal_shows_many_groups_against_the_best_alone(tmp_path):
    for number in range(10):
        make_run(tmp_path / str(number), f"net{number}", 0.3 + 0.05 * number)
    comparison = only(tmp_path)
    assert len(comparison.pairs) == 45
    best = comparison.groups[0].name
    text = said([comparison])
    assert f"UAR of {best} minus that of" in text
    assert "Of 45 pairs, those with the best are shown" in " ".join(text.split())
    assert all(len(line.rstrip()) <= 100 for line in text.splitlines())
    assert text.count("\n") < 40


def test_very_many_groups_are_tested_against_the_best_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("ser_lightning.compare.pairwise_tests.ALL_PAIRS_TESTED_UP_TO", 2)
    make_grid(tmp_path, {"a": 0.5, "b": 0.6, "c": 0.9})
    comparison = only(tmp_path)
    assert [pair.first for pair in comparison.pairs] == ["c", "c"]
    assert any("too many to test every pair" in line for line in comparison.warnings)


def test_failed_runs_are_listed(tmp_path, grid):
    make_run(tmp_path / "broken", status="failed", reason="loss is nan")
    comparisons = compare(read_runs([grid, tmp_path]))
    assert comparisons[0].failed == ((str(tmp_path / "broken"), "loss is nan"),)
    assert f"not compared: {tmp_path}/broken: loss is nan" in said(comparisons)


def test_json_holds_everything(compared):
    plain = json.loads(to_json([compared]))
    assert plain["schema"] == 1
    (one,) = plain["comparisons"]
    assert one["groups"][0]["uar"].keys() == {"value", "low", "high"}
    assert len(one["groups"][0]["runs"]) == 4
    assert len(one["pairs"]) == 3
    varies_not = replace(compared, pairs=[replace(compared.pairs[0], effect_size=float("nan"))])
    assert json.loads(to_json([varies_not]))["comparisons"][0]["pairs"][0]["effect_size"] is None


def test_csv_has_a_row_a_group_with_its_protocol(compared):
    rows = list(csv.DictReader(io.StringIO(to_csv([compared]))))
    assert [row["name"] for row in rows] == ["cnn_gru", "mamba", "cnn"]
    assert (rows[0]["corpus"], rows[0]["split"], rows[0]["rank"], rows[0]["folds"]) == (
        "cremad",
        "actors5",
        "1",
        "0 1",
    )
    assert float(rows[0]["uar"]) == compared.groups[0].headline.value
    assert float(rows[0]["recall.anger"]) == compared.groups[0].by_output["anger"].value


def test_markdown_is_whole_tables(compared):
    tables = [block.splitlines() for block in to_markdown([compared]).split("\n\n") if block.startswith("|")]
    assert [len(table) for table in tables] == [2 + 3, 2 + 3]
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
    assert "| 1 | cnn_gru | " in tables[0][2]


def test_names_are_text_and_never_markup(tmp_path):
    evil = "=cmd|'x'!A1 [red]`*<b>|\n\x1b[31m"
    make_run(tmp_path / "a", evil, settings={"model.name": evil})
    make_run(tmp_path / "b", "plain_name")
    comparison = only(tmp_path)
    text = said([comparison], width=200)
    assert "\x1b" not in text and "[red]`*<b>|\\n\\x1b[31m" in text
    markdown = to_markdown([comparison])
    assert "\x1b" not in markdown and "<b>" not in markdown
    assert "=cmd\\|'x'!A1 \\[red\\]\\`\\*&lt;b&gt;\\|\\\\n" in markdown
    table = markdown.split("\n\n")[1].splitlines()
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    row = next(row for row in csv.DictReader(io.StringIO(to_csv([comparison]))) if "cmd" in row["name"])
    assert row["name"].startswith("'=cmd")


def test_the_effect_is_of_what_the_difference_is_of(tmp_path):
    """Accuracy follows frequent classes and UAR does not: where they disagree, d goes with the difference."""
    made = {}
    for name, rare_right in (("rare", True), ("frequent", False)):
        place = make_run(tmp_path / name, name, n_speakers=6)
        labels = np.array([0] * 10 + [1, 2])
        rows = []
        for speaker in range(6):
            for number, label in enumerate(labels):
                # one knows the rare classes and most of the frequent one, the other all of that and nothing else
                right = (label > 0 or number < 7 - speaker % 2) if rare_right else label == 0
                guess = label if right else (label + 1) % 3
                rows.append((f"s{speaker}-{number}", f"s{speaker}", label, guess))
        rewrite(place, rows)
        made[name] = place
    (pair,) = only(tmp_path).pairs
    sign = 1 if pair.first == "rare" else -1
    assert sign * pair.difference.value > 0.5
    assert sign * pair.effect_size > 1
    accuracy = {group.name: group.scores["accuracy"].value for group in only(tmp_path).groups}
    assert accuracy["frequent"] > accuracy["rare"]


def rewrite(place, rows):
    """Give a run other answers: id, speaker, label and answer of each clip."""
    probabilities = np.full((len(rows), 3), 0.1)
    probabilities[np.arange(len(rows)), [row[3] for row in rows]] = 0.8
    answers = Predictions(
        ids=[row[0] for row in rows],
        speakers=[row[1] for row in rows],
        labels=np.array([row[2] for row in rows]),
        probabilities=probabilities,
        names=LABELS,
    )
    write_predictions(place / "predictions.csv", answers)
    result = json.loads((place / "result.json").read_text())
    matrix = confusion(answers.labels, answers.predicted, 3)
    result["confusion_matrix"] = matrix.tolist()
    result["metrics"]["test"] |= scores(matrix, LABELS)
    (place / "result.json").write_text(json.dumps(result))


def test_of_two_speakers_nothing_is_claimed(tmp_path):
    make_grid(tmp_path, {"cnn": 0.2, "mamba": 0.9}, folds=(0,), speakers_per_fold=2)
    comparison = only(tmp_path)
    assert "with 2 test speakers, it cannot be said which model is better" in " ".join(comparison.warnings)
    (pair,) = comparison.pairs
    assert math.isnan(pair.effect_size) and math.isnan(pair.difference.low)
    shown = said([comparison])
    assert "[" not in shown.partition("Per cent")[0] and "nan" not in shown
    write_page(tmp_path / "page.html", [comparison])
    page = (tmp_path / "page.html").read_text()
    assert "With 2 test speakers, nothing can be said of which model is better." in page
    assert "leads" not in page and '"nan"' not in page and "nan%" not in page


def test_reasons_of_what_is_not_compared_are_short(tmp_path):
    make_run(tmp_path / "good")
    make_run(tmp_path / "bad", status="failed", reason="there is no model/nope: known are " + "cnn, " * 90)
    (line,) = failures([only(tmp_path)])
    assert line.endswith(" …") and len(line) < len(str(tmp_path)) + 150


def test_with_few_speakers_the_smallest_p_that_is_possible_is_said(tmp_path, compared):
    make_grid(tmp_path, {"cnn": 0.2, "mamba": 0.9, "gru": 0.5}, folds=(0,), speakers_per_fold=5)
    comparison = only(tmp_path)
    assert {pair.smallest_p for pair in comparison.pairs} == {0.0625}
    assert min(pair.permutation_p for pair in comparison.pairs) >= 0.0625
    said_of_it = "with 5 test speakers, the smallest p over speakers that is possible is 0.0625, and 0.188 once"
    assert any(line.startswith(said_of_it) for line in comparison.warnings)
    assert said_of_it in " ".join(said([comparison]).split())
    assert json.loads(to_json([comparison]))["comparisons"][0]["pairs"][0]["smallest_p"] == 0.0625
    assert not any("smallest p" in line for line in compared.warnings)  # of eight speakers


def test_an_evaluation_of_the_runs_own_test_stands_beside_its_training(tmp_path):
    make_run(tmp_path / "trained")
    tested = {"path": "best.ckpt", "sha256": 64 * "0", "temperature": 1.0}
    make_run(tmp_path / "tested", checkpoint=tested)
    make_run(tmp_path / "known", checkpoint=tested, protocol={"speaker_independent": False})
    (together,) = compare(read_runs([tmp_path / "trained", tmp_path / "tested"]))
    assert together.protocol["speaker_independent"] == "yes"
    with pytest.raises(UserError, match=r"speaker.independent: as the split says in .*trained.*, no in .*known"):
        compare(read_runs([tmp_path / "trained", tmp_path / "known"]))
