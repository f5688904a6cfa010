"""`cxr evaluate experts`: what radiologists saved on a reading page becomes numbers that say how sure they are.

Enters saved files and the page's key; leaves experts.json and experts.html. What is half judged is counted, told and
left out; a file of another page is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from cxr_lightning.evaluation.counts import require_positive
from cxr_lightning.evaluation.experts.agreement import agreement, repeats
from cxr_lightning.evaluation.experts.answers import Judgement, Reader, read_answers, read_key
from cxr_lightning.evaluation.experts.results import spread, write_results
from cxr_lightning.evaluation.experts.rubric import ANCHORS, ERRORS, QUESTION
from cxr_lightning.evaluation.experts.sheet import write_json
from cxr_lightning.evaluation.experts.summary import by_label, differences, summarise


def experts(*files: str, key: Path, out: Path, draws: int = 1000, seed: int = 0) -> None:
    """Read what radiologists saved on a reading page: means, shares, and how far they agree.

    Args:
        *files: The files that readers saved, one of each reader.
        key: The key that `cxr evaluate reading` wrote beside the page.
        out: Folder for experts.json and experts.html.
        draws: Draws of the bootstrap.
        seed: Its seed.
    """
    require_positive(draws=draws)
    names = read_key(key)
    readers = read_answers([Path(file) for file in files], names)
    judgements = [each for reader in readers for each in reader.judgements]
    found = measure(judgements, readers, names, draws=draws, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "experts.json", found)
    write_results(out / "experts.html", found, judgements)
    _print(found, out)


def measure(
    judgements: Sequence[Judgement], readers: Sequence[Reader], key: Mapping[str, Any], *, draws: int, seed: int
) -> dict[str, Any]:
    """Computes all that is said of a reading.

    Args:
        judgements: What readers said, second looks included.
        readers: The readers.
        key: The page's key.
        draws: Draws of the bootstrap.
        seed: Its seed.

    Returns:
        What experts.json holds.
    """
    first = [each for each in judgements if not each.again]
    systems = key["systems"]
    return {
        "schema": 1,
        "page": key["page"],
        "shards": key["shards"],
        "split": key["split"],
        "studies": len({each.study for each in first}),
        "patients": len({each.patient for each in first}),
        "unread": len({item["study"] for item in key["items"].values()} - {each.study for each in first}),
        "readers": [_reader(reader) for reader in readers],
        "systems": summarise(first, systems, draws=draws, seed=seed),
        "differences": differences(first, systems, draws=draws, seed=seed),
        "agreement": agreement(first, draws=draws, seed=seed),
        "repeats": repeats(judgements),
        "by_label": by_label(first),
        "method": {
            "question": QUESTION,
            "scores": ANCHORS,
            "errors": [error.name for error in ERRORS],
            "interval": f"95 % percentile bootstrap over patients, {draws} draws; readers are not drawn. "
            "A share of 0 or 1: exact (Clopper-Pearson), each patient counted once",
            "difference": "paired by reader and study; permutation by patient, Holm over the pairs of systems",
            "second looks": "left out of all but repeats",
        },
    }


def _reader(reader: Reader) -> dict[str, Any]:
    scores = Counter(each.score for each in reader.judgements)
    seconds = [each.seconds for each in reader.judgements]
    return {
        "reader": reader.name,
        "seat": reader.seat + 1,
        "assigned": reader.assigned,
        "finished": reader.finished,
        "begun": reader.begun,
        "judgements": len(reader.judgements),
        "score": sum(score * count for score, count in scores.items()) / len(seconds) if seconds else None,
        "seconds_median": median(seconds) if seconds else None,
    }


def _print(found: Mapping[str, Any], out: Path) -> None:
    """Prints the table, what lacks, and where the files are."""
    console = Console()
    about = f"{found['studies']} studies of {found['patients']} patients, {len(found['readers'])} reader(s)"
    console.print(_table(about, found, ("judged", "score, 1 to 5", "accurate"), _judged))
    console.print(_table("Judgements that name an error", found, [error.name for error in ERRORS], _wrong))
    agreed = found["agreement"]
    if agreed:
        console.print(
            f"Agreement on {agreed['reports']} reports: {agreed['kappa']}'s kappa of accuracy "
            f"{spread(agreed['accurate'])}, weighted kappa of scores {spread(agreed['score'])}."
        )
    else:
        console.print("No report was judged by two readers: how far they agree is not known.")
    for reader in found["readers"]:
        if reader["finished"] < reader["assigned"]:
            console.print(
                f"{reader['reader']}: {reader['finished']} of {reader['assigned']} studies are finished, "
                f"{reader['begun']} begun; what is not fully judged is left out."
            )
    if found["unread"]:
        console.print(f"{found['unread']} studies of the page were judged by nobody whose file is here.")
    console.print(f"All numbers, and a page to look at: {out}")


def _table(
    title: str, found: Mapping[str, Any], columns: Sequence[str], cells: Callable[[Mapping[str, Any]], list[str]]
) -> Table:
    """Sets a table of the systems."""
    table = Table(title=title)
    table.add_column("system", overflow="fold", min_width=12)
    for column in columns:
        table.add_column(column, justify="right")
    for system, row in found["systems"].items():
        table.add_row(system, *cells(row))
    return table


def _judged(row: Mapping[str, Any]) -> list[str]:
    return [str(row["judgements"]), spread(row["score"]), spread(row["accurate"], percent=True)]


def _wrong(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['errors'][error.name]['value']:.0%}" for error in ERRORS]
