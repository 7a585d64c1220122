"""What parts of a split share is found by comparison: in training, across lists, whatever they are called."""

import io
import re
import shutil

import numpy as np
import pytest
import soundfile
from conftest import config
from layouts import make_csv, tone
from rich.console import Console

from ser_lightning.data.audit.corpus_audit import audit
from ser_lightning.data.audit.tables import print_audit
from ser_lightning.data.leakage import Shared, TrainingRecord, keeps_test_apart
from ser_lightning.training.experiment import make_data, unsplit_data
from ser_lightning.utils.errors import UserError

NOTHING = Shared(speakers=[], n_sounds=0)


def listed(folder, *, speakers=(0, 1, 2, 3, 4), name="my.csv", sound=0.0, called="p", silent=False):
    """A list of two clips of each speaker; ``sound`` tells those of one list from those of another."""
    lines = ["path,emotion,speaker,fold"]
    for row, speaker in enumerate(each for each in speakers for _ in range(2)):
        path = folder / "clips" / f"{row}.wav"
        tone(path, row % 2 + speaker / 50 + sound)
        if silent and row % 2:
            soundfile.write(path, np.zeros(4_000), 16_000)
        lines.append(f"clips/{row}.wav,{'calm' if row % 2 else 'upset'},{called}{speaker},{speaker % 3}")
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def data_of(path, *overrides):
    return make_data(config("data=csv", f"data.manifest={path}", *overrides))


def record_of(data):
    return TrainingRecord.from_stamp(data.training_record())


def compared(data, other, same_speakers=None):
    """All of another list against what ``data`` trains."""
    clips = unsplit_data(config("data=csv", f"data.manifest={other}")).clips
    rows = range(len(clips.manifest))
    return record_of(data).leakage(clips, rows, same_speakers=same_speakers)


def test_each_pair_of_parts_is_told_apart(tmp_path):
    path = listed(tmp_path, speakers=(0, 1))
    lines = ["path,emotion,speaker,fold"]
    lines += ["clips/0.wav,upset,OAF,train", "clips/1.wav,calm,OAF,val", "clips/2.wav,upset,YAF,test"]
    lines += ["clips/3.wav,calm,YAF,test"]
    path.write_text("\n".join(lines))
    data = data_of(path, "data.split=file", "data.splits.file.speaker_independent=false")
    found = record_of(data).leakage(data.clips, data.split.test, same_speakers=None)
    oaf = Shared(speakers=["my:OAF"], n_sounds=0)
    assert found == {"train/test": NOTHING, "val/test": NOTHING, "train/val": oaf}
    assert keeps_test_apart(found) and data.protocol()["speaker_independent"] is True
    path.write_text(path.read_text().replace("YAF", "OAF"))
    data = data_of(path, "data.split=file", "data.splits.file.speaker_independent=false")
    assert data.protocol()["speaker_independent"] is False


@pytest.mark.parametrize("word", ["unknown", "Unknown", "n/a", "None", "?", "-", "NULL", "#N/A", "\\N", ".", "NA"])
def test_of_speakers_whom_a_list_calls_unknown_nothing_is_claimed(tmp_path, word):
    path = listed(tmp_path, speakers=range(6))
    path.write_text(path.read_text().replace("p5", word))
    data = data_of(path, "data.split=kfold")
    assert data.warnings()["unknown_speaker"] == 2
    assert sorted({clip.speaker for clip in data.manifest}) == [f"p{n}" for n in range(5)] + ["unknown speaker"]
    record = data.training_record()
    assert not any("unknown" in who for part in record["heard"].values() for who in part["speakers"])
    report = audit(data.clips, {"kfold": data.rules["kfold"]}, chosen="kfold")
    assert (report.speakers.found, report.speakers.expected) == (5, 5)


def test_of_unknown_speakers_alone_an_audit_claims_nothing(tmp_path):
    path = listed(tmp_path, speakers=range(6))
    path.write_text(re.sub(r"\bp[0-5]\b", "unknown", path.read_text()))
    data, screen = data_of(path, "data.split=random"), io.StringIO()
    report = audit(data.clips, {"random": data.rules["random"]}, chosen="random")
    print_audit(report, Console(file=screen, width=200))
    assert "split random: SPEAKERS NOT KNOWN of 12 clips" in screen.getvalue()
    assert "12 clips, 0 speakers, " in screen.getvalue()


def test_among_initials_na_is_somebody(tmp_path):
    path = listed(tmp_path, speakers=range(6))
    path.write_text(path.read_text().replace("p5", "NA").replace("p4", "NB"))
    assert "unknown_speaker" not in data_of(path, "data.split=kfold").warnings()


