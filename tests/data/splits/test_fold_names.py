"""A column of folds means what it says."""

import pytest

from ser_lightning.data.splits.fold_names import folds_by_number, parts_by_name
from ser_lightning.utils.errors import UserError


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Val", "Test"),
        ("TRAINING", "dev", "TESTING"),
        ("train", "valid", "eval"),
        ("training", "Validation", "Evaluation"),
        ("train", "development", "test"),
        ("train_set", "val_set", "test_set"),
        ("training set", "dev set", "test set"),
        ("Train-clean", "Dev-clean", "Test-other"),
        ("trainset", "devset", "testset"),
        ("tr", "va", "te"),
        ("TR", "vl", "ts"),
        ("train", "devel", "Test1"),
        ("entrenamiento", "validaci\u00f3n", "prueba"),
    ],
)
def test_parts_are_known_by_their_usual_names(train, val, test):
    assert parts_by_name({train, val, test}) == {train: "train", val: "val", test: "test"}
    assert parts_by_name({test, train}) == {train: "train", test: "test"}


def test_one_part_in_two_cases_is_one():
    assert parts_by_name(["train", "Train", "test"]) == {"train": "train", "Train": "train", "test": "test"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["train", "test", "1"], "mixes test, train with 1: name every part"),
        (["train", "holdout"], r"mixes train with holdout: .*\(train, training; val, .*; test, .*evaluation\)"),
        (["train", "val", "dev", "test"], "calls one part dev and val: name it in one way"),
        (["train", "eval", "test"], "calls one part eval and test"),
        (["train_set", "test_set", "holdout"], "mixes test_set, train_set with holdout: name every part"),
        (["train_dev", "test"], "has train_dev, which may be one part or another: name every part"),
        (["cv1_train", "cv1_test", "cv2_train", "cv2_test"], "calls one part cv1_train and cv2_train: name it in"),
        (["train-clean-100", "train-clean-360", "dev-clean", "test-clean"], "calls one part train-clean-100 and "),
    ],
)
def test_mixtures_of_parts_are_refused(values, said):
    with pytest.raises(UserError, match=said):
        parts_by_name(values)


@pytest.mark.parametrize(
    ("values", "folds"),
    [
        (["2", "10", "1"], {1: "1", 2: "2", 10: "10"}),
        (["01", "02", "03"], {1: "01", 2: "02", 3: "03"}),
        (["1.0", "2.0", "3.0"], {1: "1.0", 2: "2.0", 3: "3.0"}),
        (["fold 2", "Fold 10", "fold 1"], {1: "fold 1", 2: "fold 2", 10: "Fold 10"}),
        (["Session3", "Session1"], {1: "Session1", 3: "Session3"}),
        (["b", "a", "c"], {0: "a", 1: "b", 2: "c"}),
        (["a1", "b2", "c3"], {0: "a1", 1: "b2", 2: "c3"}),
        (["fold 10 of 12", "fold 2 of 12", "fold 1 of 12"], {n: f"fold {n} of 12" for n in (1, 2, 10)}),
        (["test1", "test2", "test3"], {1: "test1", 2: "test2", 3: "test3"}),
        (["JD", "MK", "ts2", "AB"], {0: "AB", 1: "JD", 2: "MK", 3: "ts2"}),
        (["cv10", "CV2", "cv1"], {1: "cv1", 2: "CV2", 10: "cv10"}),
        (["fold_10", "fold 9", "fold-11"], {9: "fold 9", 10: "fold_10", 11: "fold-11"}),
        (["10a", "2a", "1a"], {1: "1a", 2: "2a", 10: "10a"}),
        (["1", "2.0", "10"], {1: "1", 2: "2.0", 10: "10"}),
        (["s10 r1", "s2 r2", "s2 r1"], {0: "s2 r1", 1: "s2 r2", 2: "s10 r1"}),
    ],
)
def test_folds_have_the_numbers_that_the_column_gives(values, folds):
    assert parts_by_name(values) is None
    found = folds_by_number(values)
    assert (found, list(found)) == (folds, sorted(folds))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1", "2", "x"], "mixes 1, 2 with x: number every fold, or none"),
        (["-1", "0", "1"], "mixes 0, 1 with -1"),
        (["1", "fold 2"], "mixes 1 with fold 2"),
        (["1", "1.0", "2"], r"the fold 1 is also written otherwise, as 1\.0"),
        (["A", "a", "b"], "the fold A is also written otherwise, as a"),
    ],
)
def test_folds_that_are_not_clear_are_refused(values, said):
    with pytest.raises(UserError, match=said):
        folds_by_number(values)
