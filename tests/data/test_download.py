"""Downloading from servers that misbehave: what arrives is right and whole, or it is not there.

Every transfer here is a real one, from a server on the loopback interface.
"""

import hashlib
import io
import json
import logging
import os
import stat
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.corpora.corpus import RemoteFile
from ser_lightning.data.download import Patience, default_folder, download, lfs
from ser_lightning.data.download import archive as archives
from ser_lightning.data.download import fetch as fetching
from ser_lightning.utils.errors import UserError

HASTE = Patience(attempts=4, backoff_s=0.002, longest_wait_s=2.0, connect_timeout_s=2.0, read_timeout_s=0.3)
AUDIO = bytes(range(256)) * 2000  # 512,000 bytes
BLOCK = 1 << 14  # what the server sends, and the client writes, at a time


def page(content, *, ranges=True, status=200, tag='"v1"', **headers):
    """A well-behaved answer with ``content``, or its part where one is asked for."""

    def answer(request):
        asked = request.headers.get("Range", "")
        same_version = request.headers.get("If-Range", tag) == tag
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and ranges and same_version else 0
        if start >= len(content) > 0:
            return request.send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        return request.send(206 if start else status, content[start:], {"ETag": tag, **span, **headers})

    return answer


def cut_after(n_bytes, content, **how):
    """Promises everything and closes the connection after ``n_bytes`` of the body."""
    return lambda request: page(content, **how)(replaced_sender(request, n_bytes))


def replaced_sender(request, n_bytes):
    request.cut_after = n_bytes
    return request


def plain_status(status, **headers):
    return lambda request: request.send(status, b"no", headers)


def hang(request):
    time.sleep(0.6)


def stall(request):
    """Falls silent in the middle of the body."""
    request.send(200, AUDIO[: 4 * BLOCK], {"Content-Length": len(AUDIO)})
    hang(request)
    request.close_connection = True


def of_unknown_length(answer):
    def without(request):
        request.omit = "Content-Length"
        answer(request)
        request.close_connection = True

    return without


