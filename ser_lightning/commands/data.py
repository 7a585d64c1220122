"""`ser data`: list, download, prepare and audit corpora."""

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ser_lightning.commands.options import json_option, overrides_argument
from ser_lightning.commands.output import new_console, print_json
from ser_lightning.commands.program import Group
from ser_lightning.utils.errors import UserError, counted

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser_lightning.data.labelled_clips import LabelledClips
    from ser_lightning.data.splits.split import SplitRule


@click.group(cls=Group)
def data() -> None:
    """List, download, prepare and audit corpora.

    NAME is a file in conf/data. OVERRIDES are those of `python train.py`, such as data.on_bad=exclude.
    """


_name_argument = click.argument("name")
_root_option = click.option("--root", metavar="DIR", help="Where the corpus lies: short for data.root=DIR.")


@data.command("list")
def list_corpora() -> None:
    """Show the corpora: size, labels, numbers, licence, source."""
    from rich.table import Table

    from ser_lightning.training.compose import config_names

    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name in config_names("data"):
        table.add_row(name, "\n".join(_about(name)) + "\n")
    new_console().print(table)


@data.command()
@_name_argument
@click.option("--to", metavar="DIR", help="Where to put it.")
@click.option("--jobs", default=8, show_default=True, help="Files fetched at a time.")
def download(name: str, to: str | None, jobs: int) -> None:
    """Download a corpus, its licence shown first."""
    from pathlib import Path

    from ser_lightning.data.corpora import own_corpus
    from ser_lightning.data.download import default_folder
    from ser_lightning.data.download import download as fetch
    from ser_lightning.training.compose import check_name

    check_name("data", name)
    corpus = own_corpus(name)
    if corpus is None:
        raise UserError(f"{name} is no corpus that could be downloaded: see `ser data list`")
    folder = fetch(corpus, Path(to) if to is not None else default_folder(corpus), jobs=jobs)
    root = f" --root {shlex.quote(str(folder))}" if to is not None else ""
    click.echo(f"next: ser data audit {name}{root}")


@data.command()
@_name_argument
@overrides_argument
@_root_option
@click.option("--shard", metavar="K/N", help="Decode the K-th of N parts alone; without it, they are joined.")
def prepare(name: str, overrides: tuple[str, ...], root: str | None, shard: str | None) -> None:
    """Decode a corpus into the cache, as the first run on it would.

    N jobs can share the work: each prepares one --shard, and the first that is run without joins them.
    """
    config = _config(name, root, overrides)
    if shard is not None:
        number, _, n_parts = shard.partition("/")
        if not (number.isdecimal() and n_parts.isdecimal() and 1 <= int(number) <= int(n_parts)):
            raise UserError(f"--shard {shard}: say K/N, such as 3/8 for the third of eight parts")
        from ser_lightning.training.experiment import unsplit_data

        n_files = unsplit_data(config).prepare_part(int(number), int(n_parts))
        click.echo(
            f"part {int(number)} of {int(n_parts)} ready, {counted(n_files, 'file')}: `ser data prepare` joins them"
        )
        return
    clips, _ = _unsplit(config)
    n_speakers = len({clip.speaker for clip in clips.manifest if clip.speaker_is_known})
    for report in clips.reports:
        for line in report.lines():
            click.echo(line, err=True)
    n_clips = len(clips.manifest)
    click.echo(f"{clips.title}: {counted(n_clips, 'clip')} of {counted(n_speakers, 'speaker')} ready")


