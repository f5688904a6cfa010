"""The radiographs of a few studies, out of the shards that were evaluated, where these are still to be had.

A comparison needs no image, so whatever is in the way leaves a page without films and says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from cxr_lightning.evaluation.compare.pairs import Pairs
from cxr_lightning.shards.index import read_index
from cxr_lightning.study import SPLITS, Split


def read_images(pairs: Pairs, keys: Sequence[str], shards: str | None = None) -> tuple[dict[str, bytes], str]:
    """Reads the first image of some studies.

    Args:
        pairs: The models, of which one may know where the shards are.
        keys: Which studies.
        shards: Where the shards are now; None looks where they were evaluated.

    Returns:
        Encoded images by key, and a remark where there are none or not all.
    """
    reasons = []
    for metrics in (model.metrics for model in pairs.models):
        root, split = shards or metrics.get("shards_root"), metrics.get("split")
        if not root or split not in SPLITS:
            reasons.append("the evaluations do not say where their shards are")
            continue
        try:
            found = _read(str(root), cast(Split, split), keys, str(metrics.get("shards") or ""))
        except (ValueError, OSError) as error:
            reasons.append(f"the shards cannot be read ({type(error).__name__})")
            continue
        if found:
            lacking = len(keys) - len(found)
            return found, f"{lacking} of {len(keys)} films are not in the shards." if lacking else ""
        reasons.append("the shards hold none of these studies, or have changed since")
    return {}, f"No films: {reasons[0]}. Remedy: --shards PATH, where they are now." if keys else ""


def _read(root: str, split: Split, keys: Sequence[str], fingerprint: str) -> dict[str, bytes]:
    """Reads from the split; nothing where the shards are others, whose keys might name other films."""
    index = read_index(root)
    if fingerprint and index.fingerprint != fingerprint:
        return {}
    samples = index.split(split)
    wanted = set(keys)
    numbers = {key: number for number, key in enumerate(samples.keys) if key in wanted}
    images = {}
    for key, number in numbers.items():
        first = next(iter(samples.read(number).images.values()), None)
        if first is not None:
            images[key] = first
    return images
