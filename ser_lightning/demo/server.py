"""Serve the page; nothing is sent anywhere and no recording is kept.

It is for this machine alone, unless another of its addresses is named: then it asks for a password.
"""

import errno
import gc
import ipaddress
import os
import secrets
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

from ser_lightning.utils.errors import UserError

if TYPE_CHECKING:
    import uvicorn

    from ser_lightning.demo.about import About
    from ser_lightning.inference.recognizer import EmotionRecognizer

HOST = "127.0.0.1"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_PORTS = range(7860, 7880)  # where none is asked for: the first that is free
_PATIENCE_S = 1  # with connections that are open when it ends
_SHORTEST_PASSWORD = 8


def serve(
    path: Path,
    *,
    port: int | None,
    open_browser: bool,
    host: str = HOST,
    password: str | None = None,
    trust: bool = False,
) -> None:
    """Load a checkpoint and answer until Ctrl-C.

    Args:
        host: an address of this machine, or a name of one; other machines reach no loopback address.
        password: what a browser must send; for other machines one is made up where none is given.

    Raises: UserError where the extra is missing, the checkpoint cannot be used, the address is taken or not of this
        machine, or the password is too short.
    """
    if find_spec("gradio") is None:
        raise UserError("ser demo needs more packages: pip install -c constraints.txt -e '.[demo]'")
    if password is not None and len(password) < _SHORTEST_PASSWORD:
        raise UserError(f"the password is too short: {_SHORTEST_PASSWORD} characters are needed")
    from ser_lightning.demo.about import about
    from ser_lightning.inference.checkpoint import read_checkpoint
    from ser_lightning.inference.recognizer import recognizer

    checkpoint = read_checkpoint(path)
    model = recognizer(checkpoint, trust=trust)
    with listening(port, host) as door, private():
        bound, number = door.getsockname()[:2]
        local = ipaddress.ip_address(bound.partition("%")[0])
        made_up = secrets.token_urlsafe(12) if password is None and not local.is_loopback else None
        server = make_server(model, about(checkpoint), host=host, bound=bound, password=password or made_up)
        name = socket.gethostname() if local.is_unspecified else host
        address = f"http://[{name}]:{number}/" if ":" in name else f"http://{name}:{number}/"
        click.echo(f"{model.name} answers at {address} (Ctrl-C ends it)")
        if made_up is not None:
            click.echo(f"password: {made_up} (with any user name)")
        if open_browser and _has_screen():
            webbrowser.open(address)
        gc.freeze()  # what is there now stays: collecting what an answer leaves behind takes milliseconds
        server.run(sockets=[door])


@contextmanager
def listening(port: int | None, host: str = HOST) -> Iterator[socket.socket]:
    """Yield a socket on which connections wait until somebody answers; port 0 is any free one.

    Raises: UserError where the port cannot be had, or the host is not this machine.
    """
    try:
        family, _, _, _, (address, *_) = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UserError(f"host {host} is not known: name an address of this machine with --host") from error
    for number in [port] if port is not None else _PORTS:
        door = socket.socket(family, socket.SOCK_STREAM)
        with door:
            if os.name == "posix":  # elsewhere it would share the port with another program
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                door.bind((address, number))
                door.listen()
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise UserError(
                        f"host {host} is not this machine: name an address of it with --host"
                    ) from error
                reason = error.strerror or str(error)
                continue
            yield door
            return
    which = f"port {port}" if port is not None else f"ports {_PORTS[0]} to {_PORTS[-1]}"
    raise UserError(f"{which} cannot be used ({reason}): name another with --port")


@contextmanager
def private() -> Iterator[None]:
    """Keep uploads in a folder that is gone at the end, and Gradio and what it brings from sending anything."""
    with tempfile.TemporaryDirectory(prefix="ser_demo_", ignore_cleanup_errors=True) as folder:
        wanted = {
            "GRADIO_TEMP_DIR": folder,
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_ANALYTICS_MAX_EVENTS": "100",  # kept in memory, and counted anew with each answer
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


def make_server(
    model: "EmotionRecognizer",
    about: "About",
    *,
    host: str = HOST,
    bound: str = HOST,
    password: str | None = None,
) -> "uvicorn.Server":
    """Return the page of a model behind a server that is not yet running; importing Gradio takes seconds.

    Args:
        host: as it was named, and ``bound``, the address that this is.
        password: what a browser must send, if anything.
    """
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    from ser_lightning.demo import limits
    from ser_lightning.demo.guard import Guard
    from ser_lightning.demo.page import HEAD, build_page, css, theme
    from ser_lightning.demo.sessions import Sessions

    page = build_page(model, about)
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="/",
        server_name=host,
        theme=theme(),
        css=css(model.task.n_outputs),
        head=HEAD,
        footer_links=[],
        max_file_size=limits.RECORDING_BYTES,
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        root_path="",
    )
    local = ipaddress.ip_address(bound.partition("%")[0]).is_loopback
    names = _LOOPBACK_NAMES if local else (*_LOOPBACK_NAMES, socket.gethostname().lower())
    guarded = Guard(
        app,
        Sessions(Path(page.GRADIO_CACHE)),
        hosts={*names, host.lower()},
        any_address=not local,
        password=password,
    )
    return uvicorn.Server(
        uvicorn.Config(
            guarded,
            log_level="critical",
            access_log=False,
            ws="none",
            proxy_headers=False,
            limit_concurrency=limits.CONNECTIONS,
            timeout_graceful_shutdown=_PATIENCE_S,
        )
    )


def _has_screen() -> bool:
    """Return whether there is a screen: without one, a browser for the terminal might open."""
    return not sys.platform.startswith("linux") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
