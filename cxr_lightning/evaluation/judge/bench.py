"""Questions enter, verdicts reach the journal: several at once, each kept the moment it is there.

An answer that cannot be read is asked about once more, with the words said why; then it counts as unreadable. What a
server refuses is one question's loss, unless it refuses many: then it is the server that is wrong.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from cxr_lightning.endpoint.ahead import ahead
from cxr_lightning.endpoint.purse import Purse, counted
from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.endpoint.trouble import RefusedError
from cxr_lightning.evaluation.judge import prompts
from cxr_lightning.evaluation.judge.answers import READERS, Verdict
from cxr_lightning.evaluation.judge.cost import most_tokens
from cxr_lightning.evaluation.judge.journal import Journal, Line
from cxr_lightning.evaluation.judge.questions import Question
from cxr_lightning.evaluation.judge.trouble import JudgeError
from cxr_lightning.serve.dialogue import Dialogue

_MOST_REFUSED, _SHARE_REFUSED = 10, 0.05


class Judge(Protocol):
    """Who is asked: `serve.remote.Remote`."""

    name: str
    shown: str

    def reply(self, dialogue: Dialogue, *, max_new_tokens: int, seed: int | None = None) -> Reply:
        """Answers one dialogue; several threads may ask at once."""
        ...


class Bench:
    """Asks a judge and keeps what it says.

    Args:
        judge: Who is asked.
        journal: Where verdicts are kept.
        purse: What may be spent.
        max_tokens: Longest answer.
    """

    def __init__(self, judge: Judge, journal: Journal, purse: Purse, *, max_tokens: int) -> None:
        self._judge, self._journal, self._purse, self._max_tokens = judge, journal, purse, max_tokens
        self._refused, self._counting = 0, threading.Lock()

    def ask(self, questions: Sequence[Question], *, concurrency: int) -> Iterator[Question]:
        """Asks questions.

        Args:
            questions: Those that the journal does not know yet.
            concurrency: How many at once.

        Yields:
            Each, once its verdict is kept or it was refused.

        Raises:
            ServerError: The server is gone.
            JudgeError: It refuses too many.
        BudgetError: The budget is spent.
        """
        most = max(_MOST_REFUSED, _SHARE_REFUSED * len(questions))

        def one(question: Question) -> Question:
            self._one(question, most)
            return question

        yield from ahead(one, questions, workers=concurrency, window=2 * concurrency)

    def _one(self, question: Question, most: float) -> None:
        record = self._record(question)
        try:
            with self._purse.holding(*most_tokens(question.prompt, self._max_tokens)):
                begun = time.monotonic()
                replies, verdict = self._heard(question)
        except RefusedError as error:
            self._journal.add({**record, "error": str(error)})
            self._count_refusal(error, most)
            return
        tokens = [counted(reply, question.prompt) for reply in replies]
        self._journal.add(
            {
                **record,
                "verdict": verdict,
                "replies": [reply.text for reply in replies],
                "finish": replies[-1].finish,
                "asked_tokens": sum(asked for asked, _ in tokens),
                "tokens": sum(answered for _, answered in tokens),
                "seconds": round(time.monotonic() - begun, 3),
            }
        )

    def _heard(self, question: Question) -> tuple[list[Reply], Verdict | None]:
        """Asks, and once more if the answer cannot be read."""
        read, dialogue = READERS[question.form], Dialogue.ask(question=question.prompt)
        replies: list[Reply] = []
        while True:
            reply = self._judge.reply(dialogue, max_new_tokens=self._max_tokens, seed=question.seed)
            replies.append(reply)
            self._purse.pay(*counted(reply, question.prompt))
            verdict = read(reply.text)
            if verdict is not None or len(replies) == 2:
                return replies, verdict
            said = reply.text or "(nothing)"  # some servers refuse a turn without words
            dialogue = Dialogue((), (*dialogue.turns, ("assistant", said), ("user", prompts.AGAIN)))

    def _record(self, question: Question) -> Line:
        return {
            "id": question.id,
            **question.about,
            "judge": self._judge.name,
            "endpoint": self._judge.shown,
            "prompts": f"{prompts.VERSION} ({prompts.fingerprint()})",
            "seed": question.seed,
        }

    def _count_refusal(self, error: RefusedError, most: float) -> None:
        with self._counting:
            self._refused += 1
        if self._refused > most:
            raise JudgeError(
                f"The judge refused {self._refused} questions, the last because {error} Verdicts are kept. "
                "Remedy: look at the server; the same command goes on."
            ) from None
