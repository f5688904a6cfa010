"""What is not needed is closed, who is not in stays out, and what the verb refuses to open."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from starlette.responses import PlainTextResponse

from cxr_lightning.serve.web import verb
from cxr_lightning.serve.web.gate import Gate
from cxr_lightning.serve.web.login import Login, LoginError, read_login
from cxr_lightning.serve.web.verb import WebError, web

pytestmark = pytest.mark.quick


async def inside(scope, receive, send):
    await PlainTextResponse(scope["path"])(scope, receive, send)


def client(login: Login | None = None, host: str = "localhost:7860", **more) -> httpx.AsyncClient:
    gate = Gate(inside, **{"login": login or Login({}), "root_path": "", "loopback": True, **more})
    return httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=f"http://{host}")


async def statuses(http: httpx.AsyncClient, *paths: str, method: str = "GET") -> list[int]:
    return [(await http.request(method, path)).status_code for path in paths]


def run(coroutine):
    return asyncio.run(coroutine)


def test_only_what_the_page_needs_is_open():
    http = client()
    assert run(statuses(http, "/", "/assets/index.js", "/gradio_api/queue/join", "/films/frontal")) == [200] * 4
    closed = (
        "/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/gradio_api/proxy=http://a.example", "/monitoring",
        "/gradio_api/run/predict", "/gradio_api/component_server", "/gradio_api/vibe-code", "/login", "/docs",
    )  # fmt: skip
    assert run(statuses(http, *closed)) == [404] * len(closed)


def test_answers_forbid_what_leads_elsewhere_and_are_not_kept():
    headers = run(client().get("/")).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert "cache-control" not in run(client().get("/assets/a.js")).headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "localhost.evil.example"])
def test_another_name_for_this_machine_is_not_answered(host):
    assert run(client(host=host).get("/")).status_code == 421
    assert run(client(host=host, loopback=False).get("/")).status_code == 200


def test_who_is_not_in_sees_the_login_alone(monkeypatch):
    monkeypatch.setattr("cxr_lightning.serve.web.gate._WRONG_SECONDS", 0.0)

    async def visit() -> None:
        http = client(Login({"anna": "geheim ü"}))
        assert await statuses(http, "/films/frontal", "/assets/a.js", "/gradio_api/queue/data") == [401] * 3
        assert (await http.get("/")).headers["location"] == "/login"
        for form, status in (({"name": "anna", "password": "wrong"}, 401), ({"name": "eve", "password": ""}, 401)):
            assert (await http.post("/login", data=form)).status_code == status
        entered = await http.post("/login", data={"name": "anna", "password": "geheim ü"})
        cookie = entered.headers["set-cookie"].lower()
        assert entered.status_code == 303
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert await statuses(http, "/films/frontal", "/logout", "/films/frontal") == [200, 303, 401]
        assert (await http.post("/login", data={"name": "a" * 5000})).status_code == 413

    run(visit())


def test_wrong_passwords_keep_nobody_else_out(monkeypatch):
    monkeypatch.setattr("cxr_lightning.serve.web.gate._WRONG_SECONDS", 60.0)

    async def visit() -> None:
        http = client(Login({"anna": "right"}))
        wrong = [asyncio.create_task(http.post("/login", data={"name": "eve", "password": "x"})) for _ in range(8)]
        done, _ = await asyncio.wait(wrong, timeout=1.0)
        assert [task.result().status_code for task in done] == [429] * 3
        async with asyncio.timeout(10):
            assert (await http.post("/login", data={"name": "anna", "password": "right"})).status_code == 303
        for task in wrong:
            task.cancel()

    run(visit())


def test_an_open_page_is_its_logins_alone_and_bodies_are_short():
    async def visit() -> None:
        login = Login({"anna": "a", "ben": "b"})
        gate = Gate(inside, login=login, root_path="", loopback=True)
        anna, ben = (
            httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://localhost") for _ in range(2)
        )
        for http, data in ((anna, {"name": "anna", "password": "a"}), (ben, {"name": "ben", "password": "b"})):
            await http.post("/login", data=data)
        join, paths = "/gradio_api/queue/join", ("queue/data?session_hash=tab", "heartbeat/tab")
        assert (await anna.post(join, json={"session_hash": "tab"})).status_code == 200
        assert (await ben.post(join, json={"session_hash": "tab"})).status_code == 403
        assert await statuses(anna, *(f"/gradio_api/{path}" for path in paths)) == [200, 200]
        assert await statuses(ben, *(f"/gradio_api/{path}" for path in paths)) == [403, 403]
        assert (await anna.post(join, content=b'{"data": "' + b"x" * (1 << 18))).status_code == 413

    run(visit())


@pytest.mark.parametrize("path", ["/cxr/films/frontal", "/films/frontal"])
def test_a_proxys_prefix_may_be_there_or_not(path):
    http = client(root_path="/cxr", loopback=False)
    assert run(http.get(path)).text == "/films/frontal"
    closed = client(Login({"anna": "x"}), root_path="/cxr", loopback=False)
    assert run(closed.get("/cxr/")).headers["location"] == "/cxr/login"


def test_names_and_passwords_come_from_a_private_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "passwords"
    file.write_bytes(b"\xef\xbb\xbfanna:a:b\r\n# readers\n\n")  # as an editor on Windows saves it
    file.chmod(0o644)
    with pytest.raises(LoginError, match="chmod 600"):
        read_login(file)
    file.chmod(0o600)
    login = read_login(file)
    assert login.is_in(login.enter("anna", "a:b"))
    assert login.enter("anna", "a") is None
    assert not read_login(None)
    monkeypatch.setenv("CXR_WEB_AUTH", "ben:secret")
    assert read_login(None).enter("ben", "secret")


@pytest.mark.parametrize("text", ["", "anna\n", "anna:\n", ":secret\n"])
def test_a_line_that_is_none_is_named_but_not_told(tmp_path, text):
    file = tmp_path / "passwords"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(LoginError) as told:
        read_login(file)
    assert "secret" not in str(told.value)


def test_others_are_let_in_only_by_name_or_by_word():
    with pytest.raises(WebError, match="--auth FILE"):
        web("no/such/model", host="0.0.0.0")


def test_a_taken_port_is_said_before_the_model_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(WebError, match="--port 0"):
        web("no/such/model", port=taken.getsockname()[1])


def test_a_path_of_a_proxy_begins_with_a_slash():
    with pytest.raises(WebError, match="such as /cxr"):
        web("no/such/model", root_path="cxr")


def test_a_folders_size_of_films_is_its_own():
    with pytest.raises(WebError, match="leave it out"):
        web("no/such/model", image_size=512)


def test_where_a_server_is_is_shown_without_passwords():
    assert verb._shown("http://ben:secret@far:8000/v1?key=x") == "at http://far:8000"
