"""`ser reference`: the results that ship with the package; how they are made, listed and ranked."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ser_lightning.commands.output import new_console
from ser_lightning.commands.program import Group
from ser_lightning.utils.errors import UserError

if TYPE_CHECKING:
    from ser_lightning.reference.files import Reference

_folder_argument = click.argument("folder", required=False, metavar="[DIR]")


@click.group(cls=Group)
def reference() -> None:
    """Make, list and rank the results that ship with the package.

    `ser compare RUN_DIR --reference` tests runs against them. DIR is a folder of such files, by default the
    package's own.
    """


@reference.command()
@click.argument("folders", nargs=-1, required=True, metavar="RUN_DIR...")
@click.option("--name", required=True, help="What it is called: small letters, digits, - and _.")
@click.option("--to", metavar="DIR", help="Where to write it; by default into the package of this checkout.")
@click.option("--force", is_flag=True, help="Replace the one of that name.")
def add(folders: tuple[str, ...], name: str, to: str | None, force: bool) -> None:
    """Make a reference of finished runs that differ in fold and seed alone.

    RUN_DIR is the directory of a run, or one that holds such at any depth. Folds may be missing, which is said; the
    leaderboard then lists the reference without a rank.
    """
    from ser_lightning.reference.add import add as add_reference

    place = None if to is None else Path(to)
    path, added = add_reference([Path(folder) for folder in folders], name, to=place, force=force)
    cells = ", ".join(f"fold {run.fold} seed {run.seed}" for run in added.runs)
    click.echo(f"written: {path} ({added.n_bytes / 1000:.0f} kB)")
    click.echo(f"{cells}{'' if added.complete else ': not every fold of the split, hence without a rank'}")


@reference.command("list")
@_folder_argument
def list_references(folder: str | None) -> None:
    """Show the references: corpus, split, folds, seeds, UAR of all clips together."""
    from ser_lightning.reference.add import pooled_scores
    from ser_lightning.reference.fitting import with_all_folds
    from ser_lightning.report.numbers import percent
    from ser_lightning.utils.terminal import number_table

    table = number_table("name", "corpus", "split", "folds", "seeds", numbers=("UAR", "accuracy", "kB"))
    for shipped in _read(folder):
        runs, protocol = with_all_folds(shipped.runs), shipped.runs[0].result.protocol
        scores = [percent(share) for share in pooled_scores(runs).values()]
        folds = " ".join(dict.fromkeys(run.fold for run in runs)) + ", not all" * (not shipped.complete)
        seeds = " ".join(map(str, sorted({run.seed for run in runs})))
        size = f"{shipped.n_bytes / 1000:.0f}"
        table.add_row(shipped.name, protocol.corpus, protocol.split, folds, seeds, *scores, size)
    new_console().print(table)


@reference.command()
@_folder_argument
def leaderboard(folder: str | None) -> None:
    """Print docs/leaderboard.md, as the references make it."""
    from ser_lightning.reference.leaderboard import leaderboard as page_of

    click.echo(page_of(_read(folder)), nl=False)


def _read(folder: str | None) -> "list[Reference]":
    """Return the references of a folder, or those that ship. Raises: UserError where there are none."""
    from ser_lightning.reference.files import SHIPPED, read_references

    references = read_references(SHIPPED if folder is None else Path(folder))
    if not references:
        raise UserError(f"no reference lies in {folder or SHIPPED}: `ser reference add` makes one")
    return references
