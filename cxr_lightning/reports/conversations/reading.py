"""A study's texts enter, one reading of them leaves, from which all questions about it are answered.

What is asked must be settled. A finding is not, where the report leaves it open, says yes and no, or denies only a kind
of it ("no large effusion"); nor where the source's own labels say otherwise than we read, nor where the report as it
was written does: cleaning takes out whole sentences, and what they tell is on the film all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from cxr_lightning.findings.catalogue import BY_NAME
from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.mentions import Mention, find_mentions
from cxr_lightning.findings.observations import DEVICES, NO_FINDING, PARENTS, Observations, observe
from cxr_lightning.findings.sentences import read_sentences
from cxr_lightning.reports.conversations.normality import sums_up
from cxr_lightning.reports.conversations.plainness import (
    is_mass_elsewhere,
    is_of_a_device,
    is_plain,
    is_qualified,
    is_taken_out,
    may_be_artefact,
)
from cxr_lightning.reports.conversations.said import Said
from cxr_lightning.reports.conversations.sound import is_known_normal
from cxr_lightning.reports.conversations.topics import DEVICE_ROWS, TOPICS, Topic
from cxr_lightning.reports.sentences import bare_sentence, join_sentences

_OPEN = (Certainty.PRESENT, Certainty.UNCERTAIN)
_WEIGHT = (Certainty.PRESENT, Certainty.UNCERTAIN, Certainty.ABSENT, Certainty.UNMENTIONED)
"""What outweighs what, where sentences differ."""
_EITHER = frozenset({"enlarged_cardiomediastinum"})
"""Rows that state one of two findings, and it is open which: the heart or the mediastinum."""
_SHADOWS = frozenset({"Lung Lesion", "Lung Opacity"})
"""What an artefact is mistaken for."""
_CLEAR = re.compile(
    r"\blungs?(?: fields?)? (?:(?:is|are|remains?|appears?) )?(?:(?:grossly|also|both|well) ?\w* ?){0,2}clear\b"
    r"(?! of| to\b| from| except| other| aside| apart|[^.]*\b(?:except|other than|aside|apart|but|although)\b)"
    r"|\b(?:well[- ]expanded and )?clear lungs\b|^(?:the )?lungs clear\b",
    re.IGNORECASE,
)
_OF_THE_LUNGS = re.compile(
    r"\b(?:lungs?|lob(?:e|ar)s?|bas(?:es|al|ilar)|ap(?:ex|ices|ical)|hemithora\w*|parenchym\w*|air ?space|pulmonary"
    r"|interstiti\w*|miliary|perihilar|zones?|lingul\w*|retrocardiac)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z0-9]+")
_LETTER = re.compile(r"[A-Za-z]")
_NOT_CLEAR = re.compile(r"\b(?:not|otherwise|mostly|largely|right lung|left lung)\b", re.IGNORECASE)
_CHILDREN = {
    name: frozenset(child for child, parent in PARENTS.items() if parent == name) for name in set(PARENTS.values())
}


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of a report.

    Attributes:
        text: The sentence, as an answer may quote it.
        mentions: What the labeler reads in it.
    """

    text: str
    mentions: tuple[Mention, ...]

    def speaks(self, rows: frozenset[str], *certainties: Certainty) -> Iterator[Mention]:
        """Yields its mentions of these rows that are so certain."""
        return (each for each in self.mentions if each.finding in rows and each.certainty in certainties)


