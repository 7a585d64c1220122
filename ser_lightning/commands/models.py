"""`ser models`: measure what models cost."""

from typing import TYPE_CHECKING

import click

from ser_lightning.commands.options import json_option
from ser_lightning.commands.output import new_console, print_json
from ser_lightning.report.numbers import MISSING

if TYPE_CHECKING:
    from rich.console import Console

    from ser_lightning.bench.model_cost import ModelTable


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
def models(names: tuple[str, ...], as_json: bool) -> None:
    """Measure what models cost: parameters, multiplications, clips a second on this machine.

    NAME is a file in conf/model; without one, all of them are measured.
    """
    from ser_lightning.training.compose import check_name, config_names

    for name in names:
        check_name("model", name)
    chosen = names or config_names("model")
    from ser_lightning.bench.model_cost import model_table  # after the names are known to be right

    table = model_table(chosen)
    if as_json:
        print_json(table.to_json())
    else:
        print_models(table, new_console())


def print_models(table: "ModelTable", console: "Console") -> None:
    """Print a row for each model, what the columns mean, and which models need more packages."""
    from rich.table import Table

    from ser_lightning.bench.model_cost import BATCH_SIZE, CLIP_S, N_TIMED

    rows = Table("model", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("parameters", "MACs", "training", "inference"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for cost in table.models:
        if cost.needs is not None:
            rows.add_row(cost.name, "needs more")
            continue
        macs = f"{cost.macs / 1e6:,.0f} M" if cost.macs else MISSING
        speeds = f"{cost.train_clips_per_s:,.0f}", f"{cost.inference_clips_per_s:,.0f}"
        rows.add_row(cost.name, f"{cost.parameters:,}", macs, *speeds)
    console.print(rows)
    machine = table.machine
    console.print(
        f"\nMACs of one clip of {CLIP_S} s: the network's matrix products, convolutions and attention, without "
        "recurrent layers of PyTorch's own. Training "
        f"and inference in clips/s, from waveforms, medians of up to {N_TIMED} batches of {BATCH_SIZE} such clips: "
        f"{machine.device}, threads: {machine.threads}, {machine.precision}, "
        f"torch {machine.packages['torch']}."
    )
    for cost in table.models:
        if cost.needs is not None:
            console.print(f"{cost.name} needs more: {cost.needs}", soft_wrap=True)
