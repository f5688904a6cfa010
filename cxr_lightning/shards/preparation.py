"""One study enters, one packed sample leaves, or the flaw that keeps it out: the work that runs in parallel.

A pure function of its job, so that neither worker nor order shows in the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.conversations import Context, Said, Style, converse
from cxr_lightning.reports.conversations.frequencies import Shares
from cxr_lightning.reports.conversations.shown import indication_of
from cxr_lightning.reports.dialogues import about_radiology, without_persona
from cxr_lightning.reports.identifiers import kinds_in
from cxr_lightning.reports.policy import LENIENT, Policy
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.reports.textual import converse_in_text
from cxr_lightning.shards.contract import (
    IMAGE_MARK,
    LARGEST_RECORD,
    LATERAL_SUFFIX,
    SCHEMA,
    Format,
    SampleRecord,
    Turn,
    ViewRecord,
)
from cxr_lightning.shards.hanging import hung_by_header
from cxr_lightning.shards.identity import kinds_in_name, kinds_in_origin
from cxr_lightning.shards.images import Fit, ImageError, encode, fitted, load_gray
from cxr_lightning.shards.looks import NOTHING, Look, look_of
from cxr_lightning.shards.sample import sample_bytes
from cxr_lightning.shards.writer import Packed
from cxr_lightning.study import Report, Split, Study, View

Named = Literal["tell", "leave_out"]
Dialogues = Literal["all", "radiology"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to every study alike.

    Attributes:
        size: Longest side of the stored images, in pixels.
        format: jpg or png.
        quality: JPEG quality.
        conversation: Which questions are asked.
        keep_study_ids: Whether the record names the study as its source does, not by its key.
        fit: Whether images keep their shape.
        policy: Which reports are good enough.
        context: What prompts carry besides the question.
        identifiers: Whether studies whose text seems to name someone are packed.
        dialogues: Which dialogues without an image are packed.
        shares: How common findings are among the studies, so that questions about them are balanced.
    """

    size: int
    format: Format
    quality: int
    conversation: Style
    keep_study_ids: bool = False
    fit: Fit = "keep"
    policy: Policy = LENIENT
    context: Context = field(default_factory=Context)
    identifiers: Named = "tell"
    dialogues: Dialogues = "all"
    shares: Shares | None = None

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 8192:
            raise ValueError(f"--size {self.size}: the longest side must be 16 to 8192 pixels")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"--quality {self.quality}: JPEG quality is 1 to 100")


@dataclass(frozen=True, slots=True)
class Job:
    """One study with what was decided about it.

    Attributes:
        number: Its place in the plan.
        study: The study.
        where: File and lines, for people.
        key: Its hashed name.
        patient: Its hashed patient.
        split: Its split.
        prior: The patient's study before it, where prompts are to carry its report.
    """

    number: int
    study: Study
    where: str
    key: str
    patient: str
    split: Split
    prior: Study | None = None


def prepare(job: Job, recipe: Recipe) -> Packed | Flaw:
    """Clean a study's text, shrink its images, and lay both out as tar members.

    Args:
        job: The study.
        recipe: What is done to every study alike.

    Returns:
        The sample, or what keeps the study out.
    """
    refused = "" if job.study.turns else recipe.policy.reason(job.study.report)
    # An archive has reports that were never written; a table that has none was misread.
    if refused and (recipe.policy.both or not _is_empty(job.study.report)):
        return Flaw(job.where, refused, "the policy leaves such reports out (--policy)", bad=False)
    views = hung_by_header(job.study.views)
    chosen = chosen_views(views, recipe.format)
    said = said_of(job.study, chosen.values(), job.prior)
    if recipe.dialogues == "radiology" and not chosen and said.turns:
        if not about_radiology(said.turns):
            return Flaw(job.where, "not about images", "--dialogues radiology leaves other medicine out", bad=False)
        said = replace(said, turns=tuple((without_persona(asked), without_persona(told)) for asked, told in said.turns))
    if not said.summary and not said.turns:
        return _wordless(job)
    turns = (
        converse(said, job.key, recipe.conversation, recipe.context, recipe.shares)
        if chosen
        else converse_in_text(said, job.key, recipe.shares)
    )
    marks = sum(turn["content"].count(IMAGE_MARK) for turn in turns)
    if marks > len(chosen):
        return Flaw(job.where, "more marks than images", _unmatched(marks, len(chosen)))
    named = _identifiers(said, turns, job.study, keep_id=recipe.keep_study_ids)
    if named and recipe.identifiers == "leave_out":
        return Flaw(job.where, "names someone", f"its text seems to hold: {', '.join(named)}", bad=False)
    try:
        films = _films(chosen, recipe)
    except ImageError as error:
        if any(_is_gone(view.path) for view in chosen.values()):
            return Flaw(
                job.where, "image missing", f"{error}; a table's paths begin at the folder that the table is in"
            )
        return Flaw(job.where, "image unusable", str(error))
    record = _record(job, said, turns, films.views, keep_id=recipe.keep_study_ids)
    block = sample_bytes(job.key, record, films.images)
    if len(block) - sum(map(len, films.images.values())) > LARGEST_RECORD:
        return Flaw(job.where, "text too long", f"its texts make a record of more than {LARGEST_RECORD >> 20} MiB")
    return Packed(
        key=job.key,
        patient=job.patient,
        characters=len(said.summary),
        images=len(films.images),
        block=block,
        look=films.look,
        number=job.number,
        films=films.digests,
        identifiers=named,
        by_rule=not job.study.summary,
        unknown=any(view["position"] == "unknown" for view in films.views[:1]),
    )


