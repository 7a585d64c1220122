"""What the demo answers to requests that its page does not make: every way tried to reach what is not one's own."""

import gc
import json
import os
import secrets
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import make_clip

from ser_lightning.demo import limits

pytest.importorskip("gradio", reason="needs the extra demo")
httpx = pytest.importorskip("httpx")
API = "/gradio_api"
PATIENCE_S = 60


class Page:
    """The page as a browser has it open: its own cookies, its name, a connection that stays."""

    def __init__(self, client: "httpx.Client"):
        self.client = client
        self.name = secrets.token_hex(6)

    @contextmanager
    def open(self):
        with self.client.stream("GET", f"{API}/heartbeat/{self.name}") as heartbeat:
            beats = heartbeat.iter_raw()
            next(beats)
            yield self

    def upload(self, path: Path, name: str | None = None):
        return self.client.post(f"{API}/upload", files={"files": (name or path.name, path.read_bytes())})

    def ask(self, path: object, window_s: object = 4, **more):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}} if path is not None else None
        body = {"data": [file, window_s, 2], "fn_index": 1, "trigger_id": 6, "session_hash": self.name}
        return self.client.post(f"{API}/queue/join", json={**body, **more})

    def answer(self) -> str:
        with self.client.stream("GET", f"{API}/queue/data", params={"session_hash": self.name}) as lines:
            return next(line for line in lines.iter_lines() if '"process_completed"' in line)


