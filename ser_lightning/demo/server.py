"""A server for this machine alone: it is bound to 127.0.0.1, sends nothing anywhere, and keeps no recording."""

import os
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ser_lightning.errors import UserError

if TYPE_CHECKING:
    import uvicorn

    from ser_lightning.demo.about import About
    from ser_lightning.inference.recognizer import EmotionRecognizer

HOST = "127.0.0.1"
_PORTS = range(7860, 7880)  # where none is asked for: the first that is free
_PATIENCE_S = 1  # with connections that are open when it ends


def serve(path: Path, *, port: int | None, open_browser: bool, trust: bool = False) -> None:
    """Load a checkpoint and answer until Ctrl-C.

    Raises: UserError where the extra is missing, the checkpoint cannot be used, or the port is taken.
    """
    if find_spec("gradio") is None:
        raise UserError("ser demo needs more packages: pip install -c constraints.txt -e '.[demo]'")
    from ser_lightning.demo.about import about
    from ser_lightning.inference.checkpoint import read_checkpoint
    from ser_lightning.inference.recognizer import recognizer

    checkpoint = read_checkpoint(path)
    model = recognizer(checkpoint, trust=trust)
    with listening(port) as door, private():
        server = make_server(model, about(checkpoint))
        address = f"http://{HOST}:{door.getsockname()[1]}/"
        click.echo(f"{model.name} listens at {address} (Ctrl-C ends it)")
        if open_browser and _has_screen():
            webbrowser.open(address)
        _tidy_when_told_to_end()
        server.run(sockets=[door])


@contextmanager
def listening(port: int | None) -> Iterator[socket.socket]:
    """A socket on which connections wait until somebody answers; 0 is any free port.

    Raises: UserError where the port cannot be had.
    """
    for number in [port] if port is not None else _PORTS:
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with door:
            if os.name == "posix":  # elsewhere it would share the port with another program
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                door.bind((HOST, number))
                door.listen()
            except OSError as error:
                reason = error.strerror or str(error)
                continue
            yield door
            return
    which = f"port {port}" if port is not None else f"ports {_PORTS[0]} to {_PORTS[-1]}"
    raise UserError(f"{which} cannot be used ({reason}): name another with --port")


@contextmanager
def private() -> Iterator[None]:
    """A folder for what is uploaded, gone at the end; and Gradio, and what it brings, sends nothing anywhere."""
    with tempfile.TemporaryDirectory(prefix="ser_demo_", ignore_cleanup_errors=True) as folder:
        wanted = {
            "GRADIO_TEMP_DIR": folder,
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "1",
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def make_server(model: "EmotionRecognizer", about: "About") -> "uvicorn.Server":
    """The page of a model behind a server that is not yet running. Takes seconds, which Gradio's import is."""
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    from ser_lightning.demo.page import HEAD, build_page, css, theme

    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        build_page(model, about),
        path="/",
        server_name=HOST,
        theme=theme(),
        css=css(len(model.labels)),
        head=HEAD,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        root_path="",
    )
    return uvicorn.Server(
        uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=_PATIENCE_S)
    )


def _tidy_when_told_to_end() -> None:
    """SIGTERM, and a terminal that is closed, would leave recordings behind."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: sys.exit(128 + number))


def _has_screen() -> bool:
    """Without one, a browser for the terminal might open."""
    return not sys.platform.startswith("linux") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
