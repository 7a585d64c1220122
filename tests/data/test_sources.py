"""Every corpus under every split, pooled corpora, a user's own: from the layout on disk to a training step."""

import re
import shutil
from dataclasses import replace

import pytest
from conftest import config, make_cremad, names_in
from layouts import make_csv, make_emodb, make_examples, make_iemocap, make_msp_podcast, make_ravdess, tone
from lightning.pytorch import Trainer

from ser_lightning.data import source
from ser_lightning.data.corpora import Corpus, NameFacts, load_corpus
from ser_lightning.data.corpora.corpus import corpus_names
from ser_lightning.data.factories import pooled_corpora
from ser_lightning.data.prepare import packing
from ser_lightning.data.prepare.cache import prepare
from ser_lightning.data.prepare.scan import scan
from ser_lightning.data.source import Source
from ser_lightning.data.user_csv import read_csv_corpus
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import make_data, make_module, train, unsplit_data
from ser_lightning.utils.errors import UserError

SMALL = ["model.net.channels=[4,8]", "model.net.n_hidden=8", "model.frontend.n_mels=16", "trainer.max_epochs=1"]
FROM_EXAMPLES = sorted(
    {*corpus_names()} - {"cremad", "ravdess", "emodb", "toy", "iemocap", "msp_podcast"}
)  # these have a layout of their own


@pytest.fixture(scope="module")
def places(tmp_path_factory, cremad_root):
    """Overrides that point each config of conf/data to a corpus in its official layout."""
    folder = tmp_path_factory.mktemp("corpora")
    ravdess, emodb = make_ravdess(folder / "ravdess"), make_emodb(folder / "emodb")
    roots = {name: make_examples(folder / name, load_corpus(name)) for name in FROM_EXAMPLES}
    roots |= {"cremad": cremad_root, "ravdess": ravdess, "emodb": emodb}
    roots["msp_podcast"] = make_msp_podcast(folder / "msp_podcast")
    roots["iemocap"] = make_iemocap(folder / "iemocap")
    return {
        "toy": [],
        "csv": [f"data.manifest={make_csv(folder / 'mine')}"],
        "pooled": [f"data.roots.{name}={root}" for name, root in roots.items()],
        **{name: [f"data.root={root}"] for name, root in roots.items()},
    }


def splits_of(corpus):
    """Those that a small corpus has the speakers for; evar names 91 actors, and its test is in test_splits.py."""
    splits = config(f"data={corpus}").data.splits
    if corpus in FROM_EXAMPLES:
        return [config(f"data={corpus}").data.split, *({"official"} & {*splits})]
    names = [name for name in splits if name != "evar"]
    return [name for name in names if name != "file" or corpus == "csv"]


def marks(corpus):
    """Synthetic speech takes long to make, and is made for other tests too."""
    return pytest.mark.slow if corpus == "toy" else ()


@pytest.mark.parametrize(
    ("corpus", "split"),
    [pytest.param(name, rule, marks=marks(name)) for name in names_in("data") for rule in splits_of(name)],
)
def test_every_corpus_trains_under_every_split(places, corpus, split):
    data = trained_one_step(f"data={corpus}", *places[corpus], f"data.split={split}")
    assert data.split.speaker_independent is (split != "random" and (corpus, split) != ("esd", "official"))
    assert data.split.val


@pytest.mark.parametrize(("corpus", "target"), [("iemocap", "arousal"), ("msp_podcast", "dominance")])
def test_a_corpus_trains_on_the_numbers_that_it_brings(places, corpus, target):
    data = trained_one_step(f"data={corpus}", *places[corpus], f"data.targets=[{target}]")
    assert data.task.outputs == (target,)
    assert data.task.ranges == (load_corpus(corpus).value_ranges[target],)


