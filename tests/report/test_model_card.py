"""The model card: it says what the run's directory says, in Markdown that no name can break."""

import json

import numpy as np
import pytest
import yaml
from finished_run import GUESS, LABELS, TRUE, make_predictions, make_run

from ser_lightning.evaluation import bootstrap, metrics
from ser_lightning.report.model_card import code, write_card
from ser_lightning.runs.predictions import write_predictions
from ser_lightning.tasks.predictions import Predictions
from ser_lightning.utils.errors import UserError

MEL = {"n_mels": 80, "hop_samples": 256}
CONFIG = {
    "monitor": {"metric": "val/uar"},
    "model": {
        "name": "cnn",
        "frontend": MEL,
        "net": {"_target_": "ser_lightning.models.nets.cnn.CNN"},
    },
}
CORPORA = [
    {"name": "cremad", "title": "CREMA-D", "licence": "ODbL 1.0", "source": "GitHub"},
    {"name": "emodb", "title": "EmoDB", "licence": "none stated", "source": "TU Berlin"},
]
SEX = {
    "female": {
        "n_clips": 6,
        "n_speakers": 3,
        "uar": 0.625,
        "uar_interval": [0.5, 0.75],
        "accuracy": 0.5,
        "accuracy_interval": [0.25, 0.875],
        "recall": {"anger": 0.75, "fear": 0.5, "neutral": None},
    },
    "male": {
        "n_clips": 4,
        "n_speakers": 1,
        "uar": 0.4,
        "uar_interval": None,
        "accuracy": 0.45,
        "accuracy_interval": None,
        "recall": {"anger": 1.0, "fear": 0.2, "neutral": 0.3},
    },
}


def card_of(run_dir, config=CONFIG, **changes) -> str:
    result = make_run(run_dir, **changes)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (run_dir / "result.json").write_text(json.dumps(result), encoding="utf-8")
    path = write_card(run_dir)
    assert path == run_dir / "checkpoints" / "model_card.md"
    return path.read_text(encoding="utf-8")


def protocol_of(run_dir, **changes):
    return {**make_run(run_dir)["protocol"], **changes}


def flat(text: str) -> str:
    return " ".join(text.split())


