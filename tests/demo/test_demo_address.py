"""By which address, from which page and with which password the demo answers."""

import base64

import pytest

pytest.importorskip("gradio", reason="needs the extra demo")
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from ser_lightning.demo import guard
from ser_lightning.demo.sessions import Sessions

HOST = "127.0.0.1:7860"
LOCAL = {"localhost", "127.0.0.1", "::1"}


def guarded(folder, **more) -> TestClient:
    """A guard before an app that answers everything."""
    app = guard.Guard(PlainTextResponse("answered"), Sessions(folder), **{"hosts": LOCAL, **more})
    return TestClient(app, base_url=f"http://{HOST}")


@pytest.mark.parametrize(
    "host", [HOST, "127.0.0.1", "localhost", "LOCALHOST:7860", "localhost:9", "[::1]", "[::1]:7860"]
)
def test_its_own_names_are_answered_at_any_port_as_through_a_tunnel(tmp_path, host):
    answered = guarded(tmp_path).get("/", headers={"Host": host, "Origin": f"http://{host}"})
    assert (answered.status_code, answered.text) == (200, "answered")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:7860",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost.",
            "",
        ),
        *("evil@127.0.0.1", "127.0.0.1/", "127.0.0.1:7860:1", "127.0.0.1 evil", "[::1", "::1", "[evil]", "0.0.0.0"),
        *("127.0.0.2", "192.168.1.5", "[::ffff:127.0.0.1]", "localhost:x", "2130706433", "\u0130localhost"),
    ],
)
def test_another_name_is_not_answered(tmp_path, host):
    client = guarded(tmp_path)
    for path in ("/", "/theme.css", "/gradio_api/heartbeat/x", "/gradio_api/file=/x"):
        answered = client.get(path, headers={"Host": host.encode()})
        assert answered.status_code == 421 and "access-control-allow-origin" not in answered.headers
    assert client.get("/", headers=[("Host", HOST), ("Host", host.encode())]).status_code == 421


def test_all_interfaces_are_called_by_addresses_and_their_own_name(tmp_path):
    client = guarded(tmp_path, hosts={*LOCAL, "gpu7"}, any_address=True)
    for host in ("192.168.1.5:7860", "[fe80::1]", "gpu7:7860", "localhost"):
        assert client.get("/", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "gpu7.evil.example", "1.2.3", "0x7f.1"):
        assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:7860", "file://", "", HOST]
)
def test_another_page_is_not_answered_and_not_told_that_it_might(tmp_path, origin):
    client = guarded(tmp_path)
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for method, path in (("GET", "/"), ("OPTIONS", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload")):
        answered = client.request(method, path, headers=ask)
        assert answered.status_code == 403
        assert not [name for name in answered.headers if name.startswith("access-control")]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_may_link_here_and_neither_embed_nor_ask(tmp_path, site):
    client = guarded(tmp_path)
    follows = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=follows).status_code == 200
    assert client.get("/", headers={**follows, "Sec-Fetch-Dest": "iframe"}).status_code == 403
    assert client.get("/assets/x.js", headers=follows).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}).status_code == 403


def test_a_browser_is_named_once_by_a_cookie_that_stays_here(tmp_path):
    client = guarded(tmp_path)
    cookie = client.get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert "set-cookie" not in client.get("/").headers
    assert guarded(tmp_path).get("/gradio_api/heartbeat/x").status_code == 403


def basic(password, name="me"):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_nothing_is_answered_without_the_password(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_WRONG_PASSWORD_S", 0)
    client = guarded(tmp_path, password="sesam: öffne")
    wrong = [
        "",
        "Basic",
        "Basic ?",
        "Basic AAAA",
        basic(""),
        basic("sesam"),
        basic("sesam: öffne").replace("Basic", "Bearer"),
    ]
    paths = (
        "/",
        "/theme.css",
        "/assets/x",
        "/static/x",
        "/gradio_api/heartbeat/x",
        "/gradio_api/file=/x",
        "/login",
    )
    for header in (*wrong, None):
        for path in paths:
            answered = client.get(path, headers={"Authorization": header} if header is not None else {})
            assert answered.status_code == 401 and answered.headers["www-authenticate"].startswith("Basic ")
            assert "set-cookie" not in answered.headers
        assert client.post("/gradio_api/upload").status_code == 401
    for name in ("", "me", "you"):
        assert client.get("/", headers={"Authorization": basic("sesam: öffne", name)}).status_code == 200


def test_websockets_are_closed(tmp_path):
    with pytest.raises(WebSocketDisconnect), guarded(tmp_path).websocket_connect("/gradio_api/queue/join"):
        pass
