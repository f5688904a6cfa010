"""The journal beside the summaries: every request before it leaves, every answer before the next question.

Whatever killed the process, an answer that is in it is never asked for again, and of a request that is in it without an
answer it is known that it was in the air: a provider may bill it. Answers are kept, not verdicts on them, so that
better checks can look at what was paid for. Where answers stand is held in memory, not the answers.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxr_lightning.endpoint.ledger import Ledger
from cxr_lightning.endpoint.reply import Finish, Reply, sound
from cxr_lightning.reports.summaries.material import KEY_BYTES

Turn = Literal[1, 2]
"""The first question, and the one that tells what was wrong."""


@dataclass(slots=True)
class Spent:
    """What a model's requests took so far, over all runs.

    Attributes:
        asked_tokens: Of questions.
        tokens: Of answers.
        answers: How many.
        seconds: How long they took, together.
    """

    asked_tokens: int = 0
    tokens: int = 0
    answers: int = 0
    seconds: float = 0.0


class Journal(Ledger):
    """The file of answers, open for more.

    Args:
        file: The file; only its owner may read it, for it holds report text.

    Attributes:
        spent: What each model's requests took, by name; those that were lost, or in the air at a kill, at the most that
            they may cost, also where they were asked again and answered.
        spoilt: Lines that are none of this journal.

    Raises:
        LedgerBusyError: Another process is writing it.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, 0o600)
        self._answers = {1: dict[bytes, int](), 2: dict[bytes, int]()}
        self._in_the_air: dict[tuple[bytes, Turn], tuple[str, int, int]] = {}
        self._flying, self._refused = set[tuple[bytes, Turn]](), set[bytes]()
        self.spent: dict[str, Spent] = {}
        self.spoilt = 0
        for at, line in self.lines():
            if not self._read(at, line):
                self.spoilt += 1
        for model, asked, tokens in self._in_the_air.values():
            self._pay(model, asked, tokens, 0.0, answers=0)
        self._refused.clear()  # what was refused is asked again: the server may have been at fault

    def share_again(self, fewest: int = 20) -> float | None:
        """Returns the share of answers that were asked for once more; None where too few are there to say.

        Args:
            fewest: How many that is.
        """
        first, second = (len(self._answers[turn]) for turn in (1, 2))
        return min(1.0, second / first) if first >= fewest else None

    def asked(self, key: bytes, turn: Turn, model: str, most: tuple[int, int]) -> None:
        """Keeps that a request leaves; one that was held back by a busy server has not left yet.

        Args:
            key: The question's.
            turn: Which question.
            model: Who is asked.
            most: The most tokens that it may cost, asked and answered.
        """
        if (key, turn) in self._flying:
            return
        self._flying.add((key, turn))
        self._in_the_air[key, turn] = (model, *most)
        self.add({"asked": key.hex(), "turn": turn, "model": model, "most": list(most)})

    def lost(self, key: bytes, turn: Turn) -> None:
        """Takes note that a request came to nothing and may have been billed: the next is another.

        Args:
            key: The question's.
            turn: Which question.
        """
        self._flying.discard((key, turn))

    def answered(self, key: bytes, turn: Turn, model: str, reply: Reply, paid: tuple[int, int], seconds: float) -> None:
        """Keeps an answer.

        Args:
            key: The question's.
            turn: Which question.
            model: Who answered.
            reply: The answer.
            paid: Its tokens, asked and answered.
            seconds: How long it took.
        """
        line = {
            "answer": key.hex(), "turn": turn, "model": model, "text": reply.text, "finish": reply.finish,
            "asked_tokens": paid[0], "tokens": paid[1], "seconds": round(seconds, 3),
        }  # fmt: skip
        at = self.add(line)
        if at >= 0:
            self._read(at, line)
            self._flying.discard((key, turn))

    def unpaid(self, key: bytes, turn: Turn) -> None:
        """Keeps that a request came to nothing, and cost nothing.

        Args:
            key: The question's.
            turn: Which question.
        """
        if (key, turn) in self._flying:
            self._flying.discard((key, turn))
            self._in_the_air.pop((key, turn), None)
            self.add({"unpaid": key.hex(), "turn": turn})

    def refused(self, key: bytes, turn: Turn, said: str) -> None:
        """Keeps that the server refuses a question.

        Args:
            key: The question's.
            turn: Which question.
            said: What it said.
        """
        if self.add({"refused": key.hex(), "turn": turn, "said": said}) >= 0:
            self._in_the_air.pop((key, turn), None)
            self._flying.discard((key, turn))
            self._refused.add(key)

    def answer(self, key: bytes, turn: Turn) -> Reply | None:
        """Returns an answer that is there.

        Args:
            key: The question's.
            turn: Which question.
        """
        at = self._answers[turn].get(key)
        if at is None:
            return None
        line = self.line(at)
        return Reply(sound(line["text"]), line["tokens"], line["finish"], line["asked_tokens"])

    def was_refused(self, key: bytes) -> bool:
        """Tells whether the server refused it in this run.

        Args:
            key: The question's.
        """
        return key in self._refused

    def was_in_the_air(self, key: bytes, turn: Turn) -> bool:
        """Tells whether a request left of which no answer came.

        Args:
            key: The question's.
            turn: Which question.
        """
        return (key, turn) in self._in_the_air

    def _read(self, at: int, line: dict[str, Any]) -> bool:
        """Takes note of a line; one that is damaged costs a question and no more."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            kind = next(name for name in ("asked", "answer", "unpaid", "refused", "") if name in line or not name)
            key, turn = bytes.fromhex(line[kind]), line["turn"]
            if len(key) != KEY_BYTES or turn not in (1, 2):
                return False
            if kind == "asked":
                asked, tokens = line["most"]
                if before := self._in_the_air.get((key, turn)):  # of that nothing was heard
                    self._pay(*before, 0.0, answers=0)
                self._in_the_air[key, turn] = (str(line["model"]), int(asked), int(tokens))
            elif kind == "answer":
                if not isinstance(line["text"], str) or line["finish"] not in (None, *_FINISHES):
                    return False
                self._pay(line["model"], line["asked_tokens"], line["tokens"], line["seconds"], answers=1)
                self._answers[turn][key] = at
                self._in_the_air.pop((key, turn), None)
            else:
                self._in_the_air.pop((key, turn), None)
                self._refused |= {key} if kind == "refused" else set()
            return True
        return False

    def _pay(self, model: str, asked: int, tokens: int, seconds: float, *, answers: int) -> None:
        spent = self.spent.setdefault(model, Spent())
        spent.asked_tokens += int(asked)
        spent.tokens += int(tokens)
        spent.seconds += float(seconds)
        spent.answers += answers


_FINISHES: tuple[Finish, ...] = ("stop", "length", "stopped")
