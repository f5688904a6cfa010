"""The film a phantom is drawn on: outlines in body coordinates go in, float layers of the image's size come out.

Body coordinates are fractions of the frame: x from the image's left (the patient's right) to its right, y downwards.
The canvas places them by the study's pose, so anatomy and findings never see pixels. Outlines are rasterised by Pillow
at twice the size and averaged, which is the cheapest way to edges without steps.

Shape legend: H height, W width, N points.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Layer = NDArray[np.float32]
Points = NDArray[np.float64]
Box = tuple[float, float, float, float]

SUPERSAMPLING = 2
NARROW = 1.3
"""Blurs of a sigma up to this many pixels are made with one box instead of Pillow's three."""
SHARP = 0.35
"""Blurs below this many pixels are left out: averaging the larger film has done as much."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line of a given width.

    Attributes:
        points_N2: The line's points in body coordinates.
        width: Its width as a fraction of the frame.
        value: Its strength, 0 to 1.
    """

    points_N2: Points
    width: float
    value: float


def smooth_curve(knots: Iterable[tuple[float, float]], *, closed: bool = False, steps: int = 6) -> Points:
    """Lays a uniform Catmull-Rom spline through knots.

    Args:
        knots: The points it passes through.
        closed: Whether the last knot joins the first.
        steps: Points per span.

    Returns:
        Points, N x 2.
    """
    knots_N2 = np.asarray(list(knots), dtype=np.float64)
    if closed:
        padded = np.concatenate([knots_N2[-1:], knots_N2, knots_N2[:2]])
    else:
        padded = np.concatenate([2 * knots_N2[:1] - knots_N2[1:2], knots_N2, 2 * knots_N2[-1:] - knots_N2[-2:-1]])
    before, start, end, after = (padded[i : len(padded) - 3 + i, None, :] for i in range(4))
    t = (np.arange(steps) / steps)[None, :, None]
    spans = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    points_N2 = spans.reshape(-1, 2)
    return points_N2 if closed else np.concatenate([points_N2, knots_N2[-1:]])


