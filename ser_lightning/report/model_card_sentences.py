"""Write the sentences of a model card on how a run was made: its protocol, its data, its cost."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_lightning.data.corpora import own_corpus
from ser_lightning.report.distribution import about_votes
from ser_lightning.report.leakage import about_validation, n_unknown
from ser_lightning.report.numbers import duration
from ser_lightning.report.protocol import known_of_speakers, without_folders
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.runs.label_sources import INTENDED, MAJORITY, SOFT
from ser_lightning.runs.result import Result
from ser_lightning.utils.command_line import train_command
from ser_lightning.utils.errors import counted

_SPLITS = {
    "actors5": "five groups of speakers: one tests, the next one validates, the others train",
    "evar": "the speakers who test, validate and train in the benchmark EVAR",
    "official": "the corpus's own parts",
    "official_test2": "the corpus's own parts, tested on the second",
    "sessions": "one session tests, the next one validates, the others train",
    "session_halves": "one speaker of a session tests and the other validates, the other sessions train",
    "kfold": "groups of speakers with about equal shares of every emotion and sex",
    "loso": "one speaker tests, the next one validates; of two, the other trains and validates, on other sentences",
    "file": "as a list of the user's says",
    "random": "clips dealt at random, whoever speaks",
}
_LABELS = {
    INTENDED: "A clip's label is the emotion that its speaker meant to show, not what anybody felt or perceived.",
    MAJORITY: "A clip's label is the choice of most annotators; ties are left out.",
    SOFT: "Trained on the shares of annotators' votes for a clip, tested on the label with most votes.",
    "values": "A clip's numbers are those that the corpus, or the user's list, gives it.",
}
_AGREED = "A clip's label is what annotators agreed on, not what its speaker felt or meant to show."
_GIVEN = "A clip's label is the one that its corpus, or the user's list, gives it."
_SYNTHETIC = {
    "intended": "A clip's label is the emotion whose tone of voice the program imitated.",
    "values": "A clip's numbers are those that the program spoke it with.",
}
_PRIVATE = ("root", "manifest", "votes", "path")  # settings that name a place on somebody's machine


def protocol(run: FinishedRun) -> Iterator[str]:
    """Yield the sentences that say what the numbers hold for."""
    facts = run.result.protocol
    name = facts.split
    yield f"Split {name}" + (f" ({_SPLITS[name]})" if name in _SPLITS else "") + f", fold {facts.fold}."
    where = f", of the corpus {facts.test_corpus}, which it was not trained on" if facts.test_corpus else ""
    train, val, test = (n or 0 for n in (facts.n_train, facts.n_val, facts.n_test))
    yield f"Clips: {train:,} to train, {val:,} to validate, and {test:,} to test{where}."
    if not facts.speaker_independent:
        yield f"{shared(run.result)} These numbers do not hold for new speakers."
    elif run.result.leakage is None:  # an older result, which was not compared
        yield "No speaker of the test is in training or validation."
    elif unknown := n_unknown(run.result):
        apart = (
            f"No speaker of the test, as far as they are known ({counted(unknown, 'clip')} are of unknown ones), "
        )
        yield f"{apart}and no sound is in training or validation."
    else:
        yield "No speaker and no sound of the test is in training or validation: all of them were compared."
    if (validation := about_validation(run.result)) is not None:
        yield f"{validation[0].upper()}{validation[1:]}."
    known = known_of_speakers(facts.speaker_clips)
    if known is not None:
        yield f"{known.capitalize()}: with a single clip, expect less."
    if run.result.synthetic:
        yield _SYNTHETIC.get(facts.label_source, _SYNTHETIC["intended"])
    else:
        yield _labels(run.result)
    if (votes := about_votes(run.result)) is not None:
        yield f"{votes[0].upper()}{votes[1:]}."
    if facts.label_map:
        joined = ", ".join(f"{old} → {new}" for old, new in facts.label_map.items())
        yield f"Labels of several corpora were joined: {joined}."
    yield _best_epoch(run)


def _labels(result: Result) -> str:
    """Say what a clip's label is: of corpora of ours, whether speakers or annotators are behind it."""
    source = result.protocol.label_source
    labelled_by = set()
    for corpus in result.corpora:
        own = own_corpus(corpus.name)
        labelled_by.add(own.labelled_by if own is not None and own.title == corpus.title else "")
    if source == INTENDED and labelled_by - {"speaker"}:
        return _AGREED if labelled_by == {"annotators"} else _GIVEN
    return _LABELS.get(source, f"Labels: {source}.")


