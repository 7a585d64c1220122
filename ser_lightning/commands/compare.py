"""`ser compare`: rank finished runs and test every pair of them."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ser_lightning.commands.options import STDOUT, check_places
from ser_lightning.commands.output import new_console
from ser_lightning.utils.files import written_whole

if TYPE_CHECKING:
    from ser_lightning.compare.comparison import Comparison
    from ser_lightning.compare.read import RunsRead


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("--separate", is_flag=True, help="One table for each protocol, where there are several.")
@click.option(
    "--reference",
    "references",
    is_flag=False,
    flag_value="",
    metavar="[NAME,...]",
    help="Test against results that ship with the package: all that fit, or those named. Stands behind DIR.",
)
@click.option("--csv", metavar="FILE", help="A row for each group.")
@click.option("--json", metavar="FILE", help="Everything, with every run and every pair.")
@click.option("--markdown", metavar="FILE", help="Tables to paste.")
@click.option("--html", metavar="FILE", help="A page for the browser, in one file.")
@click.option("--heat-map", metavar="FILE", help="Models tested on other corpora: a table, and a PNG of it.")
@click.option("--wandb", "to_wandb", is_flag=True, help="Log it to W&B too, from outputs/compare/<date-time>.")
def compare(
    folders: tuple[str, ...],
    separate: bool,
    heat_map: str | None,
    to_wandb: bool,
    references: str | None = None,
    **files: str | None,
) -> None:
    """Rank finished runs and test every pair of them.

    DIR is the directory of a run, or one that holds such at any depth. Runs that differ in nothing but fold and
    seed are one group: folds are pooled, seeds averaged. FILE may be - for stdout.

    For example: ser compare outputs/cremad --markdown table.md
    """
    from ser_lightning.compare.read import read_runs

    places = {kind: place for kind, place in files.items() if place is not None}
    check_places(places | ({"heat-map": heat_map} if heat_map is not None else {}))
    runs = read_runs([Path(folder) for folder in folders])
    if references is not None:
        _add_references(runs, [name for name in references.split(",") if name])
    from ser_lightning.compare.ranking import compare as compare_runs  # after runs are known to be there

    comparisons = compare_runs(runs, separate=separate or heat_map is not None)
    if heat_map is not None:
        from ser_lightning.compare.cross_corpus import cells_of, draw_heat_map, print_cells

        cells = cells_of(comparisons)
        draw_heat_map(Path(heat_map), cells)
        if STDOUT not in places.values():
            print_cells(cells, new_console())
        click.echo(f"written: {heat_map}", err=True)
    elif STDOUT not in places.values():
        from ser_lightning.compare.tables import print_comparisons

        print_comparisons(comparisons, new_console())
    for kind, place in places.items():
        _deliver(kind, place, comparisons)
    if to_wandb:
        _log_to_wandb(comparisons)


def _add_references(read: "RunsRead", names: Sequence[str]) -> None:
    """Put references beside the runs, on the folds that these were tested on; or say why there are none."""
    from ser_lightning.reference.fitting import fitting_runs, named_references, why_none_fits

    references = named_references(names)
    fitting = fitting_runs(references, read.runs)
    if not fitting:
        click.echo(why_none_fits(references, read.runs), err=True)
    read.runs += fitting


def _deliver(kind: str, place: str, comparisons: "Sequence[Comparison]") -> None:
    """Write comparisons as an option asks for; to stdout, with what stands below the tables on stderr."""
    if kind == "html":
        from ser_lightning.compare.html.page import write_page

        write_page(Path(place), comparisons)
    else:
        from ser_lightning.compare.files import to_csv, to_json, to_markdown
        from ser_lightning.compare.tables import failures, plain

        text = {"csv": to_csv, "json": to_json, "markdown": to_markdown}[kind](comparisons)
        if place == STDOUT:
            click.echo(text, nl=False)
            warnings = [line for comparison in comparisons for line in comparison.warnings]
            for line in [*warnings, *failures(comparisons)]:
                click.echo(plain(line), err=True)
            return
        with written_whole(Path(place)) as file:
            file.write(text)
    click.echo(f"written: {place}", err=True)


def _log_to_wandb(comparisons: "Sequence[Comparison]") -> None:
    from ser_lightning.tracking.comparison import log_comparisons

    run_dir = log_comparisons(comparisons)
    if run_dir is not None:
        offline = sorted(map(str, run_dir.glob("wandb/offline-run-*")))
        click.echo(f"W&B   wandb sync {shlex.join(offline)}" if offline else f"W&B   {run_dir}", err=True)
