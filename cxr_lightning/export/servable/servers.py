"""Which servers take a folder, how they are started, and why others do not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.export.servable.adapter import max_lora_rank
from cxr_lightning.export.servable.finding import Finding
from cxr_lightning.export.servable.folder import ADAPTER, CONFIG
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
    refused = broken + [each for each in findings if not each.holds and each.weight == "vllm"]
    if is_adapter(folder):
        return _adapter_servers(folder, refused)
    own = [each for each in findings if not each.holds and each.weight == "own"]
    command = f"vllm serve {folder}"
    found = [Server("vllm", not (refused or own), _why(refused + own), command)]
    if own and _is_llava(folder):  # the family with which this was tried
        command += " --model-impl transformers"
        found.append(Server("vllm-transformers", not refused, _why(refused), command))
    return [*found, Server("transformers", not broken, _why(broken), f"cxr serve {folder}")]


def _adapter_servers(folder: Path, refused: list[Finding]) -> list[Server]:
    try:
        config = json.loads((folder / ADAPTER).read_bytes())
        rank, base = max_lora_rank(int(config["r"])), config.get("base_model_name_or_path") or "BASE"
    except (ValueError, KeyError, TypeError, OSError):
        rank, base = None, "BASE"
    flags = f"--enable-lora --max-lora-rank {rank or '?'} --lora-modules cxr={folder}"
    why = "transformers serve takes no adapters at run time; merge it: cxr export RUN --out DIR"
    return [
        Server("vllm", not refused, _why(refused), f"vllm serve {base} {flags}"),
        Server("transformers", False, why, ""),
    ]


def _is_llava(folder: Path) -> bool:
    try:
        named = json.loads((folder / CONFIG).read_bytes())["architectures"]
    except (ValueError, KeyError, TypeError, OSError):
        return False
    return bool(named == ["LlavaForConditionalGeneration"])


def _why(against: list[Finding]) -> str:
    return "; ".join(f"{each.what}: {each.found}" for each in against)
