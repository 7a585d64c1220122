"""The figures of a result, by the names that its task gives them."""

from pathlib import Path

from ser_lightning.report.figures import draw_confusion
from ser_lightning.report.reliability import draw_reliability
from ser_lightning.report.subgroup_figures import draw_robustness, draw_subgroups
from ser_lightning.runs.result import Result


def draw_figure(name: str, path: Path, result: Result, *, title: str, subtitle: str) -> None:
    """Draw a figure, where the result has what it shows.

    Raises: ValueError for a name that no figure has.
    """
    words = {"title": title, "subtitle": subtitle}
    match name:
        case "confusion":
            draw_confusion(path, matrix=result.confusion_matrix, labels=result.labels, **words)
        case "reliability":
            if result.calibration is not None:
                draw_reliability(path, curves={"test": result.calibration}, **words)
        case "subgroups":
            if result.subgroups:
                draw_subgroups(path, result.subgroups, uar=result.metrics.test.uar, **words)
        case "robustness":
            if result.robustness:
                draw_robustness(path, result.robustness, **words)
        case _:
            raise ValueError(f"no figure is called {name}")
