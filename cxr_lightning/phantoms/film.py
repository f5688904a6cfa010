"""The film as physics sees it: air lets the beam through, all else adds to what it meets, a curve makes it grey.

Anatomy and findings write into the same few layers: air is a share that opacities multiply, density adds up. So a
nodule behind the heart stays visible, and an effusion hides the vessels in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantoms.anatomy import Exposure
from cxr_lightning.phantoms.canvas import Box, Canvas, Layer

AIR = 0.52
"""How much less a lung full of air attenuates than soft tissue of the same depth."""


@dataclass
class Film:
    """The layers of one radiograph while it is drawn.

    Attributes:
        canvas: Where body coordinates lie on it.
        density: What attenuates apart from the lungs' air, H x W.
        air: Share of the beam's path that is air, H x W.
        vessels: Vascular markings inside the lungs, H x W.
        boxes: Extents of the findings, as (label, box).
    """

    canvas: Canvas
    density: Layer
    air: Layer
    vessels: Layer
    boxes: list[tuple[str, Box]] = field(default_factory=list)

    def cloud_over(self, opacity: Layer, strength: float = 0.9) -> None:
        """Takes air away where a layer is opaque.

        Args:
            opacity: H x W, 0 clear to 1 opaque.
            strength: Share of the air that full opacity takes.
        """
        self.air *= 1 - np.float32(strength) * opacity

    def mark(self, label: str, layer: Layer, threshold: float = 0.3) -> None:
        """Notes a finding's extent, where the film shows any of it.

        Args:
            label: The finding's label.
            layer: H x W, where it is.
            threshold: Values above it count.
        """
        box = self.canvas.box(layer, threshold)
        if box is not None:
            self.boxes.append((label, box))

    def develop(self, rng: np.random.Generator, exposure: Exposure) -> NDArray[np.uint8]:
        """Turns attenuation into grey values.

        Args:
            rng: Where the noise comes from.
            exposure: The film's curve and grain.

        Returns:
            Grey values H x W, bone white.
        """
        size = self.canvas.size
        attenuation = self.density - np.float32(AIR) * self.air + 0.16 * self.vessels * self.air
        grey = np.clip(attenuation / np.float32(1.12), 0.01, 1.2) ** np.float32(exposure.gamma)
        grey = 0.5 + (grey - 0.5) * np.float32(exposure.contrast) + np.float32(exposure.brightness)
        # Fewer photons pass where much is in the way, but the film's toe hides it: one grain for all is honest enough.
        noise = rng.standard_normal((size, size), dtype=np.float32)
        grain = 0.6 * noise + 0.4 * (np.roll(noise, 1, axis=0) + np.roll(noise, 1, axis=1))
        grey = np.clip(grey + np.float32(exposure.mottle) * grain, 0, None)
        # A shoulder instead of a cut keeps bones and devices apart from the white they lie on.
        over = np.maximum(grey - np.float32(0.62), 0)
        shoulder = np.minimum(grey, np.float32(0.62)) + over / (1 + over / np.float32(0.5))
        return (shoulder * 250 + 2).clip(0, 255).astype(np.uint8)
