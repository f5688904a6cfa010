"""Folders as `cxr evaluate` writes them, and a server of OpenAI's protocol whose opinions a test chooses."""

from __future__ import annotations

import contextlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

Opinion = Callable[[dict[str, str], int], str]
"""From the reports of a prompt by name (A, B, reference, to be graded) and the request's number to an answer."""

_REPORT = re.compile(r'<report \w+ name="([^"]+)">\n(.*?)\n</report \w+>', re.DOTALL)
_SENTENCES = {
    "effusion:left": "There is a small left pleural effusion.",
    "effusion:right": "A moderate right pleural effusion is seen at the base of the lung.",
    "consolidation:right-lower": "Right lower lobe consolidation is present and may be pneumonia.",
    "cardiomegaly": "The heart is enlarged.",
    "pneumothorax:left": "A left apical pneumothorax measures about two centimetres in depth.",
}
_NORMAL = "No pneumothorax is seen. The bones are normal."


class Desk(ThreadingHTTPServer):
    """A judge on a free port, that thinks what it is told to."""

    daemon_threads = True

    def __init__(self, opinion: Opinion) -> None:
        super().__init__(("127.0.0.1", 0), Clerk)
        self.opinion, self.lock = opinion, threading.Lock()
        self.asked, self.answered, self.statuses = list[dict](), list[tuple[str, int]](), list[int]()
        self.slow, self.prompt_tokens, self.completion_tokens = 0.0, 200, 8

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Clerk(BaseHTTPRequestHandler):
    server: Desk

    def do_GET(self) -> None:
        self.say(200, {"object": "list", "data": [{"id": "wise", "object": "model"}]})

    def do_POST(self) -> None:
        desk, body = self.server, json.loads(self.rfile.read(int(self.headers["content-length"])))
        with desk.lock:
            desk.asked.append(body)
            number = len(desk.asked)
            status = desk.statuses.pop(0) if desk.statuses else 200
        time.sleep(desk.slow)
        if status == 0:
            self.close_connection = True
        elif status != 200:
            self.say(status, {"error": {"message": "not now"}}, {"retry-after": "0"})
        else:
            prompt = body["messages"][0]["content"]
            text = desk.opinion(dict(_REPORT.findall(prompt)), number)
            self.say(200, answer(text, desk.prompt_tokens, desk.completion_tokens))
            with desk.lock:
                desk.answered.append((prompt, body["seed"]))

    def say(self, status: int, body: dict, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked is gone
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None: ...


def answer(text: str, prompt_tokens: int, completion_tokens: int) -> dict:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {
        "object": "chat.completion",
        "choices": [choice],
        "usage": {"completion_tokens": completion_tokens, "prompt_tokens": prompt_tokens},
    }


@contextmanager
def open_desk(opinion: Opinion) -> Iterator[Desk]:
    with Desk(opinion) as desk:
        threading.Thread(target=desk.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield desk
        finally:
            desk.shutdown()


def better(name: str) -> str:
    return json.dumps({"better": name})


def likeness(one: str, other: str) -> float:
    """F1 of two-word runs, so that a swapped side counts."""
    pairs = [set(zip(text.split(), text.split()[1:], strict=False)) for text in (one, other)]
    return 2 * len(pairs[0] & pairs[1]) / max(len(pairs[0]) + len(pairs[1]), 1)


def fair(reports: dict[str, str], number: int) -> str:
    """Judges by what is said, wherever it stands."""
    reference = reports.get("reference")
    if "to be graded" in reports:
        grade = 1 + round(4 * likeness(reports["to be graded"], reference or ""))
        return json.dumps({"accuracy": grade, "completeness": grade, "safety": grade})
    scores = {name: likeness(reports[name], reference) if reference else 0.0 for name in "AB"}
    if abs(scores["A"] - scores["B"]) < 1e-9:
        return better("tie")
    return better(max(scores, key=scores.__getitem__))


def judging(choose: Callable[[dict[str, str], int], str]) -> Opinion:
    """Makes an opinion of duels one that grades, too."""
    return lambda reports, number: (
        fair(reports, number) if "to be graded" in reports else better(choose(reports, number))
    )


first = judging(lambda reports, number: "A")
longer = judging(lambda reports, number: max("AB", key=lambda name: (len(reports[name].split()), reports[name])))
chance = judging(lambda reports, number: random.Random(number).choice(["A", "B", "tie"]))


def write_predictions(
    out: Path, *, name: str = "tiny", studies: int = 40, wrong: float = 0.3, seed: int = 0, together: int = 1
) -> Path:
    """Writes what `cxr evaluate` would: a model that is right but for a share, and says no more with another image."""
    generator, drawn = random.Random(7), random.Random(seed)
    truths = [sorted(generator.sample(sorted(_SENTENCES), generator.randint(0, 3))) for _ in range(studies)]
    texts = [" ".join([*(_SENTENCES[each] for each in truth), _NORMAL]) for truth in truths]
    lines = []
    for number, (truth, text) in enumerate(zip(truths, texts, strict=True)):
        others = {
            "own": drawn.choice(texts) if drawn.random() < wrong else f"Chest film. {text}",
            "swapped": drawn.choice(texts),
        }
        for condition, said in others.items():
            row = {
                "key": f"s{number:03}", "patient": f"p{number // together:03}", "views": ["frontal"], "answer": said,
                "image_of": f"s{number:03}", "condition": condition, "prompt": "Describe.", "reference": text,
                "stated": [], "truth": truth, "finish": "stop", "tokens": 9, "likelihood": None,
            }  # fmt: skip
            lines.append(json.dumps(row))
    out.mkdir(parents=True, exist_ok=True)
    (out / "predictions.jsonl").write_text("\n".join(lines) + "\n")
    (out / "metrics.json").write_text(json.dumps({"schema": 2, "model": name}))
    return out


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("cxr_lightning.serve.remote.pause", lambda *_: 0.01)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "evaluated")
