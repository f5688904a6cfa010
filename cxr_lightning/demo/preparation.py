"""Prepares one part in a process of its own: python -m cxr_lightning.demo.preparation PART ARCHIVE OUT SEED [STEPS]."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch


def main(part: str, archive: str, out: str, seed: str, steps: str = "") -> None:
    """Trains the tower or the language model on one core.

    Args:
        part: `tower` or `language`.
        archive: Folder of phantoms.
        out: Folder to write.
        seed: Seed of weights and order.
        steps: Training steps; empty takes the recipe's.
    """
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    chosen = {"steps": int(steps)} if steps else {}
    if part == "tower":
        from cxr_lightning.demo.tower import TowerRecipe, prepare_tower

        prepare_tower(Path(archive), Path(out), seed=int(seed), recipe=replace(TowerRecipe(), **chosen))
    else:
        from cxr_lightning.demo.language import LanguageRecipe, prepare_language

        prepare_language(Path(archive), Path(out), seed=int(seed), recipe=replace(LanguageRecipe(), **chosen))


if __name__ == "__main__":
    main(*sys.argv[1:])
