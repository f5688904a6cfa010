"""What is wrong with answers as texts, whatever they say: all alike, copied, in the wrong language, broken, repeating.

Enters answers and references; leaves the same measures of both, since reports repeat themselves and each other in
hospitals too: only what answers do more than references is a sign of a sick model. Also sentences that say so.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cxr_lightning.scoring.rouge import longest_common
from cxr_lightning.scoring.script import broken_in, language_of, scripts_of
from cxr_lightning.scoring.words import grams_of, words_of

MEASURES = {
    "empty": "empty",
    "identical": "word for word that of another study",
    "commonest": "the commonest one",
    "alike": "ROUGE-L between two of different studies",
    "distinct_sentences": "sentences that are not said before",
    "copied_sentences": "sentences found in the training reports",
    "copied": "found whole in the training reports",
    "foreign_script": "with a script that references do not use",
    "foreign_language": "in another language than the references",
    "broken": "with broken characters",
    "repeating": "saying a sentence twice",
    "looping": "mostly made of runs of words said before",
    "cut_off": "cut off by the limit of tokens",
    "words": "words, on average",
}
"""Measures of a side, in plain words: shares from 0 to 1, but for the last. None stands for what is not known."""

# Pairs of texts whose overlap is measured, and runs of words that make a loop.
_PAIRS = 2000
_RUN = 4
# A script or language that one text in a hundred has belongs to the references.
_USUAL = 0.01
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[\u3002\uff01\uff1f\uff1b])|\n+")


def health(
    answers: Sequence[str],
    references: Sequence[str],
    training_references: Collection[str] | None = None,
    finishes: Sequence[str | None] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Measures answers as texts, and references beside them.

    Args:
        answers: What was said, per study.
        references: What was to be said, in the same order.
        training_references: Reports that the model learned from; without them nothing is said of copies.
        finishes: Why each answer ended, "stop" or "length"; without it nothing is said of answers cut off.
        seed: Seed of the sample of pairs.

    Returns:
        Plain numbers, ready for JSON: `answers` and `references`, each with all `MEASURES`; and of the answers
        `scripts` and `languages` that are foreign and kinds of `broken` characters, each with its share, and `length`:
        the median of words said by words wanted, the shares under half and over twice.

    Raises:
        ValueError: If there is no study, or sides differ in length.
    """
    if not answers or len(answers) != len(references) or len(finishes or answers) != len(answers):
        raise ValueError(
            f"Every study needs its answer, its reference and its end; found {len(answers)} answers, "
            f"{len(references)} references and {len(finishes or answers)} ends."
        )
    usual = _usual_scripts(references)
    home = _usual_language(references)
    known = None if training_references is None else _Known(training_references)
    sides = {}
    for name, texts in (("answers", answers), ("references", references)):
        ends = finishes if name == "answers" else None
        sides[name] = _measure(texts, known, ends, usual, home, seed)
    foreign = [language_of(text) for text in answers]
    return {
        "studies": len(answers),
        **sides,
        "scripts": _shares([scripts_of(text) - usual for text in answers]),
        "languages": _shares([{each} if each and home and each != home else set() for each in foreign]),
        "broken": _shares([broken_in(text) for text in answers]),
        "length": _length(answers, references),
    }


def remarks(health: Mapping[str, Any]) -> list[str]:
    """Says in plain sentences what is wrong.

    Args:
        health: What `health` returned, or `health` of metrics.json.

    Returns:
        A sentence for each thing that answers do clearly more than references; none if all is well.
    """
    answers, references = health["answers"], health["references"]
    told = [
        sentence.format(answers=_plain(name, answers[name]), references=_plain(name, references[name]))
        for name, margin, sentence in _REMARKS
        if answers[name] is not None and answers[name] - (references[name] or 0.0) > margin
    ]
    if answers["distinct_sentences"] < 0.5 * references["distinct_sentences"]:
        told.append(
            f"Few sentences serve for all: of those in the answers {answers['distinct_sentences']:.1%} are new, of "
            f"those in the references {references['distinct_sentences']:.1%}."
        )
    for name, kinds, margin, sentence in _KINDS:
        said = " and ".join(health[kinds])
        if said and answers[name] - references[name] > margin:
            told.append(
                f"{answers[name]:.1%} of the answers {sentence.format(said)}; of the references {references[name]:.1%}."
            )
    return told + _remarks_on_length(health["length"])


_REMARKS = (
    ("empty", 0.0, "{answers} of the answers are empty."),
    (
        "identical",
        0.2,
        "{answers} of the answers are word for word that of another study; of the references {references}.",
    ),
    ("commonest", 0.2, "One and the same answer is given to {answers} of the studies."),
    (
        "alike",
        0.15,
        "Answers to different studies are alike: ROUGE-L of two is {answers}, of two references {references}.",
    ),
    (
        "copied_sentences",
        0.2,
        "{answers} of the sentences in the answers stand word for word in the training reports; of those in the "
        "references {references}.",
    ),
    ("copied", 0.2, "{answers} of the answers are whole training reports; of the references {references}."),
    ("repeating", 0.05, "{answers} of the answers say a sentence twice; of the references {references}."),
    ("looping", 0.01, "{answers} of the answers go round in circles; of the references {references}."),
    ("cut_off", 0.01, "{answers} of the answers were cut off by the limit of tokens: raise --max_new_tokens."),
)
"""Measure, by how much answers may exceed references, and what to say. A share of 0.2 is far beyond chance in any set
large enough to be scored; where references never do a thing, a hundredth is enough."""


