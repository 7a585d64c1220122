"""What `ser compare` does: find runs, compare them, and put the result where it is wanted."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console

from ser_lightning.commands.places import STDOUT
from ser_lightning.compare.comparison import Comparison
from ser_lightning.compare.read import collect
from ser_lightning.utils.files import written_whole


def compare_and_deliver(
    folders: Sequence[str], places: Mapping[str, str], *, separate: bool, to_wandb: bool, console: Console
) -> None:
    """Compare what lies in ``folders``.

    Args:
        places: file names, or ``-``, by kind: csv, json, markdown, html. Without a ``-`` among them, tables are
            printed.
        separate: one table for each protocol, instead of a refusal.
    """
    found = collect([Path(folder) for folder in folders])
    from ser_lightning.compare.ranking import compare  # after it is known that there is something to compare

    comparisons = compare(found, separate=separate)
    if STDOUT not in places.values():
        from ser_lightning.compare.tables import print_comparisons

        print_comparisons(comparisons, console)
    for kind, place in places.items():
        _deliver(kind, place, comparisons)
    if to_wandb:
        _log_to_wandb(comparisons)


def _deliver(kind: str, place: str, comparisons: Sequence[Comparison]) -> None:
    if kind == "html":
        from ser_lightning.compare.html.page import write_page

        write_page(Path(place), comparisons)
    elif place == STDOUT:
        click.echo(_maker(kind)(comparisons), nl=False)
        _remark_on(comparisons)
        return
    else:
        text = _maker(kind)(comparisons)
        with written_whole(Path(place)) as file:
            file.write(text)
    click.echo(f"written: {place}", err=True)


def _maker(kind: str) -> Callable[[Sequence[Comparison]], str]:
    from ser_lightning.compare import files

    makers: dict[str, Callable[[Sequence[Comparison]], str]] = {
        "csv": files.to_csv,
        "json": files.to_json,
        "markdown": files.to_markdown,
    }
    return makers[kind]


def _remark_on(comparisons: Sequence[Comparison]) -> None:
    """On stderr, what stands below the tables otherwise."""
    from ser_lightning.compare.tables import failures, plain

    for line in [*(line for each in comparisons for line in each.warnings), *failures(comparisons)]:
        click.echo(plain(line), err=True)


def _log_to_wandb(comparisons: Sequence[Comparison]) -> None:
    from ser_lightning.tracking.comparison import log_comparisons

    run_dir = log_comparisons(comparisons)
    if run_dir is not None:
        kept = sorted(map(str, run_dir.glob("wandb/offline-run-*")))
        click.echo(f"W&B   wandb sync {shlex.join(kept)}" if kept else f"W&B   {run_dir}", err=True)