class Web:
    """A server whose addresses are given as lists of answers; the last one is repeated."""

    def __init__(self):
        web = self

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            cut_after = None
            omit = ""
            throttle_s = 0.0

            def do_GET(self):
                with web.lock:
                    answers = web.answers.get(self.path, [plain_status(404)])
                    answer = answers.pop(0) if len(answers) > 1 else answers[0]
                    web.asked[self.path] += 1
                    web.ranges.append(self.headers.get("Range"))
                    web.at_once += 1
                    web.most_at_once = max(web.most_at_once, web.at_once)
                try:
                    answer(self)
                finally:
                    web.at_once -= 1

            def do_POST(self):
                self.body = self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def send(self, status, content, headers=None):
                self.send_response(status)
                for name, value in {"Content-Length": len(content), **(headers or {})}.items():
                    if name != self.omit:
                        self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                shown = content if self.cut_after is None else content[: self.cut_after]
                for start in range(0, len(shown), 1 << 14):
                    web.n_sent += len(shown[start : start + (1 << 14)])  # before the client can be through
                    self.wfile.write(shown[start : start + (1 << 14)])
                    time.sleep(self.throttle_s)
                self.close_connection = len(shown) < len(content)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass  # a client that hangs up is what the tests are about

        self.lock = threading.Lock()
        self.answers, self.asked, self.ranges = {}, Counter(), []
        self.n_sent = self.at_once = self.most_at_once = 0
        self.server = Server(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def serve(self, path, *answers):
        """Returns: the address at which ``answers`` are given, one after another."""
        self.answers[path] = list(answers)
        return self.url + path

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    server = Web()
    yield server
    server.close()


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def audio_at(*urls, path="AudioWAV/a.wav", content=AUDIO, **fields):
    return RemoteFile(path=path, urls=urls, **{"size_bytes": len(content), "digest": sha256(content), **fields})


def corpus_of(*files):
    return replace(load_corpus("cremad"), remote=lambda: files)


def fetch(folder, *files, **options):
    return download(corpus_of(*files), folder, **{"patience": HASTE, "on_licence": lambda text: None, **options})


def reason(folder, *files):
    """Why ``files`` could not be had; whatever the reason, nothing is there that passes for them."""
    with pytest.raises(UserError) as caught:
        fetch(folder, *files)
    assert not any((folder / file.path).exists() for file in files)
    return str(caught.value)


def left_overs(folder):
    return sorted(path.name for path in folder.rglob(".*") if path.name != ".download.lock")


def test_a_file_arrives_whole_and_is_not_fetched_twice(web, tmp_path):
    file = audio_at(web.serve("/a", page(AUDIO)))
    assert fetch(tmp_path / "new" / "folder", file) == tmp_path / "new" / "folder"
    path = tmp_path / "new" / "folder" / "AudioWAV" / "a.wav"
    assert path.read_bytes() == AUDIO
    fetch(tmp_path / "new" / "folder", file)
    assert web.asked == {"/a": 1}
    assert left_overs(tmp_path) == []


def test_the_licence_comes_before_the_first_byte_and_may_be_refused(web, tmp_path):
    file = audio_at(web.serve("/a", page(AUDIO)))
    texts = []

    def refuse(text):
        texts.append(text)
        raise UserError("not accepted")

    with pytest.raises(UserError, match="not accepted"):
        fetch(tmp_path, file, on_licence=refuse)
    assert "Open Database License" in texts[0] and not web.asked
    fetch(tmp_path, file)
    fetch(tmp_path, file, on_licence=refuse)  # nothing to fetch: nothing to ask
    assert len(texts) == 1


def test_several_files_come_at_once(web, tmp_path):
    def slow(request):
        time.sleep(0.05)
        page(AUDIO)(request)

    files = [audio_at(web.serve(f"/{n}", slow), path=f"{n}.wav") for n in range(12)]
    fetch(tmp_path, *files, jobs=4)
    assert web.most_at_once == 4
    assert all((tmp_path / file.path).read_bytes() == AUDIO for file in files)


@pytest.mark.parametrize(
    "first",
    [
        plain_status(404),
        plain_status(403),
        page(AUDIO[::-1]),
        page(AUDIO[:-1]),
        page(AUDIO + b"more"),
        page(AUDIO * 2),
        page(b""),
        page(b"<html>sign in</html>"),
    ],
    ids="missing forbidden other short long much_longer empty html".split(),
)
def test_what_a_mirror_does_not_give_the_next_one_does(web, tmp_path, first):
    fetch(tmp_path, audio_at(web.serve("/first", first), web.serve("/second", page(AUDIO))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.asked == {"/first": 1, "/second": 1}
    assert left_overs(tmp_path) == []


@pytest.mark.parametrize(
    "trouble",
    [
        plain_status(500),
        plain_status(503),
        plain_status(408),
        cut_after(0, AUDIO),
        cut_after(4 * BLOCK, AUDIO),
        of_unknown_length(cut_after(4 * BLOCK, AUDIO)),
        hang,
        stall,
    ],
    ids="error unavailable timeout nothing cut_off cut_off_unnoticed hanging stalling".split(),
)
def test_what_may_pass_is_tried_again(web, tmp_path, trouble):
    fetch(tmp_path, audio_at(web.serve("/a", trouble, trouble, page(AUDIO))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.asked == {"/a": 3}


def test_a_body_of_unknown_length_that_is_moved_elsewhere(web, tmp_path):
    half_a_file(tmp_path)
    moved = plain_status(302, Location=web.serve("/b", of_unknown_length(page(AUDIO))))
    fetch(tmp_path, audio_at(web.serve("/a", moved), size_bytes=None))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.ranges == ["bytes=200000-"] * 2


def test_an_address_is_not_tried_for_ever(web, tmp_path):
    said = reason(tmp_path, audio_at(web.serve("/a", plain_status(500))))
    assert "answers 500" in said and "4 times" in said
    assert web.asked == {"/a": HASTE.attempts}


def test_headway_is_no_failure(web, tmp_path):
    content = AUDIO * 24  # 12 MB, of which the server gives 1.3 MB at a time
    fetch(tmp_path, audio_at(web.serve("/a", cut_after(80 * BLOCK, content)), content=content))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == content
    assert web.asked["/a"] > HASTE.attempts
    assert web.n_sent == len(content)


def test_a_server_that_starts_over_each_time_is_given_up(web, tmp_path):
    content = AUDIO * 6
    said = reason(tmp_path, audio_at(web.serve("/a", cut_after(2_000_000, content, ranges=False)), content=content))
    assert "breaks off" in said
    assert web.asked["/a"] <= HASTE.attempts + 1


def test_a_server_says_when_to_come_back(web, tmp_path):
    file = audio_at(web.serve("/a", plain_status(429, Retry_After=1), page(AUDIO)))
    begin_s = time.monotonic()
    fetch(tmp_path, file)
    assert 1.0 <= time.monotonic() - begin_s < 2.0


def test_a_server_that_asks_for_an_hour_is_left_for_the_next(web, tmp_path):
    busy = web.serve("/busy", plain_status(429, Retry_After=3600))
    fetch(tmp_path, audio_at(busy, web.serve("/b", page(AUDIO))))
    assert web.asked == {"/busy": 1, "/b": 1}
    said = reason(tmp_path / "other", audio_at(busy))
    assert "asks to wait 3600 s" in said


def test_no_server_at_all(web, tmp_path):
    url = web.url + "/a"
    web.server.server_close()
    assert "gives no connection" in reason(tmp_path, audio_at(url))


def test_without_a_network_one_line_says_so_within_seconds(tmp_path, caplog):
    files = [audio_at("https://one.invalid/a", "https://two.invalid/a", path=f"{n}.wav") for n in range(50)]
    begin_s = time.monotonic()
    with caplog.at_level(logging.WARNING), pytest.raises(UserError) as caught:
        download(replace(load_corpus("cremad"), remote=lambda: tuple(files)), tmp_path)  # with the usual patience
    assert time.monotonic() - begin_s < 6
    (line,) = str(caught.value).splitlines()
    assert "cannot be downloaded: one.invalid, two.invalid cannot be reached (" in line
    assert "in a row" not in caplog.text


def test_a_network_that_goes_away_in_between_is_waited_for(web, tmp_path, monkeypatch):
    fails = iter([True, True, True])
    get = requests.Session.get

    def sometimes(self, url, **options):
        if url.endswith("/b") and next(fails, False):
            url = "http://one.invalid/b"
        return get(self, url, **options)

    monkeypatch.setattr(requests.Session, "get", sometimes)
    files = [audio_at(web.serve(f"/{name}", page(AUDIO)), path=f"{name}.wav") for name in "ab"]
    fetch(tmp_path, *files, jobs=1)
    assert all((tmp_path / file.path).read_bytes() == AUDIO for file in files)


def half_a_file(folder, content=AUDIO, n_bytes=200_000):
    part = folder / "AudioWAV" / ".a.wav.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content[:n_bytes])


def test_it_goes_on_where_it_was(web, tmp_path):
    half_a_file(tmp_path)
    fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.ranges == ["bytes=200000-"] and web.n_sent == len(AUDIO) - 200_000


def test_another_mirror_goes_on_with_what_the_first_began(web, tmp_path):
    first = web.serve("/first", cut_after(18 * BLOCK, AUDIO), plain_status(404))
    fetch(tmp_path, audio_at(first, web.serve("/second", page(AUDIO, tag='"other"'))))
    assert web.n_sent == len(AUDIO) + len(b"no")


def test_a_server_without_ranges_starts_afresh(web, tmp_path):
    half_a_file(tmp_path, content=AUDIO[::-1])
    fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO, ranges=False))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.asked == {"/a": 1}


def test_half_a_file_of_something_else_is_found_out(web, tmp_path):
    half_a_file(tmp_path, content=AUDIO[::-1])
    fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.ranges == ["bytes=200000-", None]


@pytest.mark.parametrize("size_bytes", [len(AUDIO), None])
def test_a_part_that_is_whole_already(web, tmp_path, size_bytes):
    half_a_file(tmp_path, n_bytes=len(AUDIO))
    fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO)), size_bytes=size_bytes))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.n_sent == 0 and len(web.ranges) == (0 if size_bytes else 1)


