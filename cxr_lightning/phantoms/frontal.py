"""The frontal film: a thorax and findings go in, grey values and the findings' extents come out.

What is drawn follows the order of a systematic reading: soft tissue, bones, mediastinum and heart, lungs and vessels,
then what should not be there.

Shape legend: B branches, N points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantoms.anatomy import Exposure, Patient, Thorax, mirror
from cxr_lightning.phantoms.canvas import Box, Canvas, Layer, Points, Stroke, smooth_curve
from cxr_lightning.phantoms.catalogue import Finding
from cxr_lightning.phantoms.film import Film
from cxr_lightning.phantoms.findings import shape_thorax, show

BOTH = (-1, 1)
STEMS = 7
"""Vessels that leave each hilum."""
FORKS = [2, 4, 5]
"""Points of a branch where it forks."""


def draw_frontal(
    rng: np.random.Generator, patient: Patient, exposure: Exposure, findings: Sequence[Finding], size: int
) -> tuple[NDArray[np.uint8], list[tuple[str, Box]]]:
    """Draws a frontal radiograph.

    Args:
        rng: Where texture and noise come from.
        patient: The build.
        exposure: Pose and exposure.
        findings: What is wrong.
        size: Side length in pixels.

    Returns:
        Grey values H x W, and the extent of every finding as (label, box); several boxes where it has several parts.
    """
    canvas = exposure.canvas(size)
    thorax = shape_thorax(rng, patient, exposure, findings)
    lungs = canvas.fill(thorax.lung(-1), thorax.lung(1), blur=0.003)
    depth = 0.62 + 0.38 * canvas.blurred(lungs, 0.04)
    film = Film(canvas, _body(canvas, thorax), lungs * depth, _vessels(canvas, thorax))
    film.density += _bones(canvas, thorax)
    _fill_mediastinum(film, thorax)
    _fill_abdomen(film, thorax, rng)
    film.density += 0.012 * canvas.clouds(rng, 18) + 0.01 * canvas.clouds(rng, 45)
    for finding in findings:
        show(film, thorax, finding)
    if exposure.wires:
        film.density += 0.3 * canvas.draw(_wires(rng), blur=0.001)
    if exposure.marker:
        film.density += 0.9 * canvas.draw(_marker(), blur=0.0008)
    grey = film.develop(rng, exposure)
    return grey, film.boxes


def _body(canvas: Canvas, thorax: Thorax) -> Layer:
    """Soft tissue: the trunk's depth, shoulders, neck, and breasts where there are any."""
    patient = thorax.patient
    x, y = canvas.grid
    half = patient.half_width + 0.065 + 0.085 * patient.habitus
    knots = [
        (0.09, -0.3), (0.095, 0.0), (0.14, 0.045), (0.3, 0.085), (0.44, 0.11), (0.56, 0.17), (0.62, 0.35),
        (half + 0.05, 0.36), (half, 0.46), (half + 0.005, 0.8), (half + 0.02, 1.4),
    ]  # fmt: skip
    flank = smooth_curve(knots)
    outline = np.concatenate([mirror(flank, 1), mirror(flank, -1)[::-1]])
    trunk = canvas.fill(outline, blur=0.006)
    across = np.clip(np.abs(x - 0.5) / 0.5, 0, 1.2)
    density = trunk * (0.70 + 0.08 * patient.habitus - 0.16 * across**2 + 0.05 * np.clip(y - 0.3, 0, 1))
    # Folds of the arm pits and the edge of the breast are the commonest lines a reader must learn to ignore.
    if patient.sex == "F":
        for side in BOTH:
            centre, low = 0.5 + side * 0.21, 0.66 + 0.08 * patient.habitus
            reach = ((x - centre) / 0.17) ** 2 + ((y - low + 0.12) / 0.155) ** 2
            density += (0.04 + 0.07 * patient.habitus) / (1 + np.exp(np.clip((reach - 1) * 9, -30, 30)))
    return np.asarray(density, dtype=np.float32)


