"""Show models that were trained on one corpus and tested on another: a table of every pair, and a heat map.

Each pair of corpora is a protocol of its own, whose results are ranked with no other's.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from ser_lightning.compare.comparison import Comparison
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report.metric_style import headline_style, headline_title
from ser_lightning.tasks.task import Task
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import written_whole
from ser_lightning.utils.terminal import number_table


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What models of one kind reach on a corpus that they were not trained on."""

    model: str
    trained_on: str
    tested_on: str
    task: Task
    headline: Estimate
    n_clips: int
    n_speakers: int
    n_runs: int


def cells_of(comparisons: Sequence[Comparison]) -> list[Cell]:
    """Return the pairs of corpora by model and names; results on the corpus of the training are passed over.

    Raises: UserError where no model was tested on another corpus, or one twice under different protocols, and where
        some predict labels and others numbers.
    """
    cells: dict[tuple[str, str, str], Cell] = {}
    for comparison in comparisons:
        protocol = comparison.protocol
        trained_on, tested_on = protocol["corpus"], protocol.get("test_corpus")
        if tested_on is None:  # by `ser eval`, which names the training by its corpus, and perhaps split and fold
            trained_on, tested_on = protocol.get("trained_on", trained_on).partition(",")[0], protocol["corpus"]
        if trained_on == tested_on:
            continue
        for group in comparison.groups:
            key = (group.model, trained_on, tested_on)
            if key in cells:
                raise UserError(
                    f"{group.model} was trained on {trained_on} and tested on {tested_on} in several ways: name "
                    "directories whose runs belong together"
                )
            cells[key] = Cell(
                model=group.model,
                trained_on=trained_on,
                tested_on=tested_on,
                task=comparison.task,
                headline=group.headline,
                n_clips=group.n_clips,
                n_speakers=group.n_speakers,
                n_runs=len(group.runs),
            )
    if not cells:
        raise UserError("no model was tested on another corpus than it was trained on")
    if len({cell.task.name for cell in cells.values()}) > 1:
        raise UserError("some models predict labels, others numbers: name directories of one kind")
    return [cells[key] for key in sorted(cells)]


def print_cells(cells: Sequence[Cell], console: Console) -> None:
    """Print a row for each pair of corpora."""
    with_model = len({cell.model for cell in cells}) > 1
    task, style = cells[0].task, headline_style(cells[0].task)
    columns = (headline_title(task), "95% interval", task.outputs_word, "clips", "speakers", "runs")
    table = number_table(*["model"] * with_model, "trained on", "tested on", numbers=columns)
    for cell in cells:
        names = [*[cell.model] * with_model, cell.trained_on, cell.tested_on]
        counts = [f"{n:,}" for n in (cell.task.n_outputs, cell.n_clips, cell.n_speakers, cell.n_runs)]
        table.add_row(*map(Text, names), style.value(cell.headline.value), style.interval(cell.headline), *counts)
    console.print(table)


def write_csv(path: Path, cells: Sequence[Cell]) -> None:
    """Write the same as numbers: shares between 0 and 1."""
    text = io.StringIO()
    writer = csv.writer(text)
    name = cells[0].task.headline
    scores = (name, f"{name}_low", f"{name}_high")
    columns = (*scores, f"n_{cells[0].task.outputs_word}", "n_clips", "n_speakers", "n_runs")
    writer.writerow(("model", "trained_on", "tested_on", *columns))
    for cell in cells:
        score = cell.headline
        texts = ["" if np.isnan(number) else f"{number:.6f}" for number in (score.value, score.low, score.high)]
        counts = (cell.task.n_outputs, cell.n_clips, cell.n_speakers, cell.n_runs)
        writer.writerow((cell.model, cell.trained_on, cell.tested_on, *texts, *counts))
    with written_whole(path) as file:
        file.write(text.getvalue())


def draw_heat_map(path: Path, cells: Sequence[Cell]) -> None:
    """Draw the headline of every pair, corpora that were trained on from above, a square for each model."""
    from ser_lightning.report.heat_map import draw_heat_maps  # matplotlib takes a second to import

    corpora = sorted({name for cell in cells for name in (cell.trained_on, cell.tested_on)})
    scores_by_model = {}
    for model in dict.fromkeys(cell.model for cell in cells):
        scores = np.full((len(corpora), len(corpora)), np.nan)
        for cell in cells:
            if cell.model == model:
                scores[corpora.index(cell.trained_on), corpora.index(cell.tested_on)] = cell.headline.value
        scores_by_model[model] = scores
    task = cells[0].task
    chance = ", ".join(sorted({f"{1 / cell.task.n_outputs:.1%}" for cell in cells})) if task.labels else "0"
    draw_heat_maps(
        path,
        scores_by_name=scores_by_model,
        names=corpora,
        rows="trained on",
        columns="tested on",
        title="Trained on one corpus, tested on another",
        subtitle=f"{headline_title(task)}; chance is {chance}",
        write=headline_style(task).value,
    )
