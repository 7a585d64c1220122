"""What is said before a sweep."""

import pytest

from ser_lightning.sweep.hydra_callback import _say_what_changed


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (
            ["model=cnn", "data=toy"],
            ["data=toy", "model=cnn_gru"],
            "began with model=cnn and goes on with model=cnn_gru",
        ),
        (["data=toy"], ["data=toy", "seed=1"], "began with fewer settings and goes on with seed=1"),
        (["data=toy", "hydra.sweeper.n_trials=3"], ["data=toy", "hydra.sweeper.n_trials=9"], None),
        ([], ["data=toy"], None),
    ],
)
def test_a_search_that_goes_on_with_other_settings_is_said(caplog, before, now, said):
    _say_what_changed(before, now)
    assert (said in caplog.text) if said else not caplog.text
