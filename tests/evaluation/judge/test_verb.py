"""A judge's faults are found out by its own trial, and what it says of reports is counted right."""

from __future__ import annotations

import json

import pytest

from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.evaluation.judge.trouble import JudgeError
from cxr_lightning.evaluation.judge.verb import judge_reports
from cxr_lightning.evaluation.predictions import PredictionsError
from cxr_lightning.options import parser_of
from cxr_lightning.site import OffSiteError

from .conftest import better, chance, fair, first, longer, open_desk, write_predictions


def judged(opinion, *outs, **options):
    """Returns judge.json and the server."""
    with open_desk(opinion) as desk:
        judge_reports(*map(str, outs), endpoint=desk.url, **{"studies": 28, "concurrency": 4, "draws": 200} | options)
    return json.loads((options.get("out") or outs[0]).joinpath("judge.json").read_text()), desk


def test_a_fair_judge_is_believed_and_sees_who_looked(out):
    told, desk = judged(fair, out, studies=40)
    trial = told["trial"]
    assert told["believed"] == "yes", told["verdict"]
    assert trial["controls"]["all"]["value"] == trial["consistent"]["value"] == trial["self_agreement"]["value"] == 1
    assert trial["first"]["value"] == 0.5
    assert trial["length_effect"]["value"] == 0
    stock = {json.loads(line)["reference"] for line in (out / "predictions.jsonl").read_text().splitlines()}
    assert trial["controls"]["corrupted"]["n"] == 2 * len(stock) < 80  # stock reports are judged once, and count once
    against, swapped = told["duels"]
    assert (against["kind"], against["tied"]["value"]) == ("truth", 1)
    assert swapped["won"]["value"] > swapped["lost"]["value"]
    assert told["grades"][0]["accuracy"]["mean"]["value"] > told["grades"][1]["accuracy"]["mean"]["value"] + 1
    assert len(told["studies"]) == 40
    assert all((body["temperature"], body["max_tokens"]) == (0.0, 512) for body in desk.asked)
    assert {body["seed"] for body in desk.asked} == {0, 1}  # the second is of what is asked again
    assert told["cost"]["asked_tokens"] >= 200 * len(desk.asked)  # ours where that is more


def test_few_patients_are_too_few_however_many_verdicts(tmp_path):
    out = write_predictions(tmp_path / "evaluated", studies=16, together=4)
    told, _ = judged(fair, out, rubric=False, swapped=False)
    assert told["believed"] == "unknown"
    assert told["trial"]["patients"] == 4
    assert told["trial"]["controls"]["all"]["n"] > 20
    assert told["trial"]["controls"]["all"]["low"] == pytest.approx(0.025**0.25), "four patients, not all verdicts"
    assert "on 4 patients, are too few (20 patients are needed)" in told["verdict"]


def test_who_takes_the_first_is_found_out(out):
    told, _ = judged(first, out, rubric=False)
    assert told["believed"] == "no"
    assert "whichever report stands first, in 100 %" in told["verdict"]
    assert told["trial"]["first"]["value"] == 1
    assert told["trial"]["consistent"]["value"] == 0
    assert all(row["won"]["value"] == row["lost"]["value"] == 0 for row in told["duels"])


def test_who_takes_the_longer_is_found_out(out):
    told, _ = judged(longer, out, rubric=False)
    assert told["believed"] == "no"
    assert "prefers the longer report" in told["verdict"]
    assert told["trial"]["length_effect"]["value"] == told["trial"]["longer"]["value"] == 1
    assert told["trial"]["consistent"]["value"] > 0.9


def test_who_tosses_a_coin_is_found_out(out):
    told, _ = judged(chance, out, rubric=False, again=1.0)
    assert told["believed"] == "no"
    assert told["trial"]["controls"]["all"]["high"] < 0.6
    assert told["trial"]["self_agreement"]["value"] < 0.7
    assert "asked the same again" in told["verdict"]


def test_models_meet_in_every_study_that_both_answered(tmp_path):
    good = write_predictions(tmp_path / "good", name="one", wrong=0.05, seed=1)
    poor = write_predictions(tmp_path / "poor", name="one", wrong=0.9, seed=2)
    lines = (poor / "predictions.jsonl").read_text().splitlines(keepends=True)
    (poor / "predictions.jsonl").write_text("".join(lines[:-4]))
    told, _ = judged(fair, good, poor, out=tmp_path / "both", studies=100, rubric=False, swapped=False)
    duel = next(row for row in told["duels"] if row["kind"] == "models")
    assert (duel["left"], duel["right"], duel["duels"]) == ("one (good)", "one (poor)", 38)
    assert duel["won"]["low"] > duel["lost"]["high"]


def test_what_is_out_of_form_is_asked_once_more_and_then_left(out):
    def nonsense(reports, number):
        return better("A") if number % 5 in (0, 2) else "I like both."

    told, desk = judged(nonsense, out, concurrency=1, again=0.0, rubric=False)
    answers = told["trial"]["answers"]
    assert answers["corrected"] > 0
    assert answers["unread"] > 0
    retry = next(body for body in desk.asked if len(body["messages"]) == 3)
    assert [each["role"] for each in retry["messages"]] == ["user", "assistant", "user"]
    lines = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert any(line["replies"] == ["I like both.", '{"better": "A"}'] and line["verdict"] == "A" for line in lines)
    assert "could not be read" in told["verdict"]


