"""How `ser demo` begins and ends: ports, missing packages, wrong paths, Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT
from made_checkpoint import make_checkpoint_of

from ser_lightning.cli import main
from ser_lightning.demo import server
from ser_lightning.demo.turns import Superseded, Turns
from ser_lightning.utils.errors import UserError


def ser_demo(*arguments):
    result = CliRunner().invoke(main, ["demo", *map(str, arguments)], prog_name="ser")
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_without_the_extra_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    code, out, err = ser_demo(tmp_path)
    assert (code, out) == (1, "") and "'.[demo]'" in err and err.count("\n") == 1


def test_a_wrong_path_fails_before_anything_is_served(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "find_spec", lambda name: True)
    monkeypatch.setattr(server, "listening", lambda port, host: pytest.fail("the port was opened"))
    code, out, err = ser_demo(tmp_path / "nothing.ckpt")
    assert (code, out) == (1, "") and "there is no checkpoint" in err and err.count("\n") == 1


def test_a_port_that_is_taken_is_named_and_otherwise_the_next_is_used(monkeypatch):
    with server.listening(0) as first:
        host, taken = first.getsockname()
        assert host == "127.0.0.1"
        with (
            pytest.raises(UserError, match=f"port {taken} cannot be used .*in use.*--port"),
            server.listening(taken),
        ):
            pass
        with server.listening(0) as free:
            number = free.getsockname()[1]
        monkeypatch.setattr(server, "_PORTS", (taken, number))
        with server.listening(None) as second:
            assert second.getsockname()[1] == number
            with pytest.raises(UserError, match=f"ports {taken} to {number}"), server.listening(None):
                pass


def test_recordings_and_settings_are_gone_at_the_end(monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with server.private():
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        (folder / "voice.wav").write_bytes(b"x")
    assert not folder.exists() and "GRADIO_TEMP_DIR" not in os.environ
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "True"


def test_only_the_newest_question_of_a_visitor_is_answered():
    turns = Turns()
    first, other = turns.take("me"), turns.take("you")
    first()
    second = turns.take("me")
    with pytest.raises(Superseded):
        first()
    second()
    other()
    turns.leave("me")
    with pytest.raises(Superseded):
        second()
    other()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_starts_with_a_line_and_ends_without_a_trace(tmp_path, cremad_root, number, status):
    pytest.importorskip("gradio")
    path = make_checkpoint_of(tmp_path / "best.ckpt", "data=cremad", f"data.root={cremad_root}", "logger=none")
    command = [sys.executable, "-m", "ser_lightning.cli", "demo", str(path), "--port", "0", "--no-browser"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    demo = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    line = demo.stdout.readline()
    assert line.startswith("cnn answers at http://127.0.0.1:")
    address = line.split()[3]
    assert b"gradio" in urllib.request.urlopen(address, timeout=30).read()
    port = int(address.rstrip("/").rpartition(":")[2])
    lasting = socket.create_connection(("127.0.0.1", port))  # a browser's that is still open
    lasting.sendall(b"GET /gradio_api/heartbeat/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert lasting.recv(100)
    demo.send_signal(number)
    out, err = demo.communicate(timeout=30)
    assert demo.returncode == status
    assert out == "" and "Traceback" not in err and len(err.split("\n")) <= 3  # the line after ^C is click's
    assert not list(tmp_path.glob("ser_demo_*"))


COMPUTING = """
import threading, time
from ser_lightning.cli import main
from ser_lightning.demo import server
def serve(*arguments, **more):
    threading.Thread(target=time.sleep, args=(600,)).start()
    raise KeyboardInterrupt
server.serve = serve
main(["demo", "best.ckpt"])
"""


def test_ctrl_c_waits_for_no_answer():
    ended = subprocess.run([sys.executable, "-c", COMPUTING], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (130, "stopped: interrupted\n")


class Stub:
    """A model and a server that do nothing; what the server was made with."""

    name, made = "cnn", None

    def make(self, model, about, **more):
        self.made = more
        return self

    def run(self, sockets):
        pass


@pytest.fixture
def stub(monkeypatch, checkpoint):
    pytest.importorskip("gradio")
    stub = Stub()
    monkeypatch.setattr(server, "make_server", stub.make)
    monkeypatch.delenv("SER_DEMO_PASSWORD", raising=False)
    return stub


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_alone_needs_no_password_and_has_one_where_it_is_given(stub, checkpoint, host):
    code, out, err = ser_demo(checkpoint, "--port", 0, "--host", host)
    assert (code, err) == (0, "") and "password" not in out and stub.made["password"] is None
    assert out.startswith(f"cnn answers at http://{'[::1]' if host == '::1' else host}:")
    ser_demo(checkpoint, "--port", 0, "--host", host, "--password", "open sesame")
    assert stub.made["password"] == "open sesame"


def test_other_machines_need_a_password_that_is_made_up_or_given(stub, checkpoint, monkeypatch):
    code, out, err = ser_demo(checkpoint, "--port", 0, "--host", "0.0.0.0")
    password = stub.made["password"]
    assert (code, err) == (0, "") and len(password) >= 16 and f"password: {password} " in out
    assert socket.gethostname() in out and stub.made["bound"] == "0.0.0.0"
    monkeypatch.setenv("SER_DEMO_PASSWORD", "open sesame")
    assert "open sesame" not in ser_demo(checkpoint, "--port", 0, "--host", "0.0.0.0")[1]
    assert stub.made["password"] == "open sesame"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--host", "203.0.113.7"), "host 203.0.113.7 is not this machine"),
        (("--host", "nowhere.invalid"), "host nowhere.invalid is not known"),
        (("--host", "x" * 300), "is not known"),
        (("--password", "short"), "the password is too short: 8 characters are needed"),
        (("--password", ""), "the password is too short"),
    ],
)
def test_a_wrong_host_or_password_is_one_line(stub, checkpoint, arguments, complaint):
    code, out, err = ser_demo(checkpoint, "--port", 0, *arguments)
    assert (code, out) == (1, "") and complaint in err and err.count("\n") == 1 and stub.made is None
