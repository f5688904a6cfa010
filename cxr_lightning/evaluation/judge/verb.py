"""`cxr evaluate judge`: answers that `cxr evaluate` wrote enter, a judge's verdicts leave, and what they are worth.

Report text is patients' text: it goes to this machine or a private network, and further only if the user says so.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cxr_lightning.durable import write_text
from cxr_lightning.endpoint.purse import Prices, Purse, require_budget, require_price
from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.evaluation.counts import require_positive
from cxr_lightning.evaluation.judge import prompts
from cxr_lightning.evaluation.judge.bench import Bench
from cxr_lightning.evaluation.judge.cost import LESS, estimate
from cxr_lightning.evaluation.judge.journal import Journal
from cxr_lightning.evaluation.judge.material import read_material
from cxr_lightning.evaluation.judge.outcomes import outcomes
from cxr_lightning.evaluation.judge.page import write_page
from cxr_lightning.evaluation.judge.questions import Plan, Question, plan_questions
from cxr_lightning.evaluation.judge.report import report
from cxr_lightning.evaluation.judge.shares import Draws
from cxr_lightning.evaluation.judge.tally import PARTS
from cxr_lightning.evaluation.judge.trouble import JudgeError
from cxr_lightning.evaluation.page.words import say_share
from cxr_lightning.serve.remote import Remote
from cxr_lightning.site import require_on_site

log = logging.getLogger(__name__)

_OUR_WORDS = {"--served_model": "--judge", "--parallel": "--concurrency"}
"""Options that the remedies of `serve` name, as they are called here."""


def judge_reports(
    *outs: str,
    endpoint: str,
    judge: str | None = None,
    out: Path | None = None,
    studies: int = 200,
    seed: int = 0,
    again: float = 0.1,
    rubric: bool = True,
    swapped: bool = True,
    concurrency: int = 8,
    max_tokens: int = 512,
    price_in: float = 0.0,
    price_out: float = 0.0,
    budget: float | None = None,
    may_leave_site: bool = False,
    api_key: str | None = None,
    draws: int = 1000,
    show_prompt: bool = False,
) -> None:
    """Have a language model judge reports, and try the judge.

    Each report meets the radiologist's, that to another image, and other models', in both orders; it is graded from 1
    to 5; and in controls whose outcome is known the judge shows whether it can be believed.

    Args:
        *outs: Folders that `cxr evaluate` wrote, one a model, all of the same studies.
        endpoint: URL of a server that speaks OpenAI's protocol, such as http://127.0.0.1:8000.
        judge: Which of its models judges; by default the only one.
        out: Folder for verdicts.jsonl, judge.json and judge.html; by default the one that is judged. The same command
            goes on where it stopped, and asks nothing twice.
        studies: How many studies, drawn by --seed; all if there are fewer.
        seed: Seed of all that is drawn; sent to the server, too.
        again: Share of duels that are asked a second time, to see whether the judge agrees with itself.
        rubric: Have reports graded, too.
        swapped: Have answers to the own image meet those to another patient's.
        concurrency: Requests at once.
        max_tokens: Longest answer. A judge that thinks aloud needs more.
        price_in: What a million tokens of questions cost, in any money.
        price_out: What a million tokens of answers cost.
        budget: The most that may be spent. Where tokens have a price it must be said before the first is.
        may_leave_site: Let report text go to a server that is neither on this machine nor on a private network.
        api_key: What the server asks for, if it does; by default CXR_API_KEY of the environment.
        draws: Draws of the bootstrap.
        show_prompt: Print what a judge is asked, and ask nobody.

    Raises:
        OffSiteError: Report text would leave the site.
        BudgetError: The budget is missing or too small.
        JudgeError: The folders do not fit.
    """
    if show_prompt:
        print(prompts.shown())
        return
    require_positive(studies=studies, concurrency=concurrency, max_tokens=max_tokens, draws=draws)
    _require_shares(again=again, price_in=price_in, price_out=price_out, budget=budget or 0.0)
    folders, prices = [Path(each) for each in outs], Prices(price_in, price_out)
    require_price(prices, budget)
    out = _place(folders, out)
    material = read_material(folders, studies=studies, seed=seed)
    require_on_site(endpoint, allowed=may_leave_site, what="report text")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with (
            closing(Remote(endpoint, model=judge, api_key=api_key, direct=not may_leave_site)) as remote,
            Journal(out) as journal,
        ):
            plan = plan_questions(
                material, judge=remote.name, max_tokens=max_tokens, seed=seed, again=again, rubric=rubric,
                swapped=swapped,
            )  # fmt: skip
            _ask(plan, remote, journal, prices, budget, concurrency)
            known, shown = dict(journal.known), remote.shown
    except ServerError as error:
        raise ServerError(_in_our_words(str(error))) from None
    found = outcomes(plan, known)
    told = report(
        material, plan, known, found, endpoint=shown, prices=prices, draws=Draws(draws, seed)
    )  # fmt: skip
    write_text(out / "judge.json", json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    write_page(out, told, found, known, plan)
    _print(told, out)


def _place(folders: Sequence[Path], out: Path | None) -> Path:
    if out is None and len(folders) > 1:
        raise JudgeError("Several folders are judged. Remedy: say where the verdicts go, by --out FOLDER.")
    return out or folders[0]


def _ask(
    plan: Plan, remote: Remote, journal: Journal, prices: Prices, budget: float | None, concurrency: int
) -> None:  # fmt: skip
    """Asks what the journal does not know."""
    questions = plan.questions()
    rest = [each for each in questions if each.id not in journal.known]
    if len(rest) < len(questions):
        log.info("%s of %s verdicts are known; going on.", len(questions) - len(rest), len(questions))
    expected = estimate(rest, prices, max_tokens=plan.max_tokens)
    log.info(
        "%s questions to %s, about %s tokens%s.",
        expected.calls,
        plan.judge,
        f"{expected.asked_tokens:,}",
        f", about {expected.cost:.2f}" if expected.cost else "",
    )
    require_budget(expected, budget, less=LESS)
    purse = Purse(prices, budget)
    bench = Bench(remote, journal, purse, max_tokens=plan.max_tokens)
    try:
        _follow(bench, rest, purse, concurrency)
    except (KeyboardInterrupt, ServerError):
        log.info("Stopped. %s verdicts are kept; the same command goes on.", len(journal.known))
        raise


def _follow(bench: Bench, questions: Sequence[Question], purse: Purse, concurrency: int) -> None:
    columns = (
        TextColumn("Judging"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=not questions) as progress:
        task = progress.add_task("", total=len(questions))
        for _ in bench.ask(questions, concurrency=concurrency):
            cost = f", {purse.spent:.2f} spent" if purse.spent else ""
            words = f"{purse.asked_tokens + purse.tokens:,} tokens{cost}"
            progress.update(task, advance=1, description=words)


def _in_our_words(text: str) -> str:
    for theirs, ours in _OUR_WORDS.items():
        text = text.replace(theirs, ours)
    return text


def _print(told: dict[str, Any], out: Path) -> None:
    console = Console()
    table = Table(title=f"{len(told['studies'])} studies, judged by {told['judge']['model']}")
    for name in ("report", "against", "won", "tied", "undecided", "lost"):
        table.add_column(name, justify="left" if name in ("report", "against") else "right")
    for row in told["duels"]:
        shares = ("–" if row[name] is None else say_share(row[name]).replace(" (", "\n(") for name in PARTS)
        table.add_row(row["left"], row["right"], *shares)
    console.print(table)
    console.print(told["verdict"], highlight=False)
    console.print(f"Verdicts, numbers and a page to look at: {out}", soft_wrap=True)
    sys.stdout.flush()


def _require_shares(*, again: float, **amounts: float) -> None:
    if not 0 <= again <= 1:
        raise ValueError(f"--again {again}: a share, 0 to 1.")
    for name, value in amounts.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"--{name} {value}: must be 0 or more.")
