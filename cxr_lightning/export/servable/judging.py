"""All findings about a folder: a model's, or an adapter's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from cxr_lightning.export.servable.adapter import check_adapter
from cxr_lightning.export.servable.finding import Finding, finding
from cxr_lightning.export.servable.folder import ADAPTER, CONFIG, Folder, Json, read_folder
from cxr_lightning.export.servable.joined import check_joined, language_known, tower_names
from cxr_lightning.export.servable.knowledge import ARCHITECTURES, LANGUAGES, VERSION
from cxr_lightning.export.servable.tensors import check_tensors
from cxr_lightning.export.servable.tokens import check_token, mark
from cxr_lightning.export.servable.whole import check_asking, check_files, check_storage

_GEMMA_LINES = ("\n", "\n\n", "\n\n\n", "\n\n\n\n")
_BACKEND = "serve it by transformers: cxr serve"


def judge(folder: Path, *, tensors: bool = True) -> list[Finding]:
    """Returns what was looked at in a folder, in order; nothing is loaded and nothing is raised.

    Args:
        folder: The folder of an exported model or adapter. A folder that is neither gets one finding, which says so.
        tensors: Whether to compare its tensors with those of the architecture, which needs transformers and torch.
    """
    if is_adapter(folder):
        return _gathered(check_adapter(folder, *_adapter_config(folder)))
    if not (folder / CONFIG).is_file():
        there = "is not there" if not folder.exists() else f"holds neither {CONFIG} nor {ADAPTER}"
        remedy = "give the folder that cxr export RUN --out DIR wrote; one that ends in .partial was never finished"
        return [Finding("it is a model's folder", f"{folder} {there}", False, remedy)]
    return _gathered(_judge_model(read_folder(folder), tensors))


def _gathered(looked_at: Iterable[Finding]) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(looked_at)
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        told = f"{type(error).__name__}: {error}"
        remedy = "a value in one of its JSON files is of another kind than servers read: export the run again"
        findings.append(Finding("its settings can be understood", told, False, remedy))
    return findings


def is_adapter(folder: Path) -> bool:
    """Returns whether a folder holds an adapter, to be served beside its base."""
    return (folder / ADAPTER).is_file() and not (folder / CONFIG).is_file()


def _judge_model(folder: Folder, tensors: bool) -> Iterable[Finding]:
    yield from check_files(folder)
    if CONFIG not in folder.files:
        return
    yield _architecture(folder)
    if "vision_config" in folder.config:
        yield from check_joined(folder) if folder.architecture.startswith("LlavaFor") else _check_family(folder)
        yield check_token(folder)
    yield from check_storage(folder)
    if "vision_config" in folder.config:
        yield from check_asking(folder, mark(folder))
    if tensors and not folder.weights.problems:
        yield check_tensors(folder)


def _architecture(folder: Folder) -> Finding:
    known = ARCHITECTURES if "vision_config" in folder.config else LANGUAGES
    named = folder.architecture
    problem = None if named in known else f"{named or 'architectures is not set'}: no model of its own"
    return finding(f"vLLM {VERSION} has the architecture", problem, named, _BACKEND, "vllm")


def _check_family(folder: Folder) -> Iterable[Finding]:
    """Checks what is asked of families that are taken whole."""
    kind = folder.config.get("model_type")
    if kind == "blip-2":
        yield language_known(folder)
    if kind == "qwen3_vl":
        text = folder.part("text_config")
        rotary: Json = text.get("rope_parameters") or text.get("rope_scaling") or {}
        told = None if rotary.get("mrope_interleaved") else "rope_parameters without mrope_interleaved: true"
        remedy = 'add "mrope_interleaved": true to text_config.rope_parameters: transformers always does so, vLLM asks'
        yield finding("positions turn as in training", told, "interleaved", remedy, "vllm")
    if kind == "gemma3":
        yield tower_names(folder)
        model: Json = folder.files.get("tokenizer.json", {}).get("model") or {}
        vocabulary = model.get("vocab") or {}
        lacking = [text for text in _GEMMA_LINES if text not in vocabulary and text not in folder.special_tokens()]
        problem = f"one to four line ends as one token each: {len(lacking)} are not there" if lacking else None
        remedy = "keep the tokenizer that came with the base"
        yield finding("the tokenizer has the tokens that vLLM looks for", problem, "line ends", remedy, "vllm")


def _adapter_config(folder: Path) -> tuple[Json, str | None]:
    try:
        config = json.loads((folder / ADAPTER).read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        return {}, f"{ADAPTER}: {error}"
    return (config, None) if isinstance(config, dict) else ({}, f"{ADAPTER} holds no JSON object")
