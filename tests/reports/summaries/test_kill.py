"""Killed in the middle and begun again: one summary a report, no answer paid for twice, the same bytes at the end.

Paid: an answer that the server wrote to its last byte while the connection stood. What it writes to a process that is
being killed in that moment may be paid for again, and nothing else: it stands in the journal as being in the air.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from .conftest import CALM, REAL, WILD, Scribe, drawn_reports, open_scribe, read, real_reports, write_lines

_RUN = """
import sys
from pathlib import Path
import cxr_lightning.reports.summaries.endpoint as endpoint
from cxr_lightning.reports.summaries.verb import summarize
endpoint._pause = lambda *_: 0.02
endpoint._SHORTEST_BUSY = 0.02
reports, out, url, again = sys.argv[1:]
summarize(Path(reports), out=Path(out), endpoint=url, concurrency=8, ask_again=again == "again")
"""


def start(reports: Path, out: Path, desk: Scribe, *, again: bool = True) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _RUN, str(reports), str(out), desk.url, "again" if again else "never"]
    quiet = {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env={**os.environ, **quiet}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip


def journal_of(out: Path) -> tuple[set[str], set[str]]:
    """What is answered, and what was in the air, by the name under which the server knows it."""
    answered, asked = set[str](), set[str]()
    for raw in out.with_name(f"{out.name}.journal").read_bytes().splitlines():
        try:
            line = json.loads(raw)
        except ValueError:
            continue  # half a line
        if "asked" in line:
            asked.add(f"{line['asked']}-{line['turn']}")
        if "answer" in line:
            answered.add(f"{line['answer']}-{line['turn']}")
    return answered, asked - answered


def killed(desk: Scribe, reports: Path, out: Path, moments: list[int], *, again: bool) -> Counter[str]:
    """Kills a run each time that the server has completed so many answers; returns what was in the air, how often."""
    in_the_air, chance = Counter[str](), random.Random(8)
    for moment in moments:
        process, until = start(reports, out, desk, again=again), time.monotonic() + 60
        while desk.completed.total() < moment:
            assert time.monotonic() < until
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.1))  # else it always dies just after an answer left
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.3)  # what is on its way arrives
        assert not out.exists()
        answered, air = journal_of(out)
        in_the_air.update(air)
        at = time.monotonic()
        desk.after = dict.fromkeys(answered, at) | getattr(desk, "after", {})
    return in_the_air


def finish(desk: Scribe, reports: Path, out: Path, *, again: bool = True) -> float:
    begun = time.monotonic()
    assert start(reports, out, desk, again=again).wait(timeout=300) == 0
    return time.monotonic() - begun


def asked_once_known(desk: Scribe) -> int:
    """Requests for what the journal already had an answer to."""
    return sum(at > since for name, since in desk.after.items() for at in desk.asked_at[name])


def test_killed_ten_times_every_report_has_one_summary_and_none_is_paid_for_twice(tmp_path, capsys):
    kind, drawn = ("Open-i's", real_reports()) if REAL else ("drawn", drawn_reports(2400))
    source = "openi" if REAL else "phantoms"
    reports = write_lines(tmp_path / "reports.jsonl", drawn, source=source, many=2000)
    with open_scribe(CALM) as desk:
        seconds = finish(desk, reports, tmp_path / "undisturbed.jsonl")
        whole = desk.completed.copy()
    assert set(whole.values()) == {1}
    with open_scribe(WILD) as desk:
        desk.delay = 0.06  # slower than who asks can read, as servers are
        moments = sorted(random.Random(4).sample(range(10, sum(whole.values()) - 20), 10))
        in_the_air = killed(desk, reports, tmp_path / "killed.jsonl", moments, again=True)
        finish(desk, reports, tmp_path / "killed.jsonl")
        twice = {name: count for name, count in desk.completed.items() if count > 1}
    lines = read(tmp_path / "killed.jsonl")
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()
    assert [line["study_id"] for line in lines] == [line["study_id"] for line in read(reports) if line["kept"]]
    assert all(line["summary"] for line in lines)
    assert set(desk.completed) == set(whole)
    assert asked_once_known(desk) == 0
    assert all(count - 1 <= in_the_air[name] for name, count in twice.items())
    with capsys.disabled():
        told = ", ".join(f"{name} {count}" for name, count in sorted(desk.said.items()))
        print(
            f"\n{len(lines)} {kind} reports, {len(whole)} questions; killed after {moments} answers; server: {told}; "
            f"in the air at kills {in_the_air.total()}, of which it gave up {desk.abandoned.total()} and "
            f"completed, unheard, {sum(twice.values()) - len(twice)}; asked for although it was known: "
            f"{asked_once_known(desk)}; undisturbed {seconds:.1f} s; "
            f"{dict(Counter(line['how'] for line in lines))}"
        )


def test_who_will_not_pay_twice_does_not(tmp_path):
    reports = write_lines(tmp_path / "reports.jsonl", drawn_reports(400), source="phantoms", many=200)
    with open_scribe(WILD) as desk:
        desk.delay = 0.005
        out = tmp_path / "out.jsonl"
        in_the_air = killed(desk, reports, out, [40, 110, 150], again=False)
        finish(desk, reports, out, again=False)
        made = desk.completed + desk.cut + desk.abandoned
        assert max(made.values()) == 1  # whole, half, a page instead, or for nobody: made once
        assert max(in_the_air.values()) > 0
    lines = read(out)
    assert len(lines) == 200
    lost = [line for line in lines if line["why"] == "in the air"]
    assert 0 < len(lost) < 60
    assert all(line["how"] == "rules" and line["summary"] for line in lost)


def test_interrupted_it_hears_the_answers_that_are_on_their_way(tmp_path):
    reports = write_lines(tmp_path / "reports.jsonl", drawn_reports(400), source="phantoms", many=200)
    out = tmp_path / "out.jsonl"
    with open_scribe(CALM) as desk:
        desk.delay = 0.1
        process, until = start(reports, out, desk), time.monotonic() + 60
        while desk.completed.total() < 20:
            assert time.monotonic() < until
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
        answered, in_the_air = journal_of(out)
        assert answered == set(desk.completed)
        assert not in_the_air
        assert not desk.abandoned
        assert len(answered) < 60
    assert not out.exists()
