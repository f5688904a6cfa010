"""A folder enters, the command of the server that takes it leaves: vLLM where it is installed, else transformers serve.

Whatever the engine, clients call the model by one short name. transformers serve knows a model by folder or hub name
only, and lists what lies in the hub's cache; so it is given a cache of its own, in which links stand for the folder.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxr_lightning.export.servable.judging import judge
from cxr_lightning.export.servable.servers import servers

Wish = Literal["auto", "vllm", "transformers"]

_NAME = re.compile(r"(?:[A-Za-z0-9_][\w.-]*/)?[A-Za-z0-9_](?:[\w.-]{0,94}[\w])?", re.ASCII)
_SECRET = re.compile("key|token(?!s|iz)|password|secret", re.IGNORECASE)
_REVISION = "0" * 40
_QUIET = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_NO_STATISTICS = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_SERVING_NEEDS = ("fastapi", "uvicorn", "openai")


class EngineError(ValueError):
    """No server that is installed takes the folder, or not with these options."""


@dataclass(frozen=True)
class Engine:
    """A server that takes the folder.

    Attributes:
        name: `vllm`, `vllm-transformers` (its engine with transformers' code of the model) or `transformers`.
        why: Why this one.
    """

    name: str
    why: str


@dataclass(frozen=True)
class Service:
    """What is asked of a server.

    Attributes:
        folder: The exported folder.
        name: What clients call the model.
        host: Address to listen on.
        port: Port to listen on.
        images: Most images in a dialogue.
        max_model_len: Longest dialogue in tokens.
        api_key: What clients have to know; None for nothing.
        more: Words for the engine as they are.
    """

    folder: Path
    name: str
    host: str
    port: int
    images: int
    max_model_len: int
    api_key: str | None
    more: tuple[str, ...]


@dataclass(frozen=True)
class Launch:
    """How a server is started.

    Attributes:
        command: The words.
        env: What is set in its environment.
        secrets: What is set there as well and not shown.
    """

    command: tuple[str, ...]
    env: dict[str, str]
    secrets: dict[str, str]

    @property
    def shown(self) -> str:
        """The command as a shell takes it."""
        sets = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        secrets = (f'{name}="$CXR_API_KEY"' for name in self.secrets)
        return " ".join([*sets, *secrets, shlex.join(_masked(self.command))])


def _masked(words: tuple[str, ...]) -> list[str]:
    """Hides what follows --api-key, --hf-token and the like, as a word of its own or behind =."""
    shown, hide = [], False
    for word in words:
        name, mark, _ = word.partition("=")
        secret = word.startswith("-") and bool(_SECRET.search(name))
        shown.append("***" if hide and not word.startswith("--") else f"{name}=***" if secret and mark else word)
        hide = (secret and not mark) or (hide and not word.startswith("--"))  # vLLM takes several keys
    return shown


def served_name(folder: Path, wish: str | None) -> str:
    """Returns what clients call a model.

    Args:
        folder: Its folder.
        wish: A name of the user's; None takes the folder's, without characters that a name may not have.

    Raises:
        EngineError: The wish cannot be a name.
    """
    name = wish or re.sub(r"[^\w.]+", "-", folder.resolve().name, flags=re.ASCII).strip("-.")[:90] or "model"
    if not _NAME.fullmatch(name) or "--" in name or ".." in name or name.endswith(".git"):
        raise EngineError(f"--name {name}: letters, digits, '_', single '-' and '.', as in names on the hub")
    return name


def choose(folder: Path, wish: Wish) -> Engine:
    """Returns the server to start, and why.

    Args:
        folder: The exported folder.
        wish: The engine asked for.

    Raises:
        EngineError: There is none.
    """
    # The export proved its tensors, and comparing them again would load torch here.
    taking = {server.name: server for server in servers(folder, judge(folder, tensors=False))}
    installed, vllm = _vllm() is not None, next((taking[n] for n in taking if "vllm" in n and taking[n].serves), None)
    if wish != "transformers" and installed and vllm is not None:
        return Engine(vllm.name, "vLLM is installed and takes this folder")
    against = taking["vllm"].why if installed else "vLLM is not installed"
    if wish == "vllm":
        raise EngineError(f"{folder}: {against}. Remedy: pip install vllm, or leave out --engine vllm.")
    if not taking["transformers"].serves:
        raise EngineError(f"{folder}: no server takes it: {taking['transformers'].why}. `cxr servable` says more.")
    lacking = [name for name in _SERVING_NEEDS if importlib.util.find_spec(name) is None]
    if lacking:
        raise EngineError(
            f"transformers serve lacks {', '.join(lacking)}, and {against}. "
            "Remedy: pip install 'cxr-lightning[serve]', or pip install vllm."
        )
    return Engine("transformers", "asked for" if wish == "transformers" else against)


def launch(engine: Engine, service: Service, scratch: Path) -> Launch:
    """Returns how a server is started.

    Args:
        engine: Which.
        service: What is asked of it.
        scratch: A folder that lives as long as the server.

    Raises:
        EngineError: The engine cannot do what is asked.
    """
    listening = ("--host", service.host, "--port", str(service.port))
    if engine.name == "transformers":
        if service.api_key is not None:
            raise EngineError(
                "transformers serve asks for no key. Remedy: leave out --api_key and CXR_API_KEY, or install vLLM."
            )
        hub = scratch / "hub"
        _link(service.folder.resolve(), hub, service.name)
        command = (*_transformers(), "serve", service.name, *listening, *service.more)
        return Launch(command, {**_QUIET, "HF_HUB_CACHE": str(hub)}, {})
    command = (
        *(_vllm() or ()), "serve", str(service.folder.resolve()), *listening, "--served-model-name", service.name,
        "--max-model-len", str(_length(service)), "--limit-mm-per-prompt", json.dumps({"image": service.images}),
        *(("--model-impl", "transformers") if engine.name == "vllm-transformers" else ()), *service.more,
    )  # fmt: skip
    # In the environment, for everyone on the machine may read the words of a command.
    secrets = {"VLLM_API_KEY": service.api_key} if service.api_key is not None else {}
    return Launch(command, {"HF_HUB_OFFLINE": "1", **_NO_STATISTICS}, secrets)


def _link(folder: Path, hub: Path, name: str) -> None:
    """Lets a folder stand in a hub's cache under a name."""
    root = hub / f"models--{name.replace('/', '--')}"
    snapshot = root / "snapshots" / _REVISION
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(_REVISION)
    for file in folder.iterdir():
        if file.is_file():
            (snapshot / file.name).symlink_to(file)


def _length(service: Service) -> int:
    config = json.loads((service.folder / "config.json").read_text())
    own = (config.get("text_config") or config).get("max_position_embeddings")
    return min(service.max_model_len, own) if isinstance(own, int) else service.max_model_len


def _vllm() -> tuple[str, ...] | None:
    found = shutil.which("vllm")
    if found:
        return (found,)
    return (sys.executable, "-m", "vllm.entrypoints.cli.main") if importlib.util.find_spec("vllm") else None


def _transformers() -> tuple[str, ...]:
    """Returns the command beside this interpreter: one on the PATH may belong to another transformers."""
    beside = Path(sys.executable).with_name("transformers")
    return (str(beside),) if beside.is_file() else (sys.executable, "-m", "transformers.cli.transformers")
