"""The harness in small: what is killed at random moments ends as if it had not been; in full, `make crash N=20`."""

import pytest
from crash.harness import kill_runs, kill_sweeps

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_a_run_that_is_killed_loses_and_doubles_nothing(tmp_path, cremad_root):
    tally = kill_runs(3, tmp_path, cremad_root, seed=1, epochs=2)
    assert tally["kills"] >= 3
    assert (tally["lost"], tally["doubled"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.pictures
def test_a_run_that_is_killed_often(tmp_path, cremad_root):
    tally = kill_runs(20, tmp_path, cremad_root, seed=2)
    assert (tally["lost"], tally["doubled"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.pictures
def test_a_sweep_that_is_killed(tmp_path, cremad_root):
    tally = kill_sweeps(3, tmp_path, cremad_root, seed=3)
    assert (tally["lost"], tally["doubled"]) == (0, 0)
