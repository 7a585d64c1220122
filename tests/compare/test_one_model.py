"""Which runs count as folds and seeds of one model."""

import json

import pytest
from comparable_runs import fewer_draws, make_run

from ser_lightning.compare.ranking import compare
from ser_lightning.compare.read import read_runs


@pytest.fixture(scope="module", autouse=True)
def quick():
    with fewer_draws():
        yield


def only(place):
    (comparison,) = compare(read_runs([place]))
    return comparison


def sizes(place):
    """The groups' names, and how many runs each has."""
    return {group.name: len(group.runs) for group in only(place).groups}


def evaluate(place, *, fold=0, seed=0, trained=None, tested=None, split_hash=None, **changes):
    """A checkpoint, of a training on these data, that was evaluated on all clips of another corpus."""
    training = {"data": {"corpus": "mine", "split": "kfold", "fold": fold, "seed": seed, **(trained or {})}}
    training |= {"fold": fold, "split_hash": split_hash or f"training{fold}"}
    protocol = {"split": "all", "fold": "all", "split_hash": "all", "trained_on": "mine", **(tested or {})}
    checkpoint = {"path": "best.ckpt", "sha256": f"{fold}{seed}", "temperature": 1.0, "training": training}
    return make_run(place, seed=seed, protocol=protocol, checkpoint=checkpoint, **changes)


def teach(place, teacher, *, fold=0, seed=0):
    record = {"path": f"/runs/{teacher}/checkpoints/best.ckpt", "sha256": 8 * teacher, "name": "pretrained"}
    return make_run(place, fold=fold, seed=seed, settings={"model.teacher": f"/runs/{teacher}"}, teacher=record)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"trained": {"labels": "votes_soft"}}, "cnn (data.labels=votes_soft)"),
        ({"trained": {"batch_size": 8}}, "cnn (data.batch_size=8)"),
        ({"trained": {"split": "random"}}, "cnn (data.split=random)"),
        ({"split_hash": "of other clips"}, "cnn (checkpoint.training.split_hash=of other cli)"),
    ],
    ids=str,
)
def test_evaluations_of_models_that_were_trained_otherwise_are_two_groups(tmp_path, other, name):
    evaluate(tmp_path / "a")
    evaluate(tmp_path / "b", seed=1, **other)
    assert len(sizes(tmp_path)) == 2 and name in sizes(tmp_path)


def test_models_of_five_folds_on_one_other_corpus_are_five_trainings_of_one_model(tmp_path):
    for fold in range(5):
        for seed in (0, 1):
            evaluate(tmp_path / f"{fold}-{seed}", fold=fold, seed=seed)
    comparison = only(tmp_path)
    (group,) = comparison.groups
    assert (len(group.runs), group.folds, group.seeds) == (10, ["0", "1", "2", "3", "4"], [0, 1])
    assert group.n_clips == 48  # each once, however many models answered to it
    assert comparison.warnings == ("folds test the same clips: every run counts as a repetition, as a seed does",)
    assert group.headline_sd > 0


def test_a_fold_that_was_not_trained_on_is_missing_though_its_clips_are_not(tmp_path):
    for model, folds in (("cnn", (0, 1)), ("mamba", (0,))):
        for fold in folds:
            evaluate(tmp_path / f"{model}{fold}", fold=fold, model=model)
    assert "mamba has no run of fold 1, as others have" in only(tmp_path).warnings


def test_models_of_two_folds_on_a_fold_of_another_corpus_are_under_one_protocol(tmp_path):
    for fold in (0, 1):
        tested = {"split": "kfold", "fold": 3, "split_hash": "3", "trained_on": f"mine, kfold, fold {fold}"}
        evaluate(tmp_path / str(fold), fold=fold, tested=tested)
    (group,) = only(tmp_path).groups
    assert group.folds == ["3 (trained on 0)", "3 (trained on 1)"]


