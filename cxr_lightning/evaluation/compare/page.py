"""The comparison's page: index.html, sister of the evaluation's, with every difference and the studies behind them.

Enters what was found and the studies that differ most; leaves one file that asks nothing of the network: films are data
URIs, plots are inline SVG, and the one script is named by its hash. Text of models is escaped by the template engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.compare import forest
from cxr_lightning.evaluation.compare.differences import FAMILIES, SURE, Comparison, Difference
from cxr_lightning.evaluation.compare.pairs import Evaluated, Pairs
from cxr_lightning.evaluation.compare.studies import Contrast
from cxr_lightning.evaluation.compare.table import method
from cxr_lightning.evaluation.compare.verdict import ranked, sentences
from cxr_lightning.evaluation.page.films import FILM, data_uri
from cxr_lightning.evaluation.page.marks import LONGEST, mark_text
from cxr_lightning.evaluation.page.vocabulary import Vocabulary, vocabulary_of
from cxr_lightning.evaluation.page.words import say, say_label
from cxr_lightning.scoring.registry import scorer_named
from cxr_lightning.template import environment, script

_PACKAGE = "cxr_lightning.evaluation.compare"
_SISTER = "cxr_lightning.evaluation.page"


def write_page(
    out: Path, comparison: Comparison, contrasts: Sequence[Contrast], images: Mapping[str, bytes], remark: str = ""
) -> Path:
    """Writes index.html.

    Args:
        out: Folder to write to.
        comparison: What was found.
        contrasts: The studies that differ most.
        images: Their encoded radiographs by key, as far as there are.
        remark: Why films are lacking.

    Returns:
        The file.
    """
    own = script(_PACKAGE, "compare.js")
    pairs = comparison.pairs
    vocabulary = vocabulary_of({"headline": pairs.headline})
    cards = [_card(pairs, each, images, vocabulary) for each in contrasts]
    labels = vocabulary.ordered({label for card in cards for label in card["labels"]})
    html = (
        environment(_PACKAGE, _SISTER)
        .get_template("compare.html")
        .render(
            models=[_model(model) for model in pairs.models],
            head={"studies": len(pairs.keys), "patients": len(set(pairs.patients)), "left_out": pairs.left_out},
            sentences=sentences(comparison),
            ranking=[(letter, name, say(value), each) for letter, name, value, each in ranked(comparison)],
            rivals=[_rival(comparison, model) for model in pairs.rivals],
            needs=forest.draw_needs(
                [need for need in comparison.needs if need.name == pairs.headline],
                {model.letter: model.name for model in pairs.models},
            ),
            frame={"width": forest.WIDTH, "height": forest.HEIGHT},
            families=FAMILIES,
            sure=SURE,
            cards=cards,
            labels=[(label, say_label(label)) for label in labels],
            headline={"title": scorer_named(pairs.headline).title, "labels": vocabulary.name},
            remark=remark,
            method=method(comparison),
            script=own.text,
            script_hash=own.hash,
        )
    )
    # A half of a surrogate pair, which a model may write, is no UTF-8.
    write_text(out / "index.html", html.encode(errors="replace").decode())
    return out / "index.html"


def _model(model: Evaluated) -> dict[str, str]:
    return {"letter": model.letter, "name": model.name, "folder": str(model.folder)}


def _rival(comparison: Comparison, model: Evaluated) -> dict[str, Any]:
    """Puts together the plots of one model against the first."""
    scores = comparison.of("scores", model.letter)
    # A score that is no share, as CIDEr-D, would press the others flat on one axis.
    shares = [each for each in scores if _is_share(each)]
    others = [each for each in scores if not _is_share(each)]
    findings = sorted(comparison.of("findings", model.letter), key=lambda each: -each.gap.value)
    observations = sorted(comparison.of("observations", model.letter), key=lambda each: -each.gap.value)
    views = sorted(comparison.of("views", model.letter), key=lambda each: each.view)
    return {
        "letter": model.letter,
        "name": model.name,
        "scores": forest.draw_forest(shares),
        "others": forest.draw_forest(others),
        "image": forest.draw_forest([each for each in comparison.of("image", model.letter) if _is_share(each)]),
        "findings": forest.draw_forest(findings),
        "observations": forest.draw_forest(observations),
        "views": forest.draw_forest([each for each in views if _is_share(each)], by_view=True),
    }


def _is_share(each: Difference) -> bool:
    return max(abs(each.first), abs(each.second)) <= 1


def _card(pairs: Pairs, contrast: Contrast, images: Mapping[str, bytes], vocabulary: Vocabulary) -> dict[str, Any]:
    """Puts together what the template shows of a study."""
    key = pairs.keys[contrast.place]
    study = pairs.first.studies[key]
    truth = frozenset(study["truth"]) if vocabulary.known else vocabulary.read(study["reference"])
    answers = {model.letter: model.answers["own"][key] for model in pairs.models}
    stated = {letter: vocabulary.read(answer) for letter, answer in answers.items()}
    first = pairs.first.letter
    said = []
    for model, score in zip(pairs.models, contrast.scores, strict=True):
        letter = model.letter
        # Each is set against the first, and that one against whoever differs from it most.
        beside = answers[contrast.rival if letter == first else first]
        hits = stated[letter] & truth
        chips = [("hit", hits), ("missed", truth - stated[letter]), ("invented", stated[letter] - truth)]
        said.append(
            {
                "letter": letter,
                "name": model.name,
                "score": say(score),
                "text": mark_text(answers[letter][:LONGEST], beside[:LONGEST], hits, "invented", vocabulary.read),
                "chips": [(mark, say_label(label)) for mark, labels in chips for label in vocabulary.ordered(labels)],
            }
        )
    reference = study["reference"][:LONGEST]
    all_said = truth.intersection(*stated.values())
    return {
        "key": key,
        "image": data_uri(images[key], FILM) if key in images else None,
        "views": ", ".join(study["views"]),
        "reference": mark_text(reference, reference, all_said, "missed", vocabulary.read),
        "said": said,
        "ahead": contrast.rival if contrast.gap > 0 else first,
        "behind": first if contrast.gap > 0 else contrast.rival,
        "gap": say(abs(contrast.gap)),
        "labels": sorted(truth.union(*stated.values())),
    }