def trained_one_step(*overrides):
    """The data of a run whose network was trained and validated on a batch."""
    cfg = config(*overrides, *SMALL)
    data = make_data(cfg)
    module = make_module(
        cfg, task=data.task, sample_rate_hz=data.sample_rate_hz, training_targets=data.training_targets()
    )
    trainer = Trainer(
        fast_dev_run=True, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.fit(module, datamodule=data)
    assert trainer.callback_metrics["train/loss"].isfinite()
    return data


def test_a_video_is_a_clip_where_there_is_no_other_file_of_it(tmp_path):
    root = make_ravdess(tmp_path, actors=("01",))
    folder = root / "Audio_Speech_Actors_01-24" / "Actor_01"
    first, second, *_ = sorted(folder.iterdir())
    before = scan(load_corpus("ravdess"), root)
    first.with_suffix(".mp4").write_bytes(b"with pictures")  # a second file of a clip
    for name in (second.stem.replace("03-", "01-", 1), second.stem.replace("03-", "02-", 1), "._" + second.stem):
        (folder / f"{name}.mp4").write_bytes(b"as RAVDESS names its videos")
    assert scan(load_corpus("ravdess"), root) == before
    second.rename(second.with_suffix(".MP4"))
    after = scan(load_corpus("ravdess"), root)
    assert [file.facts for file in after.files] == [file.facts for file in before.files]
    assert not after.bad and after.files[1].path == f"Actor_01/{second.stem}.MP4"


def test_ravdess_in_its_own_layout(tmp_path):
    root = make_ravdess(tmp_path / "ravdess", actors=("01", "02"))
    for place in (root, root / "Audio_Speech_Actors_01-24"):
        packed = prepare(load_corpus("ravdess"), place)
        assert len(packed.manifest) == 16
        assert {row.source_rate_hz for row in packed.manifest} == {48_000}
        assert sorted(row.source_channels for row in packed.manifest) == [1] * 14 + [2] * 2
        assert {row.n_samples for row in packed.manifest} == {4_800}  # 0.3 s at 16 kHz


def test_a_doubled_archive_counts_each_clip_once(tmp_path):
    root = make_ravdess(tmp_path / "kaggle", actors=("01", "02"), doubled=True)
    packed = prepare(load_corpus("ravdess"), root)
    assert len(packed.manifest) == 16
    assert packed.report.bad == ()
    assert packed.report.warnings() == {"missing": 1440 - 16, "copies": 16}
    tone(root / "Actor_01" / "03-01-05-01-01-01-01.wav", 7, rate_hz=48_000)  # as long, and another sound
    with pytest.raises(UserError, match=r"has the same clip name as Actor_01.*and other contents"):
        prepare(load_corpus("ravdess"), root)


def test_pooled_corpora_share_their_labels(places):
    data = make_data(config("data=pooled", *places["pooled"], "data.corpora=[cremad,ravdess,emodb]"))
    assert data.task.labels == ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    assert data.protocol()["corpus"] == "cremad+ravdess+emodb"
    assert data.protocol()["label_map"]["calm"] == "drop"
    assert data.clips.warnings()["left_out_by_label"] == 7 * 2 + 5
    assert {name.split(":")[0] for name in data.manifest.column("speaker")} == {"cremad", "ravdess", "emodb"}
    assert len(set(data.manifest.column("id"))) == len(data.manifest)
    for batch in data.train_dataloader():
        for clip, length, row in zip(batch.waveform, batch.lengths, batch.index.tolist(), strict=True):
            part = next(p for p in data.clips.parts if p.corpus.name == data.manifest[row].corpus)
            here = part.packed.manifest.column("id").index(data.manifest[row].id.split(":")[1])
            expected, _ = part.packed.gather([here])
            assert (clip[:length].numpy() == expected[0]).all()
            assert not clip[length:].any()
            assert data.task.labels[batch.label[batch.index.tolist().index(row)]] == data.manifest[row].emotion


def test_a_pooled_run_has_its_scores_by_corpus(places, tmp_path):
    run = RunDirectory(tmp_path / "run")
    train(config("data=pooled", *places["pooled"], *SMALL, "logger=none"), run)
    by_corpus = run.read_result().plain()["subgroups"]["corpus"]
    assert sorted(by_corpus) == ["cremad", "ravdess"]
    assert sum(part["n_clips"] for part in by_corpus.values()) == run.read_result().plain()["protocol"]["n_test"]
    card = (run.checkpoints / "model_card.md").read_text()
    assert "### By corpus" in card and "| | cremad (" in card and "### By sex of the speaker" in card


def test_the_map_can_merge(places):
    merged = make_data(
        config("data=ravdess", *places["ravdess"], "data/label_map=six", "data.label_map.calm=neutral")
    )
    assert merged.task.labels == ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    assert merged.manifest.column("emotion").count("neutral") == 14
    assert merged.manifest[0].speaker == "01"


@pytest.mark.parametrize("data", ["cremad", "pooled"])
def test_one_corpus_trains_and_another_tests(places, data, tmp_path, capsys):
    emodb = places["emodb"][0].removeprefix("data.root=")
    overrides = [f"data={data}", *places[data], "data.test_corpus=emodb", f"data.test_root={emodb}"]
    if data == "cremad":
        with pytest.raises(UserError, match=r"labels of their own.*data/label_map=six"):
            make_data(config(*overrides))
        overrides.append("data/label_map=six")
    run = RunDirectory(tmp_path / "run")
    train(config(*overrides, *SMALL, "logger=none"), run)
    result = run.read_result().plain()
    assert "on emodb" in capsys.readouterr().out.splitlines()[1] and "corpus" not in result["subgroups"]
    assert result["protocol"]["test_corpus"] == "emodb"
    assert result["protocol"]["corpus"] == ("cremad" if data == "cremad" else "cremad+ravdess")
    assert result["protocol"]["speaker_independent"] is True
    assert result["protocol"]["n_test"] == 30  # five speakers, six emotions of seven
    rows = run.predictions.read_text().splitlines()[1:]
    assert all(row.startswith("emodb:") for row in rows)


def test_corpora_are_joined_by_rules_alone(places):
    with pytest.raises(UserError, match=r"no rule for upset of my\.csv"):
        make_data(config("data=csv", *places["csv"], "data/label_map=six"))
    mine = places["csv"][0].removeprefix("data.manifest=")
    pool = ["data=pooled", *places["pooled"], f"data.corpora=[emodb,{mine}]"]
    with pytest.raises(UserError, match="no rule for upset"):
        make_data(config(*pool))
    data = make_data(config(*pool, "data.label_map.calm=neutral", "+data.label_map.upset=anger"))
    assert data.protocol()["corpus"] == "emodb+my"
    with pytest.raises(UserError, match=f"no corpus is called 'emodbb': there are {', '.join(corpus_names())}"):
        make_data(config("data=pooled", "data.corpora=[emodbb]"))
    with pytest.raises(UserError, match="boredom, which no training clip is"):
        make_data(
            config(
                "data=cremad",
                *places["cremad"],
                "data/label_map=six",
                "data.label_map.boredom=boredom",
                "data.test_corpus=emodb",
                f"data.test_root={places['emodb'][0].removeprefix('data.root=')}",
            )
        )


def test_a_users_ten_rows_train(places, tmp_path):
    run = RunDirectory(tmp_path / "run")
    train(config("data=csv", *places["csv"], *SMALL, "logger=none"), run)
    result = run.read_result().plain()
    assert result["status"] == "finished"
    assert result["labels"] == ["calm", "upset"]
    assert (result["protocol"]["corpus"], result["protocol"]["split"]) == ("my", "kfold")


def test_ages_are_read_where_a_list_has_them(tmp_path):
    listed = make_csv(tmp_path)
    text = listed.read_text().replace(",20,", ",19.5,").replace(",48,", ",,").replace(",34,", ",34.0,")
    listed.write_text(text.replace(",upset,p1,male,27,", ",upset,p1,male,NaN,"))
    data = make_data(config("data=csv", f"data.manifest={listed}"))
    assert data.manifest.column("age")[:4] == ["19.5", "19.5", "27", "27"]
    assert data.manifest.column("age")[::2] == ["19.5", "27", "34.0", "41", ""]
    assert data.manifest.column("age_group")[::2] == ["10-19", "20-29", "30-39", "40-49", ""]


def test_a_list_may_come_from_a_spreadsheet(tmp_path):
    listed = make_csv(tmp_path)
    text = listed.read_text().replace(",", ";").replace("\n", ";;\n") + ";;;;;;;\n" * 3
    for content in (text, "sep=;\n" + text, "SEP=|\n" + text.replace(";", "|"), text.replace(";", "|")):
        listed.write_text("\ufeff" + content.replace("clips/", "clips\\"), encoding="utf-8")
        data = make_data(config("data=csv", f"data.manifest={listed}"))
        assert len(data.manifest) == 10
        assert data.manifest[0].id == "clips/0"


def test_a_name_is_one_however_it_is_written(tmp_path):
    """Accents in two forms, blanks of four kinds, and a file whose name the disk has in another form."""
    listed = make_csv(tmp_path)
    lines = listed.read_text().splitlines()
    speakers = [
        "Ren\u00e9e  B",
        "Rene\u0301e B\u00a0",
        "Ren\u00e9e\u200b B",
        "\ufeffRen\u00e9e B",
        "x",
        "x",
        "y",
        "y",
        "z",
        "z",
    ]
    spoilt = [
        line.replace(f",p{n // 2},", f",{who},")
        for n, (line, who) in enumerate(zip(lines[1:], speakers, strict=True))
    ]
    listed.write_text(
        "\n".join([lines[0], *spoilt]).replace(",calm,x", ",calm\u00a0,x").replace("clips/1.", "clips/\u00e9.")
    )
    (tmp_path / "clips" / "1.wav").rename(tmp_path / "clips" / "e\u0301.wav")
    data = make_data(config("data=csv", f"data.manifest={listed}", "data.split=loso"))
    assert set(data.manifest.column("speaker")) == {"Ren\u00e9e B", "x", "y", "z"}
    assert data.task.labels == ("calm", "upset")
    accented = next(row for row in data.manifest if row.id == "clips/\u00e9")
    assert accented.path == "clips/e\u0301.wav"
    listed.write_text(listed.read_text().replace("clips/\u00e9.", "clips/e\u0301."))  # as it lies on the disk
    again = make_data(config("data=csv", f"data.manifest={listed}", "data.split=loso"))
    assert again.manifest.column("id") == data.manifest.column("id")


def test_names_of_files_are_read_as_names_are(tmp_path):
    def parse(stem):
        return NameFacts(id=stem, speaker=stem.split("_")[0], emotion="anger")

    corpus = replace(load_corpus("emodb"), parse=parse)
    tone(tmp_path / "Rene\u0301_1.wav", 1)
    tone(tmp_path / "s01_1\u200b.wav", 2)
    found = scan(corpus, tmp_path)
    assert [file.facts.id for file in found.files] == ["Ren\u00e9_1", "s01_1"]
    assert [file.path for file in found.files] == ["Rene\u0301_1.wav", "s01_1\u200b.wav"]
    tone(tmp_path / "S1_2.wav", 3)
    with pytest.raises(UserError, match="cannot be used: the speaker S1 is also written otherwise, as s01"):
        scan(corpus, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("path,", "file,", 1), r"lacks the column path: .*it names file, emotion"),
        (lambda text: text.splitlines()[0], r"lists no clip"),
        (lambda text: text.replace(",upset,p0", ",,p0"), r"line 3: emotion is empty"),
        *(
            (lambda text, word=word: text.replace(",upset,p0", f",{word},p0"), r"line 3: emotion is empty, or says")
            for word in ("nan", "NaN")
        ),
        (lambda text: text + text.splitlines()[1] + "\n", r"lines 2, 12: clips/0\.wav is listed 2 times"),
        (
            lambda text: text.replace("clips/3.wav", "FOLDER/clips/./0.wav"),
            r"lines 2, 5: clips/0\.wav is listed 2 times",
        ),
        (
            lambda text: text.replace("clips/", "clops/"),
            r"(?s)10 of 10 files.*clops/0\.wav \(line 2\), .*cannot be found",
        ),
        (
            lambda text: text.replace(",upset,p0", ",Upset,p0"),
            r"Upset \(line 3\) is also written otherwise, as upset \(line 5\)",
        ),
        (lambda text: text.replace(",20,", ",young,"), r"line 2: 'young' is not an age in years"),
        (lambda text: text.replace(",20,", ",-3,"), r"line 2: '-3' is not an age in years"),
        (lambda text: text.replace(",20,", ",inf,"), r"'inf' is not an age in years"),
        (lambda text: text.replace(",20,", ",1_8,"), r"line 2: '1_8' is not an age in years"),
        (
            lambda text: text.replace(",p1,", ",P0,"),
            r"the speaker P0 \(line 4\) is also written otherwise, as p0 \(line 2\): .*rename",
        ),
        (
            lambda text: text.replace(",p1,", ",3,").replace(",p2,", ",03,"),
            r"the speaker 03 \(line 6\) is also .*, as 3 \(line 4\):",
        ),
        (lambda text: text.replace(",p1,", ",nan,"), r"line 4: speaker is empty, or says nan"),
        (lambda text: text.replace("/3.wav", "/3.wav,x", 1), r"line 5: 7 cells, but 6 columns"),
        (lambda text: text.replace("3.wav,", '3.wav,"'), r"line 5: a quote is opened and not closed[^\n]*$"),
        (lambda text: text.replace("speaker,", "speaker,Speaker,", 1), r"two columns called speaker"),
        (
            lambda text: text.replace("clips/3", "clips/33"),
            r"1 of 10 files.*\n.*clips/33\.wav \(line 5\): cannot be found",
        ),
        (
            lambda text: text.replace("clips/3.wav", "clips/3.flac"),
            r"clips/3\.flac \(line 5\): cannot be found \(No such file or directory, but 3\.wav is there\)",
        ),
        (
            lambda text: text.replace("clips/3.wav", "clips/3.flac").replace(",p1,", ",nan,"),
            r"line 5: clips/3\.flac cannot be found, but 3\.wav is there",
        ),
        (lambda text: "", r"lacks the columns path"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(tmp_path, spoil, said):
    listed = make_csv(tmp_path)
    listed.write_text(spoil(listed.read_text()).replace("FOLDER", str(tmp_path)))
    with pytest.raises(UserError, match=said):
        make_data(config("data=csv", f"data.manifest={listed}"))


def test_ids_do_not_depend_on_where_absolute_paths_lie(tmp_path):
    listed = make_csv(tmp_path)
    relative = read_csv_corpus(listed)
    listed.write_text(listed.read_text().replace("clips/", f"{tmp_path}/clips/"))
    absolute = read_csv_corpus(listed)
    assert [facts.id for facts in absolute.listing.files.values()] == [str(number) for number in range(10)]
    assert [facts.id for facts in relative.listing.files.values()] == [f"clips/{number}" for number in range(10)]


@pytest.mark.parametrize(("first", "second"), [("s1.wav", "s1.bak"), ("s1.happy", "s1.sad")])
def test_files_that_differ_by_the_ending_alone_are_named_with_what_to_do(tmp_path, first, second):
    listed = make_csv(tmp_path)
    for name in (first, second):
        shutil.copy(tmp_path / "clips" / "0.wav", tmp_path / "clips" / name)
    listed.write_text(listed.read_text().replace("clips/3.wav", f"clips/{first}").replace("4.wav", second))
    said = (
        rf"clips/{second} \(line 6\): differs from clips/{first} \(line 5\) by its ending alone, .*: rename it, or"
    )
    with pytest.raises(UserError, match=said):
        make_data(config("data=csv", f"data.manifest={listed}"))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("start,end", "start and end are not read: if clips are parts of files, cut these first"),
        ("Start_Time,t", "start_time is not read"),
        ("offset,duration", "offset and duration are not read"),
        ("onset,tmax", "onset and tmax are not read"),
        ("duration,gender", None),
        ("weekend,restart", None),
    ],
)
def test_times_in_a_list_are_said_not_to_be_read(tmp_path, caplog, columns, said):
    listed = make_csv(tmp_path)
    header, *rows = listed.read_text().split()
    listed.write_text("\n".join([f"{header},{columns}", *(f"{row},0.1,0.2" for row in rows)]))
    data = make_data(config("data=csv", f"data.manifest={listed}"))
    assert data.warnings().get("whole_files", 0) == (10 if said else 0)
    assert said in caplog.text if said else "whole file" not in caplog.text


