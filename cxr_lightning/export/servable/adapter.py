"""A PEFT adapter's folder: what vLLM asks of LoRA that it loads at run time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cxr_lightning.export.servable.finding import Finding, finding
from cxr_lightning.export.servable.folder import ADAPTER, PICKLES, Json
from cxr_lightning.export.servable.headers import Weights, read_weights
from cxr_lightning.export.servable.knowledge import LORA_RANKS

_AGAIN = "export the adapter again: cxr export RUN --out DIR --adapter true"
_MERGE = "serve the merged model instead: cxr export RUN --out DIR"
_PAIR = re.compile(r"^base_model\.model\.(.+)\.lora_(A|B)\.weight$")
_MAGNITUDE = ".lora_magnitude_vector"  # of DoRA, which `_kind` speaks of
_OTHER_KINDS = ("lora_bias", "alora_invocation_tokens", "layer_replication", "use_bdlora", "use_qalora")
_TOWER = re.compile(r"(^|\.)(visual|vision_tower|vision_model|multi_modal_projector|merger)\.")


def check_adapter(path: Path, config: Json, problem: str | None) -> Iterable[Finding]:
    """Checks a folder that holds adapter_config.json.

    Args:
        path: The folder.
        config: Its content.
        problem: Why it could not be read, if it could not.
    """
    weights = read_weights(path, "adapter_model.safetensors")
    yield finding("the adapter's settings can be read", problem, ADAPTER, _AGAIN)
    told = weights.problems[0] if weights.problems else None
    yield finding("weights are whole", told, f"{len(weights.tensors)} tensors, {weights.bytes / 1e6:,.1f} MB", _AGAIN)
    pickles = sorted(each.name for each in path.iterdir() if each.suffix in PICKLES)
    yield finding("no file is a pickle", pickles[0] if pickles else None, "none", f"delete {', '.join(pickles)}")
    if problem is None:
        yield _rank(config)
        yield _kind(config)
        yield _saved(config, weights)
        yield _pairs(config, weights)


def max_lora_rank(rank: int) -> int | None:
    """Returns the smallest --max-lora-rank that takes a rank; None if it is larger than all."""
    return next((allowed for allowed in LORA_RANKS if allowed >= rank), None)


def _rank(config: Json) -> Finding:
    what = "vLLM takes the rank"
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    if not all(isinstance(each, int) and each > 0 for each in ranks):
        return Finding(what, f"r is {config.get('r')}", False, _AGAIN)
    most = max(int(each) for each in ranks if each is not None)
    allowed = max_lora_rank(most)
    problem = None if allowed else f"{most}, and --max-lora-rank goes to {LORA_RANKS[-1]}"
    return finding(what, problem, f"{most}: --max-lora-rank {allowed}", _MERGE, "vllm")


def _kind(config: Json) -> Finding:
    what, told = "it is plain LoRA", []
    if config.get("peft_type", "LORA") != "LORA":
        told.append(f"peft_type {config['peft_type']}")
    if config.get("use_dora"):
        told.append("DoRA")
    if config.get("bias", "none") != "none":
        told.append(f"bias {config['bias']}")
    told += [name for name in _OTHER_KINDS if config.get(name)]
    fine = "rsLoRA" if config.get("use_rslora") else "LoRA"
    return finding(what, ", ".join(told) or None, fine, _MERGE, "vllm")


def _saved(config: Json, weights: Weights) -> Finding:
    """A projector that was trained in full is no LoRA: beside an untrained one, adapters answer at random."""
    what, saved = "nothing but LoRA was learned", config.get("modules_to_save") or []
    whole = [name for name in weights.tensors if ".lora_" not in name]
    told = f"modules_to_save {', '.join(saved)}" if saved else f"{whole[0]} is no LoRA" if whole else None
    return finding(what, told, "all tensors are", _MERGE, "vllm")


def _pairs(config: Json, weights: Weights) -> Finding:
    what = "each layer has both matrices, of one rank"
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, each in weights.tensors.items():
        if found := _PAIR.match(name):
            layers.setdefault(found[1], {})[found[2]] = each.shape
    adapters = [name for name in weights.tensors if ".lora_" in name and not name.endswith(_MAGNITUDE)]
    odd = sorted(name for name in adapters if not _PAIR.match(name))
    halves = sorted(name for name, pair in layers.items() if len(pair) < 2)
    uneven = sorted(name for name, pair in layers.items() if len(pair) == 2 and pair["A"][0] != pair["B"][1])
    wrong = [*odd, *halves, *uneven]
    if wrong or not layers:
        return Finding(what, f"{wrong[0]} and {len(wrong) - 1} more are not" if wrong else "no layer", False, _AGAIN)
    sees = any(_TOWER.search(name) for name in layers)
    return Finding(what, f"{len(layers)} layers" + ("; --enable-tower-connector-lora" if sees else ""), True)
