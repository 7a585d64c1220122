"""Say how a model's probabilities agree with the shares of annotators' votes."""

from ser_lightning.runs.result import ClassificationResult, Result
from ser_lightning.utils.errors import counted


def about_votes(result: Result) -> str | None:
    """Return a line on the scores against distributions; None where clips are not labelled by votes."""
    if not isinstance(result, ClassificationResult) or (scores := result.distribution) is None:
        return None
    return (
        f"against the shares of votes: Jensen-Shannon divergence {scores.js_divergence:.3f} bits, "
        f"macro-F1 of labels above 1/{len(result.labels)} {scores.macro_f1:.1%}, {counted(scores.n_clips, 'clip')}"
    )
