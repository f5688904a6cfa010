"""A server's bad moments are waited for, what does not pass is told with its remedy, and what was answered is kept."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.serve.describe import describe
from cxr_lightning.serve.dialogue import Dialogue
from cxr_lightning.serve.remote import RefusedError, Remote, ServerError

FILM = np.arange(64 * 48, dtype=np.uint8).reshape(64, 48)
pytestmark = pytest.mark.quick


class Desk(ThreadingHTTPServer):
    """A server of the protocol, on a free port, that answers as it is told."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Clerk)
        self.models, self.statuses, self.asked, self.keys = ["tiny"], list[int](), list[dict](), set[str]()
        self.heads: set[str | None] = set()
        self.slow, self.most, self.now = 0.0, 0, 0
        self.raw: tuple[int, dict, bytes] | None = None
        self.words, self.finish = 1000, "stop"
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Clerk(BaseHTTPRequestHandler):
    """Says a status and the size of the film it was shown."""

    server: Desk

    def do_GET(self) -> None:
        self.server.heads.add(self.headers["authorization"])
        if self.server.raw is not None:
            self.put(*self.server.raw)
        else:
            self.say(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.server.models]})

    def do_POST(self) -> None:
        desk, body = self.server, json.loads(self.rfile.read(int(self.headers["content-length"])))
        with desk.lock:
            desk.asked.append(body)
            desk.keys.add(self.headers["authorization"])
            status = desk.statuses.pop(0) if desk.statuses else 200
            desk.now += 1
            desk.most = max(desk.most, desk.now)
        time.sleep(desk.slow)
        if desk.raw is not None:
            self.put(*desk.raw)
            return
        with desk.lock:
            desk.now -= 1
        if status == 0:
            self.close_connection = True
            return
        if status != 200:
            self.say(status, {"error": {"message": f"told to say {status}."}}, {"retry-after": "0"})
        elif body.get("stream"):
            self.pieces()
        else:
            self.say(200, answer(self.text(body)))

    def text(self, body) -> str:
        url = body["messages"][0]["content"][0]["image_url"]["url"]
        image = Image.open(BytesIO(base64.b64decode(url.partition(",")[2])))
        return f" {image.mode} {image.width} x {image.height}\n"

    def pieces(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            for word in ["\n", *(f"word{number} " for number in range(self.server.words))]:
                self.piece({"index": 0, "delta": {"content": word}})
                time.sleep(0.01)
            if self.server.finish:
                self.piece({"index": 0, "delta": {}, "finish_reason": self.server.finish})
        except OSError:
            self.server.statuses.append(-1)  # the reader has left

    def piece(self, choice) -> None:
        chunk = {"choices": [choice], "object": "chat.completion.chunk"}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def say(self, status: int, body, headers=None) -> None:
        self.put(status, headers or {}, json.dumps(body).encode())

    def put(self, status: int, headers, data: bytes) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None: ...


def answer(text: str) -> dict:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"object": "chat.completion", "choices": [choice], "usage": {"completion_tokens": 4, "prompt_tokens": 1}}