def shared(result: Result) -> str:
    """Return a sentence that says which part of the data the test shares its speakers with."""
    for pair, part in (("train/test", "training"), ("val/test", "validation, which selected the best epoch")):
        leakage = (result.leakage or {}).get(pair)
        if leakage and leakage.speakers:
            return f"{len(leakage.speakers)} of the speakers of the test are in {part}."
        if leakage:
            return f"{leakage.n_sounds} of the sounds of the test are in {part}, under another speaker's name."
    if result.leakage is not None:
        return "Not all speakers are known: those of the test may be in training, too."
    return "The speakers of the test are in training, too."


def _best_epoch(run: FinishedRun) -> str:
    """Say how the epoch that was tested was selected."""
    epochs, selection = run.result.epochs, run.result.protocol.selection
    if selection == "last epoch":
        trained = counted(epochs.trained, "epoch")
        return f"The last of {trained} was tested: no best epoch was selected."
    metric = str((run.config.get("monitor") or {}).get("metric", "")).removeprefix("val/")
    task = run.result.predicts
    by = f", by their {task.metrics[metric].title if metric == task.headline else metric}" if metric else ""
    return (
        f"Epoch {epochs.best} of {epochs.trained} was the best one on the validation clips{by}. "
        "The test clips were used once, with that epoch."
    )


def network(run: FinishedRun) -> Iterator[tuple[str, str]]:
    """Yield what the model is, a name and a text each."""
    model, settings = run.result.model, run.config.get("model") or {}
    name, target = settings.get("name", ""), str((settings.get("net") or {}).get("_target_", ""))
    yield "network", f"{name}, {target}" if target else str(name)
    if model.parameters is not None:
        yield "parameters", f"{model.parameters:,}"
    if (teacher := run.result.teacher) is not None:
        titles = " + ".join(corpus.title for corpus in teacher.corpora)
        where = f", trained on {titles}" if teacher.corpora else ""
        yield "learnt from", f"labels and the answers of a teacher, {teacher.name}{where}"
    if (encoder := model.pretrained) is not None:
        yield "built on", f"{without_folders(encoder.name)} ({encoder.mode}, {encoder.parameters:,} parameters)"
    average = ((run.config.get("callbacks") or {}).get("average_weights") or {}).get("epochs")
    if average and (encoder is None or encoder.mode != "frozen"):
        yield "weights", f"an average over about the last {average:g} epochs"
    yield "takes", f"speech in any common format, at any rate, channels averaged; {_frontend(settings)}"
    task = run.result.predicts
    yield "gives", f"a probability for each of {task.summary}" if task.labels else f"a number each: {task.summary}"


_NORMALISED = {
    "speaker": ", normalised by speaker statistics",
    "training": ", without their level, normalised by the training clips",
}


def _frontend(settings: Mapping[str, Any]) -> str:
    """Say what the network is run on."""
    frontend, net = (settings.get(part) or {} for part in ("frontend", "net"))
    if "n_mels" not in frontend or "hop_samples" not in frontend:
        return "the network is run on the waveform itself" + _NORMALISED.get(str(net.get("normalise")), "")
    normalised = _NORMALISED.get(str(frontend.get("normalise")), "")
    cut = "" if frontend.get("speech_margin") is None else ", cut to its speech"
    step = frontend["hop_samples"] * frontend.get("average_frames", 1)
    return f"the network is run on {frontend['n_mels']} mel bands, a frame every {step} samples{cut}{normalised}"


def environment(result: Result) -> Iterator[tuple[str, str]]:
    """Yield what it was trained on and with, a name and a text each."""
    for name, value in (result.environment.plain() if result.environment else {}).items():
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{key} {text}" for key, text in value.items() if text is not None)
        elif value is not None:
            changed = name == "commit" and str(value).endswith("+")
            yield name, f"{str(value)[:-1]}, with changes that are not in it" if changed else str(value)
    yield "seed", str(result.seed)
    if result.seconds:
        yield "the run took", duration(result.seconds)


def command(run: FinishedRun) -> str | None:
    """Return the command that trained it, where that is known; places on somebody's machine are left out."""
    overrides: Sequence[str] = run.result.overrides or run.config.get("overrides") or ()
    public = []
    for override in overrides:
        name, sign, value = override.partition("=")
        place = Path(value.strip("'\"")).expanduser()  # quoted for Hydra
        is_private = name.split(".")[-1] in _PRIVATE or "roots" in name or place.is_absolute()
        public.append(f"{name}{sign}PATH" if is_private else override)
    return train_command(*public) if public else None
