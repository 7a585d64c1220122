"""Scores by acoustic condition: differences are paired, pictures and tables show them."""

import numpy as np
import pytest
from drawn_words import apart
from label_parts import robustness
from matplotlib.figure import Figure
from matplotlib.image import imread
from rich.console import Console

from ser_lightning.data.degrade import CONDITIONS
from ser_lightning.evaluation.metrics import confusion, scores
from ser_lightning.evaluation.robustness import ConditionAnswers
from ser_lightning.report import forest_plot
from ser_lightning.report.numbers import points
from ser_lightning.report.subgroup_figures import draw_robustness
from ser_lightning.report.subgroup_tables import robustness_table

NAMES = ("anger", "neutral", "sadness")
WORDS = {"title": "cnn on toy", "subtitle": "test UAR 50.0%\nsplit a, fold 0"}
N, N_SPEAKERS = 360, 9
LABELS = np.arange(N) % 3
SPEAKERS = [f"s{i // 3 % N_SPEAKERS}" for i in range(N)]


def heard(name, predicted):
    condition = CONDITIONS[name]
    return ConditionAnswers(condition=name, title=condition.title, group=condition.group, predicted=predicted)


def answers(share, seed=0):
    random = np.random.default_rng(seed)
    return np.where(random.random(N) < share, LABELS, (LABELS + 1) % 3)


def rows_of(*each, speakers=SPEAKERS):
    return robustness(each, labels=LABELS, speakers=speakers, names=NAMES)


def all_rows():
    shares = np.linspace(0.9, 0.35, len(CONDITIONS))
    return rows_of(
        *(heard(name, answers(p, n)) for n, (name, p) in enumerate(zip(CONDITIONS, shares, strict=True)))
    )


def test_a_row_has_the_scores_under_its_condition():
    clean, noisy = answers(0.9), answers(0.5, 1)
    rows = rows_of(heard("clean", clean), heard("white_0db", noisy))
    assert [row.condition for row in rows] == ["clean", "white_0db"]
    assert (rows[1].title, rows[1].group) == ("white noise, 0 dB", "noise")
    for row, predicted in zip(rows, (clean, noisy), strict=True):
        expected = scores(confusion(LABELS, predicted, 3), NAMES)
        assert row.uar == pytest.approx(expected.uar)
        assert row.accuracy == pytest.approx(expected.accuracy)
        assert row.recall == pytest.approx(expected.recall)
        assert (row.n_clips, row.n_speakers) == (N, N_SPEAKERS)
        assert row.uar_interval[0] < row.uar < row.uar_interval[1]
    assert rows[0].difference is None and rows[0].difference_interval is None
    assert rows[1].difference == pytest.approx(rows[1].uar - rows[0].uar)
    assert rows[1].difference_interval[0] < rows[1].difference < rows[1].difference_interval[1] < 0


def test_the_difference_is_paired():
    """Speakers differ by far, and each loses as much: the difference is sure where neither UAR is."""
    turn = np.arange(N) // 27  # which of a speaker's clips of a label it is, of 13 or 14
    strength = np.array([int(who[1]) for who in SPEAKERS])
    clean = np.where(turn < 4 + strength, LABELS, (LABELS + 1) % 3)
    worse = np.where(turn < 3 + strength, LABELS, (LABELS + 1) % 3)
    row = rows_of(heard("clean", clean), heard("telephone", worse))[1]
    width = np.diff(row.uar_interval)[0]
    paired = np.diff(row.difference_interval)[0]
    assert width > 0.2
    assert paired < 0.01
    assert row.difference == pytest.approx(-1 / 13.3, abs=0.005)


def test_what_changes_nothing_differs_by_nothing():
    row = rows_of(heard("clean", answers(0.7)), heard("gain_minus_20db", answers(0.7)))[1]
    assert (row.difference, row.difference_interval) == (0, [0, 0])


def test_a_single_speaker_gives_no_intervals():
    rows = rows_of(heard("clean", answers(0.7)), heard("telephone", answers(0.5)), speakers=["a"] * N)
    assert {row.uar_interval for row in rows} == {row.difference_interval for row in rows} == {None}
    assert rows[1].difference < 0


def test_answers_of_other_clips_are_refused():
    with pytest.raises(ValueError, match="359 answers under telephone, of 360 clips"):
        rows_of(heard("clean", answers(0.7)), heard("telephone", answers(0.7)[1:]))


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    kept: list[Figure] = []
    monkeypatch.setattr(forest_plot, "save", lambda figure, path: kept.append(figure))
    return kept


def test_the_picture_shows_every_condition_and_touches_itself_nowhere(drawn):
    rows = all_rows()
    draw_robustness("unused", rows, **WORDS)
    (axes,) = drawn[0].axes
    words = [text.get_text() for text in axes.texts]
    assert {each.title for each in CONDITIONS.values()} <= set(words)
    assert {each.group for each in CONDITIONS.values()} <= set(words)
    assert {f"clean {rows[0].uar:.1%}", "chance 33.3%", "against clean"} <= set(words)
    assert apart(axes.texts)
    values = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert values == [row.uar for row in rows]
    bars = [tuple(line.get_xdata()) for line in axes.lines if line.get_alpha() is not None]
    assert bars == [tuple(row.uar_interval) for row in rows]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.36, 0.5, 0.75, 1.0])
def test_the_words_above_the_lines_touch_nothing_wherever_the_lines_are(drawn, share):
    draw_robustness(
        "unused", rows_of(heard("clean", answers(share)), heard("telephone", answers(share / 2))), **WORDS
    )
    (axes,) = drawn[0].axes
    assert apart(axes.texts)
    low, high = axes.get_xlim()
    assert low == 0 and high <= 1
    assert all(low <= x <= high for line in axes.lines for x in line.get_xdata())


def test_without_intervals_dots_are_drawn_alone(drawn):
    rows = rows_of(heard("clean", answers(0.7)), heard("telephone", answers(0.5)), speakers=["a"] * N)
    draw_robustness("unused", rows, **WORDS)
    assert not [line for line in drawn[0].axes[0].lines if line.get_alpha() is not None]


def test_the_file_is_a_picture(tmp_path):
    draw_robustness(tmp_path / "robustness.png", all_rows()[:3], **WORDS)
    pixels = imread(tmp_path / "robustness.png")
    assert min(pixels.shape[:2]) > 400
    assert (pixels[..., :3] < 0.5).any(axis=2).mean() > 0.002


def test_the_table_fits_a_terminal_with_a_line_a_condition(capsys):
    rows = all_rows()
    Console(width=80).print(robustness_table(rows))
    lines = capsys.readouterr().out.splitlines()
    for row in rows:
        (line,) = [line for line in lines if line.startswith(row.title + " ")]
        assert f"{100 * row.uar:.1f} [{100 * row.uar_interval[0]:.1f}," in line
        if row.difference is not None:
            assert f"{points(row.difference)} [" in line
