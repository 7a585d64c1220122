"""`ser models` and `ser compare`: before and after training."""

import click

from ser_lightning.commands.output import as_json_option, new_console, print_json


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@as_json_option
def models(names: tuple[str, ...], as_json: bool) -> None:
    """Measure what models cost: parameters, multiplications, clips a second on this machine.

    NAME is a file in conf/model; without one, all of them.
    """
    from ser_lightning.training.compose import check_name, config_names

    for name in names:
        check_name("model", name)
    chosen = names or config_names("model")
    from ser_lightning.commands.models import model_table, print_models

    table = model_table(chosen)
    if as_json:
        print_json(table.to_json())
    else:
        print_models(table, new_console())


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("--separate", is_flag=True, help="One table for each protocol, where there are several.")
@click.option("--csv", metavar="FILE", help="A row a group.")
@click.option("--json", metavar="FILE", help="Everything, with every run and pair.")
@click.option("--markdown", metavar="FILE", help="Tables to paste.")
@click.option("--html", metavar="FILE", help="A page to look at, in one file.")
@click.option("--wandb", "to_wandb", is_flag=True, help="Log it to W&B too, from outputs/compare/<date-time>.")
def compare(folders: tuple[str, ...], separate: bool, to_wandb: bool, **files: str | None) -> None:
    """Rank finished runs and test every pair of them.

    DIR is the directory of a run, or one that holds such at any depth. Runs that differ in nothing but fold and
    seed are one group: folds are pooled, seeds averaged. FILE may be - for stdout.

    For example: ser compare outputs/cremad --markdown table.md
    """
    from ser_lightning.commands.compare import compare_and_deliver
    from ser_lightning.commands.places import check_places

    places = {kind: place for kind, place in files.items() if place is not None}
    check_places(places)
    compare_and_deliver(folders, places, separate=separate, to_wandb=to_wandb, console=new_console())
