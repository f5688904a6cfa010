"""What has to be known about each family of models, in two tables that can be read whole.

`VLMS`: which submodules of a complete model are vision, projector and language, and whether several samples may share
a packed row. `TOWERS`: the conventions of each vision tower: which hidden state, whether a CLS token leads, how many
pixels one token covers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from cxr_lightning.model.source import ModelSource, SelectStrategy

Role = Literal["vision", "projector", "language"]
ROLES: tuple[Role, ...] = ("vision", "projector", "language")


class UnknownFamilyError(ValueError):
    """The model or tower is of a family that no table row describes."""


@dataclass(frozen=True)
class VlmFamily:
    """One row of the table of complete models.

    Attributes:
        vision: Name prefixes of the parameters that belong to the vision tower.
        projector: Name prefixes of the parameters that join vision to language; they win over `vision`.
        language: Name prefixes of the parameters of the language model, head included.
        packs: Whether samples may share a row: `model/decoder.py` knows their positions, no image is attended to in
            both directions, and attention goes through transformers' interface (which is tried before training).
    """

    vision: tuple[str, ...]
    projector: tuple[str, ...]
    language: tuple[str, ...]
    packs: bool = False


_QWEN = VlmFamily(
    vision=("model.visual.",),
    projector=("model.visual.merger.", "model.visual.deepstack_merger_list."),
    language=("model.language_model.", "lm_head."),
    packs=True,
)
_TOWER_AND_PROJECTOR = VlmFamily(
    vision=("model.vision_tower.",),
    projector=("model.multi_modal_projector.",),
    language=("model.language_model.", "lm_head."),
)

_QFORMER = VlmFamily(  # the Q-Former looks at the image for the language model, and stays frozen with the tower
    vision=("vision_model.", "qformer.", "query_tokens"),
    projector=("language_projection.",),
    language=("language_model.",),
)

VLMS: dict[str, VlmFamily] = {
    "llava": replace(_TOWER_AND_PROJECTOR, packs=True),
    "gemma3": _TOWER_AND_PROJECTOR,
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": _QWEN,
    "blip-2": _QFORMER,
    "instructblip": _QFORMER,
}

TEXT = VlmFamily(vision=(), projector=(), language=("",), packs=True)
"""A language model alone: all of it is language, whatever its parts are called."""


@dataclass(frozen=True)
class TowerFamily:
    """One row of the table of vision towers.

    Attributes:
        layer: The hidden state a projector reads by custom of the family.
        select: `default` where a CLS token leads the sequence, `full` where every token is a patch.
        extra_tokens: Tokens before the first patch.
        mean: Channel means of the family's published image normalisation, where a tower's folder brings none.
        std: Channel deviations likewise.
    """

    layer: int
    select: SelectStrategy
    extra_tokens: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

TOWERS: dict[str, TowerFamily] = {
    "clip_vision_model": TowerFamily(-2, "default", 1, *_CLIP),
    "siglip_vision_model": TowerFamily(-1, "full", 0, *_HALF),
    "dinov2": TowerFamily(-1, "default", 1, *_IMAGENET),
    "vit": TowerFamily(-2, "default", 1, *_HALF),
    "swin": TowerFamily(-1, "full", 0, *_IMAGENET),
}


def vlm_family(config: Any) -> VlmFamily:
    """Returns the row of a complete model's configuration.

    Raises:
        UnknownFamilyError: If the table has no row for `config.model_type`.
    """
    if config.model_type not in VLMS:
        raise UnknownFamilyError(
            f"Models of type {config.model_type!r} are not known; known are {', '.join(VLMS)}. Remedy: add a row to "
            "VLMS in cxr_lightning/model/families.py that says which submodules are vision, projector and language."
        )
    return VLMS[config.model_type]


def family_of(source: ModelSource, config: Any) -> VlmFamily:
    """Returns the row of the model that a source names.

    Args:
        source: The source; a language model alone has one row, whatever its type.
        config: The model's configuration.

    Raises:
        UnknownFamilyError: If the table has no row for it.
    """
    return TEXT if source.text_only else vlm_family(config)


def tower_family(vision_config: Any) -> TowerFamily:
    """Returns the row of a vision tower's configuration.

    Raises:
        UnknownFamilyError: If the table has no row for `vision_config.model_type`.
    """
    if vision_config.model_type not in TOWERS:
        raise UnknownFamilyError(
            f"Vision towers of type {vision_config.model_type!r} are not known; known are {', '.join(TOWERS)}. Remedy: "
            "add a row to TOWERS in cxr_lightning/model/families.py, or choose one of these towers."
        )
    return TOWERS[vision_config.model_type]


def role_of(name: str, family: VlmFamily) -> Role:
    """Returns the role of a parameter by its name; the projector wins over the tower that contains it."""
    for role in ("projector", "vision", "language"):
        if name.startswith(getattr(family, role)):
            return role
    raise UnknownFamilyError(
        f"The parameter {name!r} is neither vision, projector nor language: the row in VLMS is incomplete."
    )


def pixels_per_token(vision_config: Any) -> int:
    """Returns the side in pixels of the square that one patch token covers (Swin merges patches 2 x 2 a stage)."""
    merges = len(vision_config.depths) - 1 if vision_config.model_type == "swin" else 0
    return int(vision_config.patch_size) * 2**merges


def image_tokens(vision_config: Any, select: SelectStrategy) -> int:
    """Returns how many tokens one image becomes in front of the language model."""
    family = tower_family(vision_config)
    patches = (int(vision_config.image_size) // pixels_per_token(vision_config)) ** 2
    return patches + family.extra_tokens - (1 if select == "default" else 0)