class _Films(NamedTuple):
    """A sample's images, encoded, and what is told of them."""

    images: dict[str, bytes]
    views: list[ViewRecord]
    look: Look = NOTHING
    digests: tuple[str, ...] = ()


def _films(chosen: dict[str, View], recipe: Recipe) -> _Films:
    images: dict[str, bytes] = {}
    views: list[ViewRecord] = []
    look, digests = NOTHING, list[str]()
    for suffix, view in chosen.items():
        what = "image of unknown view" if view.position == "unknown" else f"{view.position} image"
        try:
            gray = fitted(load_gray(view.path, at_least=2 * recipe.size), recipe.size, recipe.fit)
        except ImageError as error:
            raise ImageError(f"{what}: {error}") from None
        if gray.min() == gray.max():
            raise ImageError(f"{what}: all its pixels are one gray, so it shows nothing")
        images[suffix] = data = encode(gray, recipe.format, recipe.quality)
        if len(images) == 1:
            look = look_of(gray if recipe.format == "png" else data)  # a PNG holds these very levels
        views.append(ViewRecord(member=suffix, position=view.position, width=gray.shape[1], height=gray.shape[0]))
        # Of one encoder equal bytes mean equal pixels, so they need not be decoded again.
        digests.append(hashlib.blake2b(data, digest_size=16).hexdigest())
    return _Films(images, views, look, tuple(digests))


def _is_gone(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # it may be there, and out of reach
        return False
    return False


def said_of(study: Study, chosen: Iterable[View] = (), prior: Study | None = None) -> Said:
    """Brings a study's texts into the words that conversations are made of.

    Args:
        study: The study.
        chosen: The views that its sample stores, the primary one first.
        prior: The patient's study before it, where prompts are to carry its report.
    """
    report, positions = study.report, [view.position for view in chosen]
    return Said(
        summary=study.summary or summarize(report),
        findings=clean(report.findings),
        impression=clean(report.impression),
        labels=study.labels,
        turns=study.turns,
        indication=report.indication,
        technique=report.technique,
        position=positions[0] if positions else "unknown",
        lateral=len(positions) > 1,
        prior="" if prior is None else prior.summary or summarize(prior.report),
        observations=study.observations,
        source=study.source,
        written="\n".join(part for part in (report.findings, report.impression) if part),
    )


def _identifiers(said: Said, turns: list[Turn], study: Study, *, keep_id: bool) -> tuple[str, ...]:
    """Lists what kinds of words a sample holds that may name someone; where they stand is for `cxr inspect`."""
    texts = dict.fromkeys(
        (said.summary, said.findings, said.impression, *(turn["content"] for turn in turns), *(said.labels or ()))
    )
    kinds = kinds_in_origin(study.source, study.licence).union(*map(kinds_in, texts))
    return tuple(sorted(kinds | kinds_in_name(study.study_id) if keep_id else kinds))


def chosen_views(views: tuple[View, ...], format: Format) -> dict[str, View]:
    """Choose the images that a sample stores: the primary one, and the first lateral one beside it.

    Args:
        views: A study's views, the primary one first.
        format: jpg or png.

    Returns:
        Member suffix to view; empty for a study of text alone.
    """
    if not views:
        return {}
    chosen = {str(format): views[0]}
    lateral = next((view for view in views[1:] if view.position == "lateral"), None)
    if lateral is not None:
        chosen[LATERAL_SUFFIX.format(format=format)] = lateral
    return chosen


def _is_empty(report: Report) -> bool:
    return not (report.text or report.findings or report.impression)


def _wordless(job: Job) -> Flaw:
    if _is_empty(job.study.report):
        return Flaw(job.where, "report empty", "there is neither report, findings, impression nor question")
    reason = "findings and impression hold no sentence that this study alone supports"
    return Flaw(job.where, "nothing to learn", reason, bad=False)


def _unmatched(marks: int, stored: int) -> str:
    return (
        f"its turns mark {marks} images with {IMAGE_MARK}, and {stored} can be stored: a sample has its primary image "
        "and one lateral"
    )


def _record(job: Job, said: Said, turns: list[Turn], views: list[ViewRecord], *, keep_id: bool) -> SampleRecord:
    study = job.study
    return SampleRecord(
        schema=SCHEMA,
        study=study.study_id if keep_id else job.key,
        patient=job.patient,
        views=views,
        split=job.split,
        indication=indication_of(study.report.indication),
        findings=said.findings,
        impression=said.impression,
        summary=said.summary,
        conversation=turns,
        labels=None if study.labels is None else sorted(study.labels),
        source=study.source,
        licence=study.licence,
    )
