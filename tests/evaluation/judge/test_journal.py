"""Killed in the middle and begun again: what was answered is not asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cxr_lightning.endpoint.ledger import LedgerBusyError
from cxr_lightning.evaluation.judge.journal import Journal
from cxr_lightning.evaluation.judge.verb import judge_reports

from .conftest import fair, open_desk

WHOLE = {
    "id": "a", "kind": "truth", "key": "s1", "verdict": "A", "replies": ["A"], "finish": "stop", "asked_tokens": 9,
    "tokens": 1, "seconds": 0.5,
}  # fmt: skip
_RUN = """
import sys
from cxr_lightning.evaluation.judge.verb import judge_reports
judge_reports(sys.argv[1], endpoint=sys.argv[2], studies=16, concurrency=3, draws=50)
"""


def ids(out: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (out / "verdicts.jsonl").read_text().splitlines()]


def test_killed_and_resumed_no_verdict_is_asked_twice(out):
    with open_desk(fair) as desk:
        desk.slow = 0.03
        command = [sys.executable, "-c", _RUN, str(out), desk.url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while len(desk.answered) < 30:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.2)  # what is on its way arrives
        desk.slow, before = 0.0, ids(out)
        answered = len(desk.answered)
        assert answered - 3 <= len(before) <= answered  # each on disk as soon as it was there
        with (out / "verdicts.jsonl").open("a") as file:
            file.write('{"id": "half')
        judge_reports(str(out), endpoint=desk.url, studies=16, concurrency=3, draws=50)
        told = json.loads((out / "judge.json").read_text())
        # Only what was in the air when the process died, at most three, is asked again.
        assert len(desk.asked) == told["trial"]["answers"]["asked"] + answered - len(before)
        assert len(desk.asked) - len(set(desk.answered)) <= 3
        asked = len(desk.asked)
        judge_reports(str(out), endpoint=desk.url, studies=16, concurrency=3, draws=50)
        assert len(desk.asked) == asked  # all is known
    kept = [line for line in (out / "verdicts.jsonl").read_text().splitlines() if not line.endswith('"half')]
    names = [json.loads(line)["id"] for line in kept]
    assert len(names) == len(set(names))


@pytest.mark.quick
def test_two_processes_do_not_write_one_file(tmp_path):
    with Journal(tmp_path), pytest.raises(LedgerBusyError, match="is being written by another process"):
        Journal(tmp_path)
    with Journal(tmp_path) as journal:
        journal.add({**WHOLE, "replies": ["A\u2028\x85B\x0c"]})
        journal.add({"id": "b", "error": "refused"})
    journal.add({"id": "late", "verdict": "A"})  # an answer that came after the end
    with Journal(tmp_path) as journal:
        assert set(journal.known) == {"a"}


@pytest.mark.quick
@pytest.mark.parametrize(
    "spoilt",
    [
        {"id": ["a"]},
        {"id": None},
        {"kind": 5},
        {"kind": "rubric"},
        {"kind": "rubric", "verdict": {"accuracy": 3, "completeness": 9, "safety": 1}},
        {"key": {}},
        {"verdict": {"accuracy": 3, "completeness": 2, "safety": 1}},
        {"verdict": "C"},
        {"verdict": []},
        {"replies": "A"},
        {"replies": []},
        {"replies": [None]},
        {"finish": 5},
        {"tokens": None},
        {"asked_tokens": -1},
        {"seconds": float("nan")},
    ],
)
def test_a_line_that_is_no_verdict_is_asked_again(tmp_path, spoilt, caplog):
    other = {**WHOLE, "id": "b", "kind": "rubric", "verdict": {"accuracy": 3, "completeness": 2, "safety": 1}}
    (tmp_path / "verdicts.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in ({**WHOLE, **spoilt}, other)))
    with Journal(tmp_path) as journal:
        assert set(journal.known) == {"b"}
    assert "1 lines are no verdicts" in caplog.text


@pytest.mark.parametrize("line", ["5", "null", "[1]", '{"id": 5}', "[" * 50_000, '{"id": "x", "verdict": "\xdf'])
def test_a_spoilt_file_does_not_end_a_run(out, line):
    (out / "verdicts.jsonl").write_bytes(line.encode()[:-1] if line.endswith("\xdf") else f"{line}\n".encode())
    with open_desk(fair) as desk:
        judge_reports(str(out), endpoint=desk.url, studies=1, draws=20)
        asked = len(desk.asked)
        judge_reports(str(out), endpoint=desk.url, studies=1, draws=20)
        assert len(desk.asked) == asked > 0