_KINDS = (
    ("foreign_script", "scripts", 0.0, "hold {} letters"),
    ("foreign_language", "languages", 0.01, "are in {}"),
    ("broken", "broken", 0.0, "hold broken text ({})"),
)
"""Measure, where its kinds are listed, by how much answers may exceed references, and what to say of those that do.
Small words mistake a text in a thousand for another language; a foreign letter is no mistake."""


class _Known:
    """What a model learned from, as whole reports and as sentences."""

    def __init__(self, texts: Collection[str]) -> None:
        self.texts = {_normal(text) for text in texts}
        self.sentences = {sentence for text in set(texts) for sentence in _sentences(text)}


def _measure(
    texts: Sequence[str],
    known: _Known | None,
    finishes: Sequence[str | None] | None,
    usual: set[str],
    home: str | None,
    seed: int,
) -> dict[str, float | None]:
    """Takes all measures of one side."""
    count = len(texts)
    normal = [_normal(text) for text in texts]
    said = [each for each in normal if each]
    same = Counter(said)
    sentences = [_sentences(text) for text in texts]
    every = [sentence for each in sentences for sentence in each]
    ended = None if finishes is None else [each for each in finishes if each is not None]
    return {
        "empty": 1 - len(said) / count,
        "identical": sum(times for times in same.values() if times > 1) / count,
        "commonest": max(same.values(), default=0) / count,
        "alike": _alike(texts, seed),
        "distinct_sentences": len(set(every)) / max(len(every), 1),
        "copied_sentences": _share_in(every, known.sentences) if known else None,
        "copied": _share_in(said, known.texts) if known else None,
        "foreign_script": sum(bool(scripts_of(text) - usual) for text in texts) / count,
        "foreign_language": sum(language_of(text) not in (None, home) for text in texts) / count if home else 0.0,
        "broken": sum(bool(broken_in(text)) for text in texts) / count,
        "repeating": sum(len(set(each)) < len(each) for each in sentences) / count,
        "looping": sum(_loops(text) for text in texts) / count,
        "cut_off": sum(each == "length" for each in ended) / len(ended) if ended else None,
        "words": sum(len(text.split()) for text in texts) / count,
    }


def _alike(texts: Sequence[str], seed: int) -> float | None:
    """Takes the mean ROUGE-L of pairs of different studies: of all if they are few, of a sample otherwise."""
    words = [words_of(text) for text in texts]
    count = len(words)
    if count < 2:
        return None
    generator = random.Random(seed)
    if count * (count - 1) // 2 <= _PAIRS:
        pairs = [(one, two) for two in range(count) for one in range(two)]
    else:
        pairs = [
            (one, (one + generator.randrange(1, count)) % count) for one in generator.choices(range(count), k=_PAIRS)
        ]
    total = 0.0
    for one, two in pairs:
        length = len(words[one]) + len(words[two])
        total += 2 * longest_common(words[one], words[two]) / length if length else 1.0
    return total / len(pairs)


def _share_in(texts: Sequence[str], known: set[str]) -> float:
    return sum(text in known for text in texts) / max(len(texts), 1)


def _loops(text: str) -> bool:
    """Says whether more than half of a text's runs of four words were said before in it."""
    runs = grams_of(text.lower().split(), _RUN)
    return bool(runs) and len(runs) < 0.5 * runs.total()


def _sentences(text: str) -> list[str]:
    return [sentence for part in _SENTENCE_END.split(text) if (sentence := _normal(part))]


def _normal(text: str) -> str:
    """Takes out what does not make a text another one: capitals, white space, points at the end."""
    return " ".join(text.lower().split()).strip(" .!?;:,\u3002")


def _usual_scripts(references: Sequence[str]) -> set[str]:
    counts = Counter(script for text in references for script in scripts_of(text))
    return {script for script, count in counts.items() if count >= _USUAL * len(references)}


def _usual_language(references: Sequence[str]) -> str | None:
    counts = Counter(language for text in references if (language := language_of(text)))
    return counts.most_common(1)[0][0] if counts else None


def _shares(found: Sequence[set[str]]) -> dict[str, float]:
    counts = Counter(each for some in found for each in some)
    return {name: count / len(found) for name, count in counts.most_common()}


def _length(answers: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    ratios = sorted(
        len(answer.split()) / max(len(reference.split()), 1)
        for answer, reference in zip(answers, references, strict=True)
    )
    middle = len(ratios) // 2
    return {
        "ratio": (ratios[middle] + ratios[~middle]) / 2,
        "under_half": sum(ratio < 0.5 for ratio in ratios) / len(ratios),
        "over_twice": sum(ratio > 2 for ratio in ratios) / len(ratios),
    }


def _remarks_on_length(length: Mapping[str, float]) -> list[str]:
    if 0.5 <= length["ratio"] <= 2:
        return []
    shorter = length["ratio"] < 0.5
    share = length["under_half" if shorter else "over_twice"]
    return [
        f"The answers are too {'short' if shorter else 'long'}: the middle one has {length['ratio']:.2f} times the "
        f"words of its reference, and {share:.0%} {'less than half' if shorter else 'more than twice'} as many."
    ]


def _plain(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.2f}" if name == "alike" else f"{value:.1%}"
