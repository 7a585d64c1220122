"""What README.md and docs/ quote is there: commands, options, settings, files and links."""

import re
import shlex
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml
from conftest import ROOT
from hydra.core.override_parser.overrides_parser import OverridesParser

from ser_lightning.cli import main
from ser_lightning.training.compose import compose_config
from ser_lightning.utils.command_line import readable
from ser_lightning.utils.errors import UserError

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
# what a setting may need to be chosen first, where a page names it alone
BASES = ([], ["data=cremad"], ["data=csv"], ["data=pooled"], ["model=pretrained"], ["model=opensmile"])
# of Hydra itself, or of another program's commands
FOREIGN_OPTIONS = {"--cfg"}
NO_SETTINGS = {"weights_only=True", "trust=True", "data=emovo data.root=DIR", "model=tdnn"}  # Python's; of examples
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SETTING = re.compile(r"(--)?([a-z_]+([./][a-z0-9_]+)*)=\S+")
_FILE = re.compile(
    r"(conf|docs|tests|ser_lightning)/[\w./-]*|(README|LICENSE|Makefile|train\.py|constraints\.txt)[\w.]*"
)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text_of(page))


def quoted(page: Path) -> list[str]:
    """Every line of a block of commands, and everything in backquotes."""
    blocks = [code for language, code in _FENCE.findall(text_of(page)) if not language]
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return lines + _INLINE.findall(prose(page))


def words_of(command: str) -> list[str]:
    return shlex.split(command.split(" < ")[0].replace("…", "0"))


@cache
def composes(overrides: tuple[str, ...]) -> str:
    """Why these overrides do not compose, nor do after any of `BASES`; nothing where they do."""
    own = [each for each in overrides if not _of_hydra(each)]
    reasons = []
    for base in BASES:
        if base and not any(each.startswith(f"{base[0].split('=')[0]}.") for each in own):
            continue
        try:
            compose_config(*base, *own)
            return ""
        except UserError as error:
            reasons.append(str(error))
    return reasons[0]


def _of_hydra(override: str) -> bool:
    """A launcher or sweeper, which may need an extra: it is looked for as a file; its settings are its own."""
    name, _, value = override.partition("=")
    if name.startswith("hydra/") and value != "joblib":  # which is a plugin's own
        assert (ROOT / "conf" / name / f"{value}.yaml").is_file(), override
    return name.startswith(("hydra/", "hydra."))


def single_runs(overrides: list[str]) -> list[list[str]]:
    """A sweep's overrides one value at a time, the others at their first."""
    parsed = OverridesParser.create().parse_overrides(readable(overrides, multirun=True))
    values = [
        list(each.sweep_string_iterator()) if each.is_choice_sweep() or each.is_range_sweep() else [None]
        for each in parsed
    ]
    first = [
        text if options[0] is None else f"{each.get_key_element()}={options[0]}"
        for text, each, options in zip(overrides, parsed, values, strict=True)
    ]
    runs = [first]
    for place, (each, options) in enumerate(zip(parsed, values, strict=True)):
        runs += [
            [*first[:place], f"{each.get_key_element()}={value}", *first[place + 1 :]] for value in options[1:]
        ]
    return [[override for override in run if "interval(" not in override] for run in runs]


@pages
def test_every_training_command_composes(page):
    commands = [words_of(text)[2:] for text in quoted(page) if text.startswith("python train.py")]
    for words in commands:
        overrides = [word.removeprefix("--") for word in words if "=" in word]
        for option in [word for word in words if word.startswith("-") and "=" not in word]:
            assert option in ("-m", "--cfg"), option
        for run in single_runs(overrides) if "-m" in words else [overrides]:
            assert composes(tuple(run)) == "", shlex.join(words)


@pages
def test_every_setting_that_is_named_exists(page):
    for text in set(_INLINE.findall(prose(page))) - NO_SETTINGS:
        plain = re.sub(r"interval\(([^,]+),[^)]*\)", r"\1", text).replace("=…", "=0").strip("'\"")
        words = plain.split()
        if words and all(map(_SETTING.fullmatch, words)) and "…" not in plain:
            for run in single_runs([word.removeprefix("--") for word in words]):
                assert composes(tuple(run)) == "", text


@pages
def test_every_setting_of_a_search_by_wandb_exists(page):
    for language, code in _FENCE.findall(text_of(page)):
        search = yaml.safe_load(code) if language == "yaml" else {}
        settings = [f"{name}={values['min']}" for name, values in search.get("parameters", {}).items()]
        assert composes((*settings, *(word for word in search.get("command", ()) if "=" in word))) == "", code


def options_of(command: click.Command) -> set[str]:
    return {
        "--help",
        *(name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)),
    }


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The subcommand that the words after ``ser`` name, and its arguments."""
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"ser has no command {words[0]}"
        command, words = found, words[1:]
    return command, words


def all_options(command: click.Command = main) -> set[str]:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return options_of(command).union(*map(all_options, below))


@pages
def test_every_ser_command_takes_its_options(page):
    for text in quoted(page):
        if text == "ser" or not text.startswith("ser "):
            continue
        command, arguments = find_command(words_of(text)[1:])
        assert {word for word in arguments if word.startswith("--")} <= options_of(command), text
        overrides = [word for word in arguments if "=" in word]
        assert composes(tuple(overrides)) == "", text


@pages
def test_every_option_that_is_named_exists(page):
    named = {text.split()[0] for text in _INLINE.findall(prose(page)) if re.match(r"--[a-z-]+( |$)", text)}
    assert named <= all_options() | FOREIGN_OPTIONS


@pages
def test_every_make_target_exists(page):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [text.split()[1] for text in quoted(page) if re.match(r"make [a-z]", text)]
    assert set(named) <= set(targets)


def anchors(page: Path) -> set[str]:
    """The ids that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_every_link_leads_somewhere(page):
    for link in _LINK.findall(prose(page)):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = (page.parent / place).resolve() if place else page
        assert target.exists() and target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_every_file_that_is_named_exists(page):
    for text in _INLINE.findall(prose(page)):
        if _FILE.fullmatch(text):
            assert (ROOT / text).exists(), text


@pages
def test_every_import_works(page):
    for language, code in _FENCE.findall(text_of(page)):
        if language == "python":
            compile(code, page.name, "exec")
            for module, names in re.findall(r"^from (ser_lightning\S*) import (.+)$", code, re.MULTILINE):
                made = import_module(module)
                assert all(hasattr(made, name.strip()) for name in names.split(",")), (module, names)


def test_the_readme_is_short():
    assert len(text_of(ROOT / "README.md").splitlines()) <= 220


def test_the_readme_links_to_every_page():
    linked = {link.split("#")[0] for link in _LINK.findall(prose(ROOT / "README.md"))}
    assert linked >= {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


def test_every_folder_of_the_package_is_on_the_map():
    """Each is named in a row of the table that follows the heading."""
    part = text_of(ROOT / "README.md").split("## Map of the package")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "ser_lightning").glob("*/__init__.py")}
    assert folders == set(named)


def test_every_corpus_and_network_is_in_the_readme():
    named = set(re.findall(r"^\| `(\w+)` \|", text_of(ROOT / "README.md"), re.MULTILINE))
    for group in ("data", "model"):
        configs = {path.stem for path in (ROOT / "conf" / group).glob("[a-z]*.yaml")}
        assert {name for name in configs if not name.startswith("notebook_")} <= named