def test_a_linked_list_names_files_beside_the_link_or_else_beside_itself(tmp_path):
    listed, denoised = make_csv(tmp_path / "raw"), make_csv(tmp_path / "denoised")
    denoised.unlink()
    denoised.symlink_to("../raw/my.csv")
    (tmp_path / "lists").mkdir()
    elsewhere = tmp_path / "lists" / "my.csv"
    elsewhere.symlink_to(denoised)
    annexed = tmp_path / "annex" / "objects" / "KEY" / "KEY.csv"
    annexed.parent.mkdir(parents=True)
    annexed.write_text(listed.read_text())
    own = tmp_path / "denoised" / "own.csv"
    own.symlink_to("../annex/objects/KEY/KEY.csv")
    for path, folder in ((listed, "raw"), (denoised, "denoised"), (elsewhere, "raw"), (own, "denoised")):
        assert read_csv_corpus(path).listing.folder == tmp_path / folder


def test_a_list_in_capitals_is_a_list_wherever_it_is_named(tmp_path):
    one, two = make_csv(tmp_path / "one").rename(tmp_path / "one" / "ONE.CSV"), make_csv(tmp_path / "two")
    two = two.rename(tmp_path / "two" / "Two.Csv")
    labels = ["+data.label_map.upset=anger", "data.label_map.calm=neutral", "data.same_speakers=no"]
    data = unsplit_data(config("data=pooled", f"data.corpora=[{one}]", f"data.test_corpus={two}", *labels))
    assert (data.clips.name, data.clips.test_corpus) == ("one", "two")


