"""The demo in a browser, where there is one: a real file goes in, the model's own numbers come out."""

import shutil
import socket
import threading

import numpy as np
import pytest
import soundfile
from made_checkpoint import make_checkpoint_of

from ser_lightning import Windows, load_model
from ser_lightning.demo.about import about
from ser_lightning.demo.server import listening, make_server, private
from ser_lightning.inference.checkpoint import read_checkpoint

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("gradio", reason="needs the extra demo")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
SMALL = ("model.net.channels=[8,16]", "model.frontend.n_mels=40", "logger=none")
FAKE_MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
RATE_HZ = 22_050
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, cremad_root):
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    return make_checkpoint_of(path, "data=cremad", f"data.root={cremad_root}", *SMALL)


@pytest.fixture(scope="module")
def model(checkpoint):
    return load_model(checkpoint)


@pytest.fixture(scope="module")
def address(model, checkpoint):
    """Of the demo, in a thread; all the while the process may speak to nobody but itself."""
    with pytest.MonkeyPatch.context() as patch, listening(0) as door, private():
        asked = watch_network(patch)
        server = make_server(model, about(read_checkpoint(checkpoint)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/"
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert set(asked) <= {"127.0.0.1", "localhost", None}


def watch_network(patch) -> list[str | None]:
    """The hosts that this process looks up or connects to, as it does."""
    asked: list[str | None] = []
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def looked_up(host, *others, **more):
        asked.append(host)
        return look_up(host, *others, **more)

    def connected(self, where):
        asked.append(where[0] if isinstance(where, tuple) else None)
        return connect(self, where)

    patch.setattr(socket, "getaddrinfo", looked_up)
    patch.setattr(socket.socket, "connect", connected)
    return asked


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-gpu", *FAKE_MICROPHONE]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Open the demo; nothing may be complained of on the console, or asked of a network, by the test's end."""
    contexts, complaints, requests = [], [], []

    def open_page(**options):
        contexts.append(browser.new_context(permissions=["microphone"], **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert not [url for url in requests if not url.startswith((address, "data:", "blob:" + address))]


def recording(path, seconds, *, loudness=0.1):
    samples = loudness * np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ))
    soundfile.write(path, samples, RATE_HZ)
    return path


def give(page, path):
    page.locator("#file input[type=file]").set_input_files(path)


def shares_on(page) -> dict[str, float]:
    bars = page.locator("#answer .bars li")
    bars.first.wait_for()
    return {bar.get_attribute("data-label"): float(bar.get_attribute("data-probability")) for bar in bars.all()}


def test_a_file_is_answered_with_the_models_numbers_a_picture_and_its_sound(visit, model, tmp_path):
    page = visit()
    path = recording(tmp_path / "a voice.wav", 1.5)
    give(page, path)
    expected = model.predict_file(path)
    assert shares_on(page) == pytest.approx(dict(expected.probabilities), abs=1e-6)
    assert page.locator("#answer .predicted").inner_text() == f"{expected.label} {expected.confidence:.1%}"
    pictures = page.locator("#picture img:visible")
    assert pictures.count() == 1 and expected.label in pictures.get_attribute("alt")
    assert pictures.evaluate("img => img.decode().then(() => img.naturalWidth)") == 1176
    page.wait_for_function("document.querySelector('#player audio')?.duration > 0")
    assert page.evaluate("document.querySelector('#player audio').duration") == pytest.approx(1.5, abs=0.01)
    assert "CREMA-D" in page.locator(".head").first.inner_text()


@pytest.mark.slow
def test_what_cannot_be_heard_is_said_and_clears_what_was_there(visit, tmp_path):
    page = visit()
    give(page, recording(tmp_path / "good.wav", 1))
    assert shares_on(page)
    broken = tmp_path / "broken.wav"
    broken.write_bytes((tmp_path / "good.wav").read_bytes()[:9_000])
    page.locator("#file").get_by_label("Clear").click()
    page.locator("#answer .hint").wait_for()
    assert page.locator("#picture img:visible, #player:visible").count() == 0
    give(page, broken)
    page.locator("#answer .complaint").wait_for()
    assert page.locator("#answer .complaint").inner_text().startswith("broken.wav is truncated")
    assert "Traceback" not in page.content() and page.locator("#picture img:visible, #player:visible").count() == 0

    page.locator("#file").get_by_label("Clear").click()
    page.locator("#answer .hint").wait_for()
    give(page, recording(tmp_path / "silence.wav", 1, loudness=0))
    page.locator("#picture img:visible").wait_for()
    assert page.locator("#answer .predicted").inner_text() == "silent"
    assert page.locator("#answer .bars").count() == 0


@pytest.mark.slow
def test_windows_of_a_long_recording_are_the_users(visit, model, tmp_path):
    page = visit()
    path = recording(tmp_path / "long.wav", 20)
    give(page, path)
    assert shares_on(page) == pytest.approx(dict(model.predict_file(path).probabilities), abs=1e-6)
    page.get_by_role("button", name="Long recordings").click()
    window = page.get_by_label("number input for window, s")
    window.fill("8")
    window.blur()
    expected = model.predict_file(path, windows=Windows(window_s=8, hop_s=2))
    page.get_by_text(f"The mean over {len(expected.segments)} segments").wait_for()
    assert shares_on(page) == pytest.approx(dict(expected.probabilities), abs=1e-6)
    window.fill("1")
    window.blur()
    page.get_by_text("windows of 1 s every 2 s").wait_for()


@pytest.mark.slow
def test_nobody_waits_for_an_hour_that_was_given_by_mistake(visit, model, tmp_path):
    hour, short = tmp_path / "hour.flac", recording(tmp_path / "short.wav", 1)
    soundfile.write(hour, np.zeros(3_600 * 16_000, np.int16), 16_000)
    page = visit()
    give(page, hour)
    page.get_by_text("listening").wait_for()
    page.locator("#file").get_by_label("Clear").click()
    page.locator("#answer .hint").wait_for()
    give(page, short)
    assert shares_on(page) == pytest.approx(dict(model.predict_file(short).probabilities), abs=1e-6)
    page.wait_for_timeout(20_000)  # what was given up does not come after all
    assert page.locator("#answer .bars").count() == 1


@pytest.mark.slow
def test_a_voice_can_be_recorded(visit):
    page = visit()
    page.get_by_role("tab", name="Microphone").click()
    page.get_by_role("button", name="Record").first.click()
    page.wait_for_timeout(2_000)
    page.get_by_role("button", name="Stop").first.click()
    assert sum(shares_on(page).values()) == pytest.approx(1, abs=1e-5)
    page.wait_for_function("document.querySelector('#player audio')?.duration > 1")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_answer_above_the_notes_in_its_own_colours(visit, tmp_path, scheme):
    page = visit(viewport={"width": 360, "height": 780}, color_scheme=scheme)
    give(page, recording(tmp_path / "a.wav", 1))
    shown = page.locator("#picture img:visible")
    shown.wait_for()
    assert shown.get_attribute("class") == f"on-{scheme}" and shown.bounding_box()["width"] > 300
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    tops = [page.locator(name).bounding_box()["y"] for name in ("#given", "#answered", "#notes")]
    assert tops == sorted(tops)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 28)"}[scheme]
