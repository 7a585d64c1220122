"""What is said before a sweep."""

import pytest

from ser_lightning.sweep.hydra_callback import _say_what_differs
from ser_lightning.sweep.record import plan, read_plan

BY = {"metric": "val/uar", "mode": "max"}


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([["model=cnn", "data=toy"], ["data=toy", "model=mamba"]], "different settings (model=cnn; model=mamba)"),
        ([["data=toy"], ["data=toy", "data.fold=1"], ["data=toy"]], "(none of these; data.fold=1)"),
        ([["data=toy", "seed=1"], ["seed=1", "data=toy"]], None),
        ([["data=toy"]], None),
    ],
)
def test_a_search_that_went_on_with_other_settings_is_said(tmp_path, caplog, calls, said):
    for settings in calls:
        plan(tmp_path, monitor=BY, settings=settings)
        plan(tmp_path, jobs=["a trial"])
    _say_what_differs(read_plan(tmp_path).get("searched", []))
    assert (said in caplog.text) if said else not caplog.text


def test_a_sweep_that_is_no_search_has_no_such_settings(tmp_path):
    plan(tmp_path, jobs=["a"], settings=["data=toy"])
    assert "searched" not in read_plan(tmp_path)
