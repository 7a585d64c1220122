import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from ser_lightning.evaluation.records import Calibration, ConfidenceBin, SelectivePoint
from ser_lightning.report import drawing, figures, heat_map, reliability
from ser_lightning.report.figures import draw_confusion, draw_curves, read_history

WORDS = {"title": "cnn on toy", "subtitle": "test UAR 50.0%\nsplit a, fold 0"}


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that are drawn, kept instead of being written."""
    kept: list[Figure] = []
    monkeypatch.setattr(figures, "save", lambda figure, path: kept.append(figure))
    return kept


def words_of(figure: Figure) -> list[str]:
    """Every text in a figure but the tick labels."""
    texts = [text for axes in figure.axes for text in (*axes.texts, axes.xaxis.label, axes.yaxis.label)]
    titles = [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center", "right")]
    return [text.get_text() for text in (*texts, *figure.texts)] + titles


def history(epochs: int, **columns: list[float]) -> list[dict[str, float]]:
    return [{"epoch": float(e), **{name: values[e] for name, values in columns.items()}} for e in range(epochs)]


def test_pictures_are_sharp_and_hold_more_than_paper(tmp_path):
    draw_confusion(tmp_path / "confusion.png", matrix=[[3, 1], [0, 4]], labels=["a", "b"], **WORDS)
    draw_curves(
        tmp_path / "curves.png",
        history=history(2, lr=[1.0, 2.0], **{"train/loss": [2.0, 1.0]}),
        best_epoch=1,
        **WORDS,
    )
    for name in ("confusion", "curves"):
        pixels = imread(tmp_path / f"{name}.png")
        assert min(pixels.shape[:2]) > 600
        assert (pixels[..., :3] < 0.5).any(axis=2).mean() > 0.002


def test_confusion_shows_shares_of_the_true_class_counts_and_recall(drawn):
    draw_confusion("unused", matrix=[[30, 10], [0, 1200]], labels=["a", "b"], **WORDS)
    words = words_of(drawn[0])
    assert {"75.0%", "30", "25.0%", "10", "0", "100.0%", "1,200"} <= set(words)
    assert {"75.0%", "of 40", "100.0%", "of 1,200"} <= set(words)
    assert {"cnn on toy", "predicted", "true"} <= set(words)


def test_labels_are_written_letter_by_letter(tmp_path, recwarn):
    labels = ["$x_1$ & <b>", "$", "喜び"]
    draw_confusion(tmp_path / "a.png", matrix=[[3, 1, 0], [0, 1, 0], [0, 0, 1]], labels=labels, **WORDS)
    assert imread(tmp_path / "a.png").shape[0] > 400 and not [
        each for each in recwarn if "Glyph" in str(each.message)
    ]


def test_a_formula_in_a_label_is_none(drawn):
    draw_confusion("unused", matrix=[[3, 1], [0, 1]], labels=["$x_1$", "b"], **WORDS)
    (label,) = [text for text in drawn[0].axes[0].get_yticklabels() if text.get_text() == "$x_1$"]
    assert not label.get_parse_math()


def test_a_learning_rate_that_is_absurd_takes_no_more_room_than_others():
    assert [figures._brief(value) for value in (4e30, 912.4, 1_234.5, 8e-9, 0.00123)] == [
        "4e+30",
        "912",
        "1,234",
        "8e-09",
        "0.0012",
    ]


def test_a_class_without_clips_is_called_absent(drawn):
    draw_confusion("unused", matrix=[[3, 1], [0, 0]], labels=["a", "b"], **WORDS)
    words = words_of(drawn[0])
    assert "absent" in words
    assert words.count("–") == 2


@pytest.mark.parametrize("n_classes", [2, 6, 8])
def test_class_names_do_not_overlap_however_long(drawn, n_classes):
    labels = [f"quite a long emotion {number}" for number in range(n_classes)]
    draw_confusion("unused", matrix=np.eye(n_classes, dtype=int), labels=labels, **WORDS)
    axes = drawn[0].axes[0]
    anchors = [label.get_window_extent().x1 for label in axes.get_xticklabels()]
    widths = [label.get_window_extent().width for label in axes.get_xticklabels()]
    slanted = axes.get_xticklabels()[0].get_rotation() > 0
    assert slanted or max(widths) < min(np.diff(anchors))
    assert [label.get_text() for label in axes.get_yticklabels()] == labels


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0])
def test_cell_text_has_a_contrast_of_at_least_four(share):
    def luminance(colour: str | tuple[float, ...]) -> float:
        from matplotlib.colors import to_rgb

        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(heat_map.BLUES(share)[:3]), luminance(heat_map.readable_on(share))))
    assert (light + 0.05) / (dark + 0.05) >= 4


def test_curves_name_their_lines_and_the_best_epoch(drawn):
    rows = history(
        3,
        **{
            "train/loss": [2.0, 1.0, 0.5],
            "val/loss": [2.0, 1.5, 1.6],
            "val/uar": [0.2, 0.525, 0.5],
            "val/accuracy": [0.2, 0.5, 0.5],
        },
    )
    draw_curves("unused", history=rows, best_epoch=1, **WORDS)
    words = words_of(drawn[0])
    assert {"train", "validation", "UAR", "accuracy", "best epoch 1, UAR 52.5%"} <= set(words)
    loss, scores, *_ = drawn[0].axes
    assert [list(line.get_ydata()) for line in loss.lines[:2]] == [[2.0, 1.0, 0.5], [2.0, 1.5, 1.6]]
    assert list(scores.lines[0].get_ydata()) == [0.2, 0.525, 0.5]


def test_names_of_lines_that_end_together_are_pushed_apart(drawn):
    draw_curves(
        "unused",
        history=history(2, **{"val/uar": [0.2, 0.6], "val/accuracy": [0.2, 0.6]}),
        best_epoch=None,
        **WORDS,
    )
    heights = [text.get_position()[1] for text in drawn[0].axes[1].texts]
    assert len(heights) == 2
    assert abs(heights[1] - heights[0]) > 0.0799


def test_without_validation_the_panel_says_so(drawn):
    draw_curves("unused", history=history(2, **{"train/loss": [2.0, 1.0]}), best_epoch=1, **WORDS)
    assert {"no validation set", "epoch 1 tested"} <= set(words_of(drawn[0]))


def test_one_epoch_is_drawn_as_a_point_on_whole_epochs(drawn):
    rows = history(1, **{"train/loss": [2.0], "val/uar": [0.3], "val/accuracy": [0.3], "lr": [0.001]})
    draw_curves("unused", history=rows, best_epoch=0, **WORDS)
    loss, scores, rate, _ = drawn[0].axes
    assert loss.lines[0].get_markersize() > 0
    assert np.diff(scores.get_ylim()) >= 0.0999
    assert [tick for tick in rate.get_xticks() if rate.get_xlim()[0] <= tick <= rate.get_xlim()[1]] == [0]


def test_epochs_without_a_value_are_skipped_and_not_numbers_too(drawn):
    rows = [{"epoch": 0.0, "val/uar": 0.2}, {"epoch": 1.0}, {"epoch": 2.0, "val/uar": float("nan")}]
    draw_curves("unused", history=[*rows, {"epoch": 3.0, "val/uar": 0.4}], best_epoch=None, **WORDS)
    line = drawn[0].axes[1].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0.0, 3.0], [0.2, 0.4])


def test_history_leaves_out_empty_cells(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,train/loss,val/uar\n0,1.5,\n1,1.25,0.5\n")
    assert read_history(tmp_path / "metrics.csv") == [
        {"epoch": 0.0, "train/loss": 1.5},
        {"epoch": 1.0, "train/loss": 1.25, "val/uar": 0.5},
    ]


def test_a_picture_is_cropped_to_what_was_drawn_also_beyond_its_canvas(tmp_path):
    heights, widths = [], []
    for number, left in enumerate((5.0, 11.0)):  # the second leaves the canvas to the right
        figure = drawing.new_figure()
        drawing.place(figure, left=left, bottom=2.0, width=3.0, height=2.0).axis("off")
        figure.axes[0].fill([0, 0, 1, 1], [0, 1, 1, 0], color="#204080")
        figure.axes[0].set(xlim=(0, 1), ylim=(0, 1))
        drawing.save(figure, tmp_path / f"{number}.png")
        pixels = (255 * imread(tmp_path / f"{number}.png")[..., :3]).round().astype(int)
        heights.append(pixels.shape[0]), widths.append(pixels.shape[1])
        inside = pixels[70:-70, 70:-70]
        assert (
            (inside == [0x20, 0x40, 0x80]).all() and (pixels[:50] == 255).all() and (pixels[:, -50:] == 255).all()
        )
    assert np.abs(np.array(heights) - 520).max() <= 2 and np.abs(np.array(widths) - 720).max() <= 2


def test_a_title_that_leaves_the_canvas_between_two_letters_is_whole(tmp_path):
    widths = []
    for right in (3.0, -0.6):  # the second time, one bar lies on the canvas and one beyond it
        figure = drawing.new_figure()
        across, up = figure.get_size_inches()
        for bar in (0.0, 0.5):
            axes = drawing.place(figure, left=across - right + bar - 1, bottom=up / 2, width=0.2, height=1.0)
            axes.set_axis_off()
            axes.fill([0, 0, 1, 1], [0, 1, 1, 0], color="#204080")
            axes.set(xlim=(0, 1), ylim=(0, 1))
        drawing.save(figure, tmp_path / "bars.png")
        widths.append(imread(tmp_path / "bars.png").shape[1])
    assert max(widths) - min(widths) <= 4, widths


def test_drawing_touches_no_global_state():
    import subprocess
    import sys

    code = "import sys, ser_lightning.report.figures as f; print('matplotlib.pyplot' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"False\s*", answer)


def test_lines_of_the_same_values_are_both_seen(drawn):
    history = [{"epoch": epoch, "val/uar": epoch / 10, "val/accuracy": epoch / 10} for epoch in (1, 2, 3)]
    draw_curves("unused", history=history, best_epoch=None, **WORDS)
    (first, second) = drawn[0].axes[1].lines
    assert first.get_linestyle() == "-" and second.get_linestyle() == "--"


def test_points_of_a_reliability_diagram_are_whole_and_its_numbers_are_those_of_the_grid(drawn, monkeypatch):
    monkeypatch.setattr(reliability, "save", lambda figure, path: drawn.append(figure))
    shares = (0.0, 1.0 - 1 / 15)
    bins = [ConfidenceBin(low=share, high=1.0, n=5, confidence=share, accuracy=share) for share in shares]
    points = [SelectivePoint(coverage=share, accuracy=1 - 0.35 * share, uar=0.5) for share in (0.5, 1.0)]
    values = Calibration(ece=0.1, nll=1.0, brier=0.5, aurc=0.2, confidence=0.5, bins=bins, selective=points)
    reliability.draw_reliability("unused", curves={"test": values}, **WORDS)
    diagram, _, selective = drawn[0].axes
    assert not next(line for line in diagram.lines if line.get_marker() == "o").get_clip_on()
    assert all(abs(100 * tick - round(100 * tick)) < 1e-6 for tick in selective.get_yticks())
    assert not diagram.texts  # nothing is written over the curve
