"""Lay the page out: inputs on the left, answers on the right, one below the other on a phone."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import soundfile

from ser_lightning.demo import limits, words
from ser_lightning.demo.about import About
from ser_lightning.demo.answering import Shown, show
from ser_lightning.demo.colours import DARK, LIGHT
from ser_lightning.demo.turns import Superseded, Turns
from ser_lightning.inference.recognizer import EmotionRecognizer
from ser_lightning.inference.windows import Windows
from ser_lightning.utils.errors import first_line
from ser_lightning.utils.malloc import give_back

TITLE = "Emotion in speech"
# Gradio confines what it is given as CSS to the inside of this margin, which is wide on a phone.
HEAD = "<style>@media (max-width: 760px) { .main.fillable.app { padding: .75rem !important; } }</style>"
_CSS = Path(__file__).with_name("page.css")
_SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Arial", "sans-serif")
_SHORTEST_WINDOW_S, _SHORTEST_HOP_S, _LONGEST_WINDOW_S = 1, 0.5, 20
_SESSIONS = 64  # of which Gradio remembers what they show
_PROGRESS = gr.Progress()


def theme() -> gr.themes.Base:
    """Return a theme with the fonts of the machine, so that nothing is fetched, and the colours of the pictures."""
    plain = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=_SYSTEM_FONTS,
        font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
    )
    return plain.set(
        body_background_fill=LIGHT.paper,
        body_background_fill_dark=DARK.paper,
        body_text_color=LIGHT.ink,
        body_text_color_dark=DARK.ink,
        body_text_color_subdued=LIGHT.muted,
        body_text_color_subdued_dark=DARK.muted,
    )


def css(n_classes: int) -> str:
    """Return the page's style."""
    return words.palette(n_classes) + "\n" + _CSS.read_text(encoding="utf-8")