@contextmanager
def open_desk(port: int = 0) -> Iterator[Desk]:
    with Desk(port) as desk:
        threading.Thread(target=desk.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield desk
        finally:
            desk.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("cxr_lightning.serve.remote.pause", lambda *_: 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", "not for this server")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


@pytest.fixture
def desk():
    with open_desk() as opened:
        yield opened


@pytest.fixture
def films(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(FILM[: 32 + number]).save(folder / f"{number:02}.png")
    return folder


def rows(out):
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_films_are_sent_shrunk_as_png_and_answers_come_back_trimmed(desk):
    remote = Remote(desk.url, image_size=32)
    reply = remote.replies([Dialogue.ask(FILM, FILM, question="Why?")], max_new_tokens=9)[0]
    assert (remote.name, reply.text, reply.tokens, reply.finish) == ("tiny", "L 24 x 32", 4, "stop")
    asked = desk.asked[0]
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("tiny", 9, 0.0)
    assert [part["type"] for part in asked["messages"][0]["content"]] == ["image_url", "image_url", "text"]
    assert desk.keys == {"Bearer none"}


def test_words_alone_go_as_words_with_a_seed(desk, monkeypatch):
    monkeypatch.setattr(Clerk, "text", lambda clerk, body: body["messages"][0]["content"] + "!")
    reply = Remote(desk.url).reply(Dialogue.ask(question="Why?"), max_new_tokens=9, seed=5)
    assert (reply.text, reply.asked_tokens, desk.asked[0]["seed"]) == ("Why?!", 1, 5)


def test_a_proxy_is_passed_by_where_that_is_wished(desk, monkeypatch):
    monkeypatch.setattr("cxr_lightning.endpoint.client.is_loopback", lambda host: False)
    with pytest.raises(ServerError, match="no server answers at"):  # http_proxy leads nowhere
        Remote(desk.url)
    assert Remote(desk.url, direct=True).name == "tiny"


def test_what_passes_is_waited_for(desk):
    desk.statuses = [429, 503, 0, 500]
    assert Remote(desk.url).answers([Dialogue.ask(FILM)], max_new_tokens=4) == ["L 48 x 64"]
    assert len(desk.asked) == 5


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (401, ServerError, "--api_key"),
        (404, ServerError, "does not serve 'tiny'.*told to say 404. Remedy"),
        (400, RefusedError, "it says 400: told to say 400"),
    ],
)
def test_what_does_not_pass_is_told_at_once(desk, status, kind, told):
    desk.statuses = [status]
    with pytest.raises(kind, match=told):
        Remote(desk.url).answers([Dialogue.ask(FILM)], max_new_tokens=4)
    assert len(desk.asked) == 1


def test_which_model_has_to_be_said_where_there_are_several(desk):
    desk.models = ["one", "two"]
    with pytest.raises(ServerError, match=r"one, two\. Remedy: name one by --served_model"):
        Remote(desk.url)
    assert Remote(desk.url, model="two", api_key="k").answers([Dialogue.ask(FILM)], max_new_tokens=1)
    assert (desk.asked[0]["model"], desk.keys) == ("two", {"Bearer k"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://", "https://127.0.0.1:9/v1"])
def test_no_server_is_told(url):
    with pytest.raises(ServerError, match=r"names no server|no server answers at"):
        Remote(url)


def test_a_stopped_stream_ends_and_the_server_hears_it(desk):
    stop = threading.Event()
    pieces = Remote(desk.url).stream(Dialogue.ask(FILM), max_new_tokens=4, stop=stop)
    assert next(pieces) == "word0"
    stop.set()
    assert len(list(pieces)) < 100
    begun = time.monotonic()
    while desk.statuses != [-1]:
        assert time.monotonic() - begun < 5
        time.sleep(0.01)


def test_an_error_in_a_stream_comes_out(desk):
    desk.statuses = [400]
    with pytest.raises(RefusedError, match="400"):
        list(Remote(desk.url).stream(Dialogue.ask(FILM), max_new_tokens=4, stop=threading.Event()))


def ended(pieces):
    """Reads a stream to its end."""
    told = []
    while True:
        try:
            told.append(next(pieces))
        except StopIteration as end:
            return "".join(told), end.value


def stream(url, stop=None):
    return Remote(url, model="tiny").stream(Dialogue.ask(FILM), max_new_tokens=4, stop=stop or threading.Event())


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_a_stream_tells_how_it_ended(desk, finish):
    desk.words, desk.finish = 2, finish
    text, reply = ended(stream(desk.url))
    assert (text, reply.text, reply.finish) == ("word0 word1", "word0 word1", finish)


def test_a_stream_that_is_stopped_says_so(desk):
    stop = threading.Event()
    pieces = stream(desk.url, stop)
    next(pieces)
    stop.set()
    assert ended(pieces)[1].finish == "stopped"


@pytest.mark.parametrize(("words", "told"), [(2, "an answer that breaks off"), (0, "a stream without an answer")])
def test_a_stream_that_breaks_off_is_no_answer(desk, words, told):
    desk.words, desk.finish = words, ""
    with pytest.raises(ServerError, match=told):
        ended(stream(desk.url))


def test_many_are_asked_at_once_and_written_in_order(desk, films, tmp_path):
    desk.slow = 0.05
    describe(desk.url, str(films), out=tmp_path / "answers.jsonl", parallel=4)
    assert [row["answer"] for row in rows(tmp_path / "answers.jsonl")] == [f"L 48 x {32 + n}" for n in range(12)]
    assert 2 <= desk.most <= 4


def test_a_request_that_is_refused_is_one_row(desk, films, tmp_path):
    desk.statuses = [200, 200, 400]
    describe(desk.url, str(films), out=tmp_path / "answers.jsonl", parallel=1, max_bad=0.1)
    told = rows(tmp_path / "answers.jsonl")
    assert [n for n, row in enumerate(told) if "error" in row] == [2]
    assert "told to say 400" in told[2]["error"]
    assert told[0]["model"] == "tiny"


def test_a_server_that_goes_away_is_told_and_its_answers_are_kept(films, tmp_path):
    out = tmp_path / "answers.jsonl"
    with open_desk() as desk:
        desk.statuses = [200] * 5 + [0] * 100
        port = desk.server_port
        with pytest.raises(ServerError, match="no server answers at"):
            describe(desk.url, str(films), out=out, parallel=1)
    assert 1 <= len(rows(out)) <= 5
    with open_desk(port) as desk:
        describe(desk.url, str(films), out=out, parallel=3)
        assert len(desk.asked) < 12
    assert len({row["id"] for row in rows(out)}) == len(rows(out)) == 12