def test_one_sound_under_two_names_is_shared_and_silence_is_nobodys(tmp_path):
    for silent in (True, False):
        path = listed(tmp_path / str(silent), silent=silent)
        if not silent:
            shutil.copy(path.parent / "clips" / "0.wav", path.parent / "clips" / "2.wav")
        shared = [data_of(path, f"data.fold={fold}").protocol()["speaker_independent"] for fold in range(5)]
        assert shared.count(False) == (0 if silent else 2)


def test_the_same_people_in_another_list_are_a_question(tmp_path):
    data = data_of(listed(tmp_path / "one"))
    other = listed(tmp_path / "two", name="other.csv", sound=0.3)
    with pytest.raises(UserError, match=r"p1.* in another list\. If .*data\.same_speakers=yes; if not, .*=no"):
        compared(data, other)
    yes = compared(data, other, same_speakers=True)
    assert len(yes["train/test"].speakers) == 3 and len(yes["val/test"].speakers) == 1
    assert keeps_test_apart(compared(data, other, same_speakers=False))
    assert keeps_test_apart(compared(data, listed(tmp_path / "three", sound=0.3, called="q")))


@pytest.mark.parametrize("called", ["P", "p0", "p00"])
def test_a_spelling_that_differs_by_case_or_zeros_is_the_same_question(tmp_path, called):
    data = data_of(listed(tmp_path / "one"))
    with pytest.raises(UserError, match=r"data\.same_speakers=yes"):
        compared(data, listed(tmp_path / "two", sound=0.3, called=called))


def test_a_list_is_known_by_its_contents(tmp_path):
    data = data_of(listed(tmp_path / "one"))
    renamed = listed(tmp_path / "renamed", name="another_name.csv")  # the same sounds, elsewhere
    clips = unsplit_data(config("data=csv", f"data.manifest={renamed}")).clips
    assert record_of(data).has_corpus_of(clips)
    assert len(compared(data, renamed)["train/test"].speakers) == 3  # no question: it is the same list
    unrelated = listed(tmp_path / "unrelated", sound=0.3, called="q")  # of the same file name
    assert not record_of(data).has_corpus_of(unsplit_data(config("data=csv", f"data.manifest={unrelated}")).clips)


def test_sounds_count_whatever_the_answer_is(tmp_path):
    data = data_of(listed(tmp_path / "one"))
    other = listed(tmp_path / "two", called="q")
    text = other.read_text().splitlines()
    other.write_text("\n".join(text[:-1]))  # another list, and nine of the ten sounds
    found = compared(data, other, same_speakers=False)
    assert found["train/test"].n_sounds > 3 and not found["train/test"].speakers


def test_a_list_that_is_called_like_a_corpus_is_none_of_its_speakers(tmp_path, cremad_root):
    path = listed(tmp_path, name="cremad.csv", called="100")  # 1001, 1002 ...
    corpus = unsplit_data(config("data=cremad", f"data.root={cremad_root}")).clips
    found = record_of(data_of(path)).leakage(corpus, range(len(corpus.manifest)), same_speakers=None)
    assert keeps_test_apart(found)
    assert not record_of(data_of(path)).has_corpus_of(corpus)


def test_speakers_of_a_list_may_be_those_of_a_corpus(tmp_path, cremad_root):
    path = listed(tmp_path, name="again.csv", called="100", sound=0.3)  # as copies in another format are
    corpus = unsplit_data(config("data=cremad", f"data.root={cremad_root}")).clips
    everything, data = range(len(corpus.manifest)), data_of(path)
    trained = {data.manifest[row].speaker for row in data.split.train}
    found = record_of(data).leakage(corpus, everything, same_speakers=True)
    assert set(found["train/test"].speakers) == trained & set(corpus.manifest.column("speaker")) != set()
    record = record_of(make_data(config("data=cremad", f"data.root={cremad_root}", "data.fold=2")))
    rows = range(len(data.manifest))
    assert keeps_test_apart(record.leakage(data.clips, rows, same_speakers=None))
    namesakes = record.namesakes(data.clips, rows)
    shared = record.leakage(data.clips, rows, same_speakers=True)
    assert namesakes and set(namesakes) == {who for pair in shared.values() for who in pair.speakers}
    assert keeps_test_apart(record.leakage(data.clips, rows, same_speakers=False))
    pool = ["data=pooled", f"data.corpora=[cremad,{path}]", f"data.roots.cremad={cremad_root}"]
    pool += ["data.label_map.calm=neutral", "+data.label_map.upset=anger"]
    unsure = make_data(config(*pool))
    assert unsure.warnings()["namesakes"] > 0 and "again:1001" in unsure.manifest.column("speaker")
    one = make_data(config(*pool, "data.same_speakers=yes"))
    assert "namesakes" not in one.warnings() and "again:1001" not in one.manifest.column("speaker")
    parts = [{one.manifest[row].speaker for row in rows} for rows in (one.split.train, one.split.test)]
    assert not parts[0] & parts[1]