def _bones(canvas: Canvas, thorax: Thorax) -> Layer:
    """Ribs, clavicles, shoulder blades, humeral heads and the spine."""
    posterior, anterior = [], []
    for side in BOTH:
        for number in range(10):
            posterior += _cortical(mirror(_posterior_rib(thorax, number), side), 0.024, 0.8)
            if number < 8:
                anterior += _cortical(mirror(_anterior_rib(thorax, number), side), 0.027)
    collars = []
    for side in BOTH:
        top = thorax.patient.apex
        knots = [(0.035, top + 0.085), (0.1, top + 0.07), (0.2, top + 0.022), (0.29, top + 0.012), (0.36, top - 0.005)]
        collars += _cortical(mirror(smooth_curve(knots, steps=3), side), 0.028)
    bones = 0.125 * canvas.draw([*posterior, *collars], blur=0.0022) + 0.06 * canvas.draw(anterior, blur=0.003)
    bones += 0.07 * canvas.fill(*(_shoulder_blade(thorax, side) for side in BOTH), blur=0.006)
    bones += 0.16 * canvas.fill(*(_ball(0.5 + side * 0.475, 0.155, 0.06) for side in BOTH), blur=0.005)
    x, y = canvas.grid
    phase = (y - thorax.rib_height(0)) / np.float32(thorax.patient.spacing)
    column = _column(x, 0.5, 0.038)
    return np.asarray(bones + column * (0.10 + 0.02 * np.cos(2 * np.pi * phase)), dtype=np.float32)


def _posterior_rib(thorax: Thorax, number: int) -> Points:
    y = thorax.rib_height(number)
    wall = float(thorax.wall(y + 0.07)) + 0.012
    t = np.linspace(0, 1, 9)
    rise = -0.028 * np.sin(np.pi * np.clip(t * 1.25, 0, 1)) + (thorax.patient.slope + 0.022) * t**2.2
    return np.stack([0.042 + (wall - 0.042) * t, y + rise + 0.055 * t**6], axis=1)


def _anterior_rib(thorax: Thorax, number: int) -> Points:
    y = thorax.rib_height(number)
    start, wall = y + thorax.patient.slope + 0.052, float(thorax.wall(y + 0.1)) + 0.01
    t = np.linspace(0, 1, 9)
    inner = 0.12 + 0.012 * number
    drop = (0.075 + thorax.patient.slope * 0.9 + 0.004 * number) * np.sin(np.pi / 2 * t) ** 1.3
    return np.stack([wall - (wall - inner) * t**1.15, start + drop], axis=1)


def _cortical(points_N2: Points, width: float, value: float = 1.0) -> list[Stroke]:
    """Draws a bone as its cortex: a bright rim around a fainter marrow."""
    return [Stroke(points_N2, width, value), Stroke(points_N2, width * 0.66, value * 0.68)]


def _column(x: Layer, centre: float, half_width: float) -> Layer:
    """Lays an upright band with soft edges."""
    square = np.square((x - np.float32(centre)) / np.float32(half_width))
    return np.asarray(np.exp(-square * square), dtype=np.float32)


def _ball(x: float, y: float, radius: float) -> Points:
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)


def _shoulder_blade(thorax: Thorax, side: int) -> Points:
    half = thorax.patient.half_width
    knots = [(half - 0.055, 0.17), (half + 0.06, 0.13), (half + 0.09, 0.2), (half + 0.045, 0.34), (half + 0.02, 0.43)]
    return mirror(smooth_curve([*knots, (half - 0.02, 0.36)], closed=True), side)


def _fill_mediastinum(film: Film, thorax: Thorax) -> None:
    """Puts heart, great vessels and trachea between the lungs."""
    canvas = film.canvas
    film.cloud_over(canvas.fill(thorax.heart, blur=0.0035), 0.86)
    film.cloud_over(canvas.fill(*thorax.mediastinum, blur=0.003), 0.72)
    x, y = canvas.grid
    carina = 0.36
    windpipe = _column(x, 0.497, 0.017) / (1 + np.exp((y - carina) / np.float32(0.012)))
    film.density -= 0.12 * windpipe.astype(np.float32)
    bronchi = [
        Stroke(np.array([(0.497, carina - 0.005), (0.5 + side * 0.05, carina + 0.045)]), 0.02, 1.0) for side in BOTH
    ]
    film.density -= 0.06 * canvas.draw(bronchi, blur=0.003)
    for side in BOTH:
        centre_x, centre_y = thorax.hilum(side)
        bulge = np.exp(-(((x - centre_x) / 0.024) ** 2) - ((y - centre_y) / 0.05) ** 2)
        film.cloud_over(bulge.astype(np.float32), 0.5)


