"""The `ser` command: what it prints where, and how it ends."""

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from conftest import ROOT, make_cremad, names_in

from ser_lightning import __version__
from ser_lightning.cli import main

HELP = [["--help"], *([name, "--help"] for name in main.commands)]
SER = [sys.executable, "-m", "ser_lightning.cli"]
LIGHT = """
import sys
from ser_lightning.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print([name for name in ("torch", "lightning") if name in sys.modules], file=sys.stderr)
"""
WAITING = """
import sys, time
import ser_lightning.training.experiment
from ser_lightning.cli import main
def wait(config):
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(60)
ser_lightning.training.experiment.unsplit_data = wait
main(["data", "audit", "toy"])
"""


def ser(*arguments):
    """How it ended, what it said on stdout, and what on stderr."""
    result = CliRunner().invoke(main, [str(each) for each in arguments], prog_name="ser")
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_its_version_is_that_of_the_package():
    assert ser("--version") == (0, f"ser, version {__version__}\n", "")


@pytest.fixture(scope="module")
def spoilt_root(tmp_path_factory):
    root = make_cremad(tmp_path_factory.mktemp("spoilt"))
    (root / "AudioWAV" / "1001_DFA_ANG_XX.wav").write_bytes(b"")
    return root


@pytest.mark.parametrize(
    "arguments",
    [["data"], ["data", "list"], ["data", "audit", "cremd"], ["models", "cn"], ["compare", "x"], *HELP],
)
def test_help_lists_and_typos_need_nothing_heavy(arguments):
    said = subprocess.run([sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert said.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_alone_it_shows_its_help(arguments):
    code, out, _ = ser(*arguments)
    assert code == 0
    assert out.startswith("Usage: ser")
    assert (code, out) == ser(*arguments, "--help")[:2]


def test_the_list_says_what_there_is():
    code, out, _ = ser("data", "list")
    assert code == 0
    out = " ".join(out.split())  # wherever a line ends
    for said in (
        "CREMA-D: 7,442 clips, 91 speakers",
        "numbers for data.targets: voice_level (0 to 100) licence: Open Database",
        "valence (0.5 to 5.5), arousal (0.5 to 5.5), dominance (0.5 to 5.5) licence: for research only",
        "numbers for data.targets: arousal (1 to 7), valence (1 to 7), dominance (1 to 7)",
        "licence: Open Database License",
        "ser data download ravdess",
        "IEMOCAP: 7,532 clips, 10 speakers",
        "applies with a release form",
        "MSP-Podcast: releases differ in size",
    ):
        assert said in out
    assert "your own corpus: a CSV" in out
    assert out.count("numbers for data.targets") == 4  # these three, and the toy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dta"], "`ser` knows no dta: did you mean data?"),
        (["data", "audti"], "did you mean audit? (known: audit, download, list, prepare, splits)"),
        (["data", "audit"], "Missing argument 'NAME'. See `ser data audit --help`."),
        (["data", "audit", "toy", "--rot", "x"], "--rot"),
        (["data", "audit", "cremd"], f"did you mean cremad? (known: {', '.join(names_in('data'))})"),
        (["data", "audit", "cremad", "data.fld=1"], "there is no setting data.fld"),
        (["data", "audit", "cremad", "fold"], "the override 'fold' cannot be read"),
        (
            ["data", "audit", "cremad", "data/label_map=seven"],
            "there is no data/label_map/seven: known are eight, four, none, six",
        ),
        (["data", "audit", "cremad", "--root", "nowhere"], "data.root=nowhere does not exist"),
        (["data", "audit", "pooled", "--root", "x"], "pooled takes no --root"),
        (["data", "audit", "csv"], "data.manifest=FILE"),
        (["models", "cnn", "cnn_gur"], "there is no cnn_gur in conf/model: did you mean cnn_gru?"),
        (["data", "audit", "csv", "data.manifest=nowhere.csv"], "nowhere.csv cannot be read"),
        (["data", "audit", "toy", "data.split=loos"], "data.split=loos is not there"),
        (["data", "splits", "toy", "--split", "loos"], "there is no split loos of toy (known: kfold, loso, "),
        (["data", "download", "toy"], "cannot be downloaded"),
        (["data", "download", "pooled"], "pooled is no corpus that could be downloaded"),
    ],
)
def test_a_mistake_is_one_clear_answer_on_stderr(arguments, said):
    code, out, err = ser(*arguments)
    assert code == 1
    assert out == ""
    assert err.startswith("failed: ")
    assert said in err


def test_a_fault_of_ours_is_a_line_too_and_can_be_looked_into(monkeypatch):
    def fail(config):
        raise KeyError("something")

    monkeypatch.setattr("ser_lightning.training.experiment.unsplit_data", fail)
    code, _, err = ser("data", "audit", "toy")
    assert (code, err) == (1, "failed: KeyError: 'something'\n")
    monkeypatch.setenv("SER_TRACEBACK", "1")
    result = CliRunner().invoke(main, ["data", "audit", "toy"])
    assert "in fail" in result.stderr