@dataclass(frozen=True)
class Canvas:
    """A square film and the pose that body coordinates are placed with.

    Attributes:
        size: Side length in pixels.
        angle: Rotation in radians, clockwise on the film.
        scale: Magnification about the frame's centre.
        shift: Displacement (x, y) as a fraction of the frame.
    """

    size: int
    angle: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def _matrix(self) -> NDArray[np.float64]:
        cosine, sine = np.cos(self.angle) * self.scale, np.sin(self.angle) * self.scale
        return np.array([[cosine, -sine], [sine, cosine]])

    @cached_property
    def grid(self) -> tuple[Layer, Layer]:
        """Body coordinates (x, y) of every pixel's centre, each H x W."""
        centres = (np.arange(self.size) + 0.5) / self.size - 0.5
        inverse = np.linalg.inv(self._matrix)
        x, y = centres[None, :] - self.shift[0], centres[:, None] - self.shift[1]
        body_x = inverse[0, 0] * x + inverse[0, 1] * y + 0.5
        body_y = inverse[1, 0] * x + inverse[1, 1] * y + 0.5
        return body_x.astype(np.float32), body_y.astype(np.float32)

    def place(self, points_N2: Points) -> Points:
        """Maps body coordinates to fractions of the film.

        Args:
            points_N2: Points in body coordinates.

        Returns:
            The same points as the film shows them.
        """
        return (points_N2 - 0.5) @ self._matrix.T + 0.5 + np.asarray(self.shift)

    def fill(self, *outlines: Points, blur: float = 0.0, value: float = 1.0) -> Layer:
        """Rasterises filled outlines.

        Args:
            outlines: Closed outlines in body coordinates.
            blur: Gaussian sigma as a fraction of the frame.
            value: Strength inside.

        Returns:
            A layer H x W, 0 outside to `value` inside.
        """
        film = self._film()
        pen = ImageDraw.Draw(film)
        for outline in outlines:
            pen.polygon(self._pixels(outline), fill=255)
        return self._develop(film, blur) * np.float32(value)

    def draw(self, strokes: Iterable[Stroke], blur: float = 0.0) -> Layer:
        """Rasterises lines; where lines cross, the later one wins.

        Args:
            strokes: The lines.
            blur: Gaussian sigma as a fraction of the frame.

        Returns:
            A layer H x W, 0 to 1.
        """
        film = self._film()
        pen = ImageDraw.Draw(film)
        side = self.size * SUPERSAMPLING * self.scale
        drawn = list(strokes)
        # Hundreds of short lines: placing them all at once costs a tenth of placing each.
        pixels = self._pixels(np.concatenate([stroke.points_N2 for stroke in drawn])) if drawn else []
        start = 0
        for stroke in drawn:
            end = start + len(stroke.points_N2)
            width = max(1, round(stroke.width * side))
            pen.line(pixels[start:end], fill=round(255 * stroke.value), width=width)
            start = end
        return self._develop(film, blur)

    def blurred(self, layer: Layer, blur: float) -> Layer:
        """Blurs a layer of values 0 to 1.

        Args:
            layer: H x W.
            blur: Gaussian sigma as a fraction of the frame.

        Returns:
            The blurred layer.
        """
        film = Image.fromarray((layer * 255).astype(np.uint8))
        # A wide blur leaves nothing finer than itself, so a smaller film holds it and costs a fraction.
        shrink = max(1, int(blur * self.size / 2))
        small = film.reduce(shrink).filter(ImageFilter.GaussianBlur(blur * self.size / shrink))
        return _as_layer(small.resize(film.size, Image.Resampling.BILINEAR))

    def clouds(self, rng: np.random.Generator, cells: int) -> Layer:
        """Draws smooth random texture.

        Args:
            rng: Where chance comes from.
            cells: Number of independent patches along a side; more is finer.

        Returns:
            A layer H x W of mean 0 and standard deviation near 1.
        """
        coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
        film = Image.fromarray(coarse).resize((self.size, self.size), Image.Resampling.BICUBIC)
        return np.asarray(film, dtype=np.float32)

    def box(self, layer: Layer, threshold: float = 0.3) -> Box | None:
        """Finds the extent of what a layer shows.

        Args:
            layer: H x W.
            threshold: Values above it count.

        Returns:
            x0, y0, x1, y1 as fractions of the film, or None where nothing shows.
        """
        shown = layer > threshold
        columns, rows = np.flatnonzero(shown.any(axis=0)), np.flatnonzero(shown.any(axis=1))
        if not len(columns):
            return None
        edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        x0, y0, x1, y1 = (round(float(edge) / self.size, 4) for edge in edges)
        return x0, y0, x1, y1

    def _film(self) -> Image.Image:
        side = self.size * SUPERSAMPLING
        return Image.new("L", (side, side))

    def _pixels(self, points_N2: Points) -> list[tuple[float, float]]:
        return list(map(tuple, (self.place(points_N2) * (self.size * SUPERSAMPLING)).tolist()))

    def _develop(self, film: Image.Image, blur: float) -> Layer:
        film = film.reduce(SUPERSAMPLING)
        if blur * self.size > SHARP:
            film = film.filter(_soft(blur * self.size))
        return _as_layer(film)


def _soft(sigma: float) -> ImageFilter.Filter:
    """Chooses the cheapest filter that looks like a Gaussian: at a pixel's width a box of equal variance does."""
    if sigma > NARROW:
        return ImageFilter.GaussianBlur(sigma)
    return ImageFilter.BoxBlur(((12 * sigma**2 + 1) ** 0.5 - 1) / 2)


def _as_layer(film: Image.Image) -> Layer:
    return np.asarray(film, dtype=np.float32) / np.float32(255)