def test_records_of_older_checkpoints_are_read(tmp_path, cremad_root):
    data = data_of(listed(tmp_path / "one"))
    older = {"heard": data.training_record()["heard"]}
    clips = unsplit_data(config("data=csv", f"data.manifest={listed(tmp_path / 'two', sound=0.3)}")).clips
    with pytest.raises(UserError, match=r"data\.same_speakers=yes"):
        TrainingRecord.from_stamp(older).leakage(clips, range(10), same_speakers=None)
    assert TrainingRecord.from_stamp({"labels": []}) is None
    cremad = make_data(config("data=cremad", f"data.root={cremad_root}"))
    record = TrainingRecord.from_stamp({"heard": cremad.training_record()["heard"]})
    found = record.leakage(cremad.clips, cremad.split.train, same_speakers=None)
    assert len(found["train/test"].speakers) == 4 and found["train/test"].n_sounds == 48


POOL = ("data=pooled", "data.label_map.calm=neutral", "+data.label_map.upset=anger")


def test_equal_names_in_pooled_lists_need_an_answer(tmp_path):
    one, two = listed(tmp_path / "one", speakers=(0, 1, 2)), listed(tmp_path / "two", speakers=(2, 3, 4), sound=0.3)
    pool = [*POOL, f"data.corpora=[{one},{two}]"]
    with pytest.raises(UserError, match=r"speakers called p2: .*data\.same_speakers=yes; if not, .*=no"):
        make_data(config(*pool))
    yes = make_data(config(*pool, "data.same_speakers=yes"))
    assert yes.protocol()["corpus"] == "my+my_2"  # two files of one name
    speakers = yes.manifest.column("speaker")
    assert speakers.count("my:p2") == 4 and "my_2:p2" not in speakers and len(set(speakers)) == 5
    parts = [{yes.manifest[row].speaker for row in rows} for rows in (yes.split.train, yes.split.test)]
    assert not parts[0] & parts[1]
    no = make_data(config(*pool, "data.same_speakers=no"))
    assert len(set(no.manifest.column("speaker"))) == 6
    assert len(set(no.manifest.column("id"))) == len(no.manifest) == 12
    with pytest.raises(UserError, match="say yes or no"):
        make_data(config(*pool, "data.same_speakers=perhaps"))
    with pytest.raises(UserError, match="named twice"):
        make_data(config(*POOL, f"data.corpora=[{one},{one}]"))


def test_one_list_alone_leaves_nothing_to_ask(tmp_path):
    path = listed(tmp_path)
    path.write_text(path.read_text().replace("p0", "3").replace("p1", "4"))
    unsplit_data(config("data=csv", f"data.manifest={path}"))


def test_the_answer_of_the_training_holds_for_its_lists(tmp_path):
    one, two = listed(tmp_path / "one", speakers=(0, 1, 2)), listed(tmp_path / "two", speakers=(2, 3, 4), sound=0.3)
    for answer in ("yes", "no"):
        pool = [*POOL, f"data.corpora=[{one},{two}]", f"data.same_speakers={answer}", "data.split=loso"]
        folds = [make_data(config(*pool, f"data.fold={fold}")) for fold in range(5)]
        # the first list's p2 trains, the second one's is tested
        known = [[bool(compared(data, each)["train/test"]) for each in (one, two)] for data in folds]
        assert all(map(any, known))
        trained = [record_of(data).speakers["train"] for data in folds]
        if answer == "no":
            assert any("my:p2" in people and "my_2:p2" not in people for people in trained)
            one_speaker = listed(tmp_path / "two", speakers=(2, 3, 4), sound=0.3)
            data = next(d for d, people in zip(folds, trained, strict=True) if "my_2:p2" not in people)
            assert "p2" not in compared(data, one_speaker)["train/test"].speakers


def test_a_test_list_of_the_same_people(tmp_path):
    one, two = listed(tmp_path / "one"), listed(tmp_path / "two", speakers=(3, 4, 5), sound=0.3)
    training = ["data=csv", f"data.manifest={one}", "data/label_map=six", *POOL[1:], f"data.test_corpus={two}"]
    with pytest.raises(UserError, match="speakers called p3, p4: if"):
        make_data(config(*training))
    with pytest.raises(UserError, match=r"test corpus are in training, too: p3, p4\. Leave their clips out of one"):
        make_data(config(*training, "data.same_speakers=yes"))
    data = make_data(config(*training, "data.same_speakers=no"))
    assert data.protocol()["speaker_independent"] is True and data.protocol()["test_corpus"] == "my_2"
    assert len(data.split.test) == 6
    shared = make_data(config(*training, "data.same_speakers=yes", "data.split=random"))
    assert shared.protocol()["speaker_independent"] is False


def test_a_moved_list_is_the_same(tmp_path):
    path = make_csv(tmp_path / "here")
    before = data_of(path).training_record()
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert data_of(tmp_path / "there" / "my.csv").training_record() == before
