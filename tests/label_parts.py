"""Parts of test clips and acoustic conditions, scored as classification scores them."""

import numpy as np

from ser_lightning.evaluation import subgroups as of_parts
from ser_lightning.evaluation.part_scores import counts_by_speaker, part_scores
from ser_lightning.tasks.classification import Classification


def subgroups(*, labels, predicted, speakers, columns, names):
    """Scores by column and value."""

    def score(rows):
        who = [speakers[row] for row in rows]
        return part_scores(counts_by_speaker(labels[rows], predicted[rows], who, len(names)), names)

    return of_parts.subgroups(columns, score)


def robustness(answers, *, labels, speakers, names):
    """Scores by condition."""
    return Classification(tuple(names)).robustness(answers, np.asarray(labels), speakers)
