"""One study enters, one packed sample leaves, or the flaw that keeps it out: the work that runs in parallel.

A pure function of its job, so that neither worker nor order shows in the result.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.conversations import Said, Style, converse
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.reports.textual import converse_in_text
from cxr_lightning.shards.contract import (
    IMAGE_MARK,
    LATERAL_SUFFIX,
    SCHEMA,
    Format,
    SampleRecord,
    Turn,
    ViewRecord,
)
from cxr_lightning.shards.images import ImageError, encode, load_gray, shrink
from cxr_lightning.shards.looks import NOTHING, look_of
from cxr_lightning.shards.sample import sample_bytes
from cxr_lightning.shards.writer import Packed
from cxr_lightning.study import Split, Study, View


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to every study alike.

    Attributes:
        size: Longest side of the stored images, in pixels.
        format: jpg or png.
        quality: JPEG quality.
        conversation: Which questions are asked.
        keep_study_ids: Whether the record names the study as its source does, not by its key.
    """

    size: int
    format: Format
    quality: int
    conversation: Style
    keep_study_ids: bool = False

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 8192:
            raise ValueError(f"--size {self.size}: the longest side must be 16 to 8192 pixels")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"--quality {self.quality}: JPEG quality is 1 to 100")


@dataclass(frozen=True, slots=True)
class Job:
    """One study with what was decided about it.

    Attributes:
        study: The study.
        where: File and lines, for people.
        key: Its hashed name.
        patient: Its hashed patient.
        split: Its split.
    """

    study: Study
    where: str
    key: str
    patient: str
    split: Split


def prepare(job: Job, recipe: Recipe) -> Packed | Flaw:
    """Clean a study's text, shrink its images, and lay both out as tar members.

    Args:
        job: The study.
        recipe: What is done to every study alike.

    Returns:
        The sample, or what keeps the study out.
    """
    report = job.study.report
    said = Said(
        summary=summarize(report),
        findings=clean(report.findings),
        impression=clean(report.impression),
        labels=job.study.labels,
        turns=job.study.turns,
    )
    if not said.summary and not said.turns:
        return _wordless(job)
    chosen = chosen_views(job.study.views, recipe.format)
    turns = converse(said, job.key, recipe.conversation) if chosen else converse_in_text(said, job.key)
    marks = sum(turn["content"].count(IMAGE_MARK) for turn in turns)
    if marks > len(chosen):
        return Flaw(job.where, "more marks than images", _unmatched(marks, len(chosen)))
    images: dict[str, bytes] = {}
    views: list[ViewRecord] = []
    for suffix, view in chosen.items():
        try:
            gray = shrink(load_gray(view.path), recipe.size)
        except ImageError as error:
            return Flaw(job.where, "image unusable", f"{view.position} image: {error}")
        images[suffix] = encode(gray, recipe.format, recipe.quality)
        views.append(ViewRecord(member=suffix, position=view.position, width=gray.shape[1], height=gray.shape[0]))
    block = sample_bytes(job.key, _record(job, said, turns, views, keep_id=recipe.keep_study_ids), images)
    look = look_of(next(iter(images.values()))) if images else NOTHING
    return Packed(job.key, job.patient, len(said.summary), len(images), block, look)


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


def _wordless(job: Job) -> Flaw:
    report = job.study.report
    if not (report.text or report.findings or report.impression):
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
        indication=clean(study.report.indication),
        findings=said.findings,
        impression=said.impression,
        summary=said.summary,
        conversation=turns,
        labels=None if study.labels is None else sorted(study.labels),
        source=study.source,
        licence=study.licence,
    )