@pytest.fixture(scope="module")
def demo(model, checkpoint):
    """A demo that runs: its address and the folder of all uploads."""
    from ser_lightning.demo.about import about
    from ser_lightning.demo.server import listening, make_server, private
    from ser_lightning.inference.checkpoint import read_checkpoint

    with listening(0) as door, private():
        server = make_server(model, about(read_checkpoint(checkpoint)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}", Path(os.environ["GRADIO_TEMP_DIR"])
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()


@pytest.fixture
def browser(demo):
    """Start a browser, with no page open yet."""
    clients = []

    def start():
        client = httpx.Client(base_url=demo[0], timeout=PATIENCE_S, trust_env=False)
        clients.append(client)
        assert client.get("/").status_code == 200
        return client

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def page(browser):
    with Page(browser()).open() as page:
        yield page


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "1001_DFA_ANG_XX.wav"
    make_clip(path, seed=0, seconds=1)
    return path


def wait_until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def sessions_in(folder: Path) -> list[Path]:
    return list(folder.glob("session_*"))


def test_an_upload_is_answered_in_few_bytes_and_gone_with_the_page(browser, demo, clip):
    wait_until(lambda: not sessions_in(demo[1]))
    with Page(browser()).open() as page:
        path = page.upload(clip).raise_for_status().json()[0]
        assert page.client.get(f"{API}/file={path}").content == clip.read_bytes()
        for _ in range(2):
            page.ask(path).raise_for_status()
            answer = page.answer()
            assert "data-probability" in answer and len(answer) < 20_000  # it stays in memory for some time
        kept = [file for file in Path(path).parent.rglob("*") if file.is_file()]
        assert sorted(file.name for file in kept) == [clip.name, clip.name, "dark.png", "light.png"]
        for file in kept:
            assert page.client.get(f"{API}/file={file}").content == file.read_bytes()
    wait_until(lambda: not sessions_in(demo[1]))
    assert not [file for file in demo[1].rglob("*") if file.is_file()]
    assert page.client.get(f"{API}/file={path}").status_code == 403
    assert page.ask(path).status_code == page.upload(clip).status_code == 403


def test_pictures_do_not_stay_in_memory(page, clip):
    from matplotlib.figure import Figure

    path = page.upload(clip).json()[0]
    gc.collect()
    gc.disable()
    try:
        page.ask(path).raise_for_status()
        assert "data-probability" in page.answer()
        assert not [figure for figure in gc.get_objects() if isinstance(figure, Figure)]
    finally:
        gc.enable()


def test_a_path_in_a_request_is_that_of_an_upload_or_refused(page, browser, demo, clip, tmp_path):
    own = Path(page.upload(clip).json()[0])
    with Page(browser()).open() as other:
        others = other.upload(clip).json()[0]
        link, circle = own.with_name("link.wav"), own.with_name("circle.wav")
        link.symlink_to(clip)
        circle.symlink_to(circle)
        own.with_name("folder").symlink_to(tmp_path)
        os.mkfifo(own.with_name("pipe.wav"))
        shared = {file for file in demo[1].rglob("*") if file.is_file()}
        paths = [
            *(clip, "/etc/passwd", "/dev/zero", "/dev/stdin", "/proc/self/environ", link, circle),
            *(own.with_name("pipe.wav"), own.parent, own.parent.parent, demo[1], "", ".", "..", "\0", "x" * 5_000),
            *(own.with_name("folder") / clip.name, f"{own.parent}/../../../../../../etc/passwd"),
            *(f"{own.parent}/folder/../{clip.name}", f"file://{clip}", f"file://{own}", f"{demo[0]}/config"),
            *("http://127.0.0.1:1/x.wav", "https://huggingface.co/x.wav", "//huggingface.co/x.wav", "data:,x"),
            *(others, Path(others).parent / ".." / own.parent.name / own.name, own.parent.parent.name, "~"),
        ]
        for path in map(str, paths):
            began = time.monotonic()
            assert page.ask(path).status_code == 403, path
            url = f"{API}/file={quote(path, safe='')}"
            assert page.client.get(url).status_code == page.client.head(url).status_code == 403, path
            assert time.monotonic() - began < 5, path
        assert {file for file in demo[1].rglob("*") if file.is_file()} == shared
    assert page.ask(str(own)).status_code == 200 and "data-probability" in page.answer()


@pytest.mark.parametrize(
    "change",
    [
        {"data": []},
        {"data": [None, 4, 2, 1]},
        {"data": [[{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}], 4, 2]},
        {"data": [{"path": {"path": "/etc/passwd"}}, 4, 2]},
        {"data": ["/etc/passwd", 4, 2]},
        {"data": [None, {"path": "/dev/zero", "meta": {"_type": "gradio.FileData"}}, 2]},
        {"data": [None, "NaN", 2]},
        {"data": [None, 1e400, 2]},
        {"session_hash": None},
        {"session_hash": "of somebody else"},
        {"fn_index": "x"},
        {"fn_index": [0]},
    ],
    ids=str,
)
def test_a_question_that_the_page_does_not_ask_is_refused(page, change):
    body = {"data": [None, 4, 2], "fn_index": 1, "trigger_id": 6, "session_hash": page.name, **change}
    assert page.client.post(f"{API}/queue/join", content=json.dumps(body)).status_code in (400, 403)


@pytest.mark.parametrize("content", [b"", b"[" * 60_000, b"\xff", b"{}", b"1", b" " * 70_000 + b"1"])
def test_a_question_that_is_no_question_is_refused(page, content):
    assert page.client.post(f"{API}/queue/join", content=content).status_code in (400, 413)


def test_files_elsewhere_in_a_question_do_not_reach_gradio(page, demo, clip):
    hidden = {"path": str(clip), "meta": {"_type": "gradio.FileData"}}
    page.ask(None, event_data=hidden, event_id=hidden, batched=True, simple_format=True).raise_for_status()
    page.answer()
    path = page.upload(clip).json()[0]
    file = {"path": path, "url": "http://127.0.0.1:1/", "is_stream": True, "meta": {"_type": "gradio.FileData"}}
    page.ask(None, data=[file, 4, 2]).raise_for_status()
    assert "data-probability" in page.answer()


@pytest.mark.parametrize("window_s", [0, 1e-9, -4, 1e9])
def test_windows_that_the_page_does_not_offer_are_a_complaint(page, clip, window_s, capfd):
    page.ask(page.upload(clip).json()[0], window_s).raise_for_status()
    assert "windows of 1 to 20 s are possible" in page.answer()
    assert "Traceback" not in capfd.readouterr().err


def test_what_gradio_could_answer_and_the_page_does_not_need_is_not_there(page):
    """Every path that Gradio knows, by its methods: some read files, open addresses, or run ffmpeg."""
    import gradio as gr

    with gr.Blocks() as blocks:
        gr.Markdown("")
    needed = ("/theme.css", "/favicon.ico", "/manifest.json", "/assets/", "/static/", f"{API}/heartbeat")
    asked = 0
    for pattern, methods in gr.routes.App.create_app(blocks).openapi()["paths"].items():
        path = pattern.translate({ord("{"): None, ord("}"): None})
        if path == "/" or path.startswith((*needed, f"{API}/upload_progress")):
            continue
        for method in (*methods, "OPTIONS"):
            answered = page.client.request(method, path, params={"session_hash": "x"})
            assert answered.status_code in (400, 403, 404), (method, path)
            asked += 1
    assert asked > 100
    for path in (
        "/static/../config",
        "/static/..%2f..%2f..%2froutes.py",
        "/assets/%2fetc%2fpasswd",
        "//etc/passwd",
    ):
        assert page.client.get(path).status_code in (400, 403, 404), path
    for path in ("/proxy=http://127.0.0.1:1/", "/file=http://127.0.0.1:1/", "/stream/a/b/1/playlist-file"):
        assert page.client.get(API + path).status_code in (403, 404), path
    assert b"deep_link_state" in page.client.get("/", params={"deep_link": "../../etc", "page": "x"}).content


@pytest.mark.parametrize("known_length", [True, False])
def test_too_large_a_file_is_refused_and_not_kept(page, demo, monkeypatch, known_length):
    monkeypatch.setattr(limits, "RECORDING_BYTES", 100_000)
    before = list(demo[1].rglob("*"))
    content = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b"0" * 5_000_000
    pieces = content if known_length else (content[first : first + 9_999] for first in range(0, 5_000_000, 9_999))
    try:
        response = page.client.post(
            f"{API}/upload", content=pieces, headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
    except httpx.WriteError:  # it is closed in the middle
        pass
    else:
        assert response.status_code == 413 and "more than 200 MB" in response.text
    assert list(demo[1].rglob("*")) == before


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"nonsense"),
        ({"Content-Type": "multipart/form-data"}, b"--x"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"files=/etc/passwd"),
        ({}, b""),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n/etc/passwd\r\n--x--\r\n',
        ),
    ],
)
def test_an_upload_that_is_none_is_refused(page, headers, content):
    assert page.client.post(f"{API}/upload", content=content, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "name", ["../../x.wav", "..", "...", "/etc/x", "a\0b", "é\udcff.wav", "x" * 400, ".", "$(id)"]
)
def test_an_upload_lies_in_its_folder_whatever_it_is_called(page, clip, name):
    name = name.encode("utf-8", "surrogateescape").decode("latin-1")
    answered = page.upload(clip, name)
    if answered.status_code == 200:
        path = Path(answered.json()[0])
        assert path.read_bytes() == clip.read_bytes() and path.parent.parent.name.startswith("session_")
        assert page.client.get(f"{API}/file={quote(str(path))}").status_code == 200
    else:
        assert answered.status_code == 400


