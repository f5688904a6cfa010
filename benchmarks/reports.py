"""How fast reports become texts to learn from, and how many of their sections are found: on Open-i's reports.

    python benchmarks/reports.py --reports DATA/openi/NLMCXR_reports_dev.tgz [--rounds 5] [--json FILE]

The reports are laid out as MIMIC-CXR's files are. One core splits them into sections, cleans and sums them up: cold (no
sentence remembered at the start), forgetting everything after each report (the floor, whatever the corpus repeats), and
warm. Beside it stands the plain way: one regular expression for headings in capitals, then one that drops sentences
with a word of comparison or a blank. Its sections are compared too, for speed alone says nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

from cxr_lightning.reports.cleaning import forget
from cxr_lightning.reports.residue import Residue
from cxr_lightning.reports.sections import split_sections
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.reports.telling import forget_words

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.reports.archive_layout import lay_out

Sections = dict[str, str]
SAID = ("findings", "impression")
_HEADING = re.compile(r"\n[ \t]*([A-Z ()/,&'-]{3,}):\s")
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_DROPPED = re.compile(r"prior|previous|compar|unchanged|stable|interval|_{2,}|X{4}", re.IGNORECASE)


def read(archive: Path) -> list[Sections]:
    """Reads Open-i's reports: their sections by our names."""
    found = []
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None and member.name.endswith(".xml"):
                texts = ElementTree.parse(file).iter("AbstractText")
                found.append({each.get("Label", "").lower(): " ".join((each.text or "").split()) for each in texts})
    return found


def plain_sections(text: str) -> Sections:
    """Splits a report as a few lines of code do it: headings are what is in capitals before a colon."""
    pieces = _HEADING.split(f"\n{text}")
    found: Sections = {}
    for name, words in zip(pieces[1::2], pieces[2::2], strict=True):
        section = next((each for each in SAID if each in name.lower()), name.lower())
        found[section] = " ".join(words.split())
    return found


def plain_summary(text: str) -> str:
    """Cleans findings and impression by dropping sentences with a telling word."""
    sections = plain_sections(text)
    sentences = _SENTENCE.split(" ".join(sections.get(name, "") for name in SAID))
    return " ".join(sentence for sentence in sentences if not _DROPPED.search(sentence))


def ours(text: str) -> str:
    """Splits, cleans and sums up."""
    return summarize(split_sections(text))


def ours_forgetting(text: str) -> str:
    """The same, with nothing remembered."""
    _forget()
    return ours(text)


def _forget() -> None:
    forget()
    forget_words()


def rate(work: Callable[[str], object], texts: Sequence[str], rounds: int, before: Callable[[], object]) -> list[float]:
    """Measures reports a minute on one core, by the processor's time: other work on the machine does not count."""
    rates = []
    for _ in range(rounds):
        before()
        start = time.process_time()
        for text in texts:
            work(text)
        rates.append(len(texts) / (time.process_time() - start) * 60)
    return rates


def measure(archive: Path, rounds: int) -> dict[str, Any]:
    """Measures speed, recovery and residue."""
    reports = read(archive)
    texts = [lay_out(sections, random.Random(number)) for number, sections in enumerate(reports)]
    speed = {
        "cold: no sentence known at the start": rate(ours, texts, rounds, _forget),
        "forgetting everything after each report": rate(ours_forgetting, texts, rounds, _forget),
        "warm: every sentence known": rate(ours, texts, rounds, lambda: None),
        "sections alone": rate(split_sections, texts, rounds, lambda: None),
        "the plain way: sections and cleaning": rate(plain_summary, texts, rounds, lambda: None),
        "the plain way: sections alone": rate(plain_sections, texts, rounds, lambda: None),
    }
    found = {"ours": [], "the plain way": []}  # type: dict[str, list[bool]]
    for text, sections in zip(texts, reports, strict=True):
        report, plain = split_sections(text), plain_sections(text)
        found["ours"].append(all(getattr(report, name) == sections.get(name, "") for name in SAID))
        found["the plain way"].append(all(plain.get(name, "") == sections.get(name, "") for name in SAID))
    written = [" ".join(sections.get(name, "") for name in SAID) for sections in reports]
    return {
        "reports": len(texts),
        "speed": speed,
        "recovered": {name: statistics.mean(each) for name, each in found.items()},
        "words": {
            "as written": _words(written),
            "ours": _words(map(ours, texts)),
            "the plain way": _words(map(plain_summary, texts)),
        },
        "residue": {
            "as written": _residue(written),
            "ours": _residue(map(ours, texts)),
            "the plain way": _residue(map(plain_summary, texts)),
        },
    }


def _words(texts: Any) -> int:
    return sum(len(text.split()) for text in texts)


def _residue(texts: Any) -> dict[str, float]:
    counts = Residue()
    for text in texts:
        if text:
            counts.add(text)
    return counts.shares


def show(found: dict[str, Any]) -> None:
    """Prints what docs/reports.md tells."""
    console = Console()
    table = Table("one core", "reports a minute", "lowest", "highest", title=f"{found['reports']:,} reports")
    for name, rates in found["speed"].items():
        table.add_row(name, *(f"{each:,.0f}" for each in (statistics.median(rates), min(rates), max(rates))))
    console.print(table)
    cold, plain = (statistics.median(list(found["speed"].values())[place]) for place in (0, 4))
    console.print(f"cold against the plain way: {cold / plain:.2f} of its speed")
    for name, share in found["recovered"].items():
        console.print(f"findings and impression recovered exactly, {name}: {share:.2%}")
    for name, shares in found["residue"].items():
        words = found["words"][name]
        console.print(f"{name}: {words:,} words; priors in {shares['priors']:.2%}, blanks in {shares['blanks']:.2%}")


def main() -> None:
    """Reads the options, measures, prints, and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=Path, required=True, help="NLMCXR_reports_dev.tgz")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.reports, options.rounds)
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