def build_page(model: EmotionRecognizer, about: About) -> gr.Blocks:
    """Build the page of a model."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=False) as page:
        gr.HTML(words.head(about), elem_classes="head")
        with gr.Row(elem_id="sides"):  # which lies beside which is the style's, so that a phone has its own order
            with gr.Column(elem_id="given", min_width=0):
                given, recorded = _inputs()
                window, hop = _cut()
            with gr.Column(elem_id="notes", min_width=0):
                gr.HTML(words.notes(about), elem_classes="notes")
            with gr.Column(elem_id="answered", min_width=0):
                answer, player, picture = _outputs()
        latest = gr.State(None)  # the file that is shown: moving a slider asks again
        turns = Turns()
        answer_upload = _answers(model, turns)

        def leave(request: gr.Request) -> None:
            turns.leave(_visitor(request))

        page.unload(leave)
        for event, source in (
            (given.upload, given),
            (given.clear, given),
            (recorded.stop_recording, recorded),
            (recorded.clear, recorded),
            (window.release, latest),
            (hop.release, latest),
        ):
            event(
                answer_upload,
                [source, window, hop],
                [latest, answer, player, picture],
                show_progress_on=answer,
                trigger_mode="multiple",
                preprocess=False,  # it leaves an empty file behind each time, and prints a trace for a wrong number
                concurrency_limit=limits.ANSWERS_AT_ONCE,
                concurrency_id="answers",  # one queue for all six events
                api_visibility="private",
            )
    page.queue(max_size=limits.WAITING_ANSWERS, api_open=False)
    page.state_session_capacity = _SESSIONS  # `launch` takes this; it is not called
    return page


def _answers(model: EmotionRecognizer, turns: Turns) -> Callable[..., list[Any]]:
    """Return what answers an upload: it gives the latest file and the updates of the outputs."""

    def answer_upload(
        given: Mapping[str, Any] | None,
        window_s: float,
        hop_s: float,
        request: gr.Request,
        progress: gr.Progress = _PROGRESS,
    ) -> list[Any]:
        check = turns.take(_visitor(request))
        if given is None:
            return [None, *_updates(Shown(answer=words.HINT))]

        def tell(share: float) -> None:
            check()
            progress(share, desc="recognising")

        try:
            shown = _shown(model, Path(given["path"]), window_s, hop_s, tell)
            check()
        except Superseded:
            return [gr.skip()] * 4
        return [given, *_updates(shown)]

    return answer_upload


def _shown(
    model: EmotionRecognizer, upload: Path, window_s: float, hop_s: float, tell: Callable[[float], None]
) -> Shown:
    """Return what is shown of an upload; its files go into a folder beside it, the older ones are deleted."""
    if not (_SHORTEST_WINDOW_S <= window_s <= _LONGEST_WINDOW_S and _SHORTEST_HOP_S <= hop_s <= _LONGEST_WINDOW_S):
        return Shown(
            answer=words.complaint(
                f"windows of {window_s:g} s every {hop_s:g} s: windows of {_SHORTEST_WINDOW_S} to "
                f"{_LONGEST_WINDOW_S} s are possible, every {_SHORTEST_HOP_S} to {_LONGEST_WINDOW_S} s"
            )
        )
    before = list(upload.parent.glob("answer_*"))
    place = None
    try:
        place = Path(tempfile.mkdtemp(prefix="answer_", dir=upload.parent))
        shown = show(model, upload, window_s=window_s, hop_s=hop_s, folder=place, on_progress=tell)
    except Superseded:
        before = [place] if place is not None else []
        raise
    except (OSError, soundfile.SoundFileError) as error:
        # The page was closed meanwhile, there were too many uploads, or the disk is full.
        tell(1)
        return Shown(
            answer=words.complaint(f"{upload.name} could not be kept ({first_line(error)}): choose it again")
        )
    finally:
        for old in before:
            shutil.rmtree(old, ignore_errors=True)
        give_back()
    return shown


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)


def _inputs() -> tuple[gr.File, gr.Audio]:
    """Lay out what takes a file, and what records one."""
    with gr.Tabs():
        with gr.Tab("File"):
            given = gr.File(label="WAV, FLAC, Ogg, MP3 and others", type="filepath", elem_id="file")
        with gr.Tab("Microphone"):
            recorded = gr.Audio(
                sources=["microphone"],
                type="filepath",
                label="your recording",
                buttons=["download"],  # the other would share a recording on the Hugging Face hub
                elem_id="microphone",
            )
    return given, recorded


def _cut() -> tuple[gr.Slider, gr.Slider]:
    """Lay out the sliders that say how a long recording is cut: window and hop."""
    usual = Windows()
    with gr.Accordion("Long recordings", open=False):
        window = gr.Slider(
            _SHORTEST_WINDOW_S,
            _LONGEST_WINDOW_S,
            value=usual.window_s,
            step=0.5,
            label="window, s",
            info="of the recording at a time",
        )
        hop = gr.Slider(
            _SHORTEST_HOP_S,
            _LONGEST_WINDOW_S,
            value=usual.hop_s,
            step=0.5,
            label="hop, s",
            info="from one window to the next",
        )
    return window, hop


def _outputs() -> tuple[gr.HTML, gr.Audio, gr.HTML]:
    """Lay out the answer, the player and the picture."""
    answer = gr.HTML(words.HINT, elem_classes="answer", elem_id="answer")
    player = gr.Audio(
        label="the model's input",
        interactive=False,
        visible=False,
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
        buttons=[],
        elem_id="player",
    )
    picture = gr.HTML(visible=False, elem_classes="picture", elem_id="picture")
    return answer, player, picture


def _updates(shown: Shown) -> list[Any]:
    """Return what Gradio puts into answer, player and picture."""
    return [
        shown.answer,
        gr.update(value=shown.player and str(shown.player), visible=shown.player is not None),
        gr.update(value=shown.picture or "", visible=shown.picture is not None),
    ]
