"""The page: index.html, where a reader sees radiographs, what was said about them, and how far to trust it.

Enters studies with reference and answer, the numbers of `metrics`, and loss curves; leaves one file that asks nothing
of the network: images are data URIs, charts are inline SVG. Text of models and reports is escaped by the template
engine, since neither may put markup into the page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from cxr_lightning.evaluation.curves import HEIGHT, LEFT, RIGHT, WIDTH, Curve, draw_chart
from cxr_lightning.evaluation.metrics import VARIANTS, score_in
from cxr_lightning.findings.located import LABELS, find, split_sentences
from cxr_lightning.scoring.registry import SCORERS

Verdict = Literal["hit", "missed", "invented", ""]

VARIANT_NAMES = {
    "own": "its own image",
    "swapped": "another patient’s image",
    "blank": "a blank image",
    "commonest": "the commonest report",
}
MOST_CARDS = 60
"""A page for reading, not an archive: predictions.jsonl has every study."""

_SIDE = 448
_QUALITY = 82


@dataclass(frozen=True, slots=True)
class StudyCard:
    """One study as the page shows it.

    Attributes:
        key: Its key.
        image: Its encoded radiograph.
        reference: What the radiologist said.
        answer: What the model said.
        truth: What is there.
        swapped: What the model said about another patient's image instead; empty if it was not asked.
    """

    key: str
    image: bytes
    reference: str
    answer: str
    truth: frozenset[str]
    swapped: str = ""


def write_page(
    out: Path, studies: Sequence[StudyCard], metrics: Mapping[str, Any], curves: Sequence[Curve] = ()
) -> Path:
    """Writes index.html.

    Args:
        out: Folder to write to; made if absent.
        studies: The studies; `MOST_CARDS` of them are shown, from worst to best answered.
        metrics: What `metrics.measure` returned, with `verdict` and `split`.
        curves: Losses of the runs that made the model.

    Returns:
        The file.
    """
    loader = PackageLoader("cxr_lightning.evaluation", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    chosen = choose_studies(studies, MOST_CARDS)
    html = environment.get_template("page.html").render(
        metrics=metrics,
        scores=_score_rows(metrics),
        findings=_finding_rows(metrics),
        cards=[_card(study) for study in chosen],
        total=len(studies),
        charts=[draw_chart(curve) for curve in curves],
        frame={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT},
    )
    out.mkdir(parents=True, exist_ok=True)
    partial = out / "index.partial.html"
    partial.write_text(html, encoding="utf-8")
    return partial.replace(out / "index.html")


def choose_studies(studies: Sequence[StudyCard], most: int) -> list[StudyCard]:
    """Chooses studies evenly over the quality of their answers, so that a page shows no better model than there is.

    Args:
        studies: All studies.
        most: How many to show.

    Returns:
        The chosen ones, worst answered first.
    """
    ranked = sorted(studies, key=lambda study: (_agreement(study), study.key))
    if len(ranked) <= most:
        return ranked
    return [ranked[round(number * (len(ranked) - 1) / (most - 1))] for number in range(most)]


def mark_sentences(
    text: str, hits: AbstractSet[str], rest: Literal["missed", "invented"]
) -> list[tuple[str, Verdict, str]]:
    """Marks each sentence by what it states.

    Args:
        text: A reference or an answer.
        hits: Labels that both state.
        rest: What it is when a text states a label that is no hit.

    Returns:
        Sentence, mark and the labels it states; put together the sentences are the text.
    """
    marked: list[tuple[str, Verdict, str]] = []
    for sentence in split_sentences(text):
        stated = find(sentence)
        mark: Verdict = "" if not stated else "hit" if stated <= hits else rest
        marked.append((sentence, mark, ", ".join(_say(label) for label in _ordered(stated))))
    return marked


def _card(study: StudyCard) -> dict[str, Any]:
    """Puts together what the template shows of a study."""
    stated = find(study.answer)
    hits = stated & study.truth
    chips = [("hit", hits), ("missed", study.truth - stated), ("invented", stated - study.truth)]
    wrong = bool(stated ^ study.truth)
    return {
        "key": study.key,
        "image": _data_uri(study.image),
        "reference": mark_sentences(study.reference, hits, "missed"),
        "answer": mark_sentences(study.answer, hits, "invented"),
        "swapped": study.swapped,
        "chips": [(verdict, _say(label)) for verdict, labels in chips for label in _ordered(labels)],
        "state": "wrong" if wrong else "right",
        "normal": not study.truth,
    }


def _score_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for scorer in SCORERS:
        name = scorer.name
        variants = [
            {"variant": variant, "words": VARIANT_NAMES[variant], "score": score_in(metrics, name + ending)}
            for variant, ending in VARIANTS.items()
            if name + ending in metrics
        ]
        if variants:
            rows.append({"name": name, "title": scorer.title, "meaning": scorer.meaning, "variants": variants})
    return rows


def _finding_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    table = metrics["per_finding"]
    most = max((row["hits"] + row["missed"] + row["invented"] for row in table.values()), default=1)
    return [
        {"words": _say(label), **table[label], "scale": 100 / most}
        for label in _ordered(table.keys())
        if label in table
    ]


def _agreement(study: StudyCard) -> float:
    """Scores one study for ranking: F1 of its findings, 1 when both sides say normal."""
    stated = find(study.answer)
    total = len(stated) + len(study.truth)
    return 2 * len(stated & study.truth) / total if total else 1.0


def _ordered(labels: Iterable[str]) -> list[str]:
    return sorted(labels, key=lambda label: (LABELS.index(label) if label in LABELS else len(LABELS), label))


def _say(label: str) -> str:
    """Words a label for people: "right lower consolidation"."""
    name, _, place = label.partition(":")
    words = {"line": "central line", "interstitial_oedema": "interstitial oedema"}.get(name, name.replace("_", " "))
    return f"{place.replace('-', ' ')} {words}".strip()


def _data_uri(data: bytes) -> str:
    """Shrinks a radiograph for the page and writes it into the text."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        gray = image.convert("L")
    gray.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    gray.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
