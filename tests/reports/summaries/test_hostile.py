"""Servers that lie, stammer, drip, repeat what they were sent or say that they are busy for ever; names in reports."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from cxr_lightning.endpoint.purse import BudgetError
from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.reports.summaries import prompt
from cxr_lightning.reports.summaries.journal import Journal
from cxr_lightning.reports.summaries.trouble import SummariesError
from cxr_lightning.reports.summaries.verb import summarize

from .conftest import Mood, Pen, read
from .test_verb import TWO, lines_of


def test_what_may_name_somebody_does_not_leave(tmp_path, scribe, capsys):
    named = ("The heart is enlarged. No pneumothorax in Mr. John Smith, MRN 1234567.", "Cardiomegaly.")
    reports = lines_of(tmp_path, TWO, named, (TWO[0], "Cardiomegaly. Call (617) 555-0123 for Dr. Jane Miller."))
    summarize(reports, out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert scribe.begun.total() == 1
    assert [(line["how"], line["why"]) for line in read(tmp_path / "out.jsonl")][1] == ("rules", "identifiers")
    assert "Smith" not in (tmp_path / "out.jsonl.journal").read_text()
    assert "may name somebody" in capsys.readouterr().out


def test_half_a_letter_spoils_no_run(tmp_path, scribe):
    reports, out = lines_of(tmp_path, TWO), tmp_path / "out.jsonl"
    reports.write_text(reports.read_text().replace("enlarged.", r"enlarged\ud83d."))
    scribe.speech = lambda messages: "The heart is enlarged \ud83d, without pneumothorax."
    summarize(reports, out=out, endpoint=scribe.url)
    assert len(read(out)) == 1
    journal, asked = out.with_name("out.jsonl.journal"), scribe.begun.total()
    journal.write_text(journal.read_text().replace("enlarged ?", r"enlarged \ud83d"))  # as it was kept before
    assert r"\ud83d" in journal.read_text()
    summarize(reports, out=out, endpoint=scribe.url)
    assert scribe.begun.total() == asked


PRICED = {"price_in": 1000.0, "price_out": 1000.0}


@pytest.mark.parametrize("lie", [-(10**6), 0, True, 10**40, "many"])
def test_a_server_that_lies_about_tokens_is_counted_by_letters(few, tmp_path, scribe, lie):
    def spent(out: Path, said: object) -> tuple[int, int]:
        scribe.prompt_tokens = scribe.completion_tokens = said
        summarize(few, out=out, endpoint=scribe.url, limit=6)
        with Journal(out.with_name(f"{out.name}.journal")) as journal:
            return journal.spent["scribe"].asked_tokens, journal.spent["scribe"].tokens

    silent = spent(tmp_path / "silent.jsonl", None)
    assert silent[0] > 6 * 300
    assert spent(tmp_path / "lies.jsonl", lie) == silent
    assert spent(tmp_path / "true.jsonl", 5000) > (6 * 4999, 6 * 4999)


def test_each_answer_that_nobody_can_read_is_counted_at_its_most(tmp_path, scribe):
    scribe.mood, out = Mood(page=1.0), tmp_path / "out.jsonl"
    with pytest.raises(BudgetError, match=r"budget of .* is spent"):
        summarize(lines_of(tmp_path, TWO), out=out, endpoint=scribe.url, budget=10.0, **PRICED)
    made = scribe.cut.total()
    assert 2 <= made <= 6  # of more than 1.5 each, where twelve would be tried
    with Journal(out.with_name("out.jsonl.journal")) as journal:
        spent = journal.spent["scribe"]
    assert 10.0 - 2.6 < (spent.asked_tokens + spent.tokens) / 1000 <= 10.0


def test_what_was_lost_is_not_forgotten_once_it_is_answered(tmp_path, scribe):
    reports, out = lines_of(tmp_path, TWO), tmp_path / "out.jsonl"
    name = out.with_name("out.jsonl.journal")
    summarize(reports, out=out, endpoint=scribe.url, **PRICED, budget=10.0)
    lines = name.read_bytes().splitlines(keepends=True)
    asked = json.loads(lines[0])
    with Journal(name) as journal:
        once = journal.spent["scribe"].asked_tokens
    name.write_bytes(lines[0])  # as a kill leaves it
    summarize(reports, out=out, endpoint=scribe.url, **PRICED, budget=20.0)
    with Journal(name) as journal:
        assert journal.spent["scribe"].asked_tokens == once + asked["most"][0]
    scribe.statuses += [(429, {"retry-after": "0.01"}, {}), (500, {}, {})]  # neither is billed
    name.unlink()
    summarize(reports, out=out, endpoint=scribe.url, **PRICED, budget=20.0)
    with Journal(name) as journal:
        assert journal.spent["scribe"].asked_tokens == once


def test_another_model_spends_of_the_same_budget(few, tmp_path, scribe):
    ask = {"out": tmp_path / "out.jsonl", "endpoint": scribe.url, "concurrency": 1, **PRICED, "limit": 8}
    summarize(few, **ask, budget=20.0)
    with pytest.raises(BudgetError, match=r"are spent already"):
        summarize(few, **ask, budget=8.0, model="other", overwrite=True)


@pytest.mark.parametrize("status", [400, 401, 404, 307, 429])
@pytest.mark.parametrize("user", ["", "doctor:s3cret@"])
def test_a_server_that_repeats_key_and_report_is_not_quoted(
    tmp_path, scribe, monkeypatch, caplog, capsys, status, user
):
    monkeypatch.setenv("CXR_API_KEY", "our-secret")
    secret = "ZG9jdG9yOnMzY3JldA==" if user else "our-secret"
    words = f"heart is enlarged; wrong key {secret}, s3cret"
    said = {"error": {"message": words, "code": "insufficient_quota" if status == 429 else words}}
    scribe.statuses += [(status, {"location": f"http://192.0.2.1/{words.replace(' ', '+')}"}, said)] * 12
    out, told = tmp_path / "out.jsonl", ""
    try:
        summarize(lines_of(tmp_path, TWO), out=out, endpoint=scribe.url.replace("//", f"//{user}"))
    except ServerError as error:
        told = str(error)
        assert str(status) in told or "sends us on to http://192.0.2.1" in told
    shown, journal = told + caplog.text + "".join(capsys.readouterr()), out.with_name("out.jsonl.journal").read_text()
    assert secret not in shown + journal
    assert "heart is" not in shown.lower()
    assert ("heart is enlarged; wrong key [key]" in journal) == (status == 400)
    assert not user or "s3cret" not in shown + journal


def test_who_speaks_no_http_is_not_quoted(tmp_path, scribe, monkeypatch):
    monkeypatch.setattr(Pen, "send_response", lambda pen, *_: pen.wfile.write(b"heart is enlarged\r\n"))
    with pytest.raises(ServerError, match=r"RemoteProtocolError") as told:
        summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url, model="scribe")
    assert "heart" not in str(told.value)


def test_patience_with_a_busy_server_ends_and_it_is_not_stormed(tmp_path, scribe, monkeypatch, caplog):
    monkeypatch.setattr("cxr_lightning.reports.summaries.endpoint._SHORTEST_BUSY", 0.1)
    scribe.statuses += [(429, {"retry-after": "0"}, {})] * 100
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"busy \(429\) for 0\.01 minutes.*Remedy: the same command"):
        summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url, busy_minutes=0.01)
    assert time.monotonic() - begun < 30
    assert 3 <= scribe.begun.total() <= 8
    assert sum("is busy (429); we wait" in text for text in caplog.messages) == 1


def test_what_another_wrote_is_not_replaced_unasked(tmp_path, scribe, monkeypatch):
    reports, out = lines_of(tmp_path, TWO), tmp_path / "out.jsonl"
    scribe.speech = lambda messages: "The heart is enlarged, without pneumothorax."
    summarize(reports, out=out)
    summarize(reports, out=out, endpoint=scribe.url)  # the rules' may go
    whole, asked = out.read_bytes(), scribe.begun.total()
    with pytest.raises(SummariesError, match=r"line 1 was written by a model, and now the rules would.*--overwrite"):
        summarize(reports, out=out)
    with pytest.raises(SummariesError, match=r"another model would.*--overwrite"):
        summarize(reports, out=out, endpoint=scribe.url, model="other")
    summarize(reports, out=out, endpoint=scribe.url)
    monkeypatch.setattr(prompt, "VERSION", prompt.VERSION + 1)
    with pytest.raises(SummariesError, match=r"another prompt would.*--overwrite"):
        summarize(reports, out=out, endpoint=scribe.url)
    assert (out.read_bytes(), scribe.begun.total()) == (whole, asked)
    summarize(reports, out=out, overwrite=True)
    assert read(out)[0]["why"] == "no endpoint"
    copied = tmp_path / "copied.jsonl"
    copied.write_bytes(reports.read_bytes())
    with pytest.raises(SummariesError, match=r"line 1 is no summary"):
        summarize(reports, out=copied)


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_without_end_is_not_read_to_it(tmp_path, scribe, monkeypatch, packed):
    sent, piece = [0], (gzip.compress(b" " * 2**24, 9) if packed else b" " * 2**16)
    most = 2**18 if packed else 2**24

    def pour(pen: Pen, *_: object, **__: object) -> None:
        pen.send_response(200)
        pen.send_header("content-type", "application/json")
        if packed:
            pen.send_header("content-encoding", "gzip")
        pen.end_headers()
        pen.close_connection = True
        while sent[0] < 40 * most:
            pen.wfile.write(piece)
            sent[0] += len(piece)

    monkeypatch.setattr(Pen, "answer", pour)
    with pytest.raises(ServerError, match=rf"more than {most:,} bytes"):
        summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert scribe.begun.total() == 1
    assert sent[0] < 2 * most + 2**24


def test_an_answer_that_drips_is_waited_for_once_more_and_no_longer(tmp_path, scribe, monkeypatch):
    monkeypatch.setattr("cxr_lightning.endpoint.client.ANSWER_SECONDS", 0.3)

    def drip(pen: Pen, *_: object, **__: object) -> None:
        pen.send_response(200)
        pen.send_header("content-type", "application/json")
        pen.end_headers()
        pen.close_connection = True
        for _drop in range(200):
            pen.wfile.write(b" ")
            pen.wfile.flush()
            time.sleep(0.05)

    monkeypatch.setattr(Pen, "answer", drip)
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"silent, or its answer had no end"):
        summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert scribe.begun.total() == 2
    assert time.monotonic() - begun < 9, "less than one whole answer"
