"""Time and equality of the overlap scores: ours beside rouge-score, sacrebleu, nltk and pycocoevalcap, in one run.

    python benchmarks/scores.py [--pairs 3000] [--reports FILE] [--json FILE]

FILE is Open-i's archive of reports (NLMCXR_reports.tgz); a report's findings stand beside its impression and beside
another patient's findings. Without it reports are put together from stock sentences, which says as much about equality
and less about time. CPU seconds of one process on one thread, each side once, ours first.
"""

from __future__ import annotations

import argparse
import json
import random
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from rich.console import Console
from rich.table import Table

from cxr_lightning.scoring.bleu import ORDERS, bleu, bleu_statistics
from cxr_lightning.scoring.chrf import chrf, chrf_statistics
from cxr_lightning.scoring.cider import cider_d
from cxr_lightning.scoring.meteor import meteor
from cxr_lightning.scoring.rouge import rouge
from cxr_lightning.scoring.words import words_of

PARTS = (
    ("The heart is {}.", ("normal in size", "mildly enlarged", "large", "within normal limits")),
    ("There is {} pleural effusion.", ("no", "a small left", "a large right", "bilateral")),
    ("The lungs are {}.", ("clear", "hyperexpanded", "clear without focal consolidation", "low in volume")),
    ("{} of the thoracic spine.", ("Mild degenerative changes", "Scoliosis", "No acute abnormality")),
)
Texts = list[str]
Scores = np.ndarray[Any, np.dtype[np.float64]]


def drawn(count: int) -> tuple[Texts, Texts]:
    """Puts reports together from stock sentences."""
    generator = random.Random(0)
    texts = [" ".join(part.format(generator.choice(words)) for part, words in PARTS) for _ in range(2 * count)]
    return texts[:count], texts[count:]


def real(archive: Path, count: int) -> tuple[Texts, Texts]:
    """Reads findings and impressions of real reports."""
    found = []
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is not None:
                parts = {part.get("Label"): part.text or "" for part in ElementTree.parse(file).iter("AbstractText")}
                if parts.get("FINDINGS") and parts.get("IMPRESSION"):
                    found.append((parts["FINDINGS"], parts["IMPRESSION"]))
    found = found[: count // 2]
    findings = [each[0] for each in found]
    others = random.Random(0).sample(findings, len(findings))
    return findings + findings, [each[1] for each in found] + others


def ours_rouge(references: Texts, answers: Texts) -> Scores:
    """Returns means of ROUGE-1, 2 and L."""
    return np.array([rouge(*pair) for pair in zip(references, answers, strict=True)]).mean(axis=0)


def theirs_rouge(references: Texts, answers: Texts) -> Scores:
    """Returns means of ROUGE-1, 2 and L by rouge-score."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = [scorer.score(*pair).values() for pair in zip(references, answers, strict=True)]
    return np.array([[score.fmeasure for score in each] for each in found]).mean(axis=0)


def ours_bleu(references: Texts, answers: Texts) -> Scores:
    """Returns BLEU-1 to 4 of the corpus."""
    sums = bleu_statistics(references, answers).sum(axis=0, keepdims=True)
    return np.array([bleu(sums, orders)[0] for orders in range(1, ORDERS + 1)])


def theirs_bleu(references: Texts, answers: Texts) -> Scores:
    """Returns BLEU-1 to 4 of the corpus by sacrebleu."""
    from sacrebleu.metrics import BLEU

    scorers = [BLEU(lowercase=True, max_ngram_order=orders, force=True) for orders in range(1, ORDERS + 1)]
    return np.array([scorer.corpus_score(answers, [references]).score / 100 for scorer in scorers])


def ours_chrf(references: Texts, answers: Texts) -> Scores:
    """Returns chrF of the corpus."""
    return chrf(chrf_statistics(references, answers).sum(axis=0, keepdims=True))


def theirs_chrf(references: Texts, answers: Texts) -> Scores:
    """Returns chrF of the corpus by sacrebleu."""
    from sacrebleu.metrics import CHRF

    return np.array([CHRF(lowercase=True).corpus_score(answers, [references]).score / 100])


def ours_meteor(references: Texts, answers: Texts) -> Scores:
    """Returns METEOR of each pair."""
    return np.array([meteor(*pair) for pair in zip(references, answers, strict=True)])


class NoSynonyms:
    """A WordNet without words."""

    def synsets(self, word: str) -> list[object]:
        """Returns nothing."""
        return []


def theirs_meteor(references: Texts, answers: Texts) -> Scores:
    """Returns METEOR of each pair by nltk, without synonyms."""
    from nltk.translate.meteor_score import single_meteor_score

    pairs = zip(references, answers, strict=True)
    none: Any = NoSynonyms()
    return np.array([single_meteor_score(words_of(one), words_of(other), wordnet=none) for one, other in pairs])


def theirs_cider(references: Texts, answers: Texts) -> Scores:
    """Returns CIDEr-D of each pair by pycocoevalcap, on our words."""
    from pycocoevalcap.cider.cider import Cider

    sides = [{at: [" ".join(words_of(text))] for at, text in enumerate(side)} for side in (references, answers)]
    return np.asarray(Cider().compute_score(*sides)[1])


Way = Callable[[Texts, Texts], Scores]
ROWS: tuple[tuple[str, str, Way, Way], ...] = (
    ("ROUGE-1, 2, L", "rouge-score", ours_rouge, theirs_rouge),
    ("BLEU-1 to 4", "sacrebleu", ours_bleu, theirs_bleu),
    ("chrF", "sacrebleu", ours_chrf, theirs_chrf),
    ("METEOR", "nltk", ours_meteor, theirs_meteor),
    ("CIDEr-D", "pycocoevalcap", cider_d, theirs_cider),
)


def main() -> None:
    """Measures all scores and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--reports", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    texts = real(args.reports, args.pairs) if args.reports else drawn(args.pairs)
    for _, _, ours, theirs in ROWS:  # what is imported when it is first used is no part of the time
        ours(["a b c d e"], ["a b c d e"]), theirs(["a b c d e"], ["a b c d e"])
    found = {name: measure(texts, ours, theirs) | {"package": package} for name, package, ours, theirs in ROWS}
    tell(found, len(texts[0]))
    if args.json:
        args.json.write_text(json.dumps({"pairs": len(texts[0]), "scores": found}, indent=2) + "\n")


def measure(texts: tuple[Texts, Texts], ours: Way, theirs: Way) -> dict[str, Any]:
    """Runs both sides and compares what they find."""
    began = time.process_time()
    mine = ours(*texts)
    between = time.process_time()
    other = theirs(*texts)
    ended = time.process_time()
    return {"ours": between - began, "theirs": ended - between, "furthest": float(np.abs(mine - other).max())}


def tell(found: dict[str, dict[str, Any]], pairs: int) -> None:
    """Prints the table."""
    grid = Table(title=f"{pairs:,} pairs of reports", title_justify="left")
    for heading in ("", "ours, CPU s", "reference, CPU s", "reference package", "furthest apart"):
        grid.add_column(heading)
    for name, each in found.items():
        grid.add_row(name, f"{each['ours']:.2f}", f"{each['theirs']:.2f}", each["package"], f"{each['furthest']:.1g}")
    total = [sum(each[side] for each in found.values()) for side in ("ours", "theirs")]
    grid.add_row("all", f"{total[0]:.2f}", f"{total[1]:.2f}", "", "")
    Console(width=110).print(grid)


if __name__ == "__main__":
    main()