def test_a_list_that_is_missing_is_asked_for(tmp_path):
    with pytest.raises(UserError, match=r"data\.manifest=FILE"):
        make_data(config("data=csv"))
    with pytest.raises(UserError, match="cannot be read"):
        make_data(config("data=csv", f"data.manifest={tmp_path / 'nothing.csv'}"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(UserError, match="not UTF-8"):
        make_data(config("data=csv", f"data.manifest={tmp_path / 'binary.csv'}"))


def test_a_corpus_that_is_not_there_is_downloaded_if_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "corpora"))
    with pytest.raises(UserError, match=r"`ser data download emodb` fetches it.*data\.root=DIR"):
        make_data(config("data=emodb"))
    monkeypatch.setattr(source, "download", lambda corpus, folder: make_emodb(folder))
    assert len(make_data(config("data=emodb", "data.download=true")).manifest) == 35
    monkeypatch.setattr(source, "download", lambda corpus, folder: pytest.fail("it is there"))
    assert len(make_data(config("data=emodb")).manifest) == 35  # found where it was put
    part = Source(corpus=load_corpus("emodb"), root=tmp_path / "corpora" / "emodb")
    assert not part._is_there(part.root)
    monkeypatch.setattr(Corpus, "n_clips", 35)
    assert part._is_there(part.root)
    next((part.root / "wav").iterdir()).write_text("version https://git-lfs.github.com/spec/v1\n")
    assert not part._is_there(part.root)


