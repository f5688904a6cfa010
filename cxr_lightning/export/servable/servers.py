"""Which servers take a folder, how they are started, and why others do not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.export.servable.adapter import max_lora_rank
from cxr_lightning.export.servable.finding import Finding
from cxr_lightning.export.servable.folder import ADAPTER
from cxr_lightning.export.servable.judging import is_adapter, judge


@dataclass(frozen=True)
class Server:
    """One way to serve a folder.

    Attributes:
        name: `vllm`, `vllm-transformers` (its engine, with transformers' code of the model) or `transformers`.
        serves: Whether it takes the folder.
        why: What stands against it; empty where nothing does.
        command: How to start it.
    """

    name: str
    serves: bool
    why: str
    command: str


def servers(folder: Path, findings: list[Finding] | None = None) -> list[Server]:
    """Returns the servers that were tried with models of this package, and whether they take this folder.

    Args:
        folder: The folder of a model or an adapter.
        findings: What `judge` found, if it was asked before.
    """
    findings = judge(folder) if findings is None else findings
    broken = [each for each in findings if not each.holds and each.weight == "any"]
    own = [each for each in findings if not each.holds and each.weight == "vllm"]
    if is_adapter(folder):
        return _adapter_servers(folder, broken, own)
    config = _config(folder)
    llava = (config.get("architectures") or [""])[0] == "LlavaForConditionalGeneration"
    vllm = f"vllm serve {folder}"
    found = [Server("vllm", not (broken or own), _why(broken + own), vllm)]
    if llava and own:
        found.append(Server("vllm-transformers", not broken, _why(broken), f"{vllm} --model-impl transformers"))
    return [*found, Server("transformers", not broken, _why(broken), f"cxr serve {folder}")]


def _adapter_servers(folder: Path, broken: list[Finding], own: list[Finding]) -> list[Server]:
    try:
        config = json.loads((folder / ADAPTER).read_bytes())
        rank, base = max_lora_rank(int(config["r"])), config.get("base_model_name_or_path") or "BASE"
    except (ValueError, KeyError, TypeError, OSError):
        rank, base = None, "BASE"
    flags = f"--enable-lora --max-lora-rank {rank or '?'} --lora-modules cxr={folder}"
    why = "transformers serve takes no adapters at run time; merge it: cxr export RUN --out DIR"
    return [
        Server("vllm", not (broken or own), _why(broken + own), f"vllm serve {base} {flags}"),
        Server("transformers", False, why, ""),
    ]


def _config(folder: Path) -> dict[str, list[str]]:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (ValueError, OSError):
        return {}
    return config if isinstance(config, dict) else {}


def _why(against: list[Finding]) -> str:
    return "; ".join(f"{each.what}: {each.found}" for each in against)