def test_too_long_a_recording_is_a_complaint_that_says_how_long_it_may_be(page, clip, monkeypatch):
    monkeypatch.setattr(limits, "RECORDING_S", 0.5)
    page.ask(page.upload(clip).json()[0]).raise_for_status()
    assert "is longer than 60 minutes" in page.answer()


def test_more_uploads_and_questions_than_it_takes_are_turned_away(browser, page, clip, monkeypatch):
    monkeypatch.setattr(limits, "UPLOADS_AT_ONCE", 0)
    assert page.upload(clip).status_code == 503
    monkeypatch.undo()
    go_on = threading.Event()
    monkeypatch.setattr("ser_lightning.demo.page._shown", lambda *_: go_on.wait(PATIENCE_S) or pytest.fail("late"))
    path = page.upload(clip).json()[0]
    codes = []
    for _ in range(limits.ANSWERS_AT_ONCE + limits.WAITING_ANSWERS + 3):
        codes.append(page.ask(path).status_code)
        time.sleep(0.1)
    go_on.set()
    accepted = limits.ANSWERS_AT_ONCE + limits.WAITING_ANSWERS
    assert codes == [200] * accepted + [503] * 3


def test_the_oldest_uploads_go_where_all_take_too_much_room(page, clip, monkeypatch):
    paths = [Path(page.upload(clip).json()[0]) for _ in range(3)]
    for age, path in enumerate(reversed(paths)):
        os.utime(path.parent, (1_000_000_000 - age, 1_000_000_000 - age))
    monkeypatch.setattr(limits, "KEPT_BYTES", int(2.5 * clip.stat().st_size))
    newest = Path(page.upload(clip).json()[0])
    assert [path.exists() for path in (*paths, newest)] == [False, False, True, True]
    assert page.ask(str(paths[0])).status_code == 403


def test_a_page_that_closes_before_its_answer_leaves_nothing(browser, demo, clip, monkeypatch, capfd):
    from ser_lightning.demo import page as module

    wait_until(lambda: not sessions_in(demo[1]))
    show, asked, go_on = module.show, threading.Event(), threading.Event()

    def late(*args, **more):
        asked.set()
        go_on.wait(PATIENCE_S)
        return show(*args, **more)

    monkeypatch.setattr(module, "show", late)
    with Page(browser()).open() as page:
        page.ask(page.upload(clip).json()[0]).raise_for_status()
        assert asked.wait(PATIENCE_S)
    wait_until(lambda: not sessions_in(demo[1]))
    go_on.set()
    time.sleep(0.5)
    assert not sessions_in(demo[1]) and "Traceback" not in capfd.readouterr().err


def test_one_browser_has_several_pages_and_its_files_stay_until_the_last(browser, demo, clip):
    client = browser()
    with Page(client).open() as first:
        with Page(client).open() as second:
            path = first.upload(clip).json()[0]
        wait_until(lambda: second.ask(None).status_code == 403)
        first.ask(path).raise_for_status()
        assert "data-probability" in first.answer()
    wait_until(lambda: not Path(path).exists())


def test_a_folder_that_is_being_written_to_is_deleted(tmp_path):
    """As a page closes while its answer is made: whoever writes there finds no folder any more."""
    from ser_lightning.demo.sessions import Session

    for number in range(20):
        folder = tmp_path / f"session_{number}"
        folder.mkdir()
        began, failed = threading.Event(), threading.Event()

        def write(folder=folder, began=began, failed=failed):
            for name in range(1_000_000):
                try:
                    (folder / str(name)).mkdir()
                except FileNotFoundError:
                    return failed.set()
                began.set()

        writer = threading.Thread(target=write)
        writer.start()
        began.wait()
        Session(folder).end()
        writer.join()
        assert failed.is_set() and not list(tmp_path.iterdir())