def test_a_part_that_is_too_long(web, tmp_path):
    half_a_file(tmp_path, content=AUDIO * 2, n_bytes=len(AUDIO) + 5)
    fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO


def test_a_part_of_another_range_than_asked_is_refused(web, tmp_path):
    def elsewhere(request):
        span = f"bytes 100000-{len(AUDIO) - 1}/{len(AUDIO)}"
        request.send(206, AUDIO[100_000:], {"Content-Range": span})

    url = web.serve("/a", cut_after(4 * BLOCK, AUDIO), elsewhere, page(AUDIO))
    fetch(tmp_path, audio_at(url, size_bytes=None, digest=None))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO


def test_without_a_checksum_only_the_same_version_is_gone_on_with(web, tmp_path):
    new = AUDIO[::-1]
    answers = (cut_after(4 * BLOCK, AUDIO), page(new, tag='"v2"'))
    fetch(tmp_path, audio_at(web.serve("/a", *answers), content=new, size_bytes=None, digest=None))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == new
    assert web.ranges == [None, "bytes=65536-"]
    assert left_overs(tmp_path) == []


@pytest.mark.parametrize(("tag", "expected"), [('"v1"', "bytes=65536-"), ('W/"v1"', None)])
def test_without_a_checksum_a_range_needs_a_name_of_the_version(web, tmp_path, tag, expected):
    answers = (cut_after(4 * BLOCK, AUDIO, tag=tag), page(AUDIO, tag=tag))
    fetch(tmp_path, audio_at(web.serve("/a", *answers), size_bytes=None, digest=None))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.ranges == [None, expected]


