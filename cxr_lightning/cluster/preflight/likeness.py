"""Whether all ranks are about to do the same: code, package versions, configuration and environment, key by key.

Every rank leaves its facts; what most have is taken for meant, on a tie what rank 0 has, and who differs is named with
the keys that do. Two ranks with other code or settings would train on in silence, or wait for each other for ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version

import torch
import yaml

import cxr_lightning
from cxr_lightning.cluster.preflight.finding import Finding, Status
from cxr_lightning.cluster.preflight.meeting import Roll
from cxr_lightning.training.agreement import leaves, source
from cxr_lightning.training.record import commit

Facts = dict[str, dict[str, str]]
"""What a rank is about to do: values by key, by section."""

_SECTIONS: dict[str, tuple[str, Status, str]] = {
    "code": ("code", "failed", "let all nodes use one checkout and one virtual environment, on a shared disk"),
    "config": ("configuration", "failed", "give all ranks the same arguments, and configurations on a shared disk"),
    "environment": ("environment", "warning", "export it before srun, in slurm/site.sh, so that all tasks have it"),
}
_TOLD = 4
_OF_INTEREST = re.compile(r"(NCCL|GLOO|TORCH|OMP|MKL|HF|TRANSFORMERS|UCX|FI|DS|CXR)_\w+|PYTHONPATH|PYTHONHASHSEED")
_SECRET = re.compile(r"TOKEN|SECRET|KEY|PASS|AUTH", re.IGNORECASE)
_OWN = re.compile(r"_(RANK|ID|FD|PID)$")


def facts(config: str) -> Facts:
    """Returns what this rank is about to do.

    Args:
        config: The resolved configuration, as YAML; empty where it could not be read.
    """
    first = os.environ.get("SLURM_LOCALID", os.environ.get("LOCAL_RANK", "0")) == "0"
    code = {"commit": str(commit() if first else None), "source": source(), "python": platform.python_version()}
    code["cuda"], code["nccl"] = str(torch.version.cuda), _nccl()
    for name in _packages():
        try:
            code[name] = version(name)
        except PackageNotFoundError:
            continue
    code["torch"] = torch.__version__  # with the build: a CPU one and one for CUDA are of one version
    given = {
        name: value
        for name, value in os.environ.items()
        if _OF_INTEREST.fullmatch(name) and not _SECRET.search(name) and not _OWN.search(name)
    }
    return {"code": code, "config": dict(leaves(yaml.safe_load(config or "{}"))), "environment": given}


def digest(facts: Facts) -> str:
    """Returns a digest of a rank's facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def compare(found: Mapping[int, Facts], roll: Roll) -> dict[str, list[Finding]]:
    """Names who differs from the others.

    Args:
        found: The facts of ranks.
        roll: Which ranks are on which node.

    Returns:
        A finding for each section, by node.
    """
    told: dict[str, list[Finding]] = {node: [] for node in roll.nodes}
    for section, (check, status, remedy) in _SECTIONS.items():
        known = {rank: each[section] for rank, each in found.items() if each[section] or section == "environment"}
        if not known:  # no rank could read its arguments
            continue
        meant_by, meant = _meant(known)
        whose = next(node for node, ranks in roll.nodes.items() if meant_by in ranks)
        for node, ranks in roll.nodes.items():
            if not known.keys() & set(ranks):
                continue
            odd = {rank: _differences(known[rank], meant) for rank in ranks if rank in known}
            odd = {rank: keys for rank, keys in odd.items() if keys}
            if not odd:
                told[node].append(Finding(check, _shown(section, meant, alike=roll.ranks > 1)))
                continue
            keys = next(iter(odd.values()))
            who = "" if len(odd) == len(ranks) else f"rank {', '.join(map(str, odd))}: "
            more = f" and {len(keys) - _TOLD} more" if len(keys) > _TOLD else ""
            listed = "; ".join(f"{key} is {here}, and {there} on {whose}" for key, here, there in keys[:_TOLD])
            figures = {"differs": [key for key, _, _ in keys]}
            told[node].append(Finding(check, f"{len(keys)} differ", status, f"{who}{listed}{more}", remedy, figures))
    return told


def _meant(found: Mapping[int, dict[str, str]]) -> tuple[int, dict[str, str]]:
    """Returns what most ranks have, and the first that has it."""
    digests = {rank: json.dumps({**each, "commit": ""}, sort_keys=True) for rank, each in sorted(found.items())}
    commonest = Counter(digests.values()).most_common(1)[0][0]  # of two alike in number, the one that came first
    first = next(rank for rank, each in digests.items() if each == commonest)
    return first, found[first]


def _differences(here: Mapping[str, str], meant: Mapping[str, str]) -> list[tuple[str, str, str]]:
    absent = "not set"
    # git is slow on a disk that all ask at once, and may say nothing: the files themselves are what counts.
    alike = {"commit"} if here.get("source") == meant.get("source") else set()
    keys = sorted({*here, *meant} - alike)
    return [(key, here.get(key, absent), meant.get(key, absent)) for key in keys if here.get(key) != meant.get(key)]


def _shown(section: str, meant: Mapping[str, str], *, alike: bool) -> str:
    if section == "code" and meant["commit"] != "None":
        head, _, changed = meant["commit"].partition("+")
        return head[:8] + ("+" + changed if changed else "")
    if section == "code":
        return cxr_lightning.__version__
    return f"{len(meant)} {'keys' if section == 'config' else 'variables'}{' alike' if alike else ''}"


def _packages() -> list[str]:
    try:
        needed = requires("cxr-lightning") or []
    except PackageNotFoundError:
        needed = ["torch", "lightning", "deepspeed", "transformers", "peft"]
    return sorted({re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in needed})


def _nccl() -> str:
    try:
        numbers = torch.cuda.nccl.version()  # type: ignore[no-untyped-call]
        return ".".join(map(str, numbers)) if torch.distributed.is_nccl_available() else "none"
    except (RuntimeError, AttributeError, ImportError):
        return "none"
