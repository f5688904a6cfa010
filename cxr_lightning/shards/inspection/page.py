"""The inspection's page: index.html, where a reader sees what is wrong with shards, what they hold, and some of it.

One file that asks nothing of the network: films are data URIs, charts are inline SVG, and it runs no script. It holds
films of patients, and with `--texts` their summaries, so only its owner may read it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from cxr_lightning import __version__
from cxr_lightning.durable import write_text
from cxr_lightning.shards.inspection.charts import FLOOR, HEIGHT, WIDTH, bars, histogram, segments, share, stacks
from cxr_lightning.shards.inspection.checks import CHECKS
from cxr_lightning.shards.inspection.result import Result, as_record
from cxr_lightning.shards.inspection.shard import Shown
from cxr_lightning.template import environment

MOST_SHOWN = 60
"""Of what one check found; the rest is in the JSON."""
_PACKAGE = "cxr_lightning.shards.inspection"


def write_page(out: Path, result: Result, films: Sequence[Shown], *, texts: bool) -> Path:
    """Write index.html.

    Args:
        out: Folder for it; made if absent.
        result: What the inspection came to.
        films: For the contact sheet.
        texts: Whether their summaries are shown.

    Returns:
        The file.
    """
    record = as_record(result)
    html = (
        environment(_PACKAGE)
        .get_template("page.html")
        .render(
            record=record,
            verdict=verdict(record),
            facts=_facts(record),
            checks=[{**each, "state": _state(each)} for each in record["checks"]],
            wrong=_wrong(record),
            texts=_texts(record),
            observations=stacks(record["held"]["observations"], record["held"]["samples"]),
            labels=bars(((_said(name), n) for name, n in record["held"]["labels"]), record["held"]["labelled"], 16),
            films=_films(record),
            sheet=[_shown(each) for each in films],
            with_texts=texts,
            frame={"width": WIDTH, "height": HEIGHT, "floor": FLOOR},
            version=__version__,
        )
    )
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = out / "index.html"
    # Half of a surrogate pair, which a tar that others wrote may hold, is no UTF-8.
    write_text(path, html.encode(errors="replace").decode())
    path.chmod(0o600)
    return path


def verdict(record: dict[str, Any]) -> str:
    """Say in a sentence what it came to.

    Args:
        record: The result, as JSON has it.
    """
    samples, errors, warnings = record["looked"]["samples"], record["errors"], record["warnings"]
    these = "this sample" if samples == 1 else f"these {samples:,} samples"
    if lost := record["looked"]["lost"]:
        these = f"this set; {lost:,} of its {samples + lost:,} samples could not be read"
    odd = f"{warnings:,} {'thing deserves' if warnings == 1 else 'things deserve'} a look"
    if errors:
        things = "One thing is wrong" if errors == 1 else f"{errors:,} things are wrong"
        return f"{things} with {these}" + (f", and {odd}." if warnings else ".")
    if not samples:
        return "There is no sample to look at."
    return f"Nothing is wrong with {these}" + (f"; {odd}." if warnings else ".")


def _facts(record: dict[str, Any]) -> dict[str, Any]:
    looked, held = record["looked"], record["held"]
    images = sum(count for *_, count in held["sizes"])
    return {
        "splits": segments(list(held["samples"].items())),
        "per_patient": f"{looked['samples'] / looked['patients']:.1f}" if looked["patients"] else "",
        "size": _bytes(looked["bytes"]),
        "images": images,
        "rate": f"{looked['samples'] / max(looked['seconds'], 1e-9):,.0f}",
        "of": looked["listed"] if looked["sampled"] else None,
    }


def _bytes(number: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if number >= 10 or unit == "B" else f"{number:.1f} {unit}"
        number /= 1024  # type: ignore[assignment]
    return f"{number:.1f} TiB"


def _state(check: dict[str, Any]) -> str:
    if check["errors"]:
        return "error"
    return "warning" if check["warnings"] or check["in_part"] else "good" if check["looked"] else "unlooked"


def _wrong(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Group what is wrong by check, errors first."""
    counts = {(each["name"], part[:-1]): each[part] for each in record["checks"] for part in ("errors", "warnings")}
    order = list(CHECKS)
    told = sorted(record["wrong"], key=lambda each: (each["severity"], order.index(each["check"])))
    return [
        {
            "name": name,
            "severity": severity,
            "count": counts[name, severity],
            "remedy": CHECKS[name].remedy,
            "rows": list(members)[:MOST_SHOWN],
        }
        for (severity, name), members in groupby(told, key=lambda each: (each["severity"], each["check"]))
    ]


def _texts(record: dict[str, Any]) -> dict[str, Any]:
    held = record["held"]
    summaries = held["summaries"]
    there = summaries["there"]
    return {
        "words": histogram(dict(held["words"]["counts"]), "words"),
        "spread": held["words"],
        "turns": bars(((f"{number} turns", count) for number, count in held["turns"]), record["looked"]["samples"]),
        "residue": bars(held["residue"].items(), there),
        "identifiers": bars(held["identifiers"].items(), record["looked"]["samples"]),
        "there": there,
        "different": summaries["different"],
        "commonest": share(summaries["commonest"], there),
    }


def _films(record: dict[str, Any]) -> dict[str, Any]:
    held, samples = record["held"], record["looked"]["samples"]
    sizes = [(f"{width} × {height}", count) for width, height, count in held["sizes"]]
    return {
        "sides": histogram(dict(held["sides"]), "pixels"),
        "sizes": bars(sizes, sum(count for _, count in sizes), 6),
        "views": bars(held["views"], samples, 8),
        "sources": bars(
            ((" · ".join(filter(None, (source, licence))) or "not said", n) for source, licence, n in held["sources"]),
            samples,
            8,
        ),
    }


def _said(label: str) -> str:
    return label.replace("_", " ").replace(":", ", ")


def _shown(film: Shown) -> dict[str, Any]:
    return {
        "key": film.key,
        "split": film.split,
        "view": film.view,
        "size": f"{film.width} × {film.height}",
        "image": "data:image/jpeg;base64," + base64.b64encode(film.jpeg).decode(),
        "text": film.text,
    }