def test_without_a_checksum_no_strange_part_is_taken(web, tmp_path):
    half_a_file(tmp_path, content=AUDIO[::-1])
    fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO)), size_bytes=None, digest=None))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO


def test_a_compressed_answer_is_not_asked_for(web, tmp_path):
    def answer(request):
        assert request.headers["Accept-Encoding"] == "identity"
        page(AUDIO)(request)

    fetch(tmp_path, audio_at(web.serve("/a", answer)))


@pytest.mark.parametrize("digest", [sha256(AUDIO)[: 7 + 32], "md5:" + hashlib.md5(AUDIO).hexdigest()])
def test_shortened_checksums_and_md5(web, tmp_path, digest):
    fetch(tmp_path / "a", audio_at(web.serve("/a", page(AUDIO)), digest=digest, size_bytes=None))
    wrong = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    assert "wrong checksum" in reason(tmp_path / "b", audio_at(web.url + "/a", digest=wrong))


@pytest.mark.parametrize("there", [b"", AUDIO[:-5], AUDIO[::-1]], ids="empty short other".split())
def test_a_wrong_file_that_is_there_is_replaced_and_that_is_said(web, tmp_path, caplog, there):
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "AudioWAV" / "a.wav").write_bytes(there)
    with caplog.at_level(logging.WARNING):
        fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert "1 files in" in caplog.text and "AudioWAV/a.wav" in caplog.text


