"""`cxr reports`: an archive's reports enter, a line for each leaves: its sections, its cleaned text, kept or why not.

Studies stream through in batches, so that memory does not grow with the archive; what goes wrong is counted by reason,
and what cleaning left behind is measured by rules that are not the cleaner's.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path

from rich.console import Console

from cxr_lightning.durable import written
from cxr_lightning.parallel import in_order
from cxr_lightning.reports.outside import lies_in
from cxr_lightning.reports.policy import Policy, Rules
from cxr_lightning.reports.residue import Residue, residue_of
from cxr_lightning.reports.sections import read_layout
from cxr_lightning.reports.sources import Columns, Flaw, Found, Reading, source_named
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.reports.tallying import show, watched
from cxr_lightning.reports.unheaded import unknown_headings
from cxr_lightning.study import Study

SECTIONS = ("indication", "technique", "comparison", "findings", "impression")
NOTHING_LEFT = "nothing left after cleaning"
_BATCH = 64
_ADDED = re.compile(r"ADDEND|AMEND|CORRECT|REVISED|Addend|Amend|Correct(?:ed|ion)|Revised")
_WORTH_A_PROCESS = 16
"""Batches; for fewer, starting processes takes longer than the work."""


@dataclass(slots=True)
class Batch:
    """What became of some studies.

    Attributes:
        lines: A JSON object for each study, without its line feed.
        reasons: How many were left out, by reason; the empty string counts those kept.
        words: How many kept texts have how many words, by section or "text".
        before: Residue of the kept reports' findings and impression as written.
        after: Residue of their cleaned texts.
        amended: Studies with an addendum.
        unheaded: What looks like a heading and is none that is known, by the reports that have it.
    """

    lines: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    words: dict[str, Counter[int]] = field(default_factory=dict)
    before: Residue = field(default_factory=Residue)
    after: Residue = field(default_factory=Residue)
    amended: int = 0
    unheaded: Counter[str] = field(default_factory=Counter)

    def add(self, other: Batch) -> None:
        """Adds the counts of another batch; its lines are not kept.

        Args:
            other: The other.
        """
        self.reasons.update(other.reasons)
        for name, counts in other.words.items():
            self.words.setdefault(name, Counter()).update(counts)
        for mine, theirs in ((self.before, other.before), (self.after, other.after)):
            mine.n += theirs.n
            mine.found.update(theirs.found)
        self.amended += other.amended
        self.unheaded.update(other.unheaded)


def reports(
    source: str,
    root: Path,
    *,
    out: Path,
    policy: Rules = Rules(),  # noqa: B008  (frozen)
    columns: Columns = Columns(),  # noqa: B008  (frozen)
    limit: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write a line for each report of an archive: sections, cleaned text, kept or the reason why not.

    Args:
        source: What kind of data lies under ROOT: mimic-cxr-jpg, mimic-cxr, openi, chexpert-plus, xraygpt, llava-json,
            vqa-jsonl, or table (a JSONL or CSV file with one row a study or an image). Images need not be there.
        root: The archive's folder; for a table the file, or the folder that holds it.
        out: The file to write (JSONL), whole or not at all, readable by you alone.
        policy: Which reports are good enough. If none of its options is given: XrayGPT's rules for archives of reports
            (both sections, findings of 10 words, impression of 2, none amended), and none for tables, captions and
            questions. If one is given, XrayGPT's rules hold for the others.
        columns: What the table's columns are called.
        limit: Read no more studies than that.
        workers: Processes; as many as there are cores and work for if not given.
        overwrite: Replace OUT where it is there.

    Raises:
        ValueError: An option is out of range, OUT is there or lies in ROOT, or the source cannot be read or holds no
            study.
    """
    if (limit is not None and limit < 1) or (workers is not None and workers < 1):
        raise ValueError("--limit and --workers must be 1 or more")
    if lies_in(out, root):
        raise ValueError(f"{out}: is the input, or lies in it ({root}); give an --out elsewhere")
    if out.exists() and not overwrite:
        raise ValueError(f"{out}: is there already; give another --out, or --overwrite true to replace it")
    if not out.parent.is_dir():
        raise ValueError(f"{out}: its folder is not there; make it first")
    console, kind = Console(stderr=True), source_named(source)
    flaws: Counter[str] = Counter()
    studies = islice(_studies(kind.read(root, Reading(columns, images=False)), flaws), limit)
    work = partial(extract, policy=policy.settled(kind.reports))
    total = Batch()
    with written(out, 0o600) as file:
        for batch in watched(_worked(work, _batches(studies), workers), console, limit):
            file.writelines(f"{line}\n" for line in batch.lines)
            total.add(batch)
        if not total.reasons:
            raise ValueError(f"{root}: holds no study that {source} can read{_why(flaws)}")
    show(total, flaws, console, out)


def extract(studies: list[Study], policy: Policy) -> Batch:
    """Take some studies' reports apart, and clean them.

    Args:
        studies: The studies.
        policy: Which reports are kept.

    Returns:
        Their lines, and counts.
    """
    batch = Batch(words={name: Counter() for name in ("findings", "impression", "text")})
    for study in studies:
        report, text = study.report, summarize(study.report)
        reason = policy.reason(report) or ("" if text else NOTHING_LEFT)
        sections = {name: " ".join(getattr(report, name).split()) for name in SECTIONS}
        batch.lines.append(
            json.dumps(
                {"study_id": study.study_id, "patient_id": study.patient_id}
                | sections
                | {
                    "amended": report.amended,
                    "text": text,
                    "kept": not reason,
                    "reason": reason,
                    "source": study.source,
                }
            )
        )
        batch.reasons[reason] += 1
        batch.amended += _is_amended(report.text)
        if not report.impression:  # where that has its heading, others in capitals are parts of the findings
            batch.unheaded.update(unknown_headings(report.text))
        if not reason:
            for name, words in (("findings", report.findings), ("impression", report.impression), ("text", text)):
                batch.words[name][len(words.split())] += 1
            batch.before.count(residue_of(f"{sections['findings']} {sections['impression']}"))
            batch.after.count(residue_of(text))
    return batch


def _is_amended(text: str) -> bool:
    # Few reports have the word, and taking each apart a second time is half the work.
    return _ADDED.search(text) is not None and bool(read_layout(text).addenda)


def _studies(items: Iterable[Found | Flaw], flaws: Counter[str]) -> Iterator[Study]:
    for item in items:
        if isinstance(item, Flaw):
            flaws[item.kind] += 1
        else:
            yield item.study


def _batches(studies: Iterator[Study]) -> Iterator[list[Study]]:
    while batch := list(islice(studies, _BATCH)):
        yield batch


def _worked(work: partial[Batch], batches: Iterator[list[Study]], workers: int | None) -> Iterator[Batch]:
    first = list(islice(batches, _WORTH_A_PROCESS))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    many = 1 if workers is None and len(first) < _WORTH_A_PROCESS else workers or cores
    return in_order(work, chain(first, batches), many)


def _why(flaws: Counter[str]) -> str:
    told = "; ".join(f"{kind}: {count}" for kind, count in flaws.most_common(5))
    return f" ({told})" if told else ""