@dataclass(frozen=True)
class Reading:
    """What a study's texts say.

    Attributes:
        text: Findings and impression.
        lines: Their sentences, none of them twice.
        observations: CheXpert's observations, as we read them.
        labels: Located labels that are known, without their places; None where nobody knows.
        source: Observations, as the source labels them; None where it does not.
        clear: The sentence that calls the lungs clear; empty where none does, or more is said of them than we can read.
        written: The sentences of the report as it was written that are not among `lines`.
    """

    text: str
    lines: tuple[Line, ...]
    observations: Observations
    labels: frozenset[str] | None
    source: dict[str, int] | None
    clear: str
    written: tuple[Line, ...] = ()

    def settles(self, topic: Topic) -> bool | None:
        """Tell whether a finding is there.

        Args:
            topic: The finding.

        Returns:
            Yes or no where the report and all known labels say so; None where it is open, or they disagree.
        """
        return self._settled[topic.name]

    def states(self, topic: Topic) -> bool:
        """Tell whether a finding is there for all that the report as written says, what cleaning took out included.

        Args:
            topic: The finding.
        """
        if self.settles(topic) is not None:
            return self.settles(topic) is True
        found = [(each, line) for line in (*self.lines, *self.written) for each in line.speaks(topic.rows, *Certainty)]
        return self._all_state(topic, found) and self._agree(topic, holds=True)

    def stating(self, topic: Topic) -> list[Line]:
        """List the sentences that state a finding, and not only it or another."""
        return [line for line in self.lines if any(line.speaks(topic.rows - _EITHER, Certainty.PRESENT))]

    def evidence(self, topic: Topic, *, holds: bool) -> str:
        """Find the sentence that says most clearly that a finding is there, or is not.

        Args:
            topic: The finding.
            holds: Whether it is there.

        Returns:
            The sentence; empty where none can stand alone.
        """
        if holds:
            lines = sorted(self.stating(topic), key=lambda line: _telling(line, topic), reverse=True)
            return next((line.text for line in lines if self.may_quote(line)), "")
        denying = [line for line in self.lines if any(line.speaks(topic.rows, Certainty.ABSENT))]
        return next((line.text for line in denying if self.may_quote(line)), "" if denying else self.clear)

    def may_quote(self, line: Line) -> bool:
        """Tell whether a sentence alone says nothing that the whole report contradicts.

        Args:
            line: One of the report's sentences: "no cavitary nodule" beside "2 cm nodule" may not stand alone.
        """
        return not any(
            self.observations[name].certainty is not each.certainty or self._as_written(name) is not each.certainty
            for each in line.mentions
            for name in BY_NAME[each.finding].observations
        )

    @cached_property
    def dropped(self) -> tuple[Line, ...]:
        """The sentences as written of which cleaning left nothing, or not the finding that they tell."""
        if not self.written:
            return ()
        kept = [words for line in self.lines if len(words := _words_of(line.text)) > 1]
        told = {each.finding for line in self.lines for each in line.mentions if each.certainty in _OPEN}
        return tuple(
            line
            for line, own in ((each, _words_of(each.text)) for each in self.written)
            if not any(words <= own for words in kept)
            or any(each.certainty in _OPEN and each.finding not in told for each in line.mentions)
        )

    def drops(self, rows: frozenset[str]) -> bool:
        """Tell whether a sentence that cleaning took out states these findings, or leaves them open.

        Args:
            rows: Rows of the labeler's catalogue.
        """
        return any(any(line.speaks(rows, *_OPEN)) for line in self.dropped)

    @cached_property
    def _written_as(self) -> dict[str, Certainty]:
        """What the report says of each observation as it was written, where a sentence of that says anything else."""
        found = dict[str, Certainty]()
        for line in self.written:
            for each in line.mentions:
                for name in BY_NAME[each.finding].observations:
                    found[name] = min(found.get(name, each.certainty), each.certainty, key=_WEIGHT.index)
        return found

    @cached_property
    def _rows_as_written(self) -> dict[str, set[Certainty]]:
        found = dict[str, set[Certainty]]()
        for line in self.written:
            for each in line.mentions:
                found.setdefault(each.finding, set()).add(each.certainty)
        return found

    def _as_written(self, name: str) -> Certainty:
        """Judge an observation from both texts: of two verdicts, the one that states more stands."""
        own = self.observations[name].certainty
        written = self._written_as.get(name)
        return own if written is None else min(own, written, key=_WEIGHT.index)

    @cached_property
    def _by_row(self) -> dict[str, list[tuple[Mention, Line]]]:
        """The mentions of each row of the catalogue, with their sentences."""
        found: dict[str, list[tuple[Mention, Line]]] = {}
        for line in self.lines:
            for each in line.mentions:
                found.setdefault(each.finding, []).append((each, line))
        return found

    @cached_property
    def _settled(self) -> dict[str, bool | None]:
        """Every topic's verdict: each is asked for several times."""
        verdicts = {topic.name: (topic, self._read(topic)) for topic in TOPICS}
        return {
            name: verdict if verdict is not None and self._agree(topic, verdict) else None
            for name, (topic, verdict) in verdicts.items()
        }

    @cached_property
    def abnormal(self) -> bool | None:
        """Whether the film is abnormal; None where that is open: a finding in doubt, a device alone, an old scar."""
        stated = self.observations.stated - {DEVICES, NO_FINDING}
        if stated:
            return None if stated <= _SHADOWS and self._of_artefact else True
        spoken = self.observations[NO_FINDING].certainty is Certainty.PRESENT
        if not spoken or any(certainty in _OPEN for certainty in self._written_as.values()) or self.devices:
            return None
        if not sums_up(self.text) or not all(is_known_normal(line.text) for line in (*self.lines, *self.written)):
            return None
        known = None if self.source is None else self.source.get(NO_FINDING) == 1
        return None if known is False or self.labels else False

    @cached_property
    def _of_artefact(self) -> bool:
        """Whether the report takes one of its shadows for nothing."""
        return any(may_be_artefact(line.text) for line in (*self.lines, *self.written))

    @property
    def devices(self) -> list[str]:
        """The sentences that state a device."""
        return [line.text for line in self.lines if any(line.speaks(DEVICE_ROWS, Certainty.PRESENT))]

    def _read(self, topic: Topic) -> bool | None:
        found = [pair for row in topic.rows for pair in self._by_row.get(row, ())]
        if not found and not (topic.cleared and self.clear):
            return None
        certainties = {each.certainty for each, _ in found}
        written = {each for row in topic.rows for each in self._rows_as_written.get(row, ())}
        if written - certainties and (certainties or written & {*_OPEN}):
            return None
        if certainties == {Certainty.PRESENT}:
            return True if self._all_state(topic, found) else None
        if certainties - {Certainty.ABSENT}:
            return None
        about = {topic.observation, *_CHILDREN.get(topic.observation, ())}
        if any(self._as_written(name) in _OPEN for name in about):
            return None
        if topic.name == "nodule" and any(is_mass_elsewhere(line.text) for line in (*self.lines, *self.written)):
            return None
        return None if any(is_qualified(line.text) and not _sound(each) for each, line in found) else False

    def _all_state(self, topic: Topic, found: list[tuple[Mention, Line]]) -> bool:
        """Tell whether all mentions of a finding state it, one of them plainly."""
        if (topic.observation in _SHADOWS and self._of_artefact) or any(is_taken_out(line.text) for _, line in found):
            return False
        plain = any(each.finding not in _EITHER and is_plain(line.text) for each, line in found)
        return plain and all(each.certainty is Certainty.PRESENT for each, _ in found)

    def _agree(self, topic: Topic, holds: bool) -> bool:
        """Tell whether what others know of the study is what we read."""
        if self.labels is not None and topic.kinds and bool(topic.kinds & self.labels) is not holds:
            return False
        if self.source is None:
            return True
        named = self.source.get(topic.observation)
        if named is None and not holds:
            # "The lungs are clear" names nothing; a source that finds nothing at all agrees with it.
            return self.source.get(NO_FINDING) == 1
        return named == int(holds)