def test_an_evaluation_of_its_own_test_is_a_run_of_its_training(tmp_path):
    make_run(tmp_path / "trained")
    data = {"corpus": "cremad", "split": "actors5", "fold": 0, "batch_size": 32, "seed": 0}
    training = {"data": data, "fold": 0, "split_hash": "hash0"}
    tested = {"path": "best.ckpt", "sha256": "0", "temperature": 1.0, "training": training}
    make_run(tmp_path / "tested", checkpoint=tested)
    assert sizes(tmp_path) == {"cnn": 1}
    make_run(tmp_path / "cropped", checkpoint=tested, settings={"data.max_clip_seconds": 2, "data.on_long": "crop"})
    assert len(sizes(tmp_path)) == 2


@pytest.mark.parametrize("split_in", ["seeds", "folds"])
def test_students_of_two_teachers_of_one_name_are_two_groups(tmp_path, split_in):
    if split_in == "seeds":
        teach(tmp_path / "0", "a")
        teach(tmp_path / "1", "b", seed=1)
        assert sizes(tmp_path) == {"cnn (teacher.sha256=aaaaaaaa)": 1, "cnn (teacher.sha256=bbbbbbbb)": 1}
        return
    for run, teacher, fold in (("0", "a/0", 0), ("1", "b/1", 1), ("2", "b/0", 0), ("3", "a/1", 1)):
        teach(tmp_path / run, teacher, fold=fold)
    groups = only(tmp_path).groups
    assert sorted(sorted(run.path[-1] for run in group.runs) for group in groups) == [["0", "3"], ["1", "2"]]
    assert [group.folds for group in groups] == [["0", "1"], ["0", "1"]]


def test_of_teachers_that_lie_anywhere_none_is_taken_for_that_of_another_fold(tmp_path):
    for run, (teacher, fold) in enumerate((("a", 0), ("b", 0), ("c", 1))):
        teach(tmp_path / str(run), teacher, fold=fold)
    assert sorted(sizes(tmp_path).values()) == [1, 1, 1]


def test_backbones_of_one_name_whose_content_differs_are_two_groups(tmp_path):
    for seed, digest in enumerate(("885a732f", "dcfabf5a", "dcfabf5a")):
        path = make_run(tmp_path / str(seed), seed=seed) / "result.json"
        result = json.loads(path.read_text())
        result["model"]["pretrained"] = {"name": "enc", "mode": "frozen", "parameters": 8, "digest": digest}
        path.write_text(json.dumps(result))
    assert sizes(tmp_path) == {"cnn (pretrained.digest=885a732f)": 1, "cnn (pretrained.digest=dcfabf5a)": 2}
    differs = [group.differs for group in only(tmp_path).groups[1:]]
    assert [list(each) for each in differs] == [["model.pretrained.digest"]]
    make_run(tmp_path / "old", seed=3)
    (tmp_path / "0" / "result.json").unlink()
    (tmp_path / "0" / "config.yaml").unlink()
    assert sizes(tmp_path) == {"cnn": 3}  # whose result does not say it


@pytest.mark.parametrize(("source", "n_groups"), [("votes_soft", 2), ("intended", 1)])
def test_votes_that_differ_are_two_groups_where_they_are_learnt(tmp_path, source, n_groups):
    for seed, uar in enumerate((0.637, 1.0)):
        said = {"single": {"uar": uar}, "n_clips": 48}
        settings = {"data.manifest": f"/lists/{seed}/small.csv"}
        make_run(
            tmp_path / str(seed), seed=seed, annotators=said, protocol={"label_source": source}, settings=settings
        )
    comparison = only(tmp_path)
    assert len(comparison.groups) == n_groups
    assert comparison.annotators is None
    if n_groups == 2:
        assert "cnn (annotators.single.uar=0.637)" in [group.name for group in comparison.groups]


def test_folds_of_two_lists_of_votes_stay_with_their_list(tmp_path):
    for number, name in enumerate("ab"):
        for fold in (0, 1):
            said = {"single": {"uar": 0.5 + 0.1 * number + 0.01 * fold}, "n_clips": 48}
            settings = {"data.manifest": f"/{name}/small.csv"}
            protocol = {"label_source": "votes_soft"}
            make_run(tmp_path / f"{fold}{name}", fold=fold, annotators=said, protocol=protocol, settings=settings)
    assert sorted(sizes(tmp_path).values()) == [2, 2]
