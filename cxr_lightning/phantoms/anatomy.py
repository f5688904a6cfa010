"""Who was imaged and how: a patient's build and a study's exposure go in, the outlines of a thorax come out.

A patient keeps the build over all studies; inspiration, pose and exposure change from study to study. `Thorax` answers
with outlines in body coordinates (see `canvas`): x is right to left across the patient, y downwards; x = 0.5 is the
midline. Side -1 is the patient's right, which a film shows on its left; +1 the patient's left.

Proportions follow what every radiology primer gives: a cardiothoracic ratio below 0.5, the right dome higher than the
left, the left hilum higher than the right, a third of the heart right of the midline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from cxr_lightning.phantoms.canvas import Canvas, Points, smooth_curve

SIDES: dict[str, int] = {"right": -1, "left": 1}
FRAME_CM = 36.0
"""Width of the frame at the patient, in centimetres: it turns a nodule's width into a reported size."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A build that all studies of one patient share.

    Attributes:
        age: Years.
        sex: As it shapes the soft tissue.
        half_width: Inner half width of the thorax, as a fraction of the frame.
        apex: Height of the lung apices.
        dome: Height of the right dome at full inspiration.
        ratio: Cardiothoracic ratio while the heart is of normal size.
        knob: Radius of the aortic knob.
        habitus: Soft tissue, 0 slim to 1 obese.
        slope: How steeply the ribs fall.
        spacing: Distance of the ribs.
        vessels: Seed of the vascular tree.
        chronic: Labels of what the patient has at every visit.
    """

    age: int
    sex: Literal["F", "M"]
    half_width: float
    apex: float
    dome: float
    ratio: float
    knob: float
    habitus: float
    slope: float
    spacing: float
    vessels: int
    chronic: frozenset[str]


@dataclass(frozen=True, slots=True)
class Exposure:
    """How one film was taken.

    Attributes:
        portable: Whether it is an AP film taken in bed.
        inspiration: How far the domes stand above full inspiration, as a fraction of the frame.
        angle: Tilt in radians.
        scale: Magnification.
        shift: Displacement of the patient in the frame.
        gamma: Bend of the film's curve.
        contrast: Steepness of the film's curve.
        brightness: Offset of the film's curve.
        mottle: Standard deviation of quantum noise.
        marker: Whether a side marker lies on the plate.
        wires: Whether monitor wires lie on the chest.
    """

    portable: bool
    inspiration: float
    angle: float
    scale: float
    shift: tuple[float, float]
    gamma: float
    contrast: float
    brightness: float
    mottle: float
    marker: bool
    wires: bool

    def canvas(self, size: int) -> Canvas:
        """Gives the film that this pose places the body on.

        Args:
            size: Side length in pixels.

        Returns:
            An empty canvas.
        """
        return Canvas(size, self.angle, self.scale, self.shift)


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draws a patient.

    Args:
        rng: Where chance comes from.

    Returns:
        A build, and what the patient lives with.
    """
    chronic = {label for label, share in (("cardiomegaly", 0.06), ("pacemaker", 0.05)) if rng.random() < share}
    age = int(np.clip(rng.normal(58, 18), 19, 94))
    return Patient(
        age=age,
        sex="F" if rng.random() < 0.5 else "M",
        half_width=rng.uniform(0.345, 0.395),
        apex=rng.uniform(0.085, 0.125),
        dome=rng.uniform(0.735, 0.79),
        ratio=rng.uniform(0.42, 0.49),
        knob=rng.uniform(0.032, 0.040) + 0.0002 * max(0, age - 50),
        habitus=float(np.clip(rng.beta(2, 3), 0, 1)),
        slope=rng.uniform(0.05, 0.10),
        spacing=rng.uniform(0.064, 0.071),
        vessels=int(rng.integers(2**31)),
        chronic=frozenset(chronic),
    )


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draws how a film was taken.

    Args:
        rng: Where chance comes from.

    Returns:
        A pose and an exposure.
    """
    portable = rng.random() < 0.3
    return Exposure(
        portable=portable,
        inspiration=abs(rng.normal(0, 0.02)) + (0.015 if portable else 0.0),
        angle=float(np.clip(rng.normal(0, 0.025), -0.06, 0.06)),
        scale=rng.uniform(0.95, 1.1),
        shift=(float(np.clip(rng.normal(0, 0.015), -0.035, 0.035)), float(np.clip(rng.normal(0, 0.012), -0.03, 0.03))),
        gamma=rng.uniform(0.85, 1.3),
        contrast=rng.uniform(0.72, 1.08),
        brightness=float(np.clip(rng.normal(0, 0.05), -0.1, 0.1)),
        mottle=rng.uniform(0.008, 0.024),
        marker=rng.random() < 0.5,
        wires=portable and rng.random() < 0.35,
    )


@dataclass(frozen=True)
class Thorax:
    """The outlines of one study's thorax.

    Attributes:
        patient: The build.
        inspiration: See `Exposure`.
        ratio: Cardiothoracic ratio of this study.
        raised: How far each hemidiaphragm is pulled up beyond inspiration: (right, left).
    """

    patient: Patient
    inspiration: float
    ratio: float
    raised: tuple[float, float] = (0.0, 0.0)

    def dome(self, side: int) -> float:
        """Gives the height of a hemidiaphragm's top.

        Args:
            side: -1 right, +1 left.

        Returns:
            y in body coordinates.
        """
        raised = self.raised[0] if side < 0 else self.raised[1] - 0.022
        return self.patient.dome - self.inspiration - raised

    def diaphragm(self, side: int, distance: float | Points) -> Points:
        """Gives the height of the diaphragm at a distance from the midline.

        Args:
            side: -1 right, +1 left.
            distance: Distance from the midline; scalar or array.

        Returns:
            y in body coordinates.
        """
        crest = 0.165
        reach = np.asarray(distance) - crest
        falls = np.where(
            reach < 0, 0.03 * (reach / 0.11) ** 2, 0.115 * (reach / (self.patient.half_width - crest)) ** 2
        )
        return self.dome(side) + falls

    def wall(self, y: float | Points) -> Points:
        """Gives the distance of the inner chest wall from the midline at a height.

        Args:
            y: Height in body coordinates; scalar or array.

        Returns:
            Distance as a fraction of the frame.
        """
        apex, half = self.patient.apex, self.patient.half_width
        heights = [apex, apex + 0.025, apex + 0.085, apex + 0.22, apex + 0.40, apex + 0.55, 1.0]
        return np.asarray(
            np.interp(y, heights, [0.13, half - 0.17, half - 0.095, half - 0.035, half - 0.006, half, half - 0.01])
        )

    def lung(self, side: int) -> Points:
        """Outlines a lung.

        Args:
            side: -1 right, +1 left.

        Returns:
            A closed outline.
        """
        apex = self.patient.apex
        base = float(self.diaphragm(side, self.patient.half_width - 0.004))
        heights = np.linspace(apex + 0.03, base - 0.05, 7)
        medial = [(0.048, self.dome(side) + 0.03), (0.045, 0.55), (0.05, 0.34), (0.06, 0.2), (0.075, apex + 0.02)]
        lateral = [(float(self.wall(y)), float(y)) for y in heights]
        corner = (self.patient.half_width - 0.004, base)
        flank = smooth_curve([*medial, (0.12, apex - 0.004), *lateral, corner])
        distances = np.linspace(corner[0], 0.048, 16)
        floor = np.stack([distances, self.diaphragm(side, distances)], axis=1)
        outline = np.concatenate([flank, floor])
        return mirror(outline, side)

    def hilum(self, side: int) -> tuple[float, float]:
        """Locates a hilum.

        Args:
            side: -1 right, +1 left.

        Returns:
            Its centre (x, y); the left one stands higher.
        """
        return 0.5 + side * 0.082, 0.435 - 0.012 * side - 0.3 * self.inspiration

    @cached_property
    def heart(self) -> Points:
        """The heart's closed outline."""
        width = self.ratio * 2 * self.patient.half_width
        right, left = 0.34 * width, 0.66 * width
        floor = self.dome(1) + 0.02
        top = 0.36 - 0.3 * self.inspiration
        mid = 0.5 * (top + floor)
        knots = [
            (-0.045, top), (-0.78 * right, mid - 0.07), (-right, mid + 0.045), (-0.9 * right, floor - 0.05),
            (-0.5 * right, floor + 0.035), (0.1, floor + 0.05), (0.8 * left, floor + 0.035), (left, floor - 0.035),
            (0.9 * left, mid + 0.05), (0.66 * left, mid - 0.045), (0.09, top + 0.045), (0.058, top),
        ]  # fmt: skip
        return smooth_curve([(0.5 + x, y) for x, y in knots], closed=True)

    @cached_property
    def mediastinum(self) -> list[Points]:
        """Closed outlines of the upper mediastinum, the aortic knob and the descending aorta."""
        knob = self.patient.knob
        knots = [(-0.05, 0.0), (-0.052, 0.2), (-0.057, 0.42), (0.07, 0.42), (0.055, 0.2), (0.05, 0.0)]
        strip = smooth_curve([(0.5 + x, y) for x, y in knots], closed=True)
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        arch = np.stack([0.538 + knob * np.cos(turn), 0.27 + 1.05 * knob * np.sin(turn)], axis=1)
        edge = 0.5 + 0.036 + 0.9 * knob
        descending = np.array([(0.5, 0.27), (edge, 0.28), (edge - 0.012, 0.55), (0.545, 0.85), (0.5, 0.85)])
        return [strip, arch, descending]

    def rib_height(self, number: int) -> float:
        """Gives the height of a rib at the spine.

        Args:
            number: 0 is the first rib.

        Returns:
            y in body coordinates.
        """
        return self.patient.apex - 0.01 + self.patient.spacing * number * (1 + 0.008 * number)


def mirror(points_N2: Points, side: int) -> Points:
    """Turns distances from the midline into body coordinates.

    Args:
        points_N2: Points (distance, y).
        side: -1 right, +1 left.

    Returns:
        Points (x, y).
    """
    return np.stack([0.5 + side * points_N2[:, 0], points_N2[:, 1]], axis=1)