def test_an_audit_ends_with_0_where_nothing_is_wrong(cremad_root):
    code, out, _ = ser("data", "audit", "cremad", "--root", cremad_root)
    assert code == 0
    assert "96 of 7,442 clips, 8 of 91 speakers" in out
    assert out.splitlines()[-1] == "passed, with 1 warning"


@pytest.mark.slow
def test_an_audit_ends_with_1_in_a_shell_too(spoilt_root):
    command = [*SER, "data", "audit", "cremad", "--root", str(spoilt_root)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 1
    assert "1001_DFA_ANG_XX.wav" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("failed: 1 error")
    assert "Traceback" not in ended.stderr


def test_json_is_alone_on_stdout(spoilt_root, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE", str(tmp_path))  # so that there is something to say on stderr
    code, out, err = ser("data", "audit", "cremad", "--root", spoilt_root, "--json")
    assert code == 1
    assert "decoding" in err
    plain = json.loads(out)
    assert plain["passed"] is False
    assert [each["names"] for each in plain["findings"] if each["severity"] == "error"] == [["1001_DFA_ANG_XX.wav"]]
    code, out, _ = ser("data", "audit", "cremad", "--root", spoilt_root)
    assert code == 1
    assert all(each["text"].split(":")[0] in " ".join(out.split()) for each in plain["findings"])


def test_overrides_and_roots_with_odd_names_are_taken(tmp_path):
    root = make_cremad(tmp_path / "a,b = 'c' {d}", speakers=("1001", "1020", "1040"))
    code, out, err = ser("data", "splits", "cremad", "--root", root, "data.splits.kfold.n_folds=3", "--json")
    assert code == 0, err
    plain = json.loads(out)
    assert [each["name"] for each in plain["splits"]] == ["actors5", "kfold", "loso", "random", "file", "evar"]
    kfold = plain["splits"][1]
    assert [len(fold["test"]["speakers"]) for fold in kfold["folds"]] == [1, 1, 1]
    assert "no fold for 36 of 36 clips" in plain["splits"][4]["trouble"]


def test_splits_show_every_fold(cremad_root):
    code, out, _ = ser("data", "splits", "cremad", "--root", cremad_root, "--split", "actors5")
    assert code == 0
    assert "split actors5: no test speaker is in training" in out
    assert len([line for line in out.splitlines() if " test " in line]) == 5 + 1
    assert "random" not in out


def test_prepare_says_what_is_ready(cremad_root):
    code, out, err = ser("data", "prepare", "cremad", "--root", cremad_root)
    assert (code, out) == (0, "CREMA-D: 96 clips of 8 speakers ready\n")
    assert "7,346 clips of the corpus missing" in err


def test_unusable_files_stop_what_trains_on_them(spoilt_root):
    code, out, err = ser("data", "prepare", "cremad", "--root", spoilt_root)
    assert (code, out) == (1, "")
    assert "1001_DFA_ANG_XX.wav: is empty" in err
    code, out, _ = ser("data", "prepare", "cremad", "--root", spoilt_root, "data.on_bad=exclude")
    assert (code, out) == (0, "CREMA-D: 95 clips of 8 speakers ready\n")


def test_download_goes_where_it_is_told(tmp_path, monkeypatch):
    asked = []

    def download(corpus, folder, *, jobs):
        asked.append((corpus.name, folder, jobs))
        return folder

    monkeypatch.setattr("ser_lightning.data.download.download", download)
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    code, out, _ = ser("data", "download", "emodb", "--jobs", "3")
    assert (code, out) == (0, "next: ser data audit emodb\n")
    code, out, _ = ser("data", "download", "emodb", "--to", tmp_path / "here and there")
    assert (code, out) == (0, f"next: ser data audit emodb --root '{tmp_path}/here and there'\n")
    assert asked == [("emodb", tmp_path / "emodb", 3), ("emodb", tmp_path / "here and there", 8)]


def test_models_measures_those_it_is_given(monkeypatch):
    monkeypatch.setattr("ser_lightning.bench.model_cost.BATCH_SIZE", 2)
    monkeypatch.setattr("ser_lightning.bench.model_cost.N_TIMED", 1)
    code, out, err = ser("models", "cnn", "--json")
    assert (code, err) == (0, "measuring cnn\n")
    assert [each["name"] for each in json.loads(out)["models"]] == ["cnn"]


def test_ctrl_c_ends_it_with_130_and_no_traceback():
    process = subprocess.Popen([sys.executable, "-c", WAITING], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "stopped: interrupted")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminals_encoding_does_not_have_is_escaped(tmp_path, encoding):
    folder = os.fsencode(tmp_path) + b"/J\xfcrgen"
    os.mkdir(folder)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [*map(os.fsencode, SER), b"data", b"audit", b"csv", b"data.manifest=" + folder + b"/a.csv"]
    ended = subprocess.run(command, capture_output=True, cwd=ROOT, env=environment)
    assert ended.returncode == 1 and b"Traceback" not in ended.stderr
    ended = subprocess.run([*SER, "data", "list"], capture_output=True, cwd=ROOT, env=environment)
    assert ended.returncode == 0, ended.stderr
