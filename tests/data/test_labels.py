"""Label maps and listeners' votes."""

import csv
import io
import re

import numpy as np
import pytest
import yaml
from conftest import config
from finished_run import finished_result
from layouts import make_csv
from omegaconf import OmegaConf
from rich.console import Console

from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.labels import by_intention, by_votes, map_emotions, read_label_map, rules_for
from ser_lightning.data.votes import Votes, annotator_scores, winners
from ser_lightning.evaluation.distributions import js_divergence
from ser_lightning.report.console import print_summary
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import parse_record
from ser_lightning.training.experiment import make_data, train
from ser_lightning.utils.errors import UserError

NAMES = ("anger", "fear", "neutral")
VOTES = Votes(
    labels=NAMES, by_clip={"a": (6, 2, 2), "b": (0, 4, 4), "c": (1, 0, 9)}, counted=True, source="votes.csv"
)


def test_a_map_joins_and_drops():
    rules = {"calm": "neutral", "neutral": "neutral", "surprise": "drop"}
    assert map_emotions(["calm", "surprise", "neutral"], rules, corpus="X") == ["neutral", None, "neutral"]
    labelling = by_intention(["neutral", None, "fear"], NAMES)
    assert labelling.keep.tolist() == [True, False, True]
    assert labelling.target[[0, 2]].tolist() == [[0, 0, 1], [0, 1, 0]]


def test_a_map_is_read_as_names_are():
    given = {"re\u0301volte\u0301": "anger ", "calm\u00a0down": "drop", "calm": None, 1: "fear"}
    assert read_label_map(given) == {"r\u00e9volt\u00e9": "anger", "calm down": "drop", "calm": "drop", "1": "fear"}
    with pytest.raises(UserError, match="two rules for calm: fear and anger"):
        read_label_map({"calm": "fear", "calm ": "anger"})
    with pytest.raises(UserError, match=r"data\.label_map cannot be used: the label Fear is also .*, as fear"):
        read_label_map({"a": "fear", "b": "Fear"})
    with pytest.raises(UserError, match="the label Drop is also written otherwise, as drop"):
        read_label_map({"a": "fear", "b": "Drop"})


def test_every_emotion_without_a_rule_is_named_with_the_remedy():
    with pytest.raises(UserError, match=r"no rule for boredom, calm of EmoDB.*\+data\.label_map\.boredom=drop"):
        map_emotions(["calm", "fear", "boredom"], {"fear": "fear"}, corpus="EmoDB")


@pytest.mark.parametrize("name", ["wut", "_x-2", "7", "null"])
def test_rules_can_be_typed(name):
    (rule,) = rules_for([name]).split()
    read = config("data=csv", "data.manifest=my.csv", "data/label_map=six", rule).data.label_map
    assert read_label_map(OmegaConf.to_container(read))[name] == "drop"


@pytest.mark.parametrize(
    "name", ["very angry", "d\u00e9go\u00fbt", "a/b", "a:b", "a=b", "it's", "a.b", "1a", "01", '"y"']
)
def test_rules_that_cannot_be_typed_are_lines_of_a_file(name):
    said = re.fullmatch(r"(.*) and (.*) in a label map of your own .*", rules_for([name, "x"]))
    assert [yaml.safe_load(line) for line in said.groups()] == [{name: "drop"}, {"x": "drop"}]


def test_the_majority_decides_and_a_tie_decides_nothing():
    assert winners(VOTES.table(["a", "b", "c", "unheard"])).tolist() == [0, -1, 2, -1]
    labelling = by_votes(VOTES, ["a", "b", "c", "unheard"], NAMES, soft=False)
    assert labelling.keep.tolist() == [True, False, True, False]
    assert labelling.target[2].tolist() == [0, 0, 1]


def test_soft_labels_are_shares_and_a_tie_may_train():
    labelling = by_votes(VOTES, ["a", "b", "c", "unheard"], NAMES, soft=True)
    assert labelling.keep.tolist() == [True, True, True, False]
    assert labelling.reference.tolist() == [0, -1, 2, -1]
    np.testing.assert_allclose(labelling.target[:3], [[0.6, 0.2, 0.2], [0, 0.5, 0.5], [0.1, 0, 0.9]])


def test_the_majority_for_what_is_no_label_leaves_a_clip_out():
    votes = Votes(
        labels=("anger", "joy", "other"),
        by_clip={"a": (1, 0, 3), "b": (2, 0, 1), "c": (2, 0, 2)},
        counted=True,
        source="",
    )
    for soft, keep in ((False, [False, True, False]), (True, [False, True, True])):
        labelling = by_votes(votes, ["a", "b", "c"], ("anger", "joy"), soft=soft)
        assert labelling.keep.tolist() == keep
        assert labelling.reference[1:].tolist() == [0, -1]
        assert labelling.target[1].tolist() == [1, 0]  # the shares of labels alone


