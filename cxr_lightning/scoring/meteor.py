"""METEOR: words matched as they are, then by stem, with recall worth nine times precision and a price for broken order.

Enters two texts; leaves one score a study, whose mean over studies is the score (Lavie and Agarwal 2007). Equal to
nltk's `single_meteor_score` on the words of `words_of`. nltk adds a third stage, synonyms of WordNet; a score that
depended on which data lie on a machine would be no score, so it has a name and a function of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import ratio_of_sums
from cxr_lightning.scoring.porter import stem
from cxr_lightning.scoring.scorer import Scorer
from cxr_lightning.scoring.words import words_of

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
"""Weight of precision's inverse against recall's; how steep, and how large, the price of broken order is (nltk's)."""

Forms = Callable[[str], Iterable[str]]
"""From a word of the answer to the forms in which it may stand in the reference."""


def meteor(reference: str, answer: str, synonyms: Forms | None = None) -> float:
    """Scores one answer.

    Args:
        reference: What was to be said.
        answer: What was said.
        synonyms: Further words that mean the same, for a third stage; none if not given.

    Returns:
        From 0 to 1; 0 where no word matches.
    """
    wanted, given = words_of(reference), words_of(answer)
    pairs = sorted(_align(wanted, given, synonyms))
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(given), len(pairs) / len(wanted)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    runs = 1 + sum(after != (before[0] + 1, before[1] + 1) for before, after in pairwise(pairs))
    return (1 - GAMMA * (runs / len(pairs)) ** BETA) * mean


def meteor_statistics(
    references: Sequence[str], answers: Sequence[str], synonyms: Forms | None = None
) -> NDArray[np.float64]:
    """Collects METEOR of each study for `bootstrap.ratio_of_sums`.

    Args:
        references: What was to be said, per study.
        answers: What was said, per study.
        synonyms: As for `meteor`.

    Returns:
        Statistics (N, 2): score and weight 1.
    """
    rows = [(meteor(*pair, synonyms), 1.0) for pair in zip(references, answers, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def with_synonyms(nltk_data: Path) -> Scorer:
    """Makes the score with nltk's third stage, under a name of its own: "meteor_synonyms".

    Args:
        nltk_data: Folder of nltk's data, with WordNet's files in corpora/wordnet (`data.noun`, `index.noun` ...).

    Returns:
        A score for those who have the data.

    Raises:
        ValueError: If the folder holds no such data, or nltk, which reads it, is not installed.
    """
    folder = nltk_data.resolve() / "corpora" / "wordnet"
    if not (folder / "data.noun").is_file():
        raise ValueError(f"{folder}: holds no data.noun of WordNet. Remedy: name a folder nltk_data that has it.")
    try:
        import nltk
        from nltk.corpus.reader.wordnet import WordNetCorpusReader
    except ImportError as error:
        raise ValueError("Synonyms of WordNet are read by nltk. Remedy: pip install nltk.") from error
    nltk.data.path.append(str(nltk_data.resolve()))  # it opens no file outside the folders that it knows
    reader = WordNetCorpusReader(str(folder), None)

    @lru_cache(maxsize=2**14)
    def synonyms(word: str) -> frozenset[str]:
        names = (lemma.name() for synset in reader.synsets(word) for lemma in synset.lemmas())
        return frozenset(name for name in names if "_" not in name)

    return Scorer(
        "meteor_synonyms",
        "METEOR with synonyms",
        "shared words, stems and synonyms, in order",
        "overlap",
        lambda texts: meteor_statistics(texts.references, texts.answers, synonyms),
        ratio_of_sums,
    )


def _align(wanted: Sequence[str], given: Sequence[str], synonyms: Forms | None) -> list[tuple[int, int]]:
    """Pairs words of answer and reference, stage by stage; what a stage paired is gone for the next."""
    in_given, in_wanted = list(enumerate(given)), list(enumerate(wanted))
    pairs = _match(in_given, in_wanted, lambda word: (word,))
    stems_given = [(position, stem(word)) for position, word in in_given]
    stems_wanted = [(position, stem(word)) for position, word in in_wanted]
    pairs += _match(stems_given, stems_wanted, lambda word: (word,))
    if synonyms is not None:  # as nltk does, of stems: it looks "effus" up, and seldom finds it
        pairs += _match(stems_given, stems_wanted, lambda word: {word, *synonyms(word)})
    return pairs


def _match(given: list[tuple[int, str]], wanted: list[tuple[int, str]], forms: Forms) -> list[tuple[int, int]]:
    """Pairs from the end, each word with the last free one of the same form, and takes the paired ones out."""
    free: dict[str, list[int]] = defaultdict(list)
    for position, word in wanted:
        free[word].append(position)
    pairs: list[tuple[int, int]] = []
    for position, word in reversed(given):
        last = max((free[form][-1] for form in forms(word) if free.get(form)), default=None)
        if last is not None:
            pairs.append((position, last))
            next(places for form in forms(word) if (places := free.get(form)) and places[-1] == last).pop()
    here, there = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    given[:] = [each for each in given if each[0] not in here]
    wanted[:] = [each for each in wanted if each[0] not in there]
    return pairs


SCORERS = (
    Scorer(
        "meteor",
        "METEOR",
        "shared words and stems, in order",
        "overlap",
        lambda texts: meteor_statistics(texts.references, texts.answers),
        ratio_of_sums,
    ),
)
