"""What every folder has to hold, whatever the family: files that can be read, whole weights, a way to ask."""

from __future__ import annotations

from collections.abc import Iterable

from cxr_lightning.export.servable.finding import Finding, finding
from cxr_lightning.export.servable.folder import PICKLES, Folder
from cxr_lightning.export.servable.knowledge import QUANTIZED, SAMPLING
from cxr_lightning.export.servable.template import template_problem

_AGAIN = "export the run again: cxr export RUN --out DIR"
_NAMES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64"}
_PLAIN = frozenset(_NAMES.values())


def check_files(folder: Folder) -> Iterable[Finding]:
    """Checks that files can be read, that weights are whole, and that nothing is a pickle."""
    lacking = [name for name in ("config.json", "generation_config.json") if not (folder.path / name).is_file()]
    tokenizer = ("tokenizer.json", "tokenizer.model", "vocab.json")
    if not any((folder.path / name).is_file() for name in tokenizer):
        lacking.append("tokenizer.json")
    if not folder.image_processor and "vision_config" in folder.config:
        lacking.append("processor_config.json")
    told = [*folder.problems, *(f"{name} is not there" for name in lacking)]
    yield finding("its files are there and can be read", _first(told), f"{len(folder.files)} files", _AGAIN)
    weights = folder.weights
    size = f"{len(weights.tensors)} tensors in {len(weights.files)} file{'s' * (len(weights.files) != 1)}"
    yield finding("weights are whole", _first(weights.problems), f"{size}, {weights.bytes / 1e6:,.1f} MB", _AGAIN)
    pickles = sorted(path.name for path in folder.path.iterdir() if path.suffix in PICKLES)
    remedy = f"delete {', '.join(pickles)}: safetensors hold all that is needed"
    yield finding("no file is a pickle, which runs code when read", _first(pickles), "none", remedy)


def check_storage(folder: Folder) -> Iterable[Finding]:
    """Checks data type, what is left of how a base was stored, and tied embeddings."""
    yield _quantization(folder)
    yield _dtype(folder)
    yield _tied(folder)


def check_asking(folder: Folder, mark: str | None) -> Iterable[Finding]:
    """Checks chat template and defaults of generation.

    Args:
        folder: The folder.
        mark: What stands for an image in a prompt; None where the processor puts images in front by itself.
    """
    problem = template_problem(folder, mark)
    fine = "an image and a question become a prompt"
    yield finding("the chat template takes images", problem, fine, f"{_AGAIN}, or write chat_template.jinja")
    generation = folder.files.get("generation_config.json", {})
    greedy = generation.get("temperature") == 0 or generation.get("top_k") == 1
    problem = None if greedy else f"neither {' nor '.join(SAMPLING)}, so vLLM draws at temperature 1 by default"
    remedy = 'add "temperature": 0.0 to generation_config.json, or have every client send temperature 0'
    what = "the same question is answered alike, twice"
    yield finding(what, problem, "greedy unless a client says otherwise", remedy, "advice")
    places = (generation, folder.config, folder.part("text_config"))
    ends = next((each["eos_token_id"] for each in places if each.get("eos_token_id") is not None), None)
    problem = "no eos_token_id, so only the length ends it" if ends is None else None
    remedy = "write the token that ends a turn as eos_token_id into generation_config.json"
    yield finding("an answer ends", problem, f"with token {ends}", remedy, "advice")


def _quantization(folder: Folder) -> Finding:
    what, told = "nothing is left of how the base was stored", folder.config.get("quantization_config")
    told = told or folder.part("text_config").get("quantization_config")
    if not told:
        return Finding(what, "plain weights", True)
    method = str(told.get("quant_method", "?")) if isinstance(told, dict) else "?"
    plain = {each.dtype for each in folder.weights.tensors.values()} <= _PLAIN
    if plain:
        remedy = "delete quantization_config from config.json: these weights are plain"
        return Finding(what, f"quantization_config says {method}, and no tensor is stored so", False, remedy)
    remedy = "export it unquantized, and have vLLM quantize it as it loads: --quantization fp8"
    problem = None if method in QUANTIZED else f"quantization_config says {method}, which vLLM does not read"
    return finding(what, problem, f"weights are stored as {method}, which vLLM reads", remedy, "vllm")


def _dtype(folder: Folder) -> Finding:
    what, config = "weights are of the type that config.json says", folder.config
    said = str(config.get("dtype") or config.get("torch_dtype") or "")
    found = {each.dtype for each in folder.weights.tensors.values()} & _PLAIN
    if folder.config.get("quantization_config") or not found:
        return Finding(what, ", ".join(sorted(found)) or "no plain tensors", True)
    problem = None if found == {_NAMES.get(said)} else f"{', '.join(sorted(found))}, and config.json says {said or '-'}"
    remedy = "export it again with one --dtype, or serve it with --dtype bfloat16"
    return finding(what, problem, said, remedy, "advice")


def _tied(folder: Folder) -> Finding:
    what, text = "the output matrix is there, or tied to the embeddings", folder.part("text_config")
    inner = text.get("tie_word_embeddings")
    tied = bool(folder.config.get("tie_word_embeddings", inner))
    own = folder.stored("lm_head.weight")
    if not tied and own is None:
        return Finding(what, "no lm_head.weight, and config.json does not tie it", False, _AGAIN)
    if inner is not None and bool(inner) != tied:
        remedy = "give tie_word_embeddings one value in config.json and its text_config"
        return Finding(what, f"config.json says {tied}, its text_config {bool(inner)}", False, remedy)
    return Finding(what, "tied" if tied else str(own), True)


def _first(problems: list[str]) -> str | None:
    if not problems:
        return None
    return problems[0] + (f" ({len(problems) - 1} more)" if len(problems) > 1 else "")