def test_a_wrong_file_stays_where_nothing_better_can_be_had(web, tmp_path):
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "AudioWAV" / "a.wav").write_bytes(b"mine")
    with pytest.raises(UserError):
        fetch(tmp_path, audio_at(web.serve("/a", plain_status(404))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == b"mine"


def pointer_to(content):
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n".encode()


def test_a_pointer_sends_to_the_next_mirror(web, tmp_path):
    first = web.serve("/first", page(pointer_to(AUDIO)))
    fetch(tmp_path, audio_at(first, web.serve("/second", page(AUDIO))))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert "Git LFS pointer" in reason(tmp_path / "other", audio_at(first))


def test_a_pointer_in_the_folder_is_replaced(web, tmp_path):
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "AudioWAV" / "a.wav").write_bytes(pointer_to(AUDIO))
    fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO)), size_bytes=None, digest=None))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO


def lfs_host(web, *, answer=None, content=AUDIO):
    """A repository that serves pointers, and what they point to only to those who ask rightly."""

    def batch(request):
        asked = json.loads(request.body)
        assert asked["operation"] == "download" and request.headers["Accept"] == lfs.MEDIA_TYPE
        assert asked["objects"] == [{"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}]
        action = {"href": web.url + "/store", "header": {"X-Ticket": "7"}}
        reply = {"objects": [{"actions": {"download": action}}]} if answer is None else answer
        request.send(200, json.dumps(reply).encode())

    def store(request):
        (page(content) if request.headers["X-Ticket"] == "7" else plain_status(403))(request)

    web.serve("/group/lab/corpus.git/info/lfs/objects/batch", plain_status(503), batch)
    web.serve("/store", cut_after(6 * BLOCK, content), lambda request: store(request))
    return web.serve("/group/lab/corpus/-/raw/master/a.wav", page(pointer_to(content)))


@pytest.mark.parametrize("digest", [sha256(AUDIO), None])
def test_a_pointer_is_followed_where_the_host_is_known(web, tmp_path, digest):
    fetch(tmp_path, audio_at(lfs_host(web), digest=digest))
    assert (tmp_path / "AudioWAV" / "a.wav").read_bytes() == AUDIO
    assert web.asked["/store"] == 2


def test_a_pointer_to_something_else_is_not_followed(web, tmp_path):
    said = reason(tmp_path, audio_at(lfs_host(web, content=AUDIO[::-1])))
    assert "pointer to another file" in said and not web.asked["/store"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"objects": [{"error": {"code": 429, "message": "over its data quota"}}]}, "over its data quota"),
        ({"message": "surprise"}, "no understandable answer"),
        ([], "no understandable answer"),
    ],
)
def test_a_host_that_keeps_the_large_file(web, tmp_path, answer, expected):
    assert expected in reason(tmp_path, audio_at(lfs_host(web, answer=answer)))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://media.githubusercontent.com/media/o/r/master/a.wav", "https://github.com/o/r.git"),
        ("https://raw.githubusercontent.com/o/r/master/a.wav", "https://github.com/o/r.git"),
        ("https://github.com/o/r/raw/master/a.wav", "https://github.com/o/r.git"),
        ("https://gitlab.com/a/b/c/-/raw/master/a.wav", "https://gitlab.com/a/b/c.git"),
    ],
)
def test_where_a_git_host_answers_for_its_large_files(url, expected):
    assert lfs.batch_address(url) == expected + "/info/lfs/objects/batch"


def test_any_other_host_has_no_such_address():
    assert lfs.batch_address("https://zenodo.org/records/1/files/a.zip") is None


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_what_is_a_pointer(tmp_path, newline):
    path = tmp_path / "a.wav"
    path.write_bytes(pointer_to(AUDIO).replace(b"\n", newline))
    assert lfs.read_pointer(path) == lfs.Pointer(sha256=sha256(AUDIO)[7:], size_bytes=len(AUDIO))
    path.write_bytes(pointer_to(AUDIO) + bytes(2000))
    assert lfs.read_pointer(path) is None


