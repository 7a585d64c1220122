"""Guard Gradio, which, mounted in another app, opens any path and URL that it is sent.

Only what the demo's page asks for is answered: to a request that came by an address of this server (a page
elsewhere can have a name of its own point here), from no other page (`Origin`), and with the password where there
is one. A request may name files of its own session alone. Everything else ends here, before Gradio reads it.
"""

import asyncio
import base64
import ipaddress
import json
import math
import re
import secrets
from collections.abc import Collection
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ser_lightning.demo import limits
from ser_lightning.demo.sessions import Session, Sessions

_API = "/gradio_api/"
_FILE = f"{_API}file="
_HEARTBEAT = f"{_API}heartbeat/"
_PAGES_OWN = ("/theme.css", "/favicon.ico", "/manifest.json")
_PAGES_FOLDERS = ("/assets/", "/static/")  # of Gradio's package
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@\[\]]+))(?::\d+)?")  # an IPv6 address, or another, or a name
_WRONG_PASSWORD_S = 1  # a guess takes
_LONGEST_NAME = 100  # of a page or a session
_NO_PAGE_OPEN = "No page of this demo is open here: load the page again."


class _Refused(Exception):
    """A request that is answered with a status and a reason, and with nothing else."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class Guard:
    """An ASGI app around Gradio's.

    Args:
        hosts: names and addresses, in lower case, by which the server may be called.
        any_address: whether it may also be called by any IP address, as a server of all interfaces is.
        password: None asks for none.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        *,
        hosts: Collection[str],
        any_address: bool = False,
        password: str | None = None,
    ):
        self._app = app
        self._sessions = sessions
        self._hosts = hosts
        self._any_address = any_address
        self._password = password
        self._cookie = f"ser_demo_{secrets.token_hex(4)}"  # browsers share cookies between ports
        self._n_uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return await WebSocketClose()(scope, receive, send)
        request = Request(scope, receive)
        try:
            self._check_address(request)
            await self._check_password(request)
            await self._answer(request, send)
        except _Refused as refused:
            headers = (
                {"WWW-Authenticate": 'Basic realm="ser demo", charset="UTF-8"'} if refused.status == 401 else {}
            )
            response = JSONResponse({"detail": str(refused)}, refused.status, headers)
            await response(scope, receive, send)
        except ClientDisconnect:
            pass

    def _check_address(self, request: Request) -> None:
        """Check where a request was sent from, and to.

        Raises: _Refused for one that another page sent, or that came by a name that is not ours.
        """
        headers = request.headers
        host = ", ".join(headers.getlist("host"))  # two are none
        called = _HOST.fullmatch(host)
        name = (called[1] or called[2]).lower() if called else ""
        if name not in self._hosts and not (self._any_address and _is_address(name)):
            raise _Refused(421, f"This demo is not called {host}: open it by the address that it printed.")
        own = (f"http://{host}".lower(), f"https://{host}".lower())
        sent_elsewhere = any(origin.lower() not in own for origin in headers.getlist("origin"))
        from_elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        opens_a_page = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        follows_a_link = request.scope["path"] == "/" and opens_a_page  # which may be on another page
        if sent_elsewhere or (from_elsewhere and not follows_a_link):
            raise _Refused(403, "This demo answers its own page, and no other.")

    async def _check_password(self, request: Request) -> None:
        """Check the password. Raises: _Refused without it; a wrong one so late that guessing takes long."""
        if self._password is None:
            return
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            _, _, given = base64.b64decode(encoded).partition(b":")
        except ValueError:
            given = b""
        if kind.lower() == "basic" and secrets.compare_digest(given, self._password.encode()):
            return
        if encoded:
            await asyncio.sleep(_WRONG_PASSWORD_S)
        raise _Refused(401, "This demo asks for a password.")

    async def _answer(self, request: Request, send: Send) -> None:
        """Answer what the page needs. Raises: _Refused for anything else."""
        path, scope, receive = request.scope["path"], request.scope, request.receive
        reads = request.method in ("GET", "HEAD")
        if reads and path == "/":
            # Its query can name a state that Gradio would read from the disk.
            await self._app({**scope, "query_string": b""}, receive, self._with_cookie(request, send))
        elif reads and (path in _PAGES_OWN or path.startswith(_PAGES_FOLDERS)):
            await self._app(scope, receive, send)
        elif request.method == "GET" and path.startswith(_HEARTBEAT):
            cookie, page = request.cookies.get(self._cookie, ""), path.removeprefix(_HEARTBEAT)
            with self._sessions.open_page(_short(cookie), _short(page)):
                await self._app(scope, receive, send)
        elif reads and path.startswith(_FILE):
            _check_file(path.removeprefix(_FILE), self._session(request))
            await self._app(scope, receive, send)
        elif request.method == "GET" and path == f"{_API}queue/data":
            _check_page(request.query_params.get("session_hash"), self._session(request))
            await self._app(scope, receive, send)
        elif request.method == "GET" and path == f"{_API}upload_progress":
            await Response('data: {"msg": "done"}\n\n', media_type="text/event-stream")(scope, receive, send)
        elif request.method == "POST" and path == f"{_API}upload":
            response = await self._upload(request, self._session(request))
            await response(scope, receive, send)
        elif request.method == "POST" and path == f"{_API}queue/join":
            question = await _question(request, self._session(request))
            await self._app(*_with_body(request, question), send)
        else:
            raise _Refused(404, "There is nothing here.")

    def _with_cookie(self, request: Request, send: Send) -> Send:
        """Name the browser, if it has no name yet; another site's requests do not carry this."""

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and not request.cookies.get(self._cookie):
                cookie = f"{self._cookie}={secrets.token_urlsafe()}; HttpOnly; SameSite=Strict; Path=/"
                message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
            await send(message)

        return send_with_cookie

    def _session(self, request: Request) -> Session:
        """Return the session of the browser that asks. Raises: _Refused where it has no page open."""
        session = self._sessions.of(request.cookies.get(self._cookie))
        if session is None:
            raise _Refused(403, _NO_PAGE_OPEN)
        return session

    async def _upload(self, request: Request, session: Session) -> Response:
        """Keep a file, and tell the page where, as Gradio does."""
        if self._n_uploads >= limits.UPLOADS_AT_ONCE:
            raise _Refused(503, "Others are uploading: try again in a moment.")
        at_most = limits.RECORDING_BYTES + limits.QUESTION_BYTES  # with the form's own lines
        bounded = Request(
            request.scope, _bounded(request, at_most, f"a file of more than {limits.RECORDING_MB} MB")
        )
        self._n_uploads += 1
        try:
            async with bounded.form(max_files=1, max_fields=0) as form:
                file = form.get("files")
                if not isinstance(file, UploadFile):
                    raise _Refused(400, "There is no file in this upload.")
                path = await asyncio.to_thread(self._sessions.keep, file.file, file.filename or "", session)
        except MultiPartException as error:
            raise _Refused(400, error.message) from error
        except OSError as error:
            raise _Refused(507, f"The file cannot be kept ({error.strerror}).") from error
        finally:
            self._n_uploads -= 1
        return JSONResponse([str(path)])