@data.command()
@_name_argument
@overrides_argument
@_root_option
@click.option("--voices", is_flag=True, help="Compare speakers by embeddings: finds one person under two names.")
@json_option
def audit(name: str, overrides: tuple[str, ...], root: str | None, voices: bool, as_json: bool) -> int:
    """Check a corpus and the chosen split.

    Ends with 1 where results would be wrong: unusable files, labels without clips, an empty part or a leak in
    the chosen split. Lesser problems are warnings.
    """
    config = _config(name, root, (*overrides, "data.on_bad=exclude"))
    refuses_long = config.data.on_long in (None, "error")
    if refuses_long:
        config.data.on_long = "split"
    from ser_lightning.data.audit.corpus_audit import audit as audit_clips
    from ser_lightning.data.audit.speaker_encoder import weights_file
    from ser_lightning.data.audit.speakers import compare_clips_by_speaker
    from ser_lightning.data.audit.tables import print_audit
    from ser_lightning.data.prepare.cache import discard_if_damaged
    from ser_lightning.runs.monitor import needing_validation

    weights = weights_file() if voices else None  # a missing one is said before a corpus is decoded
    clips, rules = _unsplit(config)
    folders = {part.packed.folder for part in clips.parts if part.packed.folder is not None}
    if any([discard_if_damaged(folder, thorough=True) for folder in folders]):
        clips, rules = _unsplit(config)
    similarity = compare_clips_by_speaker(clips, weights) if weights is not None else None
    report = audit_clips(
        clips,
        rules,
        chosen=config.data.split,
        needs_validation=bool(needing_validation(config)),
        refuses_long=refuses_long,
        speaker_similarity=similarity,
    )
    if as_json:
        print_json(report.to_json())
    else:
        print_audit(report, new_console())
    return 0 if report.passed else 1


@data.command()
@_name_argument
@overrides_argument
@_root_option
@click.option("--split", "only", metavar="NAME", help="One split instead of all of them.")
@json_option
def splits(name: str, overrides: tuple[str, ...], root: str | None, only: str | None, as_json: bool) -> None:
    """Show the speakers, sexes, classes and hash of every fold."""
    config = _config(name, root, overrides)
    if only is not None and only not in config.data.splits:
        raise UserError(f"there is no split {only} of {name} (known: {', '.join(config.data.splits)})")
    from ser_lightning.data.audit.corpus_audit import SCHEMA
    from ser_lightning.data.audit.folds import audit_splits
    from ser_lightning.data.audit.tables import print_splits

    clips, rules = _unsplit(config)
    rules = rules if only is None else {only: rules[only]}
    audited = audit_splits(clips.manifest, clips.labels, rules)
    if as_json:
        print_json({"schema": SCHEMA, "name": clips.name, "splits": [asdict(split) for split in audited]})
    else:
        print_splits(audited, clips.labels, new_console())


def _about(name: str) -> list[str]:
    """Describe a file in conf/data, without opening the corpus."""
    from ser_lightning.data.corpora import own_corpus
    from ser_lightning.utils.project import CONF

    corpus = own_corpus(name)
    if corpus is None:  # the file's first line says what it is
        return [(CONF / "data" / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")]
    download = [f"`ser data download {name}` fetches it"] if corpus.remote else []
    size = (
        f"{corpus.n_clips:,} clips, {corpus.n_speakers} speakers" if corpus.n_clips else "releases differ in size"
    )
    numbers = ", ".join(f"{name} ({low:g} to {high:g})" for name, (low, high) in corpus.value_ranges.items())
    return [
        f"{corpus.title}: {size}",
        ", ".join(corpus.labels),
        *([f"numbers for data.targets: {numbers}"] if numbers else []),
        f"licence: {corpus.licence}",
        f"from {corpus.where_to_get}",
        *download,
    ]


def _config(name: str, root: str | None, overrides: tuple[str, ...]) -> "DictConfig":
    """Return the config of `python train.py data=NAME` with these overrides, ``root`` as data.root."""
    from ser_lightning.training.compose import check_name, compose_config

    check_name("data", name)
    config = compose_config(f"data={name}", *overrides)
    if root is not None:
        if "root" not in config.data:
            raise UserError(f"{name} takes no --root: see conf/data/{name}.yaml for what says where it lies")
        config.data.root = root  # no override, so that no character in it means anything to Hydra
    return config


def _unsplit(config: "DictConfig") -> "tuple[LabelledClips, dict[str, SplitRule]]":
    """Return the clips of a config, and its rules for splitting them, the chosen one first."""
    from ser_lightning.training.experiment import unsplit_data

    module = unsplit_data(config)
    chosen = config.data.split
    return module.clips, {chosen: module.rules[chosen], **module.rules}
