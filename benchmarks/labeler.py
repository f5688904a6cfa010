"""How fast the labelers read, and how far they agree with people: on Open-i's reports and the MeSH terms of its coders.

    python benchmarks/labeler.py --reports DATA/openi/NLMCXR_reports_dev.tgz [--rounds 5] [--json FILE]

Speed is that of one core reading both vocabularies of every report: cold (no sentence remembered at the start),
forgetting everything after each report (the floor, whatever the corpus repeats), and warm (all sentences known).
Agreement is told for two halves, divided by a hash of the report's id: the rules were tuned on one, never on the other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.findings.mentions import forget
from cxr_lightning.findings.observations import NO_FINDING, OBSERVATIONS, observe
from cxr_lightning.scoring.bootstrap import interval
from cxr_lightning.scoring.labels import count_labels, micro_f1, score_labels

HELD_OUT, TUNED = "held out", "tuned on"
CODED = {
    "cardiomegaly": ("Cardiomegaly",),
    "pulmonary edema": ("Edema",),
    "pulmonary congestion": ("Edema",),
    "heart failure": ("Edema",),
    "consolidation": ("Consolidation",),
    "pneumonia": ("Pneumonia",),
    "pulmonary atelectasis": ("Atelectasis",),
    "pneumothorax": ("Pneumothorax",),
    "pleural effusion": ("Pleural Effusion",),
    "hydropneumothorax": ("Pneumothorax", "Pleural Effusion"),
    "hemopneumothorax": ("Pneumothorax", "Pleural Effusion"),
    "nodule": ("Lung Lesion",),
    "mass": ("Lung Lesion",),
    "cavitation": ("Lung Lesion",),
    "opacity": ("Lung Opacity",),
    "airspace disease": ("Lung Opacity",),
    "infiltrate": ("Lung Opacity",),
    "lung diseases, interstitial": ("Lung Opacity",),
    "fractures, bone": ("Fracture",),
    "catheters, indwelling": ("Support Devices",),
    "tube, inserted": ("Support Devices",),
    "implanted medical device": ("Support Devices",),
    "medical device": ("Support Devices",),
}
"""Terms that name an observation whatever their qualifiers."""

QUALIFIED = (
    ({"cardiac shadow"}, {"enlarged"}, "Cardiomegaly"),
    ({"mediastinum"}, {"enlarged", "prominent"}, "Enlarged Cardiomediastinum"),
    ({"opacity", "density"}, {"round"}, "Lung Lesion"),
    ({"markings", "thickening", "lung"}, {"interstitial"}, "Lung Opacity"),
    ({"thickening", "cicatrix", "calcinosis"}, {"pleura"}, "Pleural Other"),
)
"""Terms that name one together with a qualifier: (terms, any of these, observation). The first that fits wins."""

SIDED = {
    "pleural effusion": ("pleural_effusion",),
    "pneumothorax": ("pneumothorax",),
    "pulmonary atelectasis": ("atelectasis",),
    "hydropneumothorax": ("pleural_effusion", "pneumothorax"),
}
LOCATED = ("pleural_effusion", "pneumothorax", "atelectasis", "cardiomegaly", "interstitial_oedema")
"""The located findings that the coders name too."""


@dataclass(frozen=True)
class Report:
    """A report beside what its coders wrote.

    Attributes:
        text: Findings and impression.
        terms: MeSH terms, each its name and its qualifiers, in lower case.
        half: HELD_OUT or TUNED.
    """

    text: str
    terms: tuple[tuple[str, ...], ...]
    half: str


def read(archive: Path) -> Iterator[Report]:
    """Yields the reports that have a text."""
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            tree = ElementTree.parse(file)
            parts = {part.get("Label"): part.text or "" for part in tree.iter("AbstractText")}
            text = "\n".join(parts.get(name, "") for name in ("FINDINGS", "IMPRESSION"))
            majors = [(each.text or "").lower() for each in tree.iter("major")]
            terms = tuple(tuple(word.strip() for word in each.split("/")) for each in majors)
            uid = next(tree.iter("uId")).get("id", "")
            half = (TUNED, HELD_OUT)[int(hashlib.sha256(uid.encode()).hexdigest(), 16) % 2]
            if text.strip():
                yield Report(text, terms, half)


def observations_of(terms: Sequence[tuple[str, ...]]) -> set[str]:
    """Translates the coders' terms; what they call borderline is not there."""
    names: set[str] = set()
    for name, *qualifiers in terms:
        if "borderline" not in qualifiers and (name != "mass" or "breast" not in qualifiers):
            fits = [(to,) for those, words, to in QUALIFIED if name in those and words & set(qualifiers)]
            names.update(fits[0] if fits else CODED.get(name, ()))
    return names


