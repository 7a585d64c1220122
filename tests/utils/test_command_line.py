"""What is typed reaches Hydra, and what is printed can be pasted: by Hydra's own parser, and by a shell's rules."""

import shlex
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from ser_lightning.training.compose import compose_config
from ser_lightning.utils.command_line import assignment, readable, train_command
from ser_lightning.utils.errors import UserError


def parsed(override):
    return OverridesParser.create().parse_override(override)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_any_text_can_be_assigned_and_any_command_be_pasted(text):
    override = assignment("resume", text)
    value = parsed(override).value()
    assert isinstance(value, str)
    assert value.replace("\\${", "${") == text.replace("\\${", "${")
    assert shlex.split(train_command(override, "seed=0")) == ["python", "train.py", override, "seed=0"]


@pytest.mark.parametrize(
    "text", ["a ${seed} b", "it's", 'say "a"', "a\\b\\", "/ü (1)", "null", "12", "NaN", "n.a-1", "~/x", "a=b,c"]
)
def test_a_setting_has_the_very_text(text):
    assert compose_config(assignment("resume", text), "hydra.run.dir=x").resume == text


def test_a_plain_path_stays_as_it_is_and_another_is_easy_to_read():
    assert train_command(assignment("resume", "/data/run-1")) == "python train.py resume=/data/run-1"
    assert train_command(assignment("hydra.sweep.dir", "sweep_2.a")) == "python train.py hydra.sweep.dir=sweep_2.a"
    awkward = assignment("resume", "/s/data.fold=0,seed=1")
    assert train_command(awkward) == """python train.py resume="'/s/data.fold=0,seed=1'\""""


@pytest.mark.parametrize("path", ["/s/data.fold=0,seed=1", "/a b/[x]", "/home/jürgen/$HOME", "/it's", '/"!`'])
def test_bash_takes_it(path):
    command = train_command(assignment("resume", path)).removeprefix("python train.py ")
    said = subprocess.run(["bash", "-c", f"printf %s {command}"], capture_output=True, text=True, check=True).stdout
    assert parsed(said).value().replace("\\${", "${") == path


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("data.root=~/x", "/home/me/x"),
        ("data.root=~", "/home/me"),
        ("data.root=/data/ü (1)", "/data/ü (1)"),
        ("data.root=/data/CREMA-D [old], copy=2", "/data/CREMA-D [old], copy=2"),
        ("data.root=/it's/mine", "/it's/mine"),
        ("data.root='~'", "~"),
        ("logger.wandb.name=Größe", "Größe"),
        ("data.fold=1", 1),
        ("model.net.channels=[4,8]", [4, 8]),
        ("resume=${oc.env:HOME}/ü", "${oc.env:HOME}/ü"),
    ],
)
def test_paths_and_words_are_quoted_for_hydra(typed, value, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    (text,) = readable([typed])
    assert parsed(text).value() == value


def test_in_a_sweep_commas_separate(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    (text,) = readable(["data.root=~/x,/data/ü (1)"], multirun=True)
    assert [each.text for each in parsed(text).value().list] == ["/home/me/x", "/data/ü (1)"]
    assert readable(["data.root=A,~/x"], multirun=True) == ["data.root=A,'/home/me/x'"]


def test_what_is_no_override_is_left_alone():
    arguments = ["-m", "--cfg", "job", "--a.b=(", "~callbacks.early_stopping", "hydra.run.dir=outputs/${now:%Y}"]
    assert readable(arguments) == arguments


@pytest.mark.parametrize("typed", ["data.fold=[1,", "seed='1", "model.net={a", "x=f(1", "data.fold=(1)"])
def test_what_cannot_be_read_is_said_in_a_line(typed):
    with pytest.raises(UserError, match=r"^the override .* cannot be read: .*quoted twice.*$"):
        readable([typed])