def test_votes_on_joint_labels_add_up_and_dropped_ones_stay_apart():
    votes = Votes(
        labels=("happiness", "excitement", "fear", "calm"), by_clip={"a": (1, 1, 1, 0)}, counted=True, source=""
    )
    joint = votes.renamed(["happiness", "happiness", None, None])
    assert joint.labels == ("happiness", "(fear)", "(calm)")
    assert joint.table(["a"]).tolist() == [[2, 1, 0]]
    assert joint.on(("anger", "happiness"), ["a"]).tolist() == [[0, 2, 1]]


def test_shares_that_are_equal_but_for_rounding_are_a_tie():
    assert winners(np.array([[1 / 3, 0.1 + 0.2 + 1 / 30, 1 / 3], [0.4, 0.35, 0.25]])).tolist() == [-1, 0]


def test_shares_need_counts():
    with pytest.raises(UserError, match=r"tabulatedVotes\.csv"):
        by_votes(Votes(labels=NAMES, by_clip={}, counted=False, source="s"), ["a"], NAMES, soft=True)


def test_people_are_judged_by_votes():
    table = VOTES.on(NAMES, ["a", "b", "c"])
    scores = annotator_scores(table, np.array([0, 1, 0]), NAMES, counted=True)
    # one listener: anger 6 of 10 and 1 of 10, fear 4 of 8; the majority: anger 1 of 2, fear half of a tie
    assert scores.single.uar == pytest.approx((7 / 20 + 4 / 8) / 2)
    assert scores.single.accuracy == pytest.approx(11 / 28)
    assert scores.majority.uar == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert annotator_scores(table, np.array([0, 1, 0]), NAMES, counted=False).single is None


def test_choices_that_are_no_labels_are_no_majority_together():
    votes = Votes(labels=("anger", "x", "y", "fear"), by_clip={"a": (4, 3, 3, 0)}, counted=True, source="s")
    table, majority = (of(NAMES[:2], ["a"]) for of in (votes.on, votes.majority_on))
    assert table.tolist()[0][-1] == 6 and majority.tolist() == [[1, 0, 0]]
    scores = annotator_scores(table, np.array([0]), NAMES[:2], counted=True, majority=majority)
    assert (scores.single.accuracy, scores.majority.accuracy) == (pytest.approx(0.4), 1)


@pytest.fixture
def voted(cremad_root, tmp_path):
    """Votes in the form of CREMA-D's own table: most hear what is meant, fear is tied with anger."""
    ids = sorted(path.stem for path in (cremad_root / "AudioWAV").iterdir())
    path = tmp_path / "tabulatedVotes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", *"ADFHNS", "fileName", "numResponses"])
        for number, id in enumerate(ids):
            meant = "ADFHNS".index(id.split("_")[2][0])
            counts = [5 if position == meant else int(meant == 2 and position == 0) * 5 for position in range(6)]
            counts[4] += 2
            writer.writerow([100_001 + number, *counts, id, sum(counts)])
            writer.writerow([200_001 + number, 0, 0, 0, 9, 0, 0, id, 9])  # of the face
    return path


def test_cremads_table_gives_the_votes_on_the_voice(voted):
    read = load_corpus("cremad").read_votes
    votes = read(None, voted)
    assert votes.counted
    assert votes.by_clip["1001_DFA_HAP_XX"] == (0, 0, 0, 5, 2, 0)
    summary = voted.with_name("summaryTable.csv")
    summary.write_text('"","FileName","VoiceVote"\n"1","1001_DFA_FEA_XX","A:F"\n"2","1040_ITH_SAD_X","S"\n')
    votes = read(None, summary)
    assert not votes.counted
    assert dict(votes.by_clip) == {"1001_DFA_FEA_XX": (1, 0, 1, 0, 0, 0), "1040_ITH_SAD_XX": (0, 0, 0, 0, 0, 1)}
    with pytest.raises(UserError, match="neither of CREMA-D's tables"):
        read(None, voted.with_name("nothing.csv")) if voted.with_name("nothing.csv").write_text("a,b\n") else None


