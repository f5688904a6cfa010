"""What `cxr summarize` refuses before a word leaves, what it asks, keeps, spends and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cxr_lightning import cli
from cxr_lightning.endpoint.ledger import LedgerBusyError
from cxr_lightning.endpoint.purse import BudgetError
from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.reports.sources import SOURCES
from cxr_lightning.reports.summaries import prompt
from cxr_lightning.reports.summaries.journal import Journal
from cxr_lightning.reports.summaries.trouble import SummariesError
from cxr_lightning.reports.summaries.verb import summarize
from cxr_lightning.site import OffSiteError

from .conftest import Pen, asked_about, drawn_reports, read, write_lines

OFF_SITE = "http://192.0.2.1/v1"  # reserved for documentation: nobody is there


def lines_of(tmp_path: Path, *texts: tuple[str, str], source: str = "openi") -> Path:
    from cxr_lightning.study import Report

    named = ((f"s{number}", Report(findings=found, impression=meant)) for number, (found, meant) in enumerate(texts))
    return write_lines(tmp_path / "reports.jsonl", named, source=source, many=len(texts))


TWO = ("The heart is enlarged. No pneumothorax.", "Cardiomegaly.")


def test_without_an_endpoint_the_rules_summarise(few, tmp_path, capsys):
    out = tmp_path / "new" / "out.jsonl"
    summarize(few, out=out)
    kept = [line for line in read(few) if line["kept"]]
    assert [line["summary"] for line in read(out)] == [line["text"] for line in kept]
    assert {line["how"] for line in read(out)} == {"rules"}
    assert out.stat().st_mode & 0o777 == 0o600
    assert "no endpoint was given" in capsys.readouterr().out
    assert [each.name for each in out.parent.iterdir()] == ["out.jsonl"]


def test_a_model_summarises_and_what_it_said_is_never_asked_for_again(few, tmp_path, scribe, capsys):
    out = tmp_path / "out.jsonl"
    summarize(few, out=out, endpoint=scribe.url)
    made, asked = read(out), scribe.begun.total()
    assert {line["how"] for line in made} == {"model", "corrected", "rules"}
    told = [line for line in made if line["how"] != "rules"]
    assert {line["prompt"] for line in told} == {prompt.version()}
    assert {line["model"] for line in told} == {"scribe"}
    assert max(scribe.begun.values()) == 1
    by_rules = [line for line in made if line["why"] == "checks"]
    rules = {line["study_id"]: line["text"] for line in read(few)}
    assert by_rules
    assert all(line["summary"] == rules[line["study_id"]] for line in by_rules)
    before, table = out.read_bytes(), capsys.readouterr().out
    assert "both answers were at fault" in table
    assert not any(word in table for word in ("mass", "effusion"))
    out.unlink()
    summarize(few, out=out, endpoint=scribe.url)
    assert scribe.begun.total() == asked
    assert out.read_bytes() == before
    assert out.with_name("out.jsonl.journal").stat().st_mode & 0o777 == 0o600


def test_reports_that_are_alike_are_asked_about_once(tmp_path, scribe):
    reports = lines_of(tmp_path, TWO, TWO, ("Compared to prior, the heart is enlarged. No pneumothorax.", TWO[1]), TWO)
    scribe.speech = lambda messages: "The heart is enlarged, without pneumothorax."
    summarize(reports, out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert scribe.begun.total() == 1
    assert [line["summary"] for line in read(tmp_path / "out.jsonl")] == [
        "The heart is enlarged, without pneumothorax."
    ] * 4


def test_one_sentence_is_not_asked_about(tmp_path, scribe):
    reports = lines_of(
        tmp_path, ("No acute disease.", "No acute disease."), ("Unchanged from the prior study.", "None.")
    )
    summarize(reports, out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert scribe.begun.total() == 0
    assert [line["why"] for line in read(tmp_path / "out.jsonl")] == ["nothing to merge"] * 2


def test_the_model_is_told_once_what_was_wrong(tmp_path, scribe):
    reports = lines_of(tmp_path, ("A 12 mm nodule in the right upper lobe. No effusion.", "Right nodule."))
    heard = []

    def speak(messages):
        heard.append(messages)
        return "A 21 mm nodule lies in the left upper lobe. No effusion."

    scribe.speech = speak
    summarize(reports, out=tmp_path / "out.jsonl", endpoint=scribe.url)
    first, second = heard
    assert [each["role"] for each in second] == ["user", "assistant", "user"]
    assert second[:1] == first
    told = second[2]["content"]
    assert "12 mm" in told
    assert "21 mm" in told
    assert "on the right, and you on the left" in told
    line = read(tmp_path / "out.jsonl")[0]
    assert (line["how"], line["why"]) == ("rules", "checks")
    assert {"number", "side"} <= set(line["faults"])
    assert line["summary"] == read(reports)[0]["text"]


def test_what_must_not_be_in_a_summary_does_not_leave(tmp_path, scribe):
    reports = lines_of(
        tmp_path, ("Comparison is made to ___. The heart is enlarged. Discussed with Dr. Smith. No effusion.", TWO[1])
    )  # fmt: skip
    heard = []
    scribe.speech = lambda messages: heard.append(asked_about(messages)) or "The heart is enlarged. No effusion."
    summarize(reports, out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert heard[0].findings == "The heart is enlarged. No effusion."


@pytest.mark.quick
@pytest.mark.parametrize("source", ["mimic-cxr", "chexpert-plus", "table", "", "nobody-knows"])
def test_text_of_credentialed_and_unknown_sources_does_not_leave_the_site(source, tmp_path):
    reports = lines_of(tmp_path, TWO, source=source)
    with pytest.raises(OffSiteError, match=r"192\.0\.2\.1 is neither.*report text of.*may_leave_site true"):
        summarize(reports, out=tmp_path / "out.jsonl", endpoint=OFF_SITE)
    assert not (tmp_path / "out.jsonl.journal").exists()


@pytest.mark.quick
def test_one_credentialed_line_among_public_ones_is_enough(tmp_path):
    reports = lines_of(tmp_path, *[(f"{TWO[0]} Old fracture of rib {n}.", TWO[1]) for n in range(9)])
    lines = read(reports)
    lines[7]["source"] = "mimic-cxr"
    reports.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(OffSiteError, match=r"report text of mimic-cxr would go there"):
        summarize(reports, out=tmp_path / "out.jsonl", endpoint=OFF_SITE)


def test_public_text_may_leave_and_so_may_other_if_the_user_says_so(tmp_path, scribe, monkeypatch):
    assert SOURCES["openi"].public
    monkeypatch.setattr("cxr_lightning.site.is_on_site", lambda host: False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)
    held = lines_of(tmp_path, TWO, source="mimic-cxr")
    with pytest.raises(OffSiteError):
        summarize(held, out=tmp_path / "held.jsonl", endpoint=scribe.url)
    summarize(held, out=tmp_path / "held.jsonl", endpoint=scribe.url, may_leave_site=True)
    assert scribe.begun.total() == 2


def test_who_is_sent_on_does_not_go(tmp_path, scribe):
    scribe.statuses.append((307, {"location": "http://192.0.2.1/v1/chat/completions"}, {}))
    with pytest.raises(ServerError, match=r"sends us on to http://192\.0\.2\.1"):
        summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)


def test_the_key_is_the_environments_and_no_other(tmp_path, scribe, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "for-another")
    monkeypatch.setenv("CXR_API_KEY", "our-secret")
    summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)
    headers = {name.lower(): value for name, value in scribe.headers[0].items()}
    assert headers["authorization"] == "Bearer our-secret"
    written = (tmp_path / "out.jsonl.journal").read_text() + (tmp_path / "out.jsonl").read_text() + caplog.text
    assert "our-secret" not in written


def test_a_busy_server_is_waited_for_as_it_wishes(tmp_path, scribe):
    scribe.statuses += [(429, {"retry-after": "0.05"}, {"error": {"message": "slow down"}})] * 15
    summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert scribe.begun.total() == 16


def test_a_spent_quota_is_not_waited_for(tmp_path, scribe):
    scribe.statuses.append((429, {}, {"error": {"message": "no money", "code": "insufficient_quota"}}))
    with pytest.raises(ServerError, match=r"says 429 \(insufficient_quota\)\..*Remedy"):
        summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert scribe.begun.total() == 1


def test_what_the_server_refuses_is_summarised_by_rule_and_asked_again_another_time(tmp_path, scribe):
    reports, out = lines_of(tmp_path, TWO), tmp_path / "out.jsonl"
    scribe.statuses.append((400, {}, {"error": {"message": "The heart is enlarged is not allowed"}}))
    summarize(reports, out=out, endpoint=scribe.url)
    assert [(line["how"], line["why"]) for line in read(out)] == [("rules", "refused")]
    summarize(reports, out=out, endpoint=scribe.url)
    assert [line["why"] for line in read(out)] != ["refused"]


def test_a_server_that_refuses_much_is_told_and_its_words_are_not(few, tmp_path, scribe):
    scribe.statuses += [(400, {}, {"error": {"message": "pleural effusion is not allowed"}})] * 60
    with pytest.raises(SummariesError, match=r"refused \d+ questions; .*out\.jsonl\.journal says why") as told:
        summarize(few, out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert "effusion" not in str(told.value)


def test_a_newer_name_of_the_limit_is_learned(tmp_path, scribe):
    told = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    scribe.statuses.append((400, {}, {"error": {"message": told}}))
    summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert scribe.completed.total() >= 1


def test_what_costs_money_is_confirmed_first_and_the_budget_holds_over_runs(few, tmp_path, scribe):
    priced = {"out": tmp_path / "out.jsonl", "endpoint": scribe.url, "price_in": 1000.0, "price_out": 1000.0}
    with pytest.raises(BudgetError, match=r"would cost about \d+\.\d\d.*Remedy: confirm by --budget \d") as told:
        summarize(few, **priced)
    assert scribe.begun.total() == 0
    enough = float(re.findall(r"--budget ([\d.]+),", str(told.value))[0])
    scribe.prompt_tokens, scribe.completion_tokens = 800, 600  # far longer than expected, and than we would count
    with pytest.raises(BudgetError, match=r"budget of .* is spent"):
        summarize(few, **priced, budget=enough)
    spent = 1.4 * scribe.completed.total()
    assert spent <= enough
    assert not priced["out"].exists()
    with pytest.raises(BudgetError, match=rf"{spent:.2f} are spent already; the budget is"):
        summarize(few, **priced, budget=enough)
    summarize(few, **priced, budget=1000.0)
    assert max(scribe.completed.values()) == 1


def test_the_estimate_is_told_before_the_first_question(few, tmp_path, scribe, caplog):
    with caplog.at_level("INFO"):
        summarize(few, out=tmp_path / "out.jsonl", endpoint=scribe.url)
    told = [text for text in caplog.messages if "tokens asked" in text]
    assert len(told) == 1
    assert re.search(
        r"\d+ questions, about [\d,]+ tokens asked and [\d,]+ answered, of no known price, about .*guess", told[0]
    )


def test_the_limits_of_a_provider_are_kept(tmp_path, scribe):
    reports = lines_of(tmp_path, *[(f"{TWO[0]} Old fracture of rib {n}.", TWO[1]) for n in range(2, 12)])
    scribe.speech = lambda messages: f"{asked_about(messages).findings}"
    summarize(reports, out=tmp_path / "out.jsonl", endpoint=scribe.url, requests_per_minute=600)
    times = sorted(at for each in scribe.asked_at.values() for at in each)
    assert len(times) == 10
    assert times[-1] - times[0] >= 0.85


def test_few_are_looked_at_first(few, tmp_path, scribe, capsys):
    out = tmp_path / "out.jsonl"
    summarize(few, out=out, endpoint=scribe.url, sample=5, show=True)
    drawn = [line["study_id"] for line in read(out)]
    assert len(drawn) == 5
    assert drawn != [line["study_id"] for line in read(few)][:5]
    shown = " ".join(capsys.readouterr().out.split())
    assert read(out)[0]["summary"].split()[0] in shown
    summarize(few, out=out, endpoint=scribe.url, limit=7)
    assert len(read(out)) == 7
    with pytest.raises(SummariesError, match=r"--sample 20"):
        summarize(
            write_lines(tmp_path / "many.jsonl", drawn_reports(120), source="openi", many=101), out=out, show=True
        )


@pytest.mark.quick
def test_the_prompt_can_be_read(few, capsys):
    summarize(few, show_prompt=True)
    told = capsys.readouterr().out
    assert prompt.ASK.partition("<report {mark}>")[0] in told
    assert prompt.fingerprint() in told


@pytest.mark.quick
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("words", r"line 1: no line of JSON"),
        ("5", r"line 1: lacks one of study_id"),
        ('{"study_id": "a", "findings": "", "impression": "", "text": "x"}', r"lacks one of .* kept"),
        ('{"study_id": "a", "findings": null, "impression": "", "text": "x", "kept": true}', r"lacks one of"),
        ("[" * 60_000, r"line 1: no line of JSON"),
        (
            '{"study_id": "a", "findings": "", "impression": "", "text": "x", "kept": true}\n' * 2,
            r"byte 79.*another line",
        ),
    ],
)
def test_lines_that_are_no_reports_are_named(tmp_path, text, told):
    reports = tmp_path / "reports.jsonl"
    reports.write_text(text)
    with pytest.raises(SummariesError, match=told):
        summarize(reports, out=tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"out": None}, "--out SUMMARIES"),
        ({"concurrency": 0}, "--concurrency 0"),
        ({"sample": 0}, "--sample 0"),
        ({"price_in": -1.0}, "--price_in -1"),
        ({"tokens_per_minute": 0.0}, "--tokens_per_minute 0"),
    ],
)
def test_options_that_make_no_sense_are_named(few, tmp_path, options, told):
    with pytest.raises(SummariesError, match=told):
        summarize(few, **{"out": tmp_path / "out.jsonl", **options})


@pytest.mark.quick
def test_a_budget_without_a_price_is_refused(few, tmp_path):
    with pytest.raises(BudgetError, match="tokens have no price"):
        summarize(few, out=tmp_path / "out.jsonl", endpoint="http://127.0.0.1:9", budget=5.0)


def test_two_processes_do_not_write_one_journal(tmp_path, scribe):
    with Journal(tmp_path / "out.jsonl.journal"), pytest.raises(LedgerBusyError, match="another process"):
        summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)


@pytest.mark.parametrize("spoil", ["half", "letters", "numbers"])
def test_a_spoilt_journal_costs_a_question_and_no_more(few, tmp_path, scribe, spoil):
    out, journal = tmp_path / "out.jsonl", tmp_path / "out.jsonl.journal"
    summarize(few, out=out, endpoint=scribe.url)
    whole, asked, lines = out.read_bytes(), scribe.begun.total(), journal.read_bytes().splitlines(keepends=True)
    place = max(number for number, line in enumerate(lines) if line.startswith(b'{"answer"'))
    lines[place] = {"half": lines[place][:40], "letters": b"\xff\xfe\n", "numbers": b'{"answer": 5, "turn": 1}\n'}[
        spoil
    ]
    journal.write_bytes(b"".join(lines[: place + 1] if spoil == "half" else lines))
    summarize(few, out=out, endpoint=scribe.url)
    assert out.read_bytes() == whole
    assert scribe.begun.total() == asked + 1


def test_another_model_is_asked_anew(tmp_path, scribe):
    reports = lines_of(tmp_path, TWO)
    summarize(reports, out=tmp_path / "out.jsonl", endpoint=scribe.url)
    before = set(scribe.begun)
    summarize(reports, out=tmp_path / "out.jsonl", endpoint=scribe.url, model="other", overwrite=True)
    assert set(scribe.begun) > before


def test_on_the_command_line(few, tmp_path, capsys):
    assert cli.run(["summarize", str(few), "--out", str(tmp_path / "out.jsonl")]) == 0
    assert len(read(tmp_path / "out.jsonl")) == 60
    assert cli.run(["summarize", str(few), "--out", str(tmp_path / "o"), "--endpoint", OFF_SITE]) == 1
    assert "192.0.2.1" in capsys.readouterr().err


def test_a_model_that_fails_every_report_is_not_paid_to_the_end(tmp_path, scribe):
    scribe.speech = lambda messages: "The heart weighs 400 grams."
    texts = [(f"{TWO[0]} A nodule of {number} mm.", TWO[1]) for number in range(120)]
    lines = lines_of(tmp_path, *texts)
    with pytest.raises(SummariesError, match=r"Of 5\d reports, both answers about 5\d were at fault: ") as told:
        summarize(lines, out=tmp_path / "out.jsonl", endpoint=scribe.url, concurrency=1)
    assert "--max_at_fault 1" in str(told.value)
    asked = scribe.begun.total()
    assert 100 <= asked < 140
    summarize(lines, out=tmp_path / "out.jsonl", endpoint=scribe.url, max_at_fault=1)
    assert scribe.begun.total() == 240
    assert {line["why"] for line in read(tmp_path / "out.jsonl")} == {"checks"}


def test_fewer_summaries_do_not_replace_more_unasked(few, tmp_path):
    out = tmp_path / "out.jsonl"
    summarize(few, out=out)
    before = out.read_bytes()
    with pytest.raises(SummariesError, match=r"holds \d+ summaries, and 3 would stand there"):
        summarize(few, out=out, sample=3)
    assert out.read_bytes() == before
    summarize(few, out=out, sample=3, overwrite=True)
    assert len(read(out)) == 3


def test_a_server_that_is_gone_is_told_of_while_it_is_tried(tmp_path, scribe, monkeypatch, caplog):
    monkeypatch.setattr("cxr_lightning.reports.summaries.endpoint.TRIES", 2)
    monkeypatch.setattr(Pen, "do_POST", lambda pen: setattr(pen, "close_connection", True))
    with pytest.raises(ServerError):
        summarize(lines_of(tmp_path, TWO), out=tmp_path / "out.jsonl", endpoint=scribe.url)
    assert sum("No answer from" in text for text in caplog.messages) == 1
