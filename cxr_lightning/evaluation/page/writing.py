"""The page: index.html, where a reader sees how good a model is, how sure that is, and what it said of which film.

Enters studies with reference and answer, metrics.json and loss curves; leaves one file that asks nothing of the
network: images are data URIs, charts are inline SVG, and the one script is named by its hash, so that a browser runs no
other. Text of models and reports is escaped by the template engine, since neither may put markup into the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.curves import HEIGHT, LEFT, RIGHT, WIDTH, Curve, draw_chart
from cxr_lightning.evaluation.page import grounding
from cxr_lightning.evaluation.page.films import FILM, THUMB, data_uri
from cxr_lightning.evaluation.page.findings import facts, finding_tables
from cxr_lightning.evaluation.page.health import health_of, method_of, verdict_of
from cxr_lightning.evaluation.page.marks import LONGEST, mark_text, shared_words
from cxr_lightning.evaluation.page.scores import gap_of, score_groups
from cxr_lightning.evaluation.page.study import Judged, Reason, StudyCard, choose_studies, judge
from cxr_lightning.evaluation.page.vocabulary import LOCATED, OBSERVED, Vocabulary, vocabulary_of
from cxr_lightning.evaluation.page.words import VARIANT_NAMES, say, say_label
from cxr_lightning.template import environment, script

MOST_CARDS = 60
"""A page for reading, not an archive: predictions.jsonl has every study."""

_PACKAGE = "cxr_lightning.evaluation.page"
_REASONS = {"worst": "among the worst", "inventing": "much invented", "best": "among the best", "between": ""}


def write_page(
    out: Path, studies: Sequence[StudyCard], metrics: Mapping[str, Any], curves: Sequence[Curve] = ()
) -> Path:
    """Writes index.html.

    Args:
        out: Folder to write to; made if absent.
        studies: All studies; `MOST_CARDS` of them are shown, from worst to best answered.
        metrics: What stands in metrics.json; whatever is absent there is absent on the page.
        curves: Losses of the runs that made the model.

    Returns:
        The file.
    """
    templates, own = environment(_PACKAGE), script(_PACKAGE, "page.js")
    templates.filters["say"] = say
    vocabulary = vocabulary_of(metrics)
    html = templates.get_template("page.html").render(
        _numbers(metrics, vocabulary),
        **_studies(studies, vocabulary),
        charts=[draw_chart(curve) for curve in curves],
        frame={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT},
        script=own.text,
        script_hash=own.hash,
    )
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "index.html", html)
    return out / "index.html"


def _numbers(metrics: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Puts together what the template shows of metrics.json."""
    lead = grounding.draw_scores(metrics)
    return {
        "head": {
            "verdict": verdict_of(metrics),
            "model": str(metrics.get("model", "")),
            "split": str(metrics.get("split", "")),
            "shards": str(metrics.get("shards", ""))[:12],
            "studies": metrics.get("studies", 0),
            "patients": metrics.get("patients", 0),
        },
        "groups": score_groups(metrics),
        "worth": lead and gap_of(metrics, lead["name"], "swapped", lead["better"]),
        "variants": VARIANT_NAMES,
        "facts": facts(metrics, vocabulary),
        "tables": finding_tables(metrics),
        "looking": lead,
        "likelihood": grounding.draw_likelihood(metrics),
        "plot": {"width": grounding.WIDTH, "left": grounding.LEFT, "right": grounding.WIDTH - grounding.RIGHT},
        "hist": {"width": grounding.HIST_WIDTH, "height": grounding.HIST_HEIGHT},
        "health": health_of(metrics),
        "method": method_of(metrics),
    }


def _studies(studies: Sequence[StudyCard], vocabulary: Vocabulary) -> dict[str, Any]:
    """Puts together what the template shows of studies."""
    ranked = judge(studies, vocabulary)
    chosen = choose_studies(ranked, MOST_CARDS)
    cards = [_card(each, reason, rank, vocabulary) for rank, (each, reason) in enumerate(chosen)]
    labels = vocabulary.ordered({label for each, _ in chosen for label in each.truth | each.stated})
    return {
        "cards": cards,
        "labels": vocabulary.name,
        "total": len(ranked),
        "spread": grounding.spread([each.f1 for each in ranked]),
        "suggestions": [say_label(label) for label in labels],
    }


def _card(judged: Judged, reason: Reason, rank: int, vocabulary: Vocabulary) -> dict[str, Any]:
    """Puts together what the template shows of a study."""
    study = judged.study
    reference, answer = study.reference[:LONGEST], study.answer[:LONGEST]
    chips = [("hit", judged.hits), ("missed", judged.missed), ("invented", judged.invented)]
    return {
        "key": study.key,
        "rank": rank,
        "reason": _REASONS[reason],
        "image": None if study.image is None else data_uri(study.image, FILM),
        "views": ", ".join(study.views),
        "prompt": study.prompt.replace("<image>", "").strip(),
        "reference": mark_text(reference, answer, judged.hits, "missed", vocabulary.read),
        "answer": mark_text(answer, reference, judged.hits, "invented", vocabulary.read),
        "more": {"reference": len(study.reference) - len(reference), "answer": len(study.answer) - len(answer)},
        "cut": study.cut,
        "f1": judged.f1,
        "counts": {name: len(labels) for name, labels in chips},
        "chips": [(verdict, say_label(label)) for verdict, labels in chips for label in vocabulary.ordered(labels)],
        "state": "wrong" if judged.errors else "right",
        "normal": not judged.truth,
        "others": _others(study, answer),
        "labels": "|".join(sorted(_sought(study))),
    }


def _sought(study: StudyCard) -> set[str]:
    """Returns the findings by which a study is found, in either vocabulary."""
    read = [each.read(text) for each in (LOCATED, OBSERVED) for text in (study.reference, study.answer)]
    return {say_label(label) for label in study.truth.union(*read)}


def _others(study: StudyCard, answer: str) -> list[dict[str, Any]]:
    """Puts together what the model said of the study when it was shown something else."""
    told = [("another patient’s image", study.swapped, study.other), ("a blank image", study.blank, None)]
    return [
        {
            "said": said,
            "image": None if image is None else data_uri(image, THUMB),
            "text": mark_text(text[:LONGEST], answer, frozenset(), "invented"),
            "same": round(100 * shared_words(text[:LONGEST], answer)),
        }
        for said, text, image in told
        if text
    ]