def test_cremads_table_is_the_same_saved_by_other_programs(voted):
    read = load_corpus("cremad").read_votes
    votes, lines = read(None, voted), voted.read_text().splitlines()
    saved = {
        "pandas": [
            "," + lines[0].replace(",A", "Unnamed: 0,A", 1),
            *(f"{n},{line}" for n, line in enumerate(lines[1:])),
        ],
        "Excel": ["\ufeffsep=;", "", *(line.replace(",", ";") for line in lines)],
    }
    for changed in saved.values():
        voted.write_text("\n".join(changed), encoding="utf-8")
        assert read(None, voted) == votes


def test_votes_on_the_voice_are_not_guessed(voted):
    read, lines = load_corpus("cremad").read_votes, voted.read_text().splitlines()
    for first in ("", "0,", "17,"):  # no numbers, or others
        voted.write_text("\n".join(["," * bool(first) + lines[0][1:], *(first + line[7:] for line in lines[1:])]))
        with pytest.raises(UserError, match="no column numbers its rows 100001 and so on"):
            read(None, voted)
    voted.write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(UserError, match=f"lines 2, {len(lines) + 1}: {lines[1].split(',')[7]} has votes 2 times"):
        read(None, voted)
    voted.write_bytes(voted.read_text().encode("utf-16"))
    with pytest.raises(UserError, match="it is UTF-16, not UTF-8 text"):
        read(None, voted)


@pytest.mark.parametrize(("labels", "n_clips", "n_test"), [("votes_majority", 80, 20), ("votes_soft", 96, 20)])
def test_a_corpus_is_taught_what_listeners_heard(cremad_root, voted, labels, n_clips, n_test):
    overrides = ["data=cremad", f"data.root={cremad_root}", f"data.votes={voted}", f"data.labels={labels}"]
    data = make_data(config(*overrides))
    assert len(data.manifest) == n_clips
    assert data.protocol()["label_source"] == labels
    assert data.protocol()["n_test"] == n_test  # without the four ties on fear
    assert data.clips.warnings().get("left_out_by_label", 0) == 96 - n_clips
    assert data.clips.warnings().get("tied_votes", 0) == n_clips - 80
    batch = next(iter(data.train_dataloader()))
    assert batch.target.sum(1).tolist() == pytest.approx([1.0] * len(batch.target))
    annotators = data.clips.annotator_scores(data.split.test)
    assert annotators.majority is None
    assert 0.6 < annotators.single.uar < 1.0


def test_results_and_configs_of_before_are_read_in_the_words_of_today(cremad_root, voted):
    data = make_data(
        config("data=cremad", f"data.root={cremad_root}", f"data.votes={voted}", "data.labels=voice_votes")
    )
    assert data.protocol()["label_source"] == "votes_majority"
    result = finished_result()
    result["protocol"]["label_source"] = "voice_soft"
    assert parse_record(result).protocol.label_source == "votes_soft"


def test_a_table_of_votes_does_for_any_corpus(cremad_root, tmp_path):
    lines = ["id,votes.anger,votes.disgust,votes.Fear,votes.happiness,votes.neutral,votes.sadness,votes.other"]
    for number, path in enumerate(sorted((cremad_root / "AudioWAV").iterdir())):
        votes = [int(column == number % 7) for column in range(7)]
        lines.append(",".join([path.stem, *map(str, votes)]))
    table = tmp_path / "votes.csv"
    table.write_text("\n".join(lines) + "\n")
    settings = ["data=cremad", f"data.root={cremad_root}", f"data.votes={table}"]
    data = make_data(config(*settings, "data.labels=votes_majority"))
    assert len(data.manifest) == 96 - 13  # without those of which the majority chose something else
    assert make_data(config(*settings)).clips.annotator_scores([0]).source == "votes.csv"
    table.write_text("\nsep=;\n" + "\n".join(lines).replace(",", ";"))  # as spreadsheets leave it
    assert make_data(config(*settings)).clips.annotator_scores([0]).source == "votes.csv"
    mapped = make_data(config(*settings, "data.labels=votes_majority", "data/label_map=six"))
    assert mapped.protocol()["split_hash"] == data.protocol()["split_hash"]
    table.write_text("id,votes.anger,votes.fear\n1001_DFA_ANG_XX,2,many\n")
    with pytest.raises(UserError, match=r"line 2: votes\.fear is 'many', which is no count or share"):
        make_data(config(*settings))
    table.write_text("id,votes.anger,votes.fear\n1001_DFA_ANG_XX,2,0\nb,1,1\n1001_DFA_ANG_XX,0,2\n")
    with pytest.raises(UserError, match="lines 2, 4: 1001_DFA_ANG_XX has votes 2 times"):
        make_data(config(*settings))
    table.write_text("id,votes.anger,votes.fear\n1001_DFA_ANG_XX.wav,2,0\n")
    with pytest.raises(
        UserError, match=r"has votes on no clip of CREMA-D: its ids are like 1001_DFA_ANG_XX\.wav, and"
    ):
        make_data(config(*settings))
    with pytest.raises(UserError, match="names votes of one corpus, and there are 2"):
        make_data(config("data=pooled", f"data.votes={table}"))


