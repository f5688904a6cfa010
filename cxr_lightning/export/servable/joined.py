"""What vLLM's own Llava asks of a model of two parts: its tower, the features it reads, its tokens, its projector."""

from __future__ import annotations

from collections.abc import Iterable

from cxr_lightning.export.servable.finding import Finding, finding
from cxr_lightning.export.servable.folder import Folder
from cxr_lightning.export.servable.knowledge import ACTIVATIONS, LANGUAGES, TOWERS

_AGAIN = "export the run again: cxr export RUN --out DIR"
_BACKEND = "serve it by transformers (cxr serve), or by vLLM with --model-impl transformers"


def check_joined(folder: Folder) -> Iterable[Finding]:
    """Checks a folder of the architecture LlavaForConditionalGeneration."""
    vision = folder.part("vision_config")
    kind = str(vision.get("model_type") or "")
    other = f"{kind or 'no model_type'}; its Llava knows {', '.join(TOWERS)}"
    problem = None if kind in TOWERS else other
    yield finding("the vision tower is one that vLLM holds", problem, kind, _BACKEND, "own")
    yield _layer(folder)
    yield _select(folder, kind)
    yield _image_size(folder)
    yield _tokens(folder)
    yield language_known(folder)
    yield _projector(folder)
    yield _activation(folder)
    yield tower_names(folder)


def language_known(folder: Folder) -> Finding:
    """Checks that the language model's class is named, and known to vLLM."""
    told = folder.part("text_config").get("architectures")
    named = str(told[0]) if isinstance(told, list) and told else ""
    what = "the language model is one that vLLM holds"
    if not named:
        kind = folder.part("text_config").get("model_type")
        remedy = f"write the class of {kind} as text_config.architectures into config.json"
        return Finding(what, f"text_config.architectures is not set; it guesses by {kind}", False, remedy, "advice")
    return finding(what, None if named in LANGUAGES else f"{named} is not known", named, _BACKEND, "own")


def tower_names(folder: Folder) -> Finding:
    """Checks that a CLIP or SigLIP tower's weights are named as vLLM reads them."""
    kind = folder.part("vision_config").get("model_type")
    what = "the tower's weights have the names that vLLM reads"
    if kind not in TOWERS:
        return Finding(what, "its own Llava does not read them", True)
    tower = [name for name in folder.weights.tensors if "vision_tower." in name]
    newer = [name for name in tower if "vision_tower.vision_model." not in name]
    if not tower:
        return Finding(what, "there is no tensor of the tower", False, _AGAIN)
    return finding(what, f"{newer[0]} lacks vision_model" if newer else None, f"{len(tower)} tensors", _AGAIN, "own")


def _layer(folder: Folder) -> Finding:
    what, layer = "one hidden state of the tower is read", folder.config.get("vision_feature_layer")
    depths = folder.part("vision_config").get("depths")  # Swin counts stages
    deep = len(depths) if depths else int(folder.part("vision_config").get("num_hidden_layers") or 0)
    remedy = "train with one --model.source.vision_layer: features of several layers make the projector wider"
    if not isinstance(layer, int) or isinstance(layer, bool):
        return Finding(what, f"vision_feature_layer is {layer}", False, remedy, "own")
    problem = None if -deep - 1 <= layer <= deep else f"hidden state {layer} of a tower of {deep} layers"
    return finding(what, problem, f"{layer} of {deep} layers", _AGAIN)


def _select(folder: Folder, kind: str) -> Finding:
    what, select = "no patch is dropped for a CLS token", folder.config.get("vision_feature_select_strategy")
    inner = folder.processor.get("vision_feature_select_strategy")
    if select not in ("default", "full"):
        return Finding(what, f"vision_feature_select_strategy is {select}", False, _AGAIN)
    if inner != select:
        remedy = f"write {select!r} into processor_config.json too"
        return Finding(what, f"config.json says {select}, the processor {inner}", False, remedy)
    dropped = select == "default" and TOWERS.get(kind) == 0
    remedy = "train it with --model.source.select full: this tower has no CLS token"
    return finding(what, f"{kind} has no CLS, and {select} drops one token" if dropped else None, select, remedy)


def _image_size(folder: Folder) -> Finding:
    what, side = "images arrive in the size that the tower takes", folder.part("vision_config").get("image_size")
    made = _made_size(folder)
    problem = None if made == (side, side) else f"the tower takes {side} x {side}, the processor makes {_by(made)}"
    return finding(what, problem, f"{side} x {side}", "write the tower's size as size and crop_size of the processor")


def _made_size(folder: Folder) -> tuple[object, ...]:
    """Returns height and width of what the image processor makes, as far as its settings say."""
    settings = folder.image_processor
    crops = settings.get("do_center_crop", False)
    size = settings.get("crop_size" if crops else "size") or {}
    if isinstance(size, int):
        return (size, size)
    if not isinstance(size, dict) or not {"height", "width"} <= size.keys():
        return (size,)
    return (size["height"], size["width"])


def _by(size: tuple[object, ...]) -> str:
    return " x ".join(map(str, size))


def _tokens(folder: Folder) -> Finding:
    """Compares the tokens that the processor writes for an image with those that the tower makes of it."""
    what, vision, processor = "an image is as many tokens everywhere", folder.part("vision_config"), folder.processor
    patch, extra = processor.get("patch_size"), processor.get("num_additional_image_tokens")
    kind, side = str(vision.get("model_type")), vision.get("image_size")
    if not isinstance(patch, int) or not isinstance(extra, int) or not isinstance(side, int):
        lacking = "patch_size and num_additional_image_tokens have to be in processor_config.json"
        return Finding(what, lacking, False, _AGAIN)
    written = (side // patch) ** 2 + extra - (processor.get("vision_feature_select_strategy") == "default")
    if kind not in TOWERS:
        return Finding(what, f"{written}", True)
    per_patch = int(vision.get("patch_size") or patch)
    made = (side // per_patch) ** 2 + TOWERS[kind] - (folder.config.get("vision_feature_select_strategy") == "default")
    told = int(folder.config.get("image_seq_length") or made)
    problem = f"the processor writes {written}, the tower makes {made}, config.json says {told}"
    return finding(what, problem if len({written, made, told}) > 1 else None, str(made), _AGAIN)


def _projector(folder: Folder) -> Finding:
    what = "the projector is there, in the two layers that servers know"
    tower = int(folder.part("vision_config").get("hidden_size") or 0)
    width = int(folder.part("text_config").get("hidden_size") or 0)
    wanted: dict[str, tuple[int, ...]] = {"linear_1.weight": (width, tower), "linear_2.weight": (width, width)}
    if folder.config.get("multimodal_projector_bias", True):
        wanted |= {"linear_1.bias": (width,), "linear_2.bias": (width,)}
    for name, shape in wanted.items():
        found = folder.shape(f"multi_modal_projector.{name}")
        if found != shape:
            told = "is not there" if found is None else f"is {_by(found)}"
            return Finding(what, f"{name} {told}, and has to be {_by(shape)}", False, _AGAIN)
    return Finding(what, f"{tower} to {width}", True)


def _activation(folder: Folder) -> Finding:
    what, found = "vLLM has the projector's activation", str(folder.config.get("projector_hidden_act"))
    if found == "linear":
        remedy = "train with --model.source.projector mlp: a linear one fits where the language model is twice as wide "
        remedy += f"as the tower; or {_BACKEND}"
        return Finding(what, "no: it is the identity, and vLLM's own Llava has none", False, remedy, "own")
    return finding(what, None if found in ACTIVATIONS else f"{found} is not known", found, _BACKEND, "own")
