"""Reports as `cxr reports` writes them, and a server of OpenAI's protocol that writes summaries, in several moods."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from cxr_lightning.phantoms.catalogue import choose
from cxr_lightning.phantoms.wording import write_report
from cxr_lightning.reports.sources import Reading, open_source
from cxr_lightning.reports.sources.found import Flaw
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.study import Report

REAL = os.environ.get("CXR_REAL_DATA")
_REPORT = re.compile(r"<report \w+>\n(.*?)\n</report \w+>", re.DOTALL)
_SECTION = re.compile(r"^(Findings|Impression): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Mood:
    """How often a server answers how, by chance."""

    busy: float = 0.0
    broken: float = 0.0
    cut_before: float = 0.0
    cut_within: float = 0.0
    page: float = 0.0
    slow: float = 0.0


CALM, WILD = Mood(), Mood(0.04, 0.03, 0.02, 0.02, 0.02, 0.02)


class Scribe(ThreadingHTTPServer):
    """Writes a summary of the report in each prompt: the same one whenever it is asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, mood: Mood) -> None:
        super().__init__(("127.0.0.1", 0), Pen)
        self.mood, self.lock, self.chance = mood, threading.Lock(), random.Random(7)
        self.completed, self.cut, self.abandoned = Counter[str](), Counter[str](), Counter[str]()
        self.begun = Counter[str]()
        self.said, self.asked_at = Counter[str](), defaultdict[str, list[float]](list)
        self.texts: dict[str, str] = {}
        self.prompt_tokens, self.completion_tokens, self.delay = 500, 60, 0.0
        self.statuses = list[tuple[int, dict[str, str], dict]]()
        self.headers = list[dict[str, str]]()
        self.speech = speech

    def handle_error(self, request: object, client_address: object) -> None: ...  # who asked was killed

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Pen(BaseHTTPRequestHandler):
    server: Scribe
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.say(200, {"object": "list", "data": [{"id": "scribe", "object": "model"}]})

    def do_POST(self) -> None:
        desk, body = self.server, json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = self.headers["idempotency-key"]
        with desk.lock:
            desk.begun[name] += 1
            desk.asked_at[name].append(time.monotonic())
            desk.headers.append(dict(self.headers.items()))
            mood = self.mood()
            told = desk.statuses.pop(0) if desk.statuses else None
        if told is not None:
            self.say(told[0], told[2], told[1])
            return
        time.sleep(desk.delay + (0.2 if mood == "slow" else 0.0))
        with desk.lock:
            desk.said[mood] += 1
        if mood == "busy":
            self.say(429, {"error": {"message": "slow down"}}, {"retry-after": "0.02"})
        elif mood == "broken":
            self.say(500, {"error": {"message": "not now"}})
        elif mood == "cut_before":
            self.count(desk.cut, name)
            self.close_connection = True
        elif mood == "page":
            self.count(desk.cut, name)
            self.page()
        else:
            self.answer(name, body, within=mood == "cut_within")

    def mood(self) -> str:
        drawn, low = self.server.chance.random(), 0.0
        for name in Mood.__dataclass_fields__:
            low += getattr(self.server.mood, name)
            if drawn < low:
                return name
        return "calm"

    def answer(self, name: str, body: dict, *, within: bool) -> None:
        desk, messages = self.server, body["messages"]
        text = desk.speech(messages)
        with desk.lock:
            desk.texts[name] = text
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"completion_tokens": desk.completion_tokens, "prompt_tokens": desk.prompt_tokens}
        told = {"object": "chat.completion", "choices": [choice], "usage": usage}
        if within:
            self.count(desk.cut, name)
            data = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
        elif not self.is_heard():
            self.count(desk.abandoned, name)
            self.close_connection = True
        elif self.say(200, told):
            self.count(desk.completed, name)

    def is_heard(self) -> bool:
        """Tells whether who asked is still there, as servers do that stop working for nobody."""
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def count(self, counter: Counter[str], name: str) -> None:
        with self.server.lock:
            counter[name] += 1

    def page(self) -> None:
        data = b"<html><body>Please log in.</body></html>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def say(self, status: int, body: dict, headers: dict[str, str] | None = None) -> bool:
        data = json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:  # who asked is gone
            self.close_connection = True
            return False
        return True

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None: ...


def asked_about(messages: list[dict[str, str]]) -> Report:
    """Reads the report out of a prompt."""
    said = dict(_SECTION.findall(_REPORT.findall(messages[0]["content"])[0]))
    return Report(findings=said.get("Findings", ""), impression=said.get("Impression", ""))


def speech(messages: list[dict[str, str]]) -> str:
    """Summarises well for most reports, for some only once told what was wrong, for some never."""
    report = asked_about(messages)
    good = summarize(report)
    fate = hashlib.sha256(good.encode()).digest()[0]
    told = len(messages) == 3
    if fate < 13:
        return "Wibble wobble 77 mm flux."
    if fate < 26 or (fate < 52 and not told):
        return f"{good} There is a 47 mm mass in the left upper lobe."
    return good


@contextmanager
def open_scribe(mood: Mood = CALM) -> Iterator[Scribe]:
    with Scribe(mood) as desk:
        threading.Thread(target=desk.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield desk
        finally:
            desk.shutdown()


@pytest.fixture
def scribe() -> Iterator[Scribe]:
    with open_scribe() as desk:
        yield desk


def drawn_reports(many: int) -> Iterator[tuple[str, Report]]:
    """Reports of drawn studies, without their films."""
    from cxr_lightning.phantoms.phantom import draw_exposure, draw_patient

    for number in range(many):
        chance = np.random.default_rng([3, number])
        patient, exposure = draw_patient(chance), draw_exposure(chance)
        findings = choose(chance, patient.chronic, patient.vessels)
        yield f"phantom-{number:05}", write_report(chance, patient, exposure, findings)


def real_reports() -> Iterator[tuple[str, Report]]:
    """Reports of Open-i."""
    archive = Path(REAL or "") / "openi" / "NLMCXR_reports_dev.tgz"
    for each in open_source("openi", archive, Reading(images=False, text_only=True)):
        if not isinstance(each, Flaw):
            yield each.study.study_id, each.study.report


def write_lines(file: Path, reports: Iterator[tuple[str, Report]], *, source: str, many: int) -> Path:
    """Writes what `cxr reports` would: some lines are not kept."""
    written = 0
    with file.open("w") as stream:
        for name, report in reports:
            kept = bool(report.findings.strip() and report.impression.strip())
            line = {
                "study_id": name, "patient_id": name, "indication": "", "technique": "", "comparison": "",
                "findings": report.findings, "impression": report.impression, "text": summarize(report), "kept": kept,
                "reason": "" if kept else "findings missing", "source": source,
            }  # fmt: skip
            stream.write(json.dumps(line) + "\n")
            written += kept
            if written == many:
                break
    assert written == many
    return file


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 reports of drawn studies."""
    return write_lines(
        tmp_path_factory.mktemp("few") / "reports.jsonl", drawn_reports(60), source="phantoms", many=60
    )  # fmt: skip


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_lightning.reports.summaries.endpoint._pause", lambda *_: 0.01)
    monkeypatch.setattr("cxr_lightning.reports.summaries.endpoint._SHORTEST_BUSY", 0.02)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def first(file: Path, many: int) -> list[str]:
    with file.open() as stream:
        return list(islice(stream, many))