def test_what_only_files_that_were_left_out_have_is_no_class(tmp_path):
    manifest = make_csv(tmp_path)
    lines = manifest.read_text().splitlines()
    path, _, rest = lines[1].split(",", 2)
    (manifest.parent / path).write_bytes(b"")
    manifest.write_text("\n".join([lines[0], f"{path},boredom,{rest}", *lines[2:]]) + "\n")
    data = make_data(config("data=csv", f"data.manifest={manifest}", "data.on_bad=exclude", "data.split=loso"))
    assert "boredom" not in data.task.labels
    assert data.training_targets().sum(0).min() > 0


def test_what_a_split_lacks_is_said_and_counted(tmp_path, caplog):
    manifest = make_csv(tmp_path)
    lines = manifest.read_text().splitlines()
    speakers = sorted({line.split(",")[2] for line in lines[1:]})
    only_first = [line for line in lines[1:] if line.split(",")[2] == speakers[0]]
    path, _, rest = only_first[0].split(",", 2)
    changed = [f"{path},boredom,{rest}" if line == only_first[0] else line for line in lines[1:]]
    manifest.write_text("\n".join([lines[0], *changed]) + "\n")
    asked = ["data=csv", f"data.manifest={manifest}", "data.split=loso"]
    data = make_data(config(*asked))  # the first speaker tests
    kinds = ("one_validation_speaker", "labels_not_in_train", "labels_not_in_val", "labels_not_in_test")
    assert data.warnings() == dict.fromkeys(kinds, 1)
    assert "no training clip of this fold is boredom: that cannot be learnt" in caplog.text
    assert f"validation is on one speaker alone, {speakers[1]}" in caplog.text
    caplog.clear()
    assert make_data(config(*asked, "data.fold=2")).warnings()["labels_not_in_test"] == 1
    assert "no test clip of this fold is boredom" in caplog.text


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["data=cremad", "data.test_root=elsewhere"],
            r"data\.test_root=elsewhere has no effect without data\.test",
        ),
        (["data=pooled", "data.votes=my.csv"], r"data\.votes=my\.csv names votes of one corpus, and there are 2"),
    ],
)
def test_what_would_have_no_effect_is_refused(overrides, said):
    with pytest.raises(UserError, match=said):
        unsplit_data(config(*overrides))


