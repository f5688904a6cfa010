"""What a study is asked, what the answer should have been, and what is known to be there.

Enters a sample; leaves a question that its reference answers. Evaluation asks so, and so does a run that scores itself
while it learns: their scores mean the same.
"""

from __future__ import annotations

from itertools import pairwise

from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.reports.conversations import DESCRIBE, split_shown
from cxr_lightning.reports.draw import choose
from cxr_lightning.shards.contract import IMAGE_MARK, SampleRecord
from cxr_lightning.shards.sample import RawSample

_OURS = frozenset(LABELS)


def question_of(sample: RawSample) -> str:
    """Chooses what to ask: the reference must be an answer to it.

    The summary answers a request for the whole report and no other question, and a conversation may open with "Is there
    cardiomegaly?". The sample's own request is kept where it has one; else its key draws a wording, always the same.

    Args:
        sample: The study.

    Returns:
        The user's turn, `<image>` where each image goes, with what its prompts were packed with (the indication).
    """
    turns, summary = sample.record["conversation"], sample.record["summary"]
    first = next((turn["content"] for turn in turns if turn["role"] == "user"), IMAGE_MARK)
    asked = first
    if summary:
        own = (
            question["content"]
            for question, answer in pairwise(turns)
            if question["role"] == "user" and answer["role"] == "assistant" and answer["content"] == summary
        )
        asked = next(own, None) or choose(DESCRIBE, sample.key, "describe")
    if IMAGE_MARK in asked:
        return asked
    # Asked alone, a later question needs what the first one showed: the images, and what stood beside them.
    return (split_shown(first)[0] or f"{IMAGE_MARK}\n" * max(1, first.count(IMAGE_MARK))) + asked


def reference_of(record: SampleRecord) -> str:
    """Takes the summary; a source of questions and answers has only the answer.

    Args:
        record: The study's record.
    """
    answers = (turn["content"] for turn in record["conversation"] if turn["role"] == "assistant")
    return record["summary"] or next(answers, "")


def labels_of(record: SampleRecord) -> frozenset[str] | None:
    """Returns the findings that are known to be there; None where only the reference tells.

    Labels of another vocabulary cannot be compared with what is read from answers; the reference can.

    Args:
        record: The study's record.
    """
    labels = record["labels"]
    return None if labels is None or not _OURS.issuperset(labels) else frozenset(labels)


def truth_of(reference: str, labels: frozenset[str] | None) -> frozenset[str]:
    """Returns the findings that count as there: the known labels, else what the reference states.

    Args:
        reference: What the radiologist said.
        labels: What is known to be there.
    """
    return find(reference) if labels is None else labels