def test_labels_named_by_columns_of_votes_alone_keep_their_case(tmp_path):
    listed = make_csv(tmp_path, n_clips=24, emotions=("Wut", "Freude"))
    header, *rows = [line.split(",") for line in listed.read_text().splitlines()]
    column = header.index("emotion")
    lines = [
        ["Votes.Wut,votes.Freude", *header],
        *(["2,1" if row[column] == "Wut" else "0,3", *row] for row in rows),
    ]
    without = [[cell for cell in line if cell not in ("emotion", "Wut", "Freude")] for line in lines]
    listed.write_text("\n".join(map(",".join, without)))
    data = make_data(config("data=csv", f"data.manifest={listed}", "data.labels=votes_majority"))
    assert data.task.outputs == ("Freude", "Wut")
    listed.write_text(listed.read_text().replace("Votes.Wut", "votes.freude"))
    with pytest.raises(UserError, match="the emotion Freude is also written otherwise, as freude"):
        make_data(config("data=csv", f"data.manifest={listed}", "data.labels=votes_majority"))


def test_a_text_is_no_label_map():
    with pytest.raises(UserError, match=r"data\.label_map=six is no map: data/label_map=six"):
        make_data(config("data=toy", "data.label_map=six"))


def test_a_users_list_with_votes_goes_all_the_way(tmp_path):
    listed = make_csv(tmp_path, n_clips=24, emotions=("calm", "Upset"))
    header, *rows = listed.read_text().splitlines()
    votes = {"calm": ("3", "1", ""), "Upset": ("0.5", "1.5", "1")}
    rows = [",".join([row, *votes[row.split(",")[1]]]) for row in rows]
    rows[0] = rows[0].replace(",3,1,", ",2,2,")  # a tie
    listed.write_text("\n".join([header + ",votes.calm,votes.upset,votes.other", *rows]) + "\n")
    small = ["model.net.channels=[4,8]", "model.net.n_hidden=8", "model.frontend.n_mels=16", "trainer.max_epochs=1"]
    cfg = config("data=csv", f"data.manifest={listed}", "data.labels=votes_soft", *small)
    data = make_data(cfg)
    assert data.task.outputs == ("Upset", "calm", "other")
    assert sorted(map(tuple, np.unique(data.clips.target, axis=0).tolist())) == [
        pytest.approx((0.25, 0.75, 0)),
        pytest.approx((0.5, 1 / 6, 1 / 3)),
        pytest.approx((0.5, 0.5, 0)),
    ]
    assert data.clips.reference.tolist().count(-1) == 1
    run = RunDirectory(tmp_path / "run")
    train(cfg, run)
    result = run.read_result()
    assert result.protocol.label_source == "votes_soft"
    assert result.distribution.n_clips == result.protocol.n_test
    assert 0 < result.distribution.js_divergence < 1
    shares = np.array(
        [[0.25, 0.75, 0] if row["label"] == "calm" else [0.5, 1 / 6, 1 / 3] for row in predictions(run)]
    )
    answered = np.array([[float(row[f"p_{name}"]) for name in data.task.outputs] for row in predictions(run)])
    assert result.distribution.js_divergence == pytest.approx(js_divergence(answered, shares).mean(), abs=1e-4)
    console = Console(file=io.StringIO(), width=200)
    print_summary(run.path, console)
    assert "against the shares of votes: Jensen-Shannon divergence" in console.file.getvalue()
    listed.write_text(listed.read_text().replace("0.5,1.5,1", "0.5,-1,1", 1))
    with pytest.raises(UserError, match=r"votes\.upset is '-1', which is no count or share"):
        make_data(cfg)


def predictions(run):
    with run.predictions.open(newline="") as file:
        return list(csv.DictReader(file))


def test_votes_that_are_not_there_are_asked_for(cremad_root):
    with pytest.raises(UserError, match=r"data\.votes=FILE"):
        make_data(config("data=cremad", f"data.root={cremad_root}", "data.labels=votes_majority"))
    with pytest.raises(UserError, match="intended, votes_majority, votes_soft"):
        make_data(config("data=cremad", f"data.root={cremad_root}", "data.labels=votes"))