def test_all_that_is_wrong_with_a_list_is_said_at_once_with_its_lines_and_no_more_than_needed(tmp_path):
    listed = make_csv(tmp_path, n_clips=30)
    lines = listed.read_text().splitlines()
    for number in (20, 21, 22, 23, 24):
        lines[number] = lines[number].replace("clips/", "clips/no")
    lines[3] = lines[3].replace(",p1,", ",07,").replace(",calm,", ",Wut,")
    lines[4] = lines[4].replace(",p1,", ",7,").replace(",upset,", ",wut,")
    lines[5] = lines[5].replace(",34,", ",old,").replace(",2", ",extra")
    lines[6] = lines[6].rpartition(",")[0] + ","
    lines[7] = lines[7].replace(",p3,", ",,")
    lines[8] += ",x"
    lines.append(lines[1])
    listed.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as caught:
        make_data(config("data=csv", f"data.manifest={listed}", "data.split=file"))
    message = str(caught.value)
    for said in (
        "line 9: 7 cells, but 6 columns",
        "line 8: speaker is empty",
        "line 6: 'old' is not an age in years",
        "lines 2, 32: clips/0.wav is listed 2 times",
        "the speaker 07 (line 4) is also written otherwise, as 7 (line 5)",
        "the emotion Wut (line 4) is also written otherwise, as wut (line 5)",
        "mixes 0 (line 2), 1 (line 4), 2 (line 12) with extra (line 6)",
        "line 7: fold is empty",
        "line 21: clips/no19.wav cannot be found",
        "and 2 more like this",
    ):
        assert said in message, message
    assert len(message.splitlines()) <= 20
    with pytest.raises(UserError) as caught:  # the folds do not matter there
        make_data(config("data=csv", f"data.manifest={listed}"))
    assert "fold" not in str(caught.value).replace(str(tmp_path), "")