def cells(text: str, first: str) -> list[list[str]]:
    """Rows of all tables that begin with a cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0] == first]


def test_the_hub_can_read_what_it_begins_with(tmp_path):
    _, front, _ = card_of(tmp_path, corpora=CORPORA[:1]).split("---\n", 2)
    found = yaml.safe_load(front)
    assert found["license"] == "other" and found["library_name"] == "ser_lightning"
    assert {"audio-classification", "speech-emotion-recognition"} <= set(found["tags"])
    (result,) = found["model-index"][0]["results"]
    assert result["dataset"] == {"name": "CREMA-D", "type": "toy"}
    assert [(each["type"], each["value"]) for each in result["metrics"]] == [("recall", 0.5833), ("accuracy", 0.6)]
    assert "base_model" not in found


def test_numbers_are_of_the_predictions_with_intervals_over_speakers(tmp_path):
    text = card_of(tmp_path)
    speakers = np.arange(len(TRUE)) // 2
    counts = metrics.by_speaker(speakers, np.array(TRUE), np.array(GUESS), 5, 3)
    uar, accuracy, anger, *_ = bootstrap.interval(counts[:, None], metrics.group_scores)

    def percents(estimate):
        return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}%"

    assert cells(text, "**this model**") == [
        ["**this model**", "**58.3%**", percents(uar), "60.0%", percents(accuracy)]
    ]
    assert cells(text, "anger")[0] == ["anger", "75.0%", percents(anger), "4", "fear (25.0%)"]
    assert uar.low < uar.value < uar.high
    assert (
        "the 5 speakers of the test" in flat(text) and "33.3%" in cells(text, "always the most frequent label")[0]
    )
    assert cells(text, "always the most frequent label")[0][3] == "40.0%"


def test_a_single_speaker_gives_no_intervals(tmp_path):
    made = make_predictions()
    result = make_run(tmp_path)
    one = Predictions(
        ids=made.ids, speakers=["s"] * len(TRUE), labels=made.labels, probabilities=made.probabilities, names=LABELS
    )
    write_predictions(tmp_path / "predictions.csv", one)
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / "result.json").write_text(json.dumps(result))
    text = write_card(tmp_path).read_text()
    assert cells(text, "**this model**")[0][2] == "–" and "With 1 speaker there" in flat(text)


def test_the_protocol_is_told_in_words(tmp_path):
    text = flat(card_of(tmp_path, protocol=protocol_of(tmp_path, split="kfold", selection="best validation")))
    for words in (
        "Split kfold (groups of speakers with about equal shares",
        "fold 2.",
        "40 to train, 10 to validate, and 10 to test.",
        "No speaker of the test is in training or validation.",
        "the emotion that its speaker meant to show",
        "Epoch 2 of 3 was the best one on the validation clips, by their UAR.",
        "The split's hash is `abc`",
        "they selected the best epoch, so this number is too high",
    ):
        assert words in text
    assert "Speakers shared" not in text and "Synthetic" not in text and "python train.py" not in text


@pytest.mark.parametrize(
    ("name", "title", "sentence"),
    [
        ("cremad", "CREMA-D", "the emotion that its speaker meant to show"),
        ("msp_podcast", "MSP-Podcast", "A clip's label is what annotators agreed on"),
        ("iemocap", "IEMOCAP", "A clip's label is what annotators agreed on"),
        ("mine", "mine.csv", "the one that its corpus, or the user's list, gives it"),
        ("cremad", "cremad.csv", "the one that its corpus, or the user's list, gives it"),
    ],
)
def test_a_label_is_said_to_be_the_speakers_only_where_it_is(tmp_path, name, title, sentence):
    corpus = {"name": name, "title": title, "licence": "its own", "source": "its authors"}
    assert sentence in flat(card_of(tmp_path, corpora=[corpus]))


def test_the_protocol_tells_what_a_comparison_found(tmp_path):
    nothing = {"speakers": [], "n_sounds": 0}
    apart = {"train/test": nothing, "val/test": nothing, "train/val": {"speakers": ["my:OAF"], "n_sounds": 0}}
    text = flat(card_of(tmp_path, leakage=apart))
    assert "No speaker and no sound of the test is in training or validation" in text
    assert "Validation shares 1 speaker with training (my:OAF)" in text and "Speakers shared" not in text
    shared = {**apart, "train/test": {"speakers": ["a", "b"], "n_sounds": 2}}
    protocol = protocol_of(tmp_path, speaker_independent=False)
    text = flat(card_of(tmp_path, leakage=shared, protocol=protocol))
    assert "**Speakers shared.** 2 of the speakers of the test are in training. On new speakers" in text


def test_what_spoils_a_result_stands_on_top(tmp_path):
    protocol = protocol_of(
        tmp_path, split="random", speaker_independent=False, selection="last epoch", label_source="votes_soft"
    )
    text = card_of(
        tmp_path,
        protocol=protocol,
        synthetic=True,
        contamination="emotion2vec was trained on emotional speech",
        warnings={"silent": 2, "missing": 1234, "odd_thing": 1},
    )
    head = flat(text.partition("## What it is")[0])
    assert "**Synthetic speech.**" in head and "**Speakers shared.**" in head
    assert "**Contamination.** emotion2vec was" in head and "that it was not trained on" not in head
    text = flat(text)
    assert "no best epoch was selected" in text and "too high" not in text and "the program imitated" in text
    assert "2 silent clips, used all the same" in text and "1,234 clips of the corpus missing" in text
    assert "1 odd thing" in text and "odd_thing" not in text


def test_corpora_are_named_with_their_licences(tmp_path):
    protocol = protocol_of(tmp_path, test_corpus="emodb", label_map={"calm": "neutral", "boredom": "drop"})
    text = card_of(tmp_path, corpora=CORPORA, protocol=protocol)
    assert "# cnn on CREMA-D, tested on EmoDB\n" in text
    assert "Tested on 10 clips of 5 speakers of EmoDB that it was not trained on" in flat(text)
    (measured,) = yaml.safe_load(text.split("---\n")[1])["model-index"]
    assert measured["results"][0]["dataset"] == {"name": "EmoDB", "type": "emodb"}
    assert cells(text, "CREMA-D") == [["CREMA-D", "ODbL 1.0", "GitHub"]]
    assert cells(text, "EmoDB (test alone)") == [["EmoDB (test alone)", "none stated", "TU Berlin"]]
    assert "of the corpus emodb, which it was not trained on" in flat(text) and "calm → neutral" in text
    assert "does not say under which licence" in flat(card_of(tmp_path))


def test_sexes_stand_side_by_side(tmp_path):
    text = card_of(tmp_path, subgroups={"sex": SEX})
    table = text.partition("### By sex of the speaker")[2].partition("\n## ")[0].strip().splitlines()
    assert table == [
        "| | female (3 speakers, 6 clips) | male (1 speaker, 4 clips) |",
        "|---|--:|--:|",
        "| UAR | 62.5% (50.0–75.0%) | 40.0% |",
        "| accuracy | 50.0% (25.0–87.5%) | 45.0% |",
        "| anger | 75.0% | 100.0% |",
        "| fear | 50.0% | 20.0% |",
        "| neutral | – | 30.0% |",
    ]
    assert "By sex" not in card_of(tmp_path, subgroups={})


def test_calibration_and_annotators_are_told_where_they_are_known(tmp_path):
    human = {"majority": {"uar": 0.48, "accuracy": 0.47}, "single": {"uar": 0.42, "accuracy": 0.41}}
    calibration = {
        "ece": 0.071,
        "confidence": 0.671,
        "nll": 1.2345,
        "brier": 0.5,
        "aurc": 0.2,
        "bins": [],
        "selective": [],
    }
    text = card_of(tmp_path, annotators=human, calibration=calibration)
    assert cells(text, "one annotator")[0][1:4] == ["42.0%", "", "41.0%"]
    assert "on average 7.1% off the share" in text and "mean probability 67.1%, right 60.0%)." in flat(text)
    assert "likelihood 1.234." in text or "likelihood 1.235." in text
    assert "Brier score 0.500" in text
    bare = card_of(tmp_path, calibration=None)
    assert "off the share" not in bare and "Brier" not in bare and "annotator" not in bare


@pytest.mark.parametrize(
    ("frontend", "net", "said"),
    [
        ({**MEL, "normalise": "training"}, {}, "samples, without their level, normalised by the training clips"),
        (
            {**MEL, "normalise": "training", "speech_margin": 4},
            {},
            "samples, cut to its speech, without their level",
        ),
        ({**MEL, "normalise": "speaker"}, {}, "samples, normalised by speaker statistics"),
        ({}, {"normalise": "speaker"}, "the waveform itself, normalised by speaker statistics"),
    ],
)
def test_it_says_what_clips_are_normalised_by(tmp_path, frontend, net, said):
    (tmp_path / "checkpoints").mkdir()
    assert said in card_of(tmp_path, {"model": {"name": "cnn", "frontend": frontend, "net": net}})


def test_it_names_no_place_on_a_machine_and_the_encoder_in_its_title(tmp_path):
    encoder = {
        "name": "/home/anna/whisper-tiny",
        "family": "whisper",
        "mode": "frozen",
        "digest": "0",
        "parameters": 9,
    }
    listed = [{"name": "mine", "title": "mine", "licence": "none", "source": "the list /home/anna/my.csv"}]
    text = card_of(tmp_path, model={"name": "pretrained", "parameters": 1, "pretrained": encoder}, corpora=listed)
    assert "# whisper-tiny, frozen, on mine" in text and "the list my.csv" in text and "/home" not in text


def test_it_says_how_to_use_it_and_what_not_to_use_it_for(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(b"")
    text = card_of(tmp_path)
    assert 'load_model("best.ckpt")' in text and "ser predict best.ckpt recording.wav" in text
    for use in ("hiring", "surveillance", "Diagnosis", "Lie detection", "5(1)(f)", "education", "acted emotion"):
        assert use in text
    assert cells(text, "network") == [["network", "cnn, ser_lightning.models.nets.cnn.CNN"]]
    assert "80 mel bands, a frame every 256 samples" in text and cells(text, "parameters")[0][1] == "123,456"


def test_a_probe_says_what_it_stands_on(tmp_path):
    pretrained = {"name": "facebook/wav2vec2-base", "mode": "frozen", "parameters": 94_371_712}
    text = card_of(tmp_path, model={"name": "pretrained", "parameters": 9, "pretrained": pretrained})
    assert yaml.safe_load(text.split("---\n")[1])["base_model"] == "facebook/wav2vec2-base"
    assert "facebook/wav2vec2-base (frozen, 94,371,712 parameters)" in text and "a head alone" in text


def test_averaged_weights_are_said_to_be(tmp_path):
    averaged = {**CONFIG, "callbacks": {"average_weights": {"epochs": 3}}}
    (row,) = cells(card_of(tmp_path / "a", averaged), "weights")
    assert row[1] == "an average over about the last 3 epochs"
    assert not cells(card_of(tmp_path / "b", CONFIG), "weights")


def test_the_command_is_told_without_places_on_ones_machine(tmp_path):
    overrides = ["model=cnn", "data=cremad", "data.root=/home/me/cremad", "model.net.name=/data/w2v", "a=[1, 2]"]
    (row,) = cells(card_of(tmp_path, overrides=overrides), "command")
    assert row[1] == '`python train.py model=cnn data=cremad data.root=PATH model.net.name=PATH a="[1, 2]"`'


def test_names_are_text_and_no_markup(tmp_path):
    evil = "x | y\n# <img src=x> `z` *b*"
    corpora = [{"name": "a", "title": evil, "licence": evil, "source": evil}]
    text = card_of(tmp_path, corpora=corpora, contamination=evil, warnings={evil: 3})
    body = text.split("---\n", 2)[2]
    assert "<img" not in body and "\n# <" not in body and not [line for line in body.splitlines() if line == "# "]
    assert yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"][0]["dataset"]["name"] == evil
    (row,) = [line for line in body.splitlines() if line.startswith("| x")]
    assert row.count("|") - row.count("\\|") == 4


@pytest.mark.parametrize(
    ("text", "written"), [("a_b|c", "`a_b|c`"), ("a `b`\nc", "`` a `b` c ``"), ("``", "``` `` ```")]
)
def test_code_is_letter_by_letter(text, written):
    assert code(text) == written


def test_code_in_a_table_does_not_end_its_cell(tmp_path):
    (line,) = [row for row in card_of(tmp_path, overrides=["a=b|c"]).splitlines() if row.startswith("| command")]
    assert line == '| command | `python train.py a="b\\|c"` |'


def test_a_run_that_is_not_finished_has_no_card(tmp_path):
    make_run(tmp_path, status="failed", reason="loss is nan")
    (tmp_path / "config.yaml").write_text("{}")
    with pytest.raises(UserError, match="has no model card: loss is nan"):
        write_card(tmp_path)
    with pytest.raises(UserError, match=r"no model card: there is no result\.json"):
        write_card(tmp_path / "nothing")
    assert not (tmp_path / "checkpoints").exists()


def test_a_run_that_was_cut_has_no_card_on_purpose(tmp_path, caplog):
    caplog.set_level("INFO")
    make_run(tmp_path)
    (tmp_path / "config.yaml").write_text("trainer: {limit_train_batches: 2}")
    assert write_card(tmp_path) is None
    assert "no model card: this run was cut, and says nothing of its model: trainer.limit_train" in caplog.text
    assert not (tmp_path / "checkpoints").exists()


def test_predictions_of_another_run_are_refused(tmp_path):
    make_run(tmp_path, confusion_matrix=[[4, 0, 0], [0, 3, 0], [0, 0, 3]])
    (tmp_path / "config.yaml").write_text("{}")
    with pytest.raises(UserError, match="confusion matrix"):
        write_card(tmp_path)
