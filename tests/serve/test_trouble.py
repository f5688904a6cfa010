"""A server that answers wrongly, is silent, or sends us on is an error that says so, and never an empty answer."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time

import pytest

from cxr_lightning.endpoint.trouble import RefusedError, ServerError
from cxr_lightning.serve.dialogue import Dialogue
from cxr_lightning.serve.remote import Remote
from cxr_lightning.serve.server import _answers
from tests.commands import ROOT
from tests.serve.test_remote import FILM, desk, ended, films, impatient, open_desk, stream  # noqa: F401

pytestmark = pytest.mark.quick


def test_a_server_is_looked_for_without_its_key(desk, monkeypatch):  # noqa: F811
    monkeypatch.setenv("CXR_API_KEY", "secret")
    assert _answers(desk.url)
    desk.raw = (401, {}, b"{}")
    assert _answers(desk.url)
    desk.raw = (503, {}, b"{}")
    assert not _answers(desk.url)
    assert desk.heads == {None}


HTML = (200, {"content-type": "text/html"}, b"<html>login</html>")


def said(**choice):
    return 200, {}, json.dumps({"choices": [{"index": 0, "finish_reason": "stop", **choice}]}).encode()


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (HTML, ServerError),
        ((200, {}, b"null"), ServerError),
        ((200, {}, b"{{{"), ServerError),
        ((200, {}, b"{}"), ServerError),
        (said(message=None), ServerError),
        (said(message={"role": "assistant", "content": [{"type": "text", "text": "hi"}]}), ServerError),
        (said(message={"role": "assistant", "content": None}), RefusedError),
        ((200, {}, b'{"choices": []}'), RefusedError),
    ],
)
def test_an_answer_that_is_none_is_an_error_and_never_empty(desk, raw, kind):  # noqa: F811
    remote, desk.raw = Remote(desk.url), raw
    with pytest.raises(kind, match="127"):
        remote.answers([Dialogue.ask(FILM)], max_new_tokens=4)
    with pytest.raises(ServerError, match="127"):
        ended(stream(desk.url))
    if kind is ServerError:
        with pytest.raises(ServerError, match="protocol"):
            Remote(desk.url)


def test_films_go_nowhere_else(desk):  # noqa: F811
    with open_desk() as stranger:
        desk.raw = (
            307,
            {"location": f"http://user:secret@127.0.0.1:{stranger.server_port}/v1/chat/completions?k=1"},
            b"",
        )
        told = rf"sends us on to http://127\.0\.0\.1:{stranger.server_port}/v1/chat/completions\. Remedy"
        with pytest.raises(ServerError, match=told):
            Remote(desk.url, model="tiny", api_key="key").answers([Dialogue.ask(FILM)], max_new_tokens=4)
        assert not stranger.asked


def test_a_password_in_the_url_is_sent_and_not_shown(desk, caplog):  # noqa: F811
    caplog.set_level("DEBUG")
    url = desk.url.replace("http://", "http://doctor:s%40cret@")
    remote = Remote(url)
    remote.answers([Dialogue.ask(FILM)], max_new_tokens=4)
    assert desk.keys == {"Basic " + base64.b64encode(b"doctor:s@cret").decode()}
    desk.statuses = [400]
    with pytest.raises(RefusedError) as refused:
        remote.answers([Dialogue.ask(FILM)], max_new_tokens=4)
    with pytest.raises(ServerError) as gone:
        Remote("http://doctor:s%40cret@127.0.0.1:9")
    assert "cret" not in f"{refused.value}{gone.value}{caplog.text}"


def test_silence_is_waited_for_once_more(desk, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setattr("cxr_lightning.endpoint.client.ANSWER_SECONDS", 0.2)
    remote, desk.slow = Remote(desk.url), 9.0
    begun = time.monotonic()
    with pytest.raises(ServerError, match="took the request and was silent"):
        remote.answers([Dialogue.ask(FILM)], max_new_tokens=4)
    assert time.monotonic() - begun < 9, "not the whole silence"
    assert len(desk.asked) == 2
    assert "asking once more" in caplog.text


def test_ctrl_c_ends_it_though_the_server_is_silent(desk, films, tmp_path):  # noqa: F811
    desk.slow = 60.0
    command = [
        sys.executable,
        "-m",
        "cxr_lightning",
        "describe",
        desk.url,
        str(films),
        "--out",
        str(tmp_path / "a.jsonl"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not desk.asked:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    assert not (tmp_path / "a.jsonl.lock").exists()