def test_a_split_that_cannot_be_made_and_files_that_are_missing_are_said_together(tmp_path, monkeypatch):
    listed = make_csv(tmp_path)
    listed.write_text(listed.read_text().replace("clips/3.", "clips/33.").replace(",2\n", ",1\n"))
    monkeypatch.setattr(packing, "decode", lambda path: pytest.fail("decoded before the split was checked"))
    with pytest.raises(
        UserError, match=r"(?s)only 0 and 1: it needs three folds.*33\.wav \(line 5\): cannot be found"
    ):
        make_data(config("data=csv", f"data.manifest={listed}", "data.split=file"))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ((",2\n", ",3\n"), None),
        (
            ("0\n", "test\n", "1\n", "train\n", "2\n", "train\n"),
            "no validation set to measure val/.*data.fold or data.split",
        ),
        (("0\n", "val\n", "1\n", "val\n", "2\n", "test\n"), "no clip to train on in fold 0: choose another fold"),
    ],
)
def test_a_run_without_training_or_validation_clips_is_refused_before_anything_is_decoded(
    tmp_path, monkeypatch, edit, said
):
    listed = make_csv(tmp_path)
    text = listed.read_text()
    for old, new in zip(edit[::2], edit[1::2], strict=True):
        text = text.replace(f",{old}" if old[0] != "," else old, f",{new}" if new[0] != "," else new)
    listed.write_text(text)
    cfg = config("data=csv", f"data.manifest={listed}", "data.split=file", *SMALL, "logger=none")
    if said is None:
        assert make_data(cfg).split.val
        return
    monkeypatch.setattr(packing, "decode", lambda path: pytest.fail("decoded"))
    with pytest.raises(UserError, match=said):
        train(cfg, RunDirectory(tmp_path / "run"))


def test_folds_without_numbers_are_said_in_their_order_once(tmp_path, caplog):
    listed = make_csv(tmp_path)
    lines = [
        f"{line.rpartition(',')[0]},{'bac'[n // 2 % 3]}" for n, line in enumerate(listed.read_text().split()[1:])
    ]
    said = "taken for folds, in their order: data.fold=0 tests on a, 1 tests on b, 2 tests on c; if they are parts"
    listed.write_text("\n".join(["path,emotion,speaker,sex,age,fold", *lines]) + "\n")
    data = make_data(config("data=csv", f"data.manifest={listed}", "data.split=file"))
    assert caplog.text.count(said) == 1
    assert {data.manifest[row].fold for row in data.split.test} == {"a"}


def test_sex_age_and_intensity_have_one_spelling_each(tmp_path):
    listed = make_csv(tmp_path)
    text = listed.read_text().replace(",20,", ',"20,5",')
    for speaker, sex in enumerate(("M", "w", "Male", "F", "Other")):
        text = text.replace(f",p{speaker},{'female' if speaker % 2 else 'male'},", f",p{speaker},{sex},")
    listed.write_text(text)
    facts = list(read_csv_corpus(listed).listing.files.values())
    assert [each.sex for each in facts[::2]] == ["male", "female", "male", "female", "other"]
    assert facts[0].age == "20.5"


