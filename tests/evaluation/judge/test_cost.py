"""Not a penny more than the budget is spent, however many questions are in the air."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

from cxr_lightning.endpoint.purse import BudgetError, Prices, Purse
from cxr_lightning.evaluation.judge.verb import judge_reports

from .conftest import fair, open_desk, write_predictions


def test_what_costs_money_is_confirmed_first(out):
    with open_desk(fair) as desk:
        priced = {"endpoint": desk.url, "studies": 4, "price_in": 1000.0, "price_out": 1000.0, "draws": 50}
        with pytest.raises(BudgetError, match=r"would cost about \d+\.\d\d.*Remedy: confirm by --budget \d") as told:
            judge_reports(str(out), **priced)
        assert desk.asked == []
        enough = float(re.findall(r"--budget ([\d.]+),", str(told.value))[0])
        judge_reports(str(out), **priced, budget=enough)
        # the server's count, or ours where that is more
        assert 0.208 * len(desk.asked) <= json.loads((out / "judge.json").read_text())["cost"]["cost"] < enough


def test_a_budget_is_held_by_all_that_is_in_the_air_together(tmp_path):
    """A slow server, many threads, and answers far longer than expected: nobody spends what another may need."""
    out = write_predictions(tmp_path / "evaluated", studies=6)
    with open_desk(fair) as desk:
        desk.slow, desk.completion_tokens = 0.05, 512
        priced = {"endpoint": desk.url, "rubric": False, "price_out": 1e6, "concurrency": 64, "draws": 50}
        with pytest.raises(BudgetError, match=r"budget of 3000\.00 is spent.*a new --budget"):
            judge_reports(str(out), **priced, budget=3000.0)
        kept = (out / "verdicts.jsonl").read_text().splitlines()
        assert len(desk.asked) == len(kept)
        assert 3000 - 1024 < 512 * len(desk.asked) <= 3000


def test_tokens_that_the_letters_do_not_tell_of_are_held_too(tmp_path):
    out = write_predictions(tmp_path / "evaluated", studies=8)
    with open_desk(fair) as desk:
        desk.prompt_tokens = 1500
        priced = {"endpoint": desk.url, "studies": 4, "rubric": False, "price_in": 1000.0, "concurrency": 8}
        with pytest.raises(BudgetError, match=r"budget of 18\.00 is spent"):
            judge_reports(str(out), **priced, budget=18.0)
        assert 9 <= len(desk.asked) <= 12  # 1.50 each


@pytest.mark.quick
def test_a_budget_without_a_price_is_refused_and_so_is_one_that_no_question_fits(out):
    for budget in (0.0, 0.0001, 1e9):
        with pytest.raises(BudgetError, match=r"tokens have no price. Remedy: --price_in"):
            judge_reports(str(out), endpoint="http://127.0.0.1:9", budget=budget)


@pytest.mark.quick
def test_who_finds_no_room_waits_for_what_is_in_the_air():
    purse, answered = Purse(Prices(0.0, 1e6), 100.0), threading.Event()
    with pytest.raises(ValueError, match="refused"), purse.holding(0, 100):
        raise ValueError("refused")  # what failed is free again

    def ask() -> None:
        with purse.holding(0, 60):
            purse.pay(0, 5)
            answered.set()

    with purse.holding(0, 60):
        threading.Thread(target=ask, daemon=True).start()
        time.sleep(0.05)
        assert not answered.is_set()
        purse.pay(0, 30)
    assert answered.wait(5)
    for most in (66, 1):  # once it is spent it is so for all: whoever left now would be answered after the end
        with pytest.raises(BudgetError, match=r"budget of 100\.00 is spent"), purse.holding(0, most):
            pass
