"""Describe the model beside its answers, out of its checkpoint, and of its run where that is at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ser_lightning.data.corpora import Corpus, own_corpus
from ser_lightning.inference.checkpoint import Checkpoint
from ser_lightning.report.metric_style import written_scores
from ser_lightning.report.numbers import percent
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import ClassificationResult, Result
from ser_lightning.utils.errors import counted

_CAUTION = "What it predicts from speech says little about how people feel: conclude nothing about anybody from it."
_ACTED = f"It was trained on acted speech. {_CAUTION}"
_SYNTHETIC = "It was trained on synthetic speech, to try the program: its predictions for real speech mean nothing."
_CALIBRATED = "Its probabilities are calibrated: of predictions with 90%, about nine in ten should be right."
_UNCALIBRATED = "Its probabilities are not calibrated: of predictions with 90%, more or fewer may be right."

_ONE_RECORDING = "It normalises by the speaker's statistics, which are taken here from the one recording."


@dataclass(frozen=True, kw_only=True)
class About:
    """``name`` of the model, ``trained_on`` in a few words, a ``warning``, and ``facts``, a sentence each."""

    name: str
    trained_on: str
    warning: str
    facts: Sequence[str]


def about(checkpoint: Checkpoint) -> About:
    """Return what to know before an answer is believed."""
    corpora, model, protocol = _corpora(checkpoint), checkpoint.config["model"], checkpoint.protocol
    titles = [corpus.title if isinstance(corpus, Corpus) else corpus for corpus in corpora]
    fold = "" if protocol.get("fold") is None else f", fold {protocol['fold']}"
    where = "are not in training" if protocol["speaker_independent"] else "are in training, too"
    facts = [
        f"Split {protocol['split']}{fold}: trained on {counted(protocol['n_train'], 'clip')}; "
        f"the speakers of its test {where}.",
        *_tested(checkpoint),
    ]
    if checkpoint.task.labels:
        facts.append(_UNCALIBRATED if checkpoint.temperature == 1 else _CALIBRATED)
    if any((model.get(part) or {}).get("normalise") == "speaker" for part in ("frontend", "net")):
        facts.append(_ONE_RECORDING)
    return About(name=str(model["name"]), trained_on=" + ".join(titles), warning=_warning(corpora), facts=facts)


def _corpora(checkpoint: Checkpoint) -> list[Corpus | str]:
    """Return the corpora that it, and its teacher, were trained on: ours as they are, others by name."""
    data = checkpoint.config.get("data", {})
    names = [data["corpus"]] if "corpus" in data else list(data.get("corpora", ()))
    own = [_corpus(name) for name in names] or [str(checkpoint.protocol["corpus"])]
    taught = [_corpus(corpus["name"]) for corpus in (checkpoint.stamp.get("teacher") or {}).get("corpora", ())]
    return own + [corpus for corpus in taught if corpus not in own]


def _corpus(name: str) -> Corpus | str:
    """Return a corpus of ours; a name otherwise, which can be that of a user's list."""
    return own_corpus(name) or Path(name).stem


def _warning(corpora: Sequence[Corpus | str]) -> str:
    """Return what not to take an answer for."""
    ours = [corpus for corpus in corpora if isinstance(corpus, Corpus)]
    if any(corpus.synthesise is not None for corpus in ours):
        return _SYNTHETIC
    return _ACTED if any(corpus.labelled_by == "speaker" for corpus in ours) else _CAUTION


def _tested(checkpoint: Checkpoint) -> list[str]:
    """Return its score in the test, where the file still lies in its run's directory."""
    run = RunDirectory(checkpoint.path.resolve().parent.parent)
    result = run.read_result() if checkpoint.path.resolve() == run.best else None
    if not isinstance(result, Result):
        return []
    if isinstance(result, ClassificationResult):
        uar, chance = percent(result.metrics.test.uar), percent(1 / checkpoint.task.n_outputs)
        return [f"In its test it recognised {uar} of the clips of an emotion, on average; guessing gives {chance}."]
    scores = ", ".join(written_scores(result.metrics.test, result.predicts))
    return [f"In its test: {scores}; a CCC of 1 is perfect, and guessing gives 0."]
