"""One case from its model to what came of it, and what came of all of them as a table and a transcript."""

from __future__ import annotations

import json
import platform
import shlex
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from rich.table import Table

from cxr_lightning.export.servable import servers
from tests.serving.answers import QUESTIONS, Comparison, Plain, ask, compare, films
from tests.serving.load import Load, measure
from tests.serving.models import CASES, build
from tests.serving.servers import NAME, ServerError, vllm

HEADINGS = ("model", "prompts", "answers", "least alike", "same film", "other film", "unasked", "holds")


@dataclass
class Served:
    """What came of one case.

    Attributes:
        name: The case.
        comparisons: Answer by answer.
        failure: Why it was not served, if it was not.
        version: The server's.
        up: Seconds until it answered.
        unasked: Whether a client that names no temperature gets the greedy answer.
        loads: Throughput, where it was asked for.
    """

    name: str
    comparisons: list[Comparison] = field(default_factory=list)
    failure: str = ""
    version: str = ""
    up: float = 0.0
    unasked: bool = False
    loads: list[Load] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether it was served, and every answer is transformers'."""
        return not self.failure and self.unasked and all(each.holds for each in self.comparisons)

    def row(self) -> list[str]:
        """Returns the case's line of a table."""
        if self.failure:
            return [self.name, "not served", *[""] * 5, "no"]
        all_ = self.comparisons
        prompts = sum(one.server.prompt == one.plain.prompt for one in all_)
        whole = sum(one.server.tokens == one.plain.tokens for one in all_)
        least = min(all_, key=lambda one: one.equal / max(1, len(one.plain.tokens)))
        margin = f", a tie ({least.margin:.3f})" if least.margin is not None and least.tied else ""
        return [
            self.name, f"{prompts} of {len(all_)}", f"{whole} of {len(all_)}",
            f"{least.equal} of {len(least.plain.tokens)}{margin}", f"{max(one.difference for one in all_):.3f}",
            f"{max(one.control for one in all_):.3f}", "greedy" if self.unasked else "drawn",
            "yes" if self.holds else "no",
        ]  # fmt: skip


def serve(
    name: str, work: Path, real: Path, program: Path, *, dtype: str = "bfloat16", loads: Sequence[int] = ()
) -> Served:
    """Makes a case's model, has vLLM serve it, and compares what both say about real films.

    Args:
        name: The case.
        work: Folder of everything that is made.
        real: Folder of real radiographs with captions.
        program: The `vllm` command.
        dtype: What both compute in.
        loads: Requests at a time, for each of which throughput is measured.
    """
    served, model, seen = Served(name), build(name, work, real), films(real)
    began = time.perf_counter()
    try:
        with vllm(program, _words(work / name, model), work / name / "vllm.log", dtype=dtype) as url:
            served.up, served.version = time.perf_counter() - began, _version(url)
            plain = Plain(model, dtype)
            for number, film in enumerate(seen):
                other = seen[(number + 1) % len(seen)]
                asked = QUESTIONS if number == 0 else QUESTIONS[:1]
                served.comparisons += [compare(url, NAME, plain, film, other, question) for question in asked]
            unasked = ask(url, NAME, seen[0], QUESTIONS[0], temperature=None)
            served.unasked = unasked.tokens == served.comparisons[0].server.tokens
            served.loads = [measure(url, NAME, seen, at_once) for at_once in loads]
    except ServerError as error:
        served.failure = str(error)
    return served


def _words(folder: Path, model: Path) -> list[str]:
    """Returns what follows `vllm serve`, as `cxr servable` says it."""
    apart = CASES[folder.name].adapter
    able = servers(folder / "adapter" if apart else model)
    command = next((each.command for each in able if each.serves and each.name.startswith("vllm")), None)
    if command is None:
        raise ServerError(f"cxr servable: {able[0].why}")
    if apart:  # the base's own settings hold for its adapters
        return [*shlex.split(command)[2:], "--override-generation-config", '{"temperature": 0.0}']
    return [*shlex.split(command)[2:], "--served-model-name", NAME]


def table(results: Sequence[Served]) -> Table:
    """Returns the cases as a table."""
    grid = Table(title="The same words?", title_justify="left")
    for heading in HEADINGS:
        grid.add_column(heading)
    for each in results:
        grid.add_row(*each.row(), style=None if each.holds else "red")
    return grid


def transcript(results: Sequence[Served], dtype: str) -> str:
    """Returns versions, the table, and every answer, as Markdown."""
    versions = ", ".join(sorted({each.version for each in results if each.version})) or "?"
    lines = [
        "# Served by vLLM, and by transformers here", "",
        f"vLLM {versions}; transformers {transformers.__version__} and torch {torch.__version__} here; {dtype}; "
        f"Python {platform.python_version()}; {_processor()}.", "",
        f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}",
        *(f"| {' | '.join(each.row())} |" for each in results),
    ]  # fmt: skip
    for each in results:
        lines += ["", f"## {each.name}", "", f"{CASES[each.name].about}; up after {each.up:.0f} s.", ""]
        lines += ["```", each.failure, "```"] if each.failure else []
        for one in each.comparisons:
            lines += [f"- {one.equal} of {len(one.plain.tokens)} tokens, likelihoods within {one.difference:.3f} nats"]
            lines += [f"  - vLLM: {one.server.text!r}", f"  - transformers: {one.plain.text!r}"]
            if one.margin is not None:
                said = "is" if one.tied else "is not"
                lines += [f"  - transformers' own word leads by {one.margin:.3f}, which {said} a tie"]
        lines += [f"- {load}" for load in each.loads]
    return "\n".join(lines) + "\n"


def _version(url: str) -> str:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/version", timeout=10) as reply:
        version: str = json.load(reply)["version"]
    return version


def _processor() -> str:
    found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{len(found)} x {found[0].partition(':')[2].strip()}" if found else platform.machine()
