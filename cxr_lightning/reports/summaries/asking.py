"""Questions enter, answers reach the journal: several at once, each kept before the next question leaves.

An answer is checked the moment it is there; one at fault is asked for once more, with what was wrong. What the server
refuses is one report's loss, unless it refuses many: then it is the server that is wrong.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cxr_lightning.endpoint.ahead import ahead
from cxr_lightning.endpoint.purse import Purse, counted
from cxr_lightning.endpoint.trouble import RefusedError
from cxr_lightning.reports.summaries import prompt
from cxr_lightning.reports.summaries.budget import likely_tokens, most_tokens
from cxr_lightning.reports.summaries.endpoint import Endpoint, LostError
from cxr_lightning.reports.summaries.journal import Journal
from cxr_lightning.reports.summaries.material import Question
from cxr_lightning.reports.summaries.outcome import Open, Outcome, look
from cxr_lightning.reports.summaries.trouble import SummariesError

_MOST_REFUSED, _SHARE_REFUSED = 10, 0.05
_FEWEST = 50
"""Reports after which the share of those whose answers were all at fault says something of the model."""
_AHEAD = 16
"""Questions begun for each that is in the air: one that waits long then holds up no other."""
_DRAIN_SECONDS = 60.0


class Asking:
    """Asks a server and keeps what it says.

    Args:
        endpoint: The server.
        journal: Where answers are kept.
        purse: What may be spent.
        ask_again: Ask again what was in the air when a process was killed.
        max_at_fault: Share of reports whose answers may both be at fault; beyond it, nothing more is paid.
    """

    def __init__(
        self, endpoint: Endpoint, journal: Journal, purse: Purse, *, ask_again: bool, max_at_fault: float = 1.0
    ) -> None:
        self._endpoint, self._journal, self._purse = endpoint, journal, purse
        self._ask_again, self._max_at_fault = ask_again, max_at_fault
        self._settled, self._at_fault, self._faults = 0, 0, Counter[str]()
        self._refused, self._in_the_air, self._counting = 0, 0, threading.Condition()
        # One thread checks at a time: an answer that has arrived is to be kept at once, not behind all others' checks.
        self._checking = threading.Lock()

    def ask(self, questions: Iterable[Question], *, many: int, concurrency: int) -> Iterator[tuple[bytes, Outcome]]:
        """Asks questions.

        Args:
            questions: Those whose answers the journal lacks.
            many: How many they are.
            concurrency: How many at once.

        Yields:
            The digest of each that is settled, and what became of it.

        Raises:
            ServerError: The server is gone.
            BudgetError: The budget is spent.
            SummariesError: The server refuses too many, or too many answers are at fault.
        """
        most = max(_MOST_REFUSED, _SHARE_REFUSED * many)
        try:
            yield from ahead(
                lambda each: self._settle(each, most), questions, workers=concurrency, window=_AHEAD * concurrency
            )
        except BaseException:
            self._drain()
            raise

    def look(self, question: Question) -> Outcome | Open:
        """Says what became of a question so far.

        Args:
            question: The question.
        """
        with self._checking:
            return look(question, self._journal, ask_again=self._ask_again)

    def _settle(self, question: Question, most: float) -> tuple[bytes, Outcome]:
        """Asks, and once more if the answer is at fault."""
        while isinstance(state := self.look(question), Open):
            try:
                self._put(question, state)
            except RefusedError:
                self._count_refusal(most)
            except LostError:
                pass  # the journal knows
        self._count_outcome(state)
        return question.key, state

    def _count_outcome(self, outcome: Outcome) -> None:
        with self._counting:
            self._settled += 1
            self._at_fault += outcome.why == "checks"
            self._faults.update(outcome.last)
            settled, at_fault, faults = self._settled, self._at_fault, self._faults.most_common(3)
        if settled >= _FEWEST and at_fault > self._max_at_fault * settled:
            kinds = ", ".join(f"{kind} ({count})" for kind, count in faults)
            raise SummariesError(
                f"Of {settled} reports, both answers about {at_fault} were at fault: {kinds}. What was answered is "
                "kept. Remedy: look at some by --sample 20 --show true; another --model, a larger --max_tokens; or "
                "--max_at_fault 1, and rules summarise the rest."
            )

    def _put(self, question: Question, state: Open) -> None:
        key, turn, messages = question.key, state.turn, _messages(question, state)
        likely, most = sum(likely_tokens(question)), most_tokens(messages, self._endpoint.max_tokens)
        with self._purse.holding(*most) as again, self._flying():

            def lost() -> None:
                self._journal.lost(key, turn)
                again()

            begun = time.monotonic()
            try:
                reply = self._endpoint.answer(
                    messages, tokens=likely, name=f"{key.hex()}-{turn}",
                    leaving=lambda: self._journal.asked(key, turn, self._endpoint.name, most),
                    unpaid=lambda: self._journal.unpaid(key, turn), lost=lost,
                )  # fmt: skip
            except RefusedError as error:
                self._journal.refused(key, turn, error.said)
                raise
            except LostError:
                self._purse.pay(*most)
                raise
            paid = counted(reply, "".join(each["content"] for each in messages))
            self._purse.pay(*paid)
            self._journal.answered(key, turn, self._endpoint.name, reply, paid, time.monotonic() - begun)

    @contextmanager
    def _flying(self) -> Iterator[None]:
        with self._counting:
            self._in_the_air += 1
        try:
            yield
        finally:
            with self._counting:
                self._in_the_air -= 1
                self._counting.notify_all()

    def _count_refusal(self, most: float) -> None:
        with self._counting:
            self._refused += 1
        if self._refused > most:
            raise SummariesError(
                f"The server refused {self._refused} questions; {self._journal.file} says why. What was answered is "
                "kept. Remedy: look at the server; the same command goes on."
            )

    def _drain(self) -> None:
        """Waits for what is in the air: it is paid."""
        self._endpoint.closing.set()
        with self._counting:
            self._counting.wait_for(lambda: not self._in_the_air, _DRAIN_SECONDS)


def _messages(question: Question, state: Open) -> list[dict[str, str]]:
    asked = [{"role": "user", "content": question.prompt}]
    if state.reply is None:
        return asked
    said = state.reply.text or "(nothing)"  # some servers refuse a turn without words
    return [*asked, {"role": "assistant", "content": said}, {"role": "user", "content": prompt.again(state.faults)}]