def test_what_could_not_be_had_is_listed_with_reasons_and_remedy(web, tmp_path):
    files = [audio_at(web.serve(f"/{n}", page(AUDIO)), path=f"{n:02d}.wav") for n in range(4)]
    lost = [audio_at(f"{web.url}/lost/{n}", web.url + "/lost", path=f"lost{n:02d}.wav") for n in range(25)]
    with pytest.raises(UserError) as caught:
        fetch(tmp_path, *files, *lost, jobs=1)
    lines = str(caught.value).splitlines()
    assert lines[0] == "25 of 29 files of CREMA-D not available:"
    assert lines[1].count("answers 404") == 2
    assert lines[1].startswith("  lost00.wav, lost01.wav, lost02.wav, lost03.wav, lost04.wav")
    assert "same command again" in lines[-2] and "Kaggle" in lines[-1] and str(tmp_path) in lines[-1]
    assert len(lines) <= 5
    assert all((tmp_path / file.path).read_bytes() == AUDIO for file in files)


def test_a_host_that_never_delivers_is_soon_left_alone(web, tmp_path, caplog):
    files = [audio_at(web.url + "/gone", path=f"{n}.wav") for n in range(50)]
    with caplog.at_level(logging.WARNING):
        said = reason(tmp_path, *files)
    assert web.asked["/gone"] < 20
    assert "failed too often before" in said and caplog.text.count("is left alone") == 1


def test_a_corpus_without_addresses_says_where_it_is(tmp_path):
    with pytest.raises(UserError, match="cannot be downloaded"):
        download(replace(load_corpus("cremad"), remote=None), tmp_path)