async def _question(request: Request, session: Session) -> bytes:
    """Return what the page asks, written anew: nothing else of the request reaches Gradio.

    Raises: _Refused for what the page does not send, and for a file that is not the session's.
    """
    asked = Request(request.scope, _bounded(request, limits.QUESTION_BYTES, "a question of this length"))
    try:
        body = json.loads(await asked.body())
        file, window_s, hop_s = body["data"]
        question: dict[str, Any] = {
            "data": [None, _number(window_s), _number(hop_s)],
            "fn_index": int(body["fn_index"]),
            "trigger_id": int(body["trigger_id"]),
            "session_hash": _check_page(body["session_hash"], session),
        }
        if file is not None:
            path = _check_file(file["path"], session)
            question["data"][0] = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return json.dumps(question).encode()
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise _Refused(400, "This request is malformed: reload the page.") from error


def _number(value: object) -> int | float:
    """Return a finite number. Raises: ValueError for anything else, or OverflowError."""
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    raise ValueError(value)


def _check_page(page: object, session: Session) -> str:
    """Return the name of a page that the session has open. Raises: _Refused for any other."""
    if not isinstance(page, str) or page not in session.pages:
        raise _Refused(403, "This page is no longer open: load it again.")
    return page


def _check_file(path: object, session: Session) -> str:
    """Return the path of a file that is the session's. Raises: _Refused for any other."""
    if not isinstance(path, str) or not session.holds(path):
        raise _Refused(403, "This file was not uploaded here, or is deleted by now: choose it again.")
    return path


def _bounded(request: Request, n_bytes: int, what: str) -> Receive:
    """Read a request's body up to a limit. Raises: _Refused beyond it."""
    left = n_bytes

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _Refused(413, f"This demo does not take {what}.")
        return message

    return receive


def _with_body(request: Request, body: bytes) -> tuple[Scope, Receive]:
    """Put JSON in the place of the body that was read."""
    about_body = (b"content-length", b"content-type", b"content-encoding", b"transfer-encoding")
    headers = [header for header in request.scope["headers"] if header[0] not in about_body]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return unread.pop() if unread else await request.receive()

    return {**request.scope, "headers": headers}, receive


def _short(name: str) -> str:
    """Return a name that a page or a session can have. Raises: _Refused for any other."""
    if not 0 < len(name) <= _LONGEST_NAME:
        raise _Refused(403, _NO_PAGE_OPEN)
    return name


def _is_address(name: str) -> bool:
    """Return whether a name is an IP address."""
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False