def located_of(terms: Sequence[tuple[str, ...]]) -> set[str]:
    """Translates the coders' terms into located labels."""
    labels: set[str] = set()
    for name, *qualifiers in terms:
        sides = {"left", "right"} & set(qualifiers) or ({"left", "right"} if "bilateral" in qualifiers else set())
        labels |= {f"{finding}:{side}" for finding in SIDED.get(name, ()) for side in sides}
        if "borderline" not in qualifiers:
            if name == "cardiomegaly" or (name == "cardiac shadow" and "enlarged" in qualifiers):
                labels.add("cardiomegaly")
            if name == "pulmonary edema":
                labels.add("interstitial_oedema")
    return labels


def located_in(text: str) -> set[str]:
    """Reads the located labels that the coders may name."""
    return {label for label in find(text) if label.partition(":")[0] in LOCATED}


def agreement(
    reports: Sequence[Report],
    truth: Callable[[Sequence[tuple[str, ...]]], set[str]],
    stated: Callable[[str], set[str]],
    names: Sequence[str],
) -> dict[str, Any]:
    """Scores a labeler against the coders: all findings together, and each."""
    counts = count_labels([truth(each.terms) for each in reports], [stated(each.text) for each in reports], names)
    micro = interval(counts, micro_f1)
    rows = {
        row.label: {
            "f1": row.f1.value,
            "low": row.f1.low,
            "high": row.f1.high,
            "coded": row.support,
            "precision": row.hits / max(row.hits + row.invented, 1),
            "recall": row.hits / max(row.support, 1),
        }
        for row in score_labels(counts, labels=names)
    }
    return {"reports": len(reports), "micro_f1": micro.value, "low": micro.low, "high": micro.high, "findings": rows}


def speeds(texts: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Measures reports a second of one core, both vocabularies, each way once a round."""

    def rate(each: Callable[[str], object]) -> float:
        started = time.process_time()
        for text in texts:
            each(text)
        return len(texts) / (time.process_time() - started)

    def both(text: str) -> None:
        find(text)
        observe(text)

    def afresh(text: str) -> None:
        forget()
        both(text)

    found: dict[str, list[float]] = {"cold": [], "warm": [], "forgetting": []}
    for _ in range(rounds):
        forget()
        found["cold"].append(rate(both))
        found["warm"].append(rate(both))
        found["forgetting"].append(rate(afresh))
    return found


def measure(archive: Path, rounds: int) -> dict[str, Any]:
    """Measures everything."""
    reports = list(read(archive))
    halves = {half: [each for each in reports if each.half == half] for half in (HELD_OUT, TUNED)}
    names = [name for name in OBSERVATIONS if name != NO_FINDING]
    return {
        "speed": speeds([each.text for each in reports], rounds),
        "observations": {
            half: agreement(some, observations_of, lambda text: set(observe(text).stated), names)
            for half, some in halves.items()
        },
        "located": {half: agreement(some, located_of, located_in, LABELS) for half, some in halves.items()},
        "normal": normals([each for each in reports if each.half == HELD_OUT]),
    }


def normals(reports: Sequence[Report]) -> dict[str, int]:
    """Counts what is coded as normal and nothing else, what reads as No Finding, and what else that is coded as."""
    coded = [each.terms == (("normal",),) for each in reports]
    read = [NO_FINDING in observe(each.text).stated for each in reports]
    ours = [bool(observations_of(each.terms)) for each in reports]
    return {
        "coded": sum(coded),
        "read": sum(read),
        "both": sum(one and other for one, other in zip(coded, read, strict=True)),
        "other": sum(not one and other for one, other in zip(coded, read, strict=True)),
        "ours": sum(one and other for one, other in zip(ours, read, strict=True)),
        "devices": sum(
            there and observations_of(each.terms) == {"Support Devices"}
            for there, each in zip(read, reports, strict=True)
        ),
    }


def show(found: dict[str, Any]) -> None:
    """Prints what docs/labeler.md tells."""
    console = Console()
    for name, rates in found["speed"].items():
        console.print(f"{name}: {statistics.median(rates):,.0f} reports/s ({min(rates):,.0f} to {max(rates):,.0f})")
    for name in ("observations", "located"):
        ours, tuned = found[name][HELD_OUT], found[name][TUNED]
        table = Table("finding", "coded", "held out: F1", "precision", "recall", "tuned on: F1", title=name)
        for label, row in ours["findings"].items():
            other = tuned["findings"].get(label)
            table.add_row(
                label,
                str(row["coded"]),
                f"{row['f1']:.3f} ({row['low']:.2f} to {row['high']:.2f})",
                f"{row['precision']:.2f}",
                f"{row['recall']:.2f}",
                f"{other['f1']:.3f}" if other else "",
            )
        console.print(table)
        for half, each in found[name].items():
            span = f"{each['micro_f1']:.3f} ({each['low']:.3f} to {each['high']:.3f})"
            console.print(f"{name}, {half}: micro-F1 {span} of {each['reports']} reports")
    told = (
        "No Finding, held out: read in {both} of the {coded} coded normal, and in {read} of all; of these {other} are"
    )
    console.print((told + " coded with something else, {ours} of them with one of the 13").format(**found["normal"]))


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