def _fill_abdomen(film: Film, thorax: Thorax, rng: np.random.Generator) -> None:
    """Puts the liver under the right dome and the stomach's gas bubble under the left one."""
    x, y = film.canvas.grid
    floor = np.where(x < 0.5, thorax.dome(-1), thorax.dome(1))
    film.density += (0.10 / (1 + np.exp(-(y - floor - 0.02) / np.float32(0.015)))).astype(np.float32)
    if rng.random() < 0.75:
        centre_x, centre_y = 0.5 + rng.uniform(0.1, 0.2), thorax.dome(1) + rng.uniform(0.065, 0.085)
        wide, high = rng.uniform(0.04, 0.08), rng.uniform(0.018, 0.032)
        reach = ((x - centre_x) / wide) ** 2 + ((y - centre_y) / high) ** 2
        film.density -= (rng.uniform(0.1, 0.24) / (1 + np.exp(np.clip((reach - 1) * 6, -30, 30)))).astype(np.float32)


def _vessels(canvas: Canvas, thorax: Thorax) -> Layer:
    """Grows the pulmonary vessels from the hila: thick and blurred at the centre, thin and sharp outwards."""
    rng = np.random.default_rng(thorax.patient.vessels)
    strokes: list[Stroke] = []
    for side in BOTH:
        angles_B = np.linspace(-1.25, 1.35, STEMS) + rng.uniform(-0.16, 0.16, STEMS)
        starts_B2 = np.tile(np.array([thorax.hilum(side)]), (STEMS, 1))
        # Blood runs to the bases of who stands upright, so vessels that fall are wider than those that rise.
        widths_B = np.where(angles_B > 0, 0.0145, 0.0105)
        for level in range(3):
            paths_BN2 = _grow(rng, starts_B2, angles_B, side, level)
            for path_N2, width in zip(paths_BN2, widths_B.tolist(), strict=True):
                strokes.append(Stroke(path_N2[:4], width, 0.95 - 0.27 * level))
                strokes.append(Stroke(path_N2[3:], width * 0.75, 0.8 - 0.27 * level))
            starts_B2 = paths_BN2[:, FORKS].reshape(-1, 2)
            turns = rng.choice((-1.0, 1.0), size=(len(paths_BN2), len(FORKS))) * np.array([0.5, 0.5, 0.3])
            angles_B = (angles_B[:, None] + turns).reshape(-1)
            widths_B = np.repeat(widths_B * 0.6, len(FORKS))
    return canvas.draw(sorted(strokes, key=lambda stroke: stroke.value), blur=0.0016)


def _grow(rng: np.random.Generator, starts_B2: Points, angles_B: Points, side: int, level: int) -> Points:
    """Lets B branches wander from their starts: B x 6 points."""
    bends_BN = angles_B[:, None] + np.cumsum(rng.uniform(-0.2, 0.2, (len(angles_B), 5)), axis=1)
    step = 0.034 - 0.006 * level
    way_BN2 = np.stack([side * np.cos(bends_BN), np.sin(bends_BN)], axis=2).cumsum(axis=1) * step
    return np.concatenate([starts_B2[:, None], starts_B2[:, None] + way_BN2], axis=1)


def _wires(rng: np.random.Generator) -> list[Stroke]:
    """Monitor wires across the chest, which a portable film of a sick patient rarely lacks."""
    strokes = []
    for side in BOTH:
        if rng.random() < 0.3:
            continue
        patch = (0.5 + side * rng.uniform(0.2, 0.3), rng.uniform(0.2, 0.7))
        knots = [patch, (patch[0] + side * 0.1, patch[1] + 0.06), (0.5 + side * 0.45, 0.8), (0.5 + side * 0.4, 1.1)]
        strokes += [Stroke(smooth_curve(knots), 0.004, 0.6), Stroke(_ball(*patch, 0.008), 0.008, 0.9)]
    return strokes


def _marker() -> list[Stroke]:
    """The technician's L beside the patient's left shoulder."""
    return [Stroke(np.array([(0.945, 0.03), (0.945, 0.065), (0.965, 0.065)]), 0.007, 1.0)]