def test_a_folder_that_cannot_be_written(web, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be written"):
        fetch(tmp_path / "file" / "corpus", audio_at(web.serve("/a", page(AUDIO))))


def test_a_full_disk_ends_it_all_at_once(web, tmp_path, monkeypatch):
    def full(content, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetching, "_settle", full)
    files = [audio_at(web.serve(f"/{n}", page(AUDIO)), path=f"{n}.wav") for n in range(40)]
    with pytest.raises(UserError, match="No space left"):
        fetch(tmp_path, *files, jobs=2)
    assert sum(web.asked.values()) < 20


def test_progress_is_a_few_lines(web, tmp_path, caplog):
    files = [audio_at(web.serve(f"/{n}", page(AUDIO)), path=f"{n}.wav") for n in range(10)]
    with caplog.at_level(logging.INFO, logger="ser_lightning"):
        fetch(tmp_path, *files)
    lines = [record.message for record in caplog.records if "downloading" in record.message]
    assert 3 <= len(lines) <= 5
    assert lines[-1].endswith("5.1 of 5.1 MB")


def test_the_terminal_gets_a_bar(web, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    fetch(tmp_path, audio_at(web.serve("/a", page(AUDIO)), size_bytes=None))
    assert "downloading CREMA-D, 1 of 1 file" in terminal.getvalue()


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    assert default_folder(load_corpus("cremad")) == tmp_path / "cremad"
    monkeypatch.delenv("SER_DATA")
    assert default_folder(load_corpus("ravdess")).parts[-2:] == ("corpora", "ravdess")


def test_ctrl_c_keeps_what_came(web, tmp_path, monkeypatch):
    def slow(request):
        request.throttle_s = 0.01
        page(AUDIO)(request)

    def interrupted(running):
        while not (part := tmp_path / ".0.wav.part").exists() or part.stat().st_size < 70_000:
            time.sleep(0.005)
        raise KeyboardInterrupt

    files = [audio_at(web.serve(f"/{n}", slow, page(AUDIO)), path=f"{n}.wav") for n in range(4)]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetching, "as_completed", interrupted)
        fetch(tmp_path, *files, jobs=2)
    assert not list(tmp_path.glob("*.wav")) and not web.asked["/2"]
    fetch(tmp_path, *files)
    assert all((tmp_path / file.path).read_bytes() == AUDIO for file in files)
    assert any(asked is not None for asked in web.ranges)


CHILD = """
    import sys
    from dataclasses import replace
    from pathlib import Path
    from ser_lightning.data.corpora import load_corpus
    from ser_lightning.data.corpora.corpus import RemoteFile
    from ser_lightning.data.download import download

    url, digest, size, folder = sys.argv[1:]
    file = RemoteFile(path="a.wav", urls=(url,), size_bytes=int(size), digest=digest)
    download(replace(load_corpus("cremad"), remote=lambda: (file,)), Path(folder))
"""


def child(url, folder):
    arguments = [url, sha256(AUDIO), str(len(AUDIO)), str(folder)]
    command = [sys.executable, "-c", textwrap.dedent(CHILD), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_a_killed_download_is_gone_on_with(web, tmp_path):
    def slow(request):
        request.throttle_s = 0.02
        page(AUDIO)(request)

    process = child(web.serve("/a", slow, page(AUDIO)), tmp_path)
    part = tmp_path / ".a.wav.part"
    while not part.exists() or part.stat().st_size < 100_000:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate()
    n_bytes = part.stat().st_size
    assert not (tmp_path / "a.wav").exists() and n_bytes < len(AUDIO)
    again = child(web.url + "/a", tmp_path)
    again.communicate()
    assert again.returncode == 0
    assert (tmp_path / "a.wav").read_bytes() == AUDIO
    assert web.ranges == [None, f"bytes={n_bytes}-"]


def test_two_processes_at_once_fetch_it_once(web, tmp_path):
    asked, released = threading.Event(), threading.Event()

    def hold(request):
        asked.set()
        released.wait(60)
        page(AUDIO)(request)

    first = child(web.serve("/a", hold), tmp_path)
    assert asked.wait(60)
    second = child(web.url + "/a", tmp_path)
    assert "another download" in second.stderr.readline()
    released.set()
    second.communicate()
    first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert web.asked == {"/a": 1}
    assert (tmp_path / "a.wav").read_bytes() == AUDIO


CLIPS = {"Actor_01/a.wav": AUDIO, "Actor_02/b.wav": b"RIFF"}


def zipped(files, *, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def zip_at(*urls, **fields):
    return RemoteFile(path="Speech", urls=urls, unpack=True, **fields)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_archive_is_unpacked_and_not_fetched_again(web, tmp_path):
    content = zipped({"Actor_01/": b"", **CLIPS})
    file = zip_at(web.serve("/z", page(content)), digest="md5:" + hashlib.md5(content).hexdigest())
    fetch(tmp_path, file)
    assert contents(tmp_path / "Speech") == CLIPS
    fetch(tmp_path, file)
    assert web.asked == {"/z": 1}
    assert left_overs(tmp_path) == [".Speech.unpacked"]


def test_a_clip_that_was_lost_is_unpacked_again_beside_what_else_is_there(web, tmp_path):
    file = zip_at(web.serve("/z", page(zipped(CLIPS))))
    fetch(tmp_path, file)
    (tmp_path / "Speech" / "Actor_01" / "a.wav").unlink()
    (tmp_path / "Speech" / "notes.txt").write_bytes(b"mine")
    fetch(tmp_path, file)
    assert contents(tmp_path / "Speech") == {**CLIPS, "notes.txt": b"mine"}


@pytest.mark.parametrize("top", ["Speech/", "set/Speech/"])
def test_only_the_folder_of_that_name_is_taken(web, tmp_path, top):
    inside = {top + name: content for name, content in CLIPS.items()}
    other = {"labels/a.lab": b"0", "__MACOSX/more/Speech/x": b"1", "readme": b""}
    fetch(tmp_path, zip_at(web.serve("/z", page(zipped({**other, **inside})))))
    assert contents(tmp_path / "Speech") == CLIPS


def test_an_archive_goes_on_where_it_was(web, tmp_path):
    content = zipped({"a.wav": os.urandom(300_000)})
    fetch(tmp_path, zip_at(web.serve("/z", cut_after(6 * BLOCK, content), page(content))))
    assert web.ranges == [None, "bytes=98304-"] and web.n_sent == len(content)


def member(name, *, mode=0, **fields):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def hostile(name, mode=0):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("fine.wav", b"fine")
        file.writestr(member(name, mode=mode), b"evil")
    return buffer.getvalue()


def damaged(content, what):
    """Flip a bit of the first member's data."""
    spot = content.index(what)
    return content[:spot] + bytes([content[spot] ^ 1]) + content[spot + 1 :]


def lying(declared_bytes, content=bytes(100_000)):
    """A member whose headers declare another size than it inflates to."""
    honest = zipped({"a.wav": content})
    true, false = len(content).to_bytes(4, "little"), declared_bytes.to_bytes(4, "little")
    assert honest.count(true) == 2  # once before the data, once in the directory
    return honest.replace(true, false)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (hostile("../evil.wav"), "outside"),
        (hostile("a/../../evil.wav"), "outside"),
        (hostile("..\\evil.wav"), "outside"),
        (hostile("/tmp/evil.wav"), "outside"),
        (hostile("C:/evil.wav"), "outside"),
        (hostile("C:evil.wav"), "outside"),
        (hostile("link", stat.S_IFLNK | 0o777), "link"),
        (hostile("pipe", stat.S_IFIFO | 0o777), "link or a device"),
        (hostile("FINE.wav"), "two things"),
        (hostile("fine.wav/evil"), "two things"),
        (lying(1000), "damaged"),
        (lying(200_000), "damaged"),
        (lying(0xFFFF_0000 // 4 * 3), "damaged"),
        (damaged(zipped({"a": b"RIFFRIFF"}, compression=zipfile.ZIP_STORED), b"RIFF"), "damaged"),
        (damaged(zipped({"a": b"RIFFRIFF"}), b"PK\x05\x06"), "damaged"),
        (zipped(CLIPS)[:-30], "damaged"),
        (b"<html>not found</html>", "damaged"),
        (zipped({}), "without files"),
    ],
)
def test_a_hostile_or_damaged_archive_leaves_nothing(web, tmp_path, content, expected):
    folder = tmp_path / "corpus"
    assert expected in reason(folder, zip_at(web.serve("/z", page(content))))
    assert left_overs(tmp_path) == [] and not list(tmp_path.rglob("*evil*"))
    good = web.serve("/good", page(zipped(CLIPS)))
    fetch(folder, zip_at(web.url + "/z", good))
    assert contents(folder / "Speech") == CLIPS


def test_an_archive_of_an_absurd_size_is_not_opened(monkeypatch, web, tmp_path):
    monkeypatch.setattr(archives, "_MOST_BYTES", 10**6)
    content = zipped({"a.wav": bytes(600_000), "b.wav": bytes(600_000)})
    assert "claims to hold more" in reason(tmp_path, zip_at(web.serve("/z", page(content))))


def test_an_encrypted_archive_is_refused(web, tmp_path):
    content = bytearray(zipped({"a.wav": b"RIFF"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in reason(tmp_path, zip_at(web.serve("/z", page(bytes(content)))))


def test_killed_while_unpacking(monkeypatch, web, tmp_path):
    file = zip_at(web.serve("/z", page(zipped(CLIPS))))

    def killed(*_):
        raise KeyboardInterrupt

    for step in ("_extract_one", "_move", "written_whole"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(archives, step, killed)
            fetch(tmp_path, file)
        assert not archives.is_unpacked(tmp_path / "Speech")
    fetch(tmp_path, file)
    assert contents(tmp_path / "Speech") == CLIPS
    assert web.n_sent == len(zipped(CLIPS))  # the archive came once
