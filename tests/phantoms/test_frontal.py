"""Frontal films show what they are asked to show, where the label says, and nothing else changes with it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_lightning.phantoms.anatomy import Exposure, Patient, draw_exposure, draw_patient
from cxr_lightning.phantoms.canvas import Box
from cxr_lightning.phantoms.catalogue import LABELS, Finding, choose
from cxr_lightning.phantoms.frontal import draw_frontal

pytestmark = pytest.mark.quick

SIZE = 128


def sized(label: str) -> Finding:
    """Draws findings until the wanted one comes, so that its size and kind are real."""
    for seed in range(5000):
        for finding in choose(np.random.default_rng(seed), frozenset()):
            if finding.label == label:
                return finding
    raise AssertionError(label)


@pytest.fixture(scope="module")
def patient() -> Patient:
    return draw_patient(np.random.default_rng(4))


@pytest.fixture(scope="module")
def exposure() -> Exposure:
    return draw_exposure(np.random.default_rng(4))


def film(patient: Patient, exposure: Exposure, *findings: Finding) -> tuple[NDArray[np.uint8], list[tuple[str, Box]]]:
    return draw_frontal(np.random.default_rng(1), patient, exposure, findings, SIZE)


# An enlarged heart and a raised dome move the outlines, so they change the film outside their boxes too.
RESHAPING = ("cardiomegaly", "atelectasis")


@pytest.mark.parametrize("label", [label for label in LABELS if not label.startswith(RESHAPING)])
def test_finding_shows_inside_its_boxes(label: str, patient: Patient, exposure: Exposure) -> None:
    normal, _ = film(patient, exposure)
    ill, boxes = film(patient, exposure, sized(label))
    assert {name for name, _ in boxes} == {label}
    inside = np.zeros((SIZE, SIZE), dtype=bool)
    for _, (x0, y0, x1, y1) in boxes:
        inside[int(y0 * SIZE) : int(y1 * SIZE) + 1, int(x0 * SIZE) : int(x1 * SIZE) + 1] = True
    change = np.abs(ill.astype(float) - normal)
    assert change[inside].mean() > 2.5
    assert change[inside].mean() > 4 * change[~inside].mean()


@pytest.mark.parametrize("label", [label for label in LABELS if ":" in label])
def test_side_of_the_patient_is_the_other_side_of_the_film(label: str, patient: Patient, exposure: Exposure) -> None:
    _, boxes = film(patient, exposure, sized(label))
    centre = np.mean([(box[0] + box[2]) / 2 for _, box in boxes])
    assert (centre < 0.5) == (":right" in label)


def test_zones_lie_above_one_another(patient: Patient, exposure: Exposure) -> None:
    heights = [
        np.mean([(box[1] + box[3]) / 2 for _, box in film(patient, exposure, sized(f"nodule:left-{zone}"))[1]])
        for zone in ("upper", "mid", "lower")
    ]
    assert heights[1] - heights[0] > 0.1
    assert heights[2] - heights[1] > 0.1


def test_enlarged_heart_is_wider_than_half_the_thorax(patient: Patient, exposure: Exposure) -> None:
    _, boxes = film(patient, exposure, sized("cardiomegaly"))
    x0, _, x1, _ = boxes[0][1]
    assert (x1 - x0) / (2 * patient.half_width * exposure.scale) > 0.54
    assert patient.ratio < 0.5


def test_film_is_exposed(patient: Patient, exposure: Exposure) -> None:
    image, boxes = film(patient, exposure)
    assert image.dtype == np.uint8
    assert image.shape == (SIZE, SIZE)
    assert boxes == []
    assert 60 < image.mean() < 190
    assert image.std() > 25
    assert (image == 255).mean() < 0.02
