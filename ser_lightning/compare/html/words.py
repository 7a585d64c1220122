"""Return what the page calls things, by the name of the task."""

from collections.abc import Mapping

from ser_lightning.tasks.task import Task

_WORDS: Mapping[str, Mapping[str, str]] = {
    "classification": {
        "outputs": "emotions",
        "output": "emotion",
        "by_output": "Recall of each emotion",
        "one_output": "Recall",
        "by_output_caption": "Share of each emotion's clips that were recognised",
        "by_speaker": "the share of their clips that was recognised",
        "by_speaker_short": "Share recognised",
        "by_speaker_table": "Share of each speaker's clips that was recognised, per cent",
        "headline": "UAR: unweighted average recall, the mean of the emotions' recalls.",
    },
    "regression": {
        "outputs": "targets",
        "output": "target",
        "by_output": "CCC of each target",
        "one_output": "CCC",
        "by_output_caption": "CCC of each target",
        "by_speaker": "the CCC of their clips alone",
        "by_speaker_short": "CCC",
        "by_speaker_table": "CCC of each speaker's clips alone",
        "headline": "CCC: concordance correlation coefficient, of several targets their mean; 1 is perfect.",
    },
}


def words_of(task: Task) -> Mapping[str, str]:
    """Return the words for a task."""
    return _WORDS[task.name]
