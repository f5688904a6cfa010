"""A study's texts enter, turns without an image leave: what a language model learns to say from reports alone.

Every answer follows from a report that the question quotes. Where a report has one part only, the question may also ask
for an example of a report: never for what a film shows that nobody sees, since a model would learn to invent it.
"""

from __future__ import annotations

from cxr_lightning.reports.conversations import Said, Turn
from cxr_lightning.reports.conversations.details import stated_details
from cxr_lightning.reports.conversations.frequencies import Shares, shares_of
from cxr_lightning.reports.conversations.lay import explain
from cxr_lightning.reports.conversations.presence import ask_normality, presences
from cxr_lightning.reports.conversations.reading import read
from cxr_lightning.reports.conversations.turns import as_turns
from cxr_lightning.reports.draw import choose, fraction

SUM_UP = (
    "Write the impression for these findings of a chest radiograph.\n\n{findings}",
    "Summarise these chest X-ray findings as a radiologist would in an impression.\n\n{findings}",
    "{findings}\n\nWhat is the impression?",
    "These are the findings of a chest radiograph:\n{findings}\n\nSum them up for the referring doctor.",
    "Findings: {findings}\n\nGive the impression section of this report.",
    "A chest X-ray was reported as follows. {findings}\n\nWhat is the conclusion?",
    "Read these findings and state what matters in one or two sentences.\n\n{findings}",
    "Turn the findings below into a short impression.\n\n{findings}",
    "You are helping a radiologist finish a chest X-ray report. The findings are: {findings} Write the impression.",
    "{findings}\n\nIn short, what does this chest radiograph show?",
)
EXAMPLES = (
    "Give an example of a chest radiograph report.",
    "Write a chest X-ray report as a radiologist might dictate it.",
    "What can a short report of a chest radiograph look like?",
    "Show me how the text of a chest X-ray report may read.",
    "Write a sample report for a chest film, for teaching.",
    "Make up a plausible report of a chest radiograph.",
)
QUOTED = (
    "Here is the report of a chest radiograph:\n{report}\n\n{question}",
    "Report: {report}\n\n{question}",
    "{report}\n\nThis is what the chest X-ray report says. {question}",
    "A radiologist wrote: {report}\n\n{question}",
    "{question} The question is about this report of a chest X-ray:\n\n{report}",
    "Read this chest X-ray report and answer from it alone.\n\n{report}\n\n{question}",
    "The report of the chest film reads as follows. {report}\n\n{question}",
    "Chest X-ray report:\n{report}\n\nQuestion: {question}",
)
_MOST_MORE = 2
_MORE_SHARE = 0.5
_QUOTED_SHARE = 0.5


def converse_in_text(said: Said, key: str, shares: Shares | None = None) -> list[Turn]:
    """Make the conversation of a study whose image nobody looks at.

    Args:
        said: What its report says, or the questions and answers that it brought.
        key: The study's key: the same key gets the same conversation.
        shares: How often findings are there and not there; by the study's source if not given.

    Returns:
        Turns, user and assistant in alternation, none with an image; empty where there is nothing to answer with.
    """
    if said.turns:
        return as_turns(said.turns)
    if said.findings and said.impression and said.findings != said.impression:
        first = (choose(SUM_UP, key, "sum up").format(findings=said.findings), said.impression)
        return as_turns([first, *(_more(said, key, shares) if fraction(key, "more") < _MORE_SHARE else [])])
    if not said.summary:
        return []
    more = _more(said, key, shares)
    if more and fraction(key, "quoted") < _QUOTED_SHARE:
        (question, answer), *rest = more
        quoted = choose(QUOTED, key, "quoting").replace("{question}", question).replace("{report}", said.summary)
        return as_turns([(quoted, answer), *rest])
    return as_turns([(choose(EXAMPLES, key, "example"), said.summary)])


def _more(said: Said, key: str, shares: Shares | None) -> list[tuple[str, str]]:
    """Ask what a report that is quoted answers: what it states, whether it is normal, what a patient is told of it."""
    reading, balance = read(said), shares_of(said.source) if shares is None else shares
    asked = [
        *explain(reading, key),
        *presences(reading, balance, key),
        *ask_normality(reading, balance, key),
        *stated_details(reading, key)[:1],
    ]
    asked.sort(key=lambda each: fraction(key, "more", each.kind, each.about))
    # Where a finding is, nobody asks before whether there is one.
    firsts = {each.about: each for each in reversed(asked) if each.about}
    kept = [each for each in asked if not each.about or firsts[each.about] is each]
    return [(each.question, each.answer) for each in kept[:_MOST_MORE]]
