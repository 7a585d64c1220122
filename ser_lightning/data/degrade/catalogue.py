"""List the conditions that models are tested under."""

from ser_lightning.data.degrade.channel import Telephone
from ser_lightning.data.degrade.condition import Change, Condition
from ser_lightning.data.degrade.noise import Noise
from ser_lightning.data.degrade.recording import Clipping, Gain, Middle
from ser_lightning.data.degrade.room import Room
from ser_lightning.data.degrade.silence import AddedSilence, CutSilence

_TABLE: dict[str, list[tuple[str, str, Change | None]]] = {  # group to name, title and change
    "clean": [("clean", "as recorded", None)],
    "noise": [
        *(
            (f"white_{snr_db}db", f"white noise, {snr_db} dB", Noise(snr_db=snr_db, spectrum="white"))
            for snr_db in (20, 10, 5, 0)
        ),
        ("speech_noise_10db", "speech-shaped noise, 10 dB", Noise(snr_db=10, spectrum="speech")),
    ],
    "channel": [("telephone", "telephone line (μ-law)", Telephone())],
    "level": [
        ("gain_minus_10db", "10 dB quieter", Gain(gain_db=-10)),
        ("gain_minus_20db", "20 dB quieter", Gain(gain_db=-20)),
        ("gain_plus_10db", "up to 10 dB louder", Gain(gain_db=10, may_clip=False)),
        ("gain_plus_12db", "12 dB louder, clipping", Gain(gain_db=12)),
        ("clipped_10", "10% of samples clipped", Clipping(share=0.10)),
        ("clipped_25", "25% of samples clipped", Clipping(share=0.25)),
    ],
    "room": [
        ("reverb_300ms", "reverberation of 0.3 s", Room(rt60_s=0.3)),
        ("reverb_800ms", "reverberation of 0.8 s", Room(rt60_s=0.8)),
    ],
    "silence": [
        ("silence_cut", "silence at the ends cut", CutSilence()),
        ("zeros_500ms", "0.5 s of zeros added", AddedSilence(duration_s=0.5)),
        ("faint_noise_500ms", "0.5 s of faint noise added", AddedSilence(duration_s=0.5, noise_dbfs=-60)),
    ],
    "length": [("middle_1s", "the middle 1 s", Middle(duration_s=1.0))],
}

GROUPS = tuple(_TABLE)
CONDITIONS = {
    name: Condition(name=name, title=title, group=group, change=change)
    for group, rows in _TABLE.items()
    for name, title, change in rows
}
