"""`cxr summarize`: lines of `cxr reports` enter, a line with one summary for each report that was kept leaves.

Report text is patients' text: what a public source did not publish goes to this machine or a private network, and
further only if the user says that an agreement allows it.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cxr_lightning.endpoint.pace import Pace
from cxr_lightning.endpoint.purse import Prices, Purse, require_budget, require_price
from cxr_lightning.progress import Rate
from cxr_lightning.reports.sources import SOURCES
from cxr_lightning.reports.summaries import prompt
from cxr_lightning.reports.summaries.asking import Asking
from cxr_lightning.reports.summaries.budget import LESS, Rates
from cxr_lightning.reports.summaries.endpoint import Endpoint
from cxr_lightning.reports.summaries.former import require_apart, require_replaceable
from cxr_lightning.reports.summaries.journal import Journal, Spent
from cxr_lightning.reports.summaries.outcome import Outcome, tables
from cxr_lightning.reports.summaries.plan import Choice, Plan, choose, make_plan
from cxr_lightning.reports.summaries.trouble import SummariesError
from cxr_lightning.reports.summaries.writing import Summary, by_model, by_rule, write
from cxr_lightning.site import require_on_site

log = logging.getLogger(__name__)

_MOST_SHOWN = 100


def summarize(
    reports: Path,
    *,
    out: Path | None = None,
    endpoint: str | None = None,
    model: str | None = None,
    concurrency: int = 16,
    max_tokens: int = 512,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    busy_minutes: float = 60.0,
    price_in: float = 0.0,
    price_out: float = 0.0,
    budget: float | None = None,
    ask_again: bool = True,
    max_at_fault: float = 0.9,
    may_leave_site: bool = False,
    limit: int | None = None,
    sample: int | None = None,
    overwrite: bool = False,
    show: bool = False,
    show_prompt: bool = False,
) -> None:
    """Merge findings and impression into one fluent summary, by a language model or by rule.

    Each answer is checked against its report: numbers, sides, negations, findings, language. One at fault is asked for
    once more, with what was wrong; then the rules summarise. The same command goes on where it stopped, and asks for
    nothing that was answered. The key of a server, if it wants one, is CXR_API_KEY of the environment.

    Args:
        reports: The file that `cxr reports` wrote.
        out: File for the summaries, a line a report; the answers are kept beside it (OUT.journal).
        endpoint: URL of a server that speaks OpenAI's protocol, such as http://127.0.0.1:8000; without one the rules
            summarise.
        model: Which of its models; by default the only one.
        concurrency: Requests at once.
        max_tokens: Longest answer. A model that thinks aloud needs more.
        requests_per_minute: Most requests a minute.
        tokens_per_minute: Most tokens a minute, of questions and answers.
        busy_minutes: How long a question waits for a server that says that it is busy (429); then the run ends.
        price_in: What a million tokens of questions cost, in any money.
        price_out: What a million tokens of answers cost.
        budget: The most that may be spent, over all runs with this journal. Where tokens have a price it must be said
            before the first is.
        ask_again: Ask again where a request was cut off, or its process killed, before the answer came. A provider may
            bill both; with false such reports are summarised by rule, and nothing is billed twice.
        max_at_fault: The run ends where both answers are at fault for more than this share of its reports, once it has
            seen 50; 1 never ends it.
        may_leave_site: Let text of credentialed sources go to a server that is neither on this machine nor on a private
            network: your data's licence and your hospital must allow it.
        limit: Only so many of the first reports.
        sample: Only so many reports, drawn from all of them, to look at first.
        overwrite: Replace summaries that stand in OUT although another model or prompt wrote them.
        show: Print reports beside their summaries; patients' text then stands on the screen.
        show_prompt: Print what a model is asked, and ask nobody.

    Raises:
        OffSiteError: Text of a credentialed source would leave the site.
        BudgetError: The budget is missing or too small.
        SummariesError: A line is no report's, OUT is the input, or the server refuses too much.
    """
    if show_prompt:
        print(prompt.shown())
        return
    prices, rates = Prices(price_in, price_out), Rates(concurrency, requests_per_minute, tokens_per_minute)
    _require(out, prices, budget, rates, busy_minutes, max_tokens=max_tokens, limit=limit, sample=sample)
    if not 0 <= max_at_fault <= 1:
        raise SummariesError(f"--max_at_fault {max_at_fault}: a share, 0 to 1.")
    assert out is not None
    require_apart(out, reports)
    choice, shown = choose(reports, limit=limit, sample=sample), list[Summary]()
    if show and len(choice.places) > _MOST_SHOWN:
        raise SummariesError(f"--show would print {len(choice.places):,} reports. Remedy: --sample 20.")
    out.parent.mkdir(parents=True, exist_ok=True)
    if endpoint is None:
        if not overwrite:
            require_replaceable(out, "", "", len(choice.places))
        counts = _write(by_rule(choice), choice, out, "", shown if show else None)
    else:
        direct = _require_allowed(choice, endpoint, may_leave_site=may_leave_site)
        server = Endpoint(
            endpoint, model, pace=Pace(requests_per_minute, tokens_per_minute), max_tokens=max_tokens, direct=direct,
            ask_again=ask_again, patience=60 * busy_minutes,
        )  # fmt: skip
        if not overwrite:
            require_replaceable(out, server.name, prompt.version(), len(choice.places))
        with closing(server), Journal(out.with_name(f"{out.name}.journal")) as journal:
            plan = _asked(choice, server, journal, Purse(prices, budget), prices, budget, rates, ask_again=ask_again,
                          max_at_fault=max_at_fault)  # fmt: skip
            counts = _write(by_model(plan, journal), choice, out, server.name, shown if show else None)
    _print(shown, counts, out)


def _asked(
    choice: Choice, server: Endpoint, journal: Journal, purse: Purse, prices: Prices, budget: float | None,
    rates: Rates, *, ask_again: bool, max_at_fault: float,
) -> Plan:  # fmt: skip
    """Asks what the journal does not know, if the budget bears it."""
    if journal.spoilt:
        log.warning("%s: %s lines are no answers and passed over.", journal.file, journal.spoilt)
    for each in journal.spent.values():  # of whichever model: the budget is the journal's
        purse.pay(each.asked_tokens, each.tokens)
    spent = journal.spent.get(server.name, Spent())
    asking = Asking(server, journal, purse, ask_again=ask_again, max_at_fault=max_at_fault)
    with _progress("Reading", len(choice.places)) as tick:
        plan = make_plan(choice, server.name, server.max_tokens, asking.look, tick)
    if (again := journal.share_again()) is not None:
        plan.forecast.again = again
    minutes = plan.forecast.minutes(spent, rates)
    log.info(
        "%s reports, %s of them word for word like another; %s texts are settled. To %s: %s.",
        f"{len(choice.places):,}", f"{plan.alike:,}", f"{len(plan.outcomes):,}", server.name,
        plan.forecast.told(prices, server.max_tokens, minutes, guessed=not spent.answers),
    )  # fmt: skip
    if plan.open:
        require_budget(plan.forecast.estimate(prices, server.max_tokens), budget, spent=purse.spent, less=LESS)
        _follow(plan, asking, purse, server, rates.concurrency)
    return plan


def _follow(plan: Plan, asking: Asking, purse: Purse, server: Endpoint, concurrency: int) -> None:
    questions = plan.questions(server.name, server.max_tokens)
    try:
        with _progress("Summarising", len(plan.open)) as tick:
            for key, outcome in asking.ask(questions, many=len(plan.open), concurrency=concurrency):
                plan.outcomes[key] = outcome
                cost = f", {purse.spent:,.2f} spent" if purse.spent else ""
                tick(f"{purse.asked_tokens + purse.tokens:,} tokens{cost}")
    except (KeyboardInterrupt, ValueError, OSError):
        log.info("Stopped. What was answered is kept; the same command goes on.")
        raise


def _write(
    summaries: Iterator[Summary], choice: Choice, out: Path, model: str, shown: list[Summary] | None
) -> Counter[Outcome]:  # fmt: skip
    def each(summary: Summary) -> None:
        tick()
        if shown is not None:
            shown.append(summary)

    with _progress("Writing", len(choice.places)) as tick:
        return write(summaries, out, model, each)


def _require_allowed(choice: Choice, endpoint: str, *, may_leave_site: bool) -> bool:
    """Tells whether no proxy may stand between; a source that nobody knows is credentialed."""
    held = [name for name in sorted(choice.sources) if name not in SOURCES or not SOURCES[name].public]
    if held:
        names = ", ".join(name if name in SOURCES else "a source of no known name" for name in dict.fromkeys(held))
        require_on_site(endpoint, allowed=may_leave_site, what=f"report text of {names}")
    return bool(held) and not may_leave_site


def _require(
    out: Path | None, prices: Prices, budget: float | None, rates: Rates, busy_minutes: float, *, max_tokens: int,
    limit: int | None, sample: int | None,
) -> None:  # fmt: skip
    if out is None:
        raise SummariesError("Nobody said where the summaries go. Remedy: --out SUMMARIES.jsonl.")
    counts = {"concurrency": rates.concurrency, "max_tokens": max_tokens, "limit": limit, "sample": sample}
    for name, count in counts.items():
        if count is not None and count < 1:
            raise SummariesError(f"--{name} {count}: must be 1 or more.")
    amounts = {"price_in": prices.asked, "price_out": prices.answered, "budget": budget or 0.0}
    for name, amount in amounts.items():
        if not 0 <= amount < math.inf:
            raise SummariesError(f"--{name} {amount}: must be 0 or more.")
    speeds = {
        "requests_per_minute": rates.requests, "tokens_per_minute": rates.tokens, "busy_minutes": busy_minutes
    }  # fmt: skip
    for name, rate in speeds.items():
        if rate is not None and not 0 < rate < math.inf:
            raise SummariesError(f"--{name} {rate}: must be more than 0.")
    require_price(prices, budget)


@contextmanager
def _progress(does: str, total: int) -> Iterator[Callable[..., None]]:
    columns = (
        TextColumn(does), BarColumn(), MofNCompleteColumn(), Rate(), TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=not total) as progress:
        task = progress.add_task("", total=total)
        yield lambda words="": progress.update(task, advance=1, description=words)


def _print(shown: Sequence[Summary], counts: Counter[Outcome], out: Path) -> None:
    console = Console()
    if shown:
        pairs = Table(show_lines=True)
        for name in ("report", "summary", "by"):
            pairs.add_column(name, ratio=1 if name == "by" else 6)
        for each in shown:
            report = f"{each.line.findings}\n\n{each.line.impression}"
            by = " ".join(word for word in (each.outcome.how, each.outcome.why) if word)
            pairs.add_row(Text(report), Text(each.text), Text(by))
        console.print(pairs)
    for table in tables(counts):
        console.print(table)
    console.print(f"Summaries: {out}", soft_wrap=True, highlight=False)