def test_a_bad_moment_of_the_server_is_waited_for(out):
    with open_desk(fair) as desk:
        desk.statuses = [200, 429, 500, 0, 503, 200, 429]
        judge_reports(str(out), endpoint=desk.url, studies=4, rubric=False, draws=50)
        assert desk.statuses == []
    assert json.loads((out / "judge.json").read_text())["trial"]["answers"]["refused"] == 0


def test_a_refusal_is_one_loss_and_is_asked_again_next_time(out):
    with open_desk(fair) as desk:
        desk.statuses = [400, 400]
        judge_reports(str(out), endpoint=desk.url, studies=4, rubric=False, draws=50)
        refused = json.loads((out / "judge.json").read_text())["trial"]["answers"]
        before = len(desk.asked)
        judge_reports(str(out), endpoint=desk.url, studies=4, rubric=False, draws=50)
        assert (refused["refused"], len(desk.asked) - before) == (2, 2)
    assert json.loads((out / "judge.json").read_text())["trial"]["answers"]["refused"] == 0


def test_a_server_that_refuses_everything_ends_it(out):
    with open_desk(fair) as desk:
        desk.statuses = [400] * 1000
        with pytest.raises(JudgeError, match=r"refused \d+ questions.*it says 400"):
            judge_reports(str(out), endpoint=desk.url, concurrency=1)


def test_a_server_that_goes_away_is_told_in_the_words_of_this_verb(out):
    with open_desk(fair) as desk:
        desk.statuses = [404] * 9
        with pytest.raises(ServerError, match="leave out --judge, or name what it serves"):
            judge_reports(str(out), endpoint=desk.url, judge="other")


def test_report_text_stays_on_site(out):
    with pytest.raises(
        OffSiteError, match=r"8\.8\.8\.8 is neither this machine.*report text would.*may_leave_site true"
    ):
        judge_reports(str(out), endpoint="http://8.8.8.8:9/v1")


@pytest.mark.quick
def test_folders_that_do_not_fit_are_told(tmp_path):
    out, empty = write_predictions(tmp_path / "a"), tmp_path / "b"
    with pytest.raises(JudgeError, match=r"--out FOLDER"):
        judge_reports(str(out), str(empty), endpoint="http://127.0.0.1:9")
    with pytest.raises(PredictionsError, match=r"b/predictions.jsonl does not exist"):
        judge_reports(str(empty), endpoint="http://127.0.0.1:9")
    lines = (out / "predictions.jsonl").read_text().replace("Chest film", "Film").replace("bones", "Bones", 1)
    write_predictions(empty)
    (empty / "predictions.jsonl").write_text(lines.replace("The heart", "A heart"))
    with pytest.raises(JudgeError, match="has another reference than in"):
        judge_reports(str(out), str(empty), endpoint="http://127.0.0.1:9", out=tmp_path / "c")
    (empty / "predictions.jsonl").write_text('{"key": "a"}\n')
    with pytest.raises(PredictionsError, match=r"line 1: not a row of answers"):
        judge_reports(str(empty), endpoint="http://127.0.0.1:9")


@pytest.mark.quick
def test_prompts_are_shown_and_nobody_is_asked(capsys):
    judge_reports("nowhere", endpoint="http://127.0.0.1:9", show_prompt=True)
    shown = capsys.readouterr().out
    assert "Prompts, version 2 (" in shown
    assert '{"better": "tie"}' in shown


@pytest.mark.quick
def test_the_command_line_is_read(capsys):
    parsed = parser_of("evaluate judge", judge_reports).parse_args(
        ["a", "b", "--endpoint", "http://127.0.0.1:1", "--judge", "m", "--may_leave_site", "true", "--budget", "3"]
    )
    assert (parsed.outs, parsed.judge, parsed.may_leave_site, parsed.budget) == (["a", "b"], "m", True, 3.0)


def test_a_judge_that_says_nothing_readable_is_no_judge(tmp_path):
    out = write_predictions(tmp_path / "evaluated", wrong=0.0)
    told, _ = judged(lambda reports, number: "Both are fine reports.", out)
    assert told["believed"] == "no"
    assert all(row["won"] is None and row["unread"] == 28 for row in told["duels"])
    assert told["grades"][0]["accuracy"]["mean"] is None
    assert "no verdict could be read" in (out / "judge.html").read_text()


def test_a_few_refusals_of_everything_leave_a_page_that_says_nothing_is_known(tmp_path):
    out = write_predictions(tmp_path / "evaluated", studies=1)
    with open_desk(fair) as desk:
        desk.statuses = [400] * 99
        judge_reports(str(out), endpoint=desk.url)
    told = json.loads((out / "judge.json").read_text())
    assert told["believed"] == "unknown"
    assert told["trial"]["answers"]["refused"] == told["trial"]["answers"]["asked"] > 0
    assert "Whether this judge can be believed is not known" in (out / "judge.html").read_text()