def read(said: Said) -> Reading:
    """Read a study once.

    Args:
        said: What is known about it.
    """
    text = " ".join(part for part in (said.findings, said.impression) if part) or said.summary
    lines = {line.text: line for line in map(_line, read_sentences(text)) if line.text}
    observations = observe(text)
    unlike = {line.text: line for line in map(_line, _sentences_of(said.written, text)) if line.text not in lines}
    written = tuple(unlike.values())
    return Reading(
        text=text,
        lines=tuple(lines.values()),
        observations=observations,
        labels=None if said.labels is None else frozenset(label.partition(":")[0] for label in said.labels),
        source=None if said.observations is None else dict(said.observations),
        clear=_clear((*lines.values(), *written), list(lines), observations),
        written=written,
    )


def _sentences_of(written: str, cleaned: str) -> list[str]:
    """Cuts the report as written; its lines may end within a sentence, and a list's numbers are none."""
    if " ".join(written.split()) == cleaned:
        return []
    return [" ".join(each.split()) for each in read_sentences(written) if _LETTER.search(each)]


def _clear(lines: tuple[Line, ...], sentences: list[str], observations: Observations) -> str:
    if observations[NO_FINDING].certainty is not Certainty.PRESENT:
        return ""
    clear = next((each for each in sentences if _CLEAR.search(each) and not _NOT_CLEAR.search(each)), "")
    # "Clear" denies only where every word about the lungs is known.
    if not clear or any(_speaks_of_lungs_unknown(line.text) for line in lines):
        return ""
    stated = (each for line in lines for each in line.mentions if each.certainty in _OPEN)
    return clear if all(each.finding in DEVICE_ROWS for each in stated) else ""


def _sound(mention: Mention) -> bool:
    """Tell a silhouette that is called normal: no kind of it is left over."""
    return mention.finding.startswith("normal_")


@lru_cache(maxsize=1 << 15)
def _words_of(sentence: str) -> frozenset[str]:
    return frozenset(_WORD.findall(sentence.lower()))


@lru_cache(maxsize=1 << 15)
def _speaks_of_lungs_unknown(sentence: str) -> bool:
    """Tell whether a sentence says of the lungs what is not said of normal ones."""
    return _OF_THE_LUNGS.search(sentence) is not None and not is_known_normal(sentence)


@lru_cache(maxsize=1 << 15)
def _line(sentence: str) -> Line:
    """Reads one sentence; remembered, since reports repeat each other's sentences."""
    bare = bare_sentence(" ".join(sentence.split()))
    mentions = tuple(find_mentions(sentence))
    if is_of_a_device(sentence):
        mentions = tuple(each for each in mentions if each.finding != "fracture")
    return Line(join_sentences([bare]) if bare else "", mentions)


def _telling(line: Line, topic: Topic) -> tuple[int, int]:
    """How much a sentence says of a finding: where it is, how large, and then that it speaks of nothing else."""
    own = list(line.speaks(topic.rows, Certainty.PRESENT))
    said = sum(bool(each.places) + (each.severity is not None) for each in own)
    return said, -len(line.mentions)