@pytest.mark.parametrize(
    ("overrides", "setting"),
    [
        (["data=cremad", "data.root={}"], "data.root"),
        (["data=cremad", "data/label_map=six", "data.test_corpus=emodb", "data.test_root={}"], "data.test_root"),
        (["data=pooled", "data.corpora=[ravdess]", "data.roots.ravdess={}"], "data.roots.ravdess"),
        (["data=pooled", "data.test_corpus=emodb", "data.roots.emodb={}"], "data.roots.emodb"),
        *(
            (["data=pooled", f"data.corpora=[{name}]", f"data.roots.{name}={{}}"], f"data.roots.{name}")
            for name in corpus_names()
        ),
    ],
)
def test_a_folder_that_is_not_there_is_named_with_its_setting(places, overrides, setting):
    name = overrides[0].removeprefix("data=")
    with pytest.raises(
        UserError, match=rf"^{re.escape(setting)}=/nowhere does not exist.*with {re.escape(setting)}=DIR"
    ):
        make_data(config(overrides[0], *places[name], *(each.format("/nowhere") for each in overrides[1:])))


def test_a_name_that_is_wrong_is_named_with_its_setting(places, tmp_path):
    nothing = tmp_path / "nothing.csv"
    for overrides, said in (
        (["data=csv", f"data.manifest={nothing}"], "^data.manifest: .*nothing.csv cannot be read"),
        (
            ["data=cremad", *places["cremad"], "data/label_map=six", f"data.test_corpus={nothing}"],
            "^data.test_corpus: ",
        ),
        (["data=pooled", "data.corpora=[emodbb]"], "^data.corpora: no corpus is called 'emodbb'"),
        (["data=pooled", "data.roots.emodbb=x"], "^data.roots.emodbb: no corpus is called 'emodbb'"),
    ):
        with pytest.raises(UserError, match=said):
            make_data(config(*overrides))


def test_speakers_shared_by_the_parts_of_joined_lists_are_named_with_the_remedy(tmp_path):
    one, two = make_csv(tmp_path / "one"), make_csv(tmp_path / "two")
    two.write_text(two.read_text().replace(",0\n", ",9\n").replace(",1\n", ",0\n").replace(",9\n", ",1\n"))
    joined = [f"data.corpora=[{one},{two}]", "+data.label_map.upset=anger", "data.label_map.calm=neutral"]
    with pytest.raises(UserError, match=r"shares speakers between its parts: .*one fold, in every list"):
        make_data(config("data=pooled", *joined, "data.split=file", "data.same_speakers=yes"))


def test_roots_that_are_no_mapping_are_named_whole():
    with pytest.raises(UserError, match=r"data\.roots=/corpora names no corpora: say data\.roots\.cremad=DIR"):
        pooled_corpora(corpora=["toy"], roots="/corpora")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["data=csv", "data.manifest=[a.csv,b.csv]"],
            r"data\.manifest=.* is neither the name of a corpus",
        ),
        (["data=cremad", "data.test_corpus=[ravdess]"], r"data\.test_corpus=.* is neither the name of a corpus"),
        (["data=cremad", "data.votes=[x.csv]"], r"data\.votes=.* is no path of a file or folder"),
        (["data=pooled", "data.corpora=cremad"], r"data\.corpora=cremad is no list: say data\.corpora=\[cremad\]"),
        (["data=cremad", "data.test_corpus=there.tsv"], r"data\.test_corpus: .*there\.tsv cannot be read"),
    ],
)
def test_values_of_a_kind_that_a_setting_does_not_take_are_named(overrides, said):
    with pytest.raises(UserError, match=said):
        unsplit_data(config(*overrides))


def test_one_speaker_alone_is_told_what_splits_their_clips(tmp_path):
    listed = make_csv(tmp_path)
    listed.write_text(re.sub(r",p\d,", ",unknown,", listed.read_text()))
    with pytest.raises(UserError, match=r"there are 1: data\.split=random deals clips"):
        make_data(config("data=csv", f"data.manifest={listed}"))


def test_a_corpus_one_folder_further_down_is_found_and_what_lies_beside_its_audio_is_not_read(tmp_path):
    folder = make_cremad(tmp_path / "CREMA-D") / "AudioWAV"
    for path in folder.iterdir():  # as AudioMP3 has every clip again
        (folder.parent / "AudioMP3").mkdir(exist_ok=True)
        (folder.parent / "AudioMP3" / path.name).write_bytes(path.read_bytes() + b"\0")
    data = make_data(config("data=cremad", f"data.root={tmp_path}"))
    assert len(data.manifest) == len(list(folder.iterdir()))
