import numpy as np
import pytest

from ser_lightning.evaluation.metrics import confusion, scores

NAMES = ("a", "b", "c")


def test_confusion_counts_truth_in_rows_and_predictions_in_columns():
    matrix = confusion([0, 0, 1, 2, 2, 2], [0, 1, 1, 0, 2, 2], 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert matrix.dtype == np.int64


def test_confusion_keeps_classes_that_never_occur():
    assert confusion([1], [1], 4).shape == (4, 4)


def test_confusion_of_small_integer_types_does_not_overflow():
    matrix = confusion(np.full(3, 15, np.int8), np.full(3, 15, np.int8), 16)
    assert matrix[15, 15] == 3


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 1], [0], "one length"),
        ([0, 3], [0, 1], "outside 0 to 2"),
        ([0, 1], [0, -1], "outside 0 to 2"),
        ([0.0, 1.0], [0, 1], "must be integers"),
    ],
)
def test_confusion_names_what_is_wrong(labels, predicted, message):
    with pytest.raises(ValueError, match=message):
        confusion(labels, predicted, 3)


def test_scores_by_hand():
    # recalls 1/2, 1/1, 2/3; precisions 1/2, 1/2, 2/2; F1 1/2, 2/3, 4/5
    judged = scores([[1, 1, 0], [0, 1, 0], [1, 0, 2]], NAMES)
    assert judged.uar == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert judged.accuracy == pytest.approx(4 / 6)
    assert judged.macro_f1 == pytest.approx((1 / 2 + 2 / 3 + 4 / 5) / 3)
    assert judged.recall == pytest.approx({"a": 1 / 2, "b": 1.0, "c": 2 / 3})


def test_uar_is_not_fooled_by_the_majority_class():
    judged = scores([[0, 10, 0], [0, 90, 0], [0, 0, 0]], NAMES)
    assert judged.accuracy == pytest.approx(0.9)
    assert judged.uar == pytest.approx(0.5)


def test_a_class_absent_from_the_truth_has_no_recall_and_costs_f1_only_where_it_is_predicted():
    predicted_once = scores([[2, 0, 1], [0, 3, 0], [0, 0, 0]], NAMES)
    assert predicted_once.recall["c"] is None
    assert predicted_once.uar == pytest.approx((2 / 3 + 1) / 2)
    assert predicted_once.macro_f1 == pytest.approx((4 / 5 + 1 + 0) / 3)

    never_seen = scores([[2, 1, 0], [0, 3, 0], [0, 0, 0]], NAMES)
    assert never_seen.macro_f1 == pytest.approx((4 / 5 + 6 / 7) / 2)


def test_a_class_that_is_present_and_never_hit_counts_as_zero():
    judged = scores([[0, 2, 0], [0, 2, 0], [0, 0, 2]], NAMES)
    assert judged.recall["a"] == 0.0
    assert judged.uar == pytest.approx(2 / 3)


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="no clips"):
        scores(np.zeros((3, 3)), NAMES)
    with pytest.raises(ValueError, match="no clips"):
        scores(confusion([], [], 3), NAMES)


def test_a_matrix_of_another_size_is_an_error():
    with pytest.raises(ValueError, match="3 class names"):
        scores(np.ones((2, 2)), NAMES)
