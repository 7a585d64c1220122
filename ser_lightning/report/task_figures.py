"""Draw the figures of a result, by the names that its task gives them."""

from pathlib import Path

from ser_lightning.report.figures import draw_confusion
from ser_lightning.report.reliability import draw_reliability
from ser_lightning.report.scatter import draw_scatter
from ser_lightning.report.subgroup_figures import draw_robustness, draw_subgroups
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.predictions import read_predictions
from ser_lightning.runs.result import ClassificationResult, RegressionResult, Result
from ser_lightning.tasks.number_predictions import NumberPredictions


def draw_figure(name: str, path: Path, result: Result, *, title: str, subtitle: str) -> None:
    """Draw a figure, where the result has what it shows.

    Raises: ValueError for a name that no figure has.
    """
    words = {"title": title, "subtitle": subtitle}
    match name, result:
        case "confusion", ClassificationResult():
            draw_confusion(path, matrix=result.confusion_matrix, labels=result.labels, **words)
        case "reliability", ClassificationResult():
            if result.calibration is not None:
                draw_reliability(path, curves={"test": result.calibration}, **words)
        case "scatter", RegressionResult():
            predictions = read_predictions(RunDirectory(path.parent).predictions, NumberPredictions.from_rows)
            draw_scatter(path, predictions, scores=result.metrics.test.targets, **words)
        case "subgroups", _:
            if result.subgroups:
                headline = getattr(result.metrics.test, result.predicts.headline)
                draw_subgroups(path, result.subgroups, headline=headline, task=result.predicts, **words)
        case "robustness", _:
            if result.robustness:
                draw_robustness(path, result.robustness, task=result.predicts, **words)
        case _:
            raise ValueError(f"no figure is called {name}")
