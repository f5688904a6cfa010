"""One phantom study: a seed and a number go in, films, report and truth come out.

Each study draws from its own stream of chance, keyed by seed and number alone, so any study can be drawn by anyone at
any time and always comes out the same. Neighbouring numbers share patients: blocks of numbers are dealt to patients of
one to four visits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantoms.anatomy import draw_exposure, draw_patient
from cxr_lightning.phantoms.canvas import Box
from cxr_lightning.phantoms.catalogue import Finding, choose
from cxr_lightning.phantoms.frontal import draw_frontal
from cxr_lightning.phantoms.lateral import draw_lateral
from cxr_lightning.phantoms.wording import write_report
from cxr_lightning.study import Report

BLOCK = 24
"""Studies that are dealt to patients together."""
VISITS = (0.45, 0.27, 0.17, 0.11)
"""Shares of patients with 1, 2, 3 and 4 studies."""
LATERAL_SHARE = 0.3
SMALLEST = 64
_BLOCKS, _PATIENTS, _STUDIES, _WORDS, _FRONTAL, _LATERAL = range(6)


@dataclass(frozen=True, slots=True)
class Phantom:
    """One drawn study.

    Attributes:
        study_id: Its name.
        patient_id: Its patient's name.
        image_HW: The frontal film, 8-bit grey, the patient's right on the image's left.
        lateral_HW: The lateral film, or None.
        report: What the radiologist wrote.
        findings: The truth, with sizes.
        boxes: Extents of the findings in the frontal film, as (label, (x0, y0, x1, y1)) in fractions of it.
    """

    study_id: str
    patient_id: str
    image_HW: NDArray[np.uint8]
    lateral_HW: NDArray[np.uint8] | None
    report: Report
    findings: tuple[Finding, ...]
    boxes: tuple[tuple[str, Box], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The located labels of the truth."""
        return tuple(finding.label for finding in self.findings)


def draw_study(seed: int, number: int, size: int = 256) -> Phantom:
    """Draws a study.

    Args:
        seed: Names the archive; 0 or more.
        number: Names the study in it; 0 or more.
        size: Side length of the films in pixels.

    Returns:
        The study, the same one for the same arguments.

    Raises:
        ValueError: When an argument is out of range.
    """
    check_request(seed, number, size)
    person, visit = _deal(seed, number)
    patient = draw_patient(_stream(seed, _PATIENTS, person))
    rng = _stream(seed, _STUDIES, number)
    exposure = draw_exposure(rng)
    findings = choose(rng, patient.chronic, patient.vessels)
    has_lateral = not exposure.portable and rng.random() < LATERAL_SHARE / 0.7
    image_HW, boxes = draw_frontal(_stream(seed, _FRONTAL, number), patient, exposure, findings, size)
    lateral_HW = (
        draw_lateral(_stream(seed, _LATERAL, number), patient, exposure, findings, size) if has_lateral else None
    )
    words = _stream(seed, _WORDS, number)
    return Phantom(
        study_id=f"phantom-{seed}-{number:06d}",
        patient_id=f"patient-{seed}-{person:06d}",
        image_HW=image_HW,
        lateral_HW=lateral_HW,
        report=write_report(words, patient, exposure, findings, visit=visit, lateral=has_lateral),
        findings=findings,
        boxes=tuple(boxes),
    )


def check_request(seed: int, number: int, size: int) -> None:
    """Refuses what cannot be drawn.

    Args:
        seed: See `draw_study`.
        number: See `draw_study`.
        size: See `draw_study`.

    Raises:
        ValueError: When one is out of range; it says which range.
    """
    if seed < 0 or number < 0 or size < SMALLEST:
        raise ValueError(
            f"A phantom needs a seed and a number of 0 or more and a size of {SMALLEST} or more pixels, "
            f"not seed {seed}, number {number}, size {size}."
        )


def _deal(seed: int, number: int) -> tuple[int, int]:
    """Tells whose study a number is, and which visit."""
    block, place = divmod(number, BLOCK)
    visits = 1 + _stream(seed, _BLOCKS, block).choice(len(VISITS), size=BLOCK, p=VISITS)
    ends = list(accumulate(int(count) for count in visits))
    index = next(i for i, end in enumerate(ends) if place < end)
    start = ends[index - 1] if index else 0
    return block * BLOCK + index, place - start


def _stream(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Opens a stream of chance that nobody else draws from."""
    return np.random.default_rng([seed, purpose, number])
