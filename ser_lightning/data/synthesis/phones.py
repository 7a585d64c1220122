"""Define the phones and sentences of the synthetic corpus, before any emotion shapes them.

Vowel formants are the men's means of Peterson & Barney (1952). Consonant loci follow Klatt (1980), durations
Klatt (1979), both roughly. All are for an adult male's vocal tract; a speaker scales them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Phone:
    """A steady piece of speech and its targets; amplitudes are linear, 1 being a full vowel."""

    formants_hz: tuple[float, float, float]
    duration_s: float
    voicing: float = 0.0
    aspiration: float = 0.0
    frication: float = 0.0
    frication_hz: float = 4000.0
    frication_width_hz: float = 1500.0
    nucleus: bool = False
    stressed: bool = False
    pause: bool = False


def _phone(f1_hz: float, f2_hz: float, f3_hz: float, duration_s: float, **targets: Any) -> tuple[Phone, ...]:
    return (Phone((f1_hz, f2_hz, f3_hz), duration_s, **targets),)


_vowel = partial(_phone, voicing=1.0, nucleus=True)


def _stop(
    formants_hz: tuple[float, float, float], closure_s: float, *, burst_hz: float, voiced: bool
) -> tuple[Phone, ...]:
    """Return a plosive: the mouth is closed, then a burst follows, with aspiration where it is voiceless."""
    closure = Phone(formants_hz, closure_s, voicing=0.12 if voiced else 0.0)
    burst = Phone(
        formants_hz,
        0.012 if voiced else 0.035,
        voicing=0.3 if voiced else 0.0,
        aspiration=0.0 if voiced else 0.12,
        frication=0.35,
        frication_hz=burst_hz,
        frication_width_hz=900.0,
    )
    return closure, burst


def _diphthong(start: tuple[Phone, ...], end: tuple[Phone, ...]) -> tuple[Phone, ...]:
    """Return two vowels in the time of one; only the first is a nucleus, so the pair carries one accent."""
    first, second = start[0], end[0]
    return (
        replace(first, duration_s=0.6 * first.duration_s),
        replace(second, duration_s=0.5 * second.duration_s, nucleus=False),
    )


_VOWELS = {
    "IY": _vowel(270, 2290, 3010, 0.125),
    "IH": _vowel(390, 1990, 2550, 0.100),
    "EH": _vowel(530, 1840, 2480, 0.120),
    "AE": _vowel(660, 1720, 2410, 0.165),
    "AA": _vowel(730, 1090, 2440, 0.175),
    "AO": _vowel(570, 840, 2410, 0.170),
    "UH": _vowel(440, 1020, 2240, 0.115),
    "UW": _vowel(300, 870, 2240, 0.150),
    "AH": _vowel(640, 1190, 2390, 0.095),
    "ER": _vowel(490, 1350, 1690, 0.140),
}

PHONES: dict[str, tuple[Phone, ...]] = {
    **_VOWELS,
    "OW": _diphthong(_VOWELS["AO"], _VOWELS["UH"]),
    "AY": _diphthong(_VOWELS["AA"], _VOWELS["IH"]),
    "EY": _diphthong(_VOWELS["EH"], _VOWELS["IY"]),
    "W": _phone(290, 610, 2150, 0.065, voicing=0.5),
    "Y": _phone(260, 2070, 3020, 0.065, voicing=0.5),
    "R": _phone(310, 1060, 1380, 0.065, voicing=0.55),
    "L": _phone(310, 1050, 2880, 0.065, voicing=0.5),
    "M": _phone(260, 1100, 2130, 0.065, voicing=0.3),
    "N": _phone(260, 1400, 2470, 0.060, voicing=0.3),
    "HH": _phone(500, 1500, 2500, 0.060, aspiration=0.25),
    "F": _phone(340, 1100, 2080, 0.090, frication=0.12, frication_hz=5500, frication_width_hz=3000),
    "V": _phone(220, 1100, 2080, 0.055, frication=0.04, frication_hz=5000, frication_width_hz=3000, voicing=0.35),
    "TH": _phone(320, 1290, 2540, 0.080, frication=0.12, frication_hz=6000, frication_width_hz=2500),
    "DH": _phone(270, 1290, 2540, 0.045, frication=0.04, frication_hz=5500, frication_width_hz=2500, voicing=0.4),
    "S": _phone(320, 1390, 2530, 0.100, frication=0.40, frication_hz=5800, frication_width_hz=1100),
    "Z": _phone(240, 1390, 2530, 0.070, frication=0.20, frication_hz=5600, frication_width_hz=1100, voicing=0.3),
    "SH": _phone(300, 1840, 2750, 0.100, frication=0.45, frication_hz=3200, frication_width_hz=900),
    "P": _stop((400, 1100, 2150), 0.070, burst_hz=1000, voiced=False),
    "B": _stop((200, 1100, 2150), 0.060, burst_hz=900, voiced=True),
    "T": _stop((400, 1600, 2600), 0.055, burst_hz=4800, voiced=False),
    "D": _stop((200, 1600, 2600), 0.050, burst_hz=4300, voiced=True),
    "K": _stop((300, 1990, 2850), 0.060, burst_hz=2200, voiced=False),
    "G": _stop((200, 1990, 2850), 0.055, burst_hz=2000, voiced=True),
    ",": (Phone((450, 1400, 2450), 0.120, pause=True),),
}

SENTENCES: tuple[str, ...] = (
    "DH AH B OW1 T IH Z B AY DH AH W AO1 L",  # The boat is by the wall
    "W IY S AO1 S EH1 V AH N M EH1 N , AH G EH1 N",  # We saw seven men, again
    "SH IY1 T OW L D M IY1 DH AH N UW1 Z",  # She told me the news
    "HH IY K EY1 M HH OW1 M , AE T N UW1 N",  # He came home, at noon
    "M AY S IH1 S T ER IH Z IH N DH AH R UW1 M",  # My sister is in the room
    "DH AH D AO1 R W AH Z OW1 P AH N",  # The door was open
    "Y UW N OW1 , DH EY L EH1 F T F ER L AH1 N D AH N",  # You know, they left for London
    "AY P UH1 T DH AH B UH1 K AA N DH AH SH EH1 L F",  # I put the book on the shelf
    "N OW1 B AA D IY W AH Z DH EH1 R",  # Nobody was there
    "DH AH L EH1 T ER K EY1 M , AO N T UW1 Z D EY",  # The letter came, on Tuesday
)


def phones_of(sentence: int) -> list[Phone]:
    """Return the phones of a sentence, numbered from 1, with stressed nuclei marked.

    Raises:
        ValueError: there is no sentence of that number.
    """
    if not 1 <= sentence <= len(SENTENCES):
        raise ValueError(f"there is no sentence {sentence}: choose 1 to {len(SENTENCES)}")
    spoken: list[Phone] = []
    for token in SENTENCES[sentence - 1].split():
        for phone in PHONES[token.removesuffix("1")]:
            spoken.append(replace(phone, stressed=token.endswith("1") and phone.voicing == 1.0))
    return spoken
