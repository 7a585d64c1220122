"""Find out whether a pretrained model was trained on emotional speech: its speakers are then not unseen."""

import re
from collections.abc import Iterable

# The part of a name that tells, and the corpora it was trained on as far as its authors say.
_KNOWN = {
    r"emotion2vec": "IEMOCAP, MELD, MEAD, CMU-MOSEI, MSP-Podcast and, as emotion2vec+, many more",
    r"superb-er\b": "IEMOCAP",
    r"emotion-recognition-.*iemocap": "IEMOCAP",
    r"emotion-msp-dim": "MSP-Podcast",
    r"ehcalabres/wav2vec2-lg-xlsr-en-speech-emotion-recognition": "RAVDESS",
}
_TELLING = r"emotion|affect|ravdess|crema|iemocap|emodb|emo-db|msp-?podcast|(?<![a-z])ser(?![a-z])"
_EMOTIONS = """
    ang anger angry arousal calm dis disgust disgusted dominance fea fear fearful hap happiness happy neu neutral
    sad sadness surprise surprised valence
    """.split()


def contamination(name: str, labels: Iterable[str] = (), *, family: str = "") -> str | None:
    """Return what to say beside every result of a model, or None; ``labels`` are the classes in its config."""
    for pattern, corpora in _KNOWN.items():
        if re.search(pattern, name, re.IGNORECASE):
            return f"{name} was trained on {corpora}: results on these are not of unseen speakers"
    emotions = sorted({label.lower() for label in labels} & set(_EMOTIONS))
    if len(emotions) > 1:
        reason = f"its labels are {', '.join(emotions)}"
    elif re.search(_TELLING, name, re.IGNORECASE):
        reason = "its name says so"
    elif family == "whisper":
        return f"{name}: the audio that Whisper was trained on is not known, and may hold published corpora"
    else:
        return None
    return (
        f"{name} was trained on emotional speech ({reason}): if on this corpus, results are not of unseen speakers"
    )
