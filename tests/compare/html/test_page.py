import json
import math
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from made_comparison import EMOTIONS, HOSTILE, hostile_comparison, make_comparison

from ser_lightning.compare.html.charts import axes, curves, row_charts, scatter
from ser_lightning.compare.html.page import write_page
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report.numbers import minutes, shortened

PARTS = {"ranking", "pair", "recall", "speakers", "cost", "curves", "runs"}
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """A written page: its elements in order, the text outside of style and script, and that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.pieces: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._open[-1:] != ["style"]:
            self.pieces.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


def written(folder: Path, *comparisons) -> Page:
    write_page(folder / "page.html", comparisons)
    return Page((folder / "page.html").read_text(encoding="utf-8"))


def test_page_tells_what_was_compared_and_what_came_out(tmp_path):
    failed = [("outputs/x", "loss is nan")]
    made = make_comparison(annotators=0.612, warnings=["5 clips were silent"], failed=failed)
    page = written(tmp_path, made)
    best, second = made.groups[:2]
    for fact in (
        "5 models on cremad",
        "actors5",
        "best val/uar",
        "unseen in training",
        "75, 1 failed",
        "5 clips were silent",
        "outputs/x",
        "loss is nan",
        "61.2%",
        f"{best.headline.value:.1%}",
        f"{best.headline.low:.1%}"[:-1] + f"–{best.headline.high:.1%}",
        f"{second.scores['macro_f1'].value:.1%}",
        f"{best.parameters:,}",
        best.runs[0].path,
        "model.dropout",
    ):
        assert fact in page.said
    assert {f"s1-{part}" for part in PARTS} <= set(page.ids)


def test_significance_is_that_of_the_corrected_permutation_test(tmp_path):
    made = make_comparison(names=["a", "b", "c"])
    corrected = {("a", "b"): 0.2, ("a", "c"): 0.0004, ("b", "c"): 0.01}
    names = [group.name for group in made.groups]
    pairs = [
        replace(pair, permutation_p=0.0001, permutation_holm_p=p)
        for pair, p in zip(made.pairs, corrected.values(), strict=True)
    ]
    page = written(tmp_path, replace(made, pairs=pairs))
    assert "not significant, p = 0.200" in page.said
    assert "significant , p < 0.001" in page.said
    assert f"{names[0]} leads" in page.said
    assert "1 of the 2 others is significantly different from it" in page.said


def test_the_first_two_are_shown_whichever_way_round_their_pair_is(tmp_path):
    made = make_comparison(names=["a", "b"])
    pair = replace(made.pairs[0], difference=Estimate(0.02, -0.01, 0.05), effect_size=0.5)
    pair = replace(pair, only_first=0.2 * pair.n_clips)
    turned = replace(
        pair,
        first=pair.second,
        second=pair.first,
        difference=Estimate(-0.02, -0.05, 0.01),
        only_first=pair.only_second,
        only_second=pair.only_first,
        effect_size=-0.5,
    )
    for given in (pair, turned):
        said = written(tmp_path, replace(made, pairs=[given])).said
        assert "+2.0 points of UAR" in said
        assert "−1.0 to +5.0" in said
        assert "recognised by the first alone 20.0% of clips" in said
        assert "d = 0.50" in said


def test_shared_speakers_and_synthetic_speech_cannot_be_overlooked(tmp_path):
    page = written(tmp_path, make_comparison(speaker_independent=False, synthetic=True))
    assert "SPEAKERS SHARED between training and test" in page.said
    assert page.said.count("speakers shared") == len(PARTS)
    assert page.said.startswith("SPEAKERS SHARED: ")  # the title
    assert "Synthetic speech: says nothing about emotion." in page.said
    assert "unseen in training" not in page.said


def test_equal_models_share_the_lead(tmp_path):
    made = make_comparison(names=["a", "b", "c"])
    first, second, third = made.groups
    tied = replace(second, scores=second.scores | {"uar": first.scores["uar"]})
    page = written(tmp_path, replace(made, groups=[first, tied, third]))
    assert f"{first.name} and 1 other have the highest number, " in page.said


def test_nothing_hostile_is_more_than_text(tmp_path):
    page = written(tmp_path, hostile_comparison())
    assert not page.all("img")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert len(page.scripts) == 2
    told = json.loads(page.scripts[0])
    assert told["groups"][0]["name"].endswith(HOSTILE)
    assert not re.search("[<>&\u2028\u202e]", page.scripts[0]) and "\u202e" not in page.said
    assert page.said.count("onerror=alert(1)>") > 25
    assert not page.said.count("&lt;")  # escaped once, not twice


def test_page_refers_to_nothing_outside_of_itself(tmp_path):
    page = written(tmp_path, make_comparison())
    refers = [attributes[name] for _, attributes in page.elements for name in ("href", "src") if name in attributes]
    assert {reference[0] for reference in refers if reference != "data:,"} == {"#"}
    assert {reference[1:] for reference in refers if reference[0] == "#"} <= set(page.ids)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp", text)
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}


def test_pictures_have_titles_and_tables_have_heads(tmp_path):
    page = written(tmp_path, make_comparison(n_folds=2, n_seeds=1))
    pictures = [n for n, (tag, attributes) in enumerate(page.elements) if attributes.get("role") == "img"]
    assert len(pictures) > 20
    assert all(page.elements[n + 1][0] == "title" for n in pictures)
    assert all("scope" in head for head in page.all("th"))
    assert len(page.ids) == len(set(page.ids))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_one_model_is_not_compared(tmp_path):
    page = written(tmp_path, make_comparison(names=["cnn"]))
    assert "s1-pair" not in page.ids
    assert "1 model on cremad" in page.said
    assert "cnn reaches" in page.said
    assert page.said.count("true ↓ taken for →") == 1  # its confusion matrix


def test_what_is_not_known_is_left_out(tmp_path):
    made = make_comparison(names=["a", "b"], n_seeds=1)
    groups = [
        replace(
            group,
            parameters=None,
            minutes=None,
            by_speaker={},
            by_output={**group.by_output, "anger": Estimate(math.nan, math.nan, math.nan)},
            runs=[replace(run, history={}, val_headline=None, minutes=None) for run in group.runs],
        )
        for group in made.groups
    ]
    page = written(tmp_path, replace(made, groups=groups, pairs=[]))
    assert "No run kept its history" in page.said
    assert "Neither parameters nor minutes are known" in page.said
    assert "absent" in page.said
    assert "nan" not in page.said.lower().replace("unan", "")
    for script in page.scripts[:-1]:
        json.loads(script, parse_constant=pytest.fail)


def test_a_label_and_a_curve_that_only_some_have(tmp_path):
    made = make_comparison(names=["a", "b"], n_folds=1, n_seeds=2)
    first, second = made.groups
    run = second.runs[0]
    cut = {**run.history, "val/uar": [None, 0.3, math.nan, *run.history["val/uar"][3:]]}
    recall = {label: at for label, at in second.by_output.items() if label != "fear"}
    second = replace(second, parameters=None, by_output=recall, runs=[replace(run, history=cut), second.runs[1]])
    page = written(tmp_path, replace(made, groups=[first, second]))
    assert "1 without this number left out" in page.said
    assert page.said.count("absent") == 1
    assert "nan" not in page.said


def test_a_directory_whose_name_is_not_unicode(tmp_path):
    page = written(tmp_path, make_comparison(names=["cnn"], failed=[("outputs/\udce9t\udce9", "loss is nan")]))
    assert "outputs/?t?" in page.said


def test_several_comparisons_stand_apart(tmp_path):
    shared = make_comparison(names=["a", "b"], speaker_independent=False)
    page = written(tmp_path, make_comparison(), shared)
    assert {"s1-ranking", "s2-ranking"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "not comparable with each other" in page.said
    assert "cremad, actors5 cremad, actors5: SPEAKERS SHARED" in page.said  # the contents
    assert page.said.count("speakers shared") == len(PARTS)  # in its own section alone


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        write_page(tmp_path / "page.html", [])
    with pytest.raises(ValueError, match="at least one"):
        write_page(tmp_path / "page.html", [make_comparison(groups=[])])
    assert not list(tmp_path.iterdir())


def test_five_hundred_runs_are_a_light_page(tmp_path):
    names = [f"model{number}, optimizer.lr 0.{number:04d}" for number in range(50)]
    made = make_comparison(
        names=names, labels=EMOTIONS, n_seeds=2, n_folds=5, n_speakers=91, n_epochs=60, warnings=["w"] * 30
    )
    assert len(made.pairs) == 1225
    begun = time.process_time()
    write_page(tmp_path / "page.html", [made])
    assert time.process_time() - begun < 5
    assert (tmp_path / "page.html").stat().st_size < 4_000_000


def test_curves_of_many_runs_are_means_while_half_of_them_train():
    group = make_comparison(names=["a"], n_seeds=1, n_folds=4, n_epochs=8).groups[0]
    lengths = (2, 4, 4, 8)
    runs = [
        replace(run, history={name: values[:length] for name, values in run.history.items()})
        for run, length in zip(group.runs, lengths, strict=True)
    ]
    line = curves.mean_curve(replace(group, runs=runs), "val/uar")
    assert list(line.curve) == [1, 2, 3, 4]
    first = [run.history["val/uar"][0] for run in runs]
    assert line.curve[1] == pytest.approx(sum(first) / 4)
    assert line.band[1] == (min(first), max(first))


def test_a_loss_that_ran_away_does_not_flatten_the_others():
    values = curves._within_reason([1 + 0.01 * number for number in range(100)] + [1e9])
    assert max(values) == pytest.approx(1.99)


@pytest.mark.parametrize("low, high", [(0.2, 0.9), (0.61, 0.63), (1e3, 9e7), (-0.3, 0.31), (5, 5)])
def test_even_axes_hold_their_values_and_mark_round_numbers(low, high):
    scale = axes.even([low, high], span=0.1)
    assert scale.low <= low and high <= scale.high
    assert 2 <= len(scale.ticks) <= 7
    steps = {f"{b - a:.3g}" for a, b in pairwise(scale.ticks)}
    assert len(steps) == 1 and steps.pop().lstrip("0.")[0] in "125"


@pytest.mark.parametrize("values", [[5e5], [1e5, 2e7], [3.1, 3.3], [0.5, 40]])
def test_logarithmic_axes_have_ticks_inside(values):
    scale = axes.logarithmic(values)
    assert len(scale.ticks) >= 1
    assert all(0 <= scale.share(tick) <= 1 for tick in scale.ticks)
    assert scale.share(scale.low * (scale.high / scale.low) ** 0.5) == pytest.approx(0.5)


def test_speakers_with_the_same_share_are_all_seen():
    places = [(x, y) for _, x, y in row_charts._heap({f"s{number}": 0.5 for number in range(9)})]
    assert len(set(places)) == 9


def test_labels_of_a_scatter_are_short_and_keep_what_differs():
    settings = [(lr, n) for lr in (0.001, 0.002) for n in (16, 32)]
    names = [f"cnn_transformer (optimizer.lr={lr}, augment.features.mask.max_frames={n})" for lr, n in settings]
    labels = scatter._labels([*names, "cnn (frontend.normalise=speaker)", "cnn (frontend.normalise=clip)", "mamba"])
    assert [labels[name] for name in names] == [f"cnn_transformer ({lr}, {n})" for lr, n in settings]
    assert labels["cnn (frontend.normalise=clip)"] == "cnn (normalise=clip)" and labels["mamba"] == "mamba"


@pytest.mark.parametrize(
    "texts",
    [
        [f"cnn_transformer_of_twelve_layers (optimizer.lr=0.00{n}, net.dropout=0.3)" for n in range(1, 4)],
        [f"facebook/wav2vec2-large-xlsr-53-{name}-finetuned-on-all" for name in ("german", "french", "greek")],
        ["a" * 60, "a" * 59, "b" * 61],
        [f"{n}" + "0" * 50 for n in range(5)] + ["0" * 50 + f"{n}" for n in range(1, 5)],
    ],
)
def test_what_is_cut_still_tells_texts_apart(texts):
    cut = shortened(texts, 26)
    assert len(set(cut.values())) == len(texts) and max(map(len, cut.values())) <= 26


def test_what_is_short_is_not_cut_and_what_is_long_is_cut_in_the_middle():
    assert shortened(["cnn", "x" * 26], 26) == {"cnn": "cnn", "x" * 26: "x" * 26}
    assert shortened(["resnet18, and a great many more of them, fold 12"], 26) == {
        "resnet18, and a great many more of them, fold 12": "resnet18, and…fold 12"
    }


def test_the_page_names_the_corpus_that_was_tested_on(tmp_path):
    protocol = {**make_comparison().protocol, "test_corpus": "ravdess", "label_source": "votes_majority"}
    write_page(tmp_path / "page.html", [make_comparison(protocol=protocol)])
    html = (tmp_path / "page.html").read_text()
    assert "models on cremad, tested on ravdess</h1>" in html and "<title>cremad, tested on ravdess:" in html
    assert "votes_majority" not in html and "label_source" not in html and "majority" in html


def test_names_in_a_scatter_touch_neither_each_other_nor_a_point():
    spots = [(100.0 + 9 * number, 150.0 + 4 * (number % 5)) for number in range(12)]
    texts = ["cnn_transformer"] * 12
    places = scatter._place(texts, spots)
    boxes = [place.box(x, y, len(text)) for place, text, (x, y) in zip(places, texts, spots, strict=True) if place]
    assert 2 <= len(boxes) < 12
    assert not any(one.touches(two) for one, two in combinations(boxes, 2))
    assert not any(box.left < x < box.right and box.top < y < box.bottom for box in boxes for x, y in spots)


def test_colours_can_be_read_on_both_papers():
    style = (Path(row_charts.__file__).parent.parent / "templates" / "page.css").read_text()
    light, dark = (dict(re.findall(r"--(\w[\w-]*): (#\w{6})", block)) for block in style.split(":root {")[1:])
    for colours in (light, dark):
        for text, paper in (
            ("ink", "paper"),
            ("muted", "paper"),
            ("muted", "panel"),
            ("link", "paper"),
            ("ink", "cell"),
            ("ink", "more"),
            ("ink", "less"),
            ("alarm", "alarm-paper"),
            ("paper", "alarm"),
            ("notice", "notice-paper"),
            ("ink", "notice-paper"),
        ):
            assert _contrast(colours[text], colours[paper]) >= 4.5, (text, paper)
        for number in range(8):
            assert _contrast(colours[f"c{number}"], colours["paper"]) >= 3, number


def _contrast(one: str, two: str) -> float:
    """WCAG 2: of relative luminances."""
    low, high = sorted(map(_luminance, (one, two)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_one_epoch_is_the_only_one_that_is_marked():
    group = make_comparison(names=["a"], n_seeds=1, n_folds=1, n_epochs=1).groups[0]
    picture = curves.panel([group], "val/uar", "validation UAR", str, height_px=200, shown=1)
    assert re.findall(r'text-anchor="middle">(\d+)<', picture) == ["1"]


@pytest.mark.parametrize(
    ("number", "text"), [(None, "–"), (0.004, "0.004"), (0.077, "0.077"), (1.26, "1.3"), (40.0, "40.0")]
)
def test_less_than_a_minute_is_not_nothing(number, text):
    assert minutes(number) == text


def test_points_that_would_lie_on_each_other_are_side_by_side():
    spots = scatter._apart([(0.5, 10.0), (0.5, 10.0), (0.5, 90.0)])
    assert spots[0] == (0.5, 10.0) and spots[2] == (0.5, 90.0) and spots[1][0] > 0.5
