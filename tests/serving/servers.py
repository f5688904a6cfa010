"""A real server as a process of its own, on a port that is free, ended with all its children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NAME = "cxr"
"""What the served model is called."""


class ServerError(RuntimeError):
    """The server ended, or did not answer in time; the message ends with what it said last."""


@contextmanager
def vllm(program: Path, words: Sequence[str], log: Path, *, dtype: str, seconds: float = 600) -> Iterator[str]:
    """Has vLLM serve and yields the address of its OpenAI protocol.

    Args:
        program: The `vllm` command.
        words: What follows `vllm serve`.
        log: Where its output goes.
        dtype: What it computes in.
        seconds: How long it may take to come up.

    Raises:
        ServerError: If it does not come up.
    """
    port = _free_port()
    command = [
        str(program), "serve", *words, "--host", "127.0.0.1", "--port", str(port), "--dtype", dtype,
        "--max-model-len", "512", "--enforce-eager",
    ]  # fmt: skip
    room = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    path = f"{program.resolve().parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("w") as told:
        process = subprocess.Popen(
            command, stdout=told, stderr=subprocess.STDOUT, env={**room, **os.environ, "PATH": path},
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", log, seconds)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServerError(f"the server ended with {process.returncode}:\n{_last_words(log)}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)
    raise ServerError(f"the server was not up after {seconds:.0f} s:\n{_last_words(log)}")


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if "Error" in line]
    return "\n".join([*lines[-5:], *errors[-4:]])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the server's own session: vLLM computes in a child."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
