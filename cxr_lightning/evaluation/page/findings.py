"""The heat tables: finding by finding, how often it was there, said, missed and invented.

Enters `per_finding` and `per_observation` of metrics.json; leaves rows with shares that the template colours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr_lightning.evaluation.page.vocabulary import LOCATED, Vocabulary
from cxr_lightning.evaluation.page.words import known, say, say_label, say_span
from cxr_lightning.findings.observations import NO_FINDING

_TABLES = (
    ("per_finding", "Located findings", "A finding on the wrong side is one missed and one invented."),
    ("per_observation", "The 14 observations", "Without place or side."),
)


def finding_tables(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lays out the tables.

    Args:
        metrics: What stands in metrics.json.

    Returns:
        Those that have rows.
    """
    tables = []
    for key, title, meaning in _TABLES:
        found = metrics.get(key) or {}
        names = LOCATED.ordered(found) if key == LOCATED.table else list(found)
        most = max((_total(found[name]) for name in names), default=0) or 1
        rows = [_row(name, found[name], most) for name in names if _total(found[name])]
        if rows:
            tables.append({"name": key, "title": title, "meaning": meaning, "rows": rows})
    return tables


def facts(metrics: Mapping[str, Any], vocabulary: Vocabulary = LOCATED) -> dict[str, Any] | None:
    """Returns what was there, said, missed and invented over all findings; None where there is no table.

    Args:
        metrics: What stands in metrics.json.
        vocabulary: In which labels.
    """
    table = metrics.get(vocabulary.table) or {}
    rows = [row for label, row in table.items() if label != NO_FINDING]
    if not rows:
        return None
    hits, missed, invented = (sum(row[part] for row in rows) for part in ("hits", "missed", "invented"))
    return {
        "name": vocabulary.name,
        "there": hits + missed,
        "hits": hits,
        "missed": missed,
        "invented": invented,
        "stated": hits + invented,
        "invented_each": invented / max(metrics.get("studies", 1), 1),
    }


def _total(row: Mapping[str, Any]) -> int:
    return int(row["hits"] + row["missed"] + row["invented"])


def _row(name: str, row: Mapping[str, Any], most: int) -> dict[str, Any]:
    low, high = row.get("interval") or (None, None)
    hits, missed, invented = (int(row[part]) for part in ("hits", "missed", "invented"))
    there, stated = hits + missed, hits + invented
    return {
        "words": say_label(name),
        "support": there,
        "hits": hits,
        "missed": missed,
        "invented": invented,
        "found": hits / there if there else None,
        "lost": missed / there if there else None,
        "made_up": invented / stated if stated else None,
        "f1": row["f1"] if known(row.get("f1")) else None,
        "f1_text": say(row.get("f1")),
        "span": say_span(low, high),
        "parts": [
            (part, round(100 * count / most, 2))
            for part, count in (("hit", hits), ("missed", missed), ("invented", invented))
            if count
        ],
    }
