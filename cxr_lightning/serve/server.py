"""`cxr serve`: a folder enters, a server answers in OpenAI's protocol until it is told to stop.

What can be known before anything heavy starts is said then: a folder that is half written, a port that is taken, a
server that is not installed. It listens on this machine alone unless told.
"""

from __future__ import annotations

import http.client
import logging
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console

from cxr_lightning.endpoint.key import key
from cxr_lightning.serve.calling import how_to_call
from cxr_lightning.serve.child import Child
from cxr_lightning.serve.engine import Service, Wish, choose, launch, served_name
from cxr_lightning.site import is_loopback

log = logging.getLogger(__name__)
_GRACE_SECONDS = 20.0
_POLL_SECONDS = 0.3
_TELL_SECONDS = 30.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_HINTS = {
    "no such option": "what follows -- is for the engine: look at its own --help",
    "unrecognized arguments": "what follows -- is for the engine: look at its own --help",
    "out of memory": "give it another GPU (CUDA_VISIBLE_DEVICES), or less to do: --images 1, a smaller --max_model_len",
    "kv cache": "a smaller --max_model_len; on a CPU, VLLM_CPU_KVCACHE_SPACE=4 (GiB) in the environment",
}


class PortError(ValueError):
    """A server cannot listen there."""


class ServerDiedError(ValueError):
    """A server ended by itself; the message has its last lines."""


def serve(
    folder: Path,
    *handed_on: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str | None = None,
    engine: Wish = "auto",
    api_key: str | None = None,
    images: int = 2,
    max_model_len: int = 8192,
    verbose: bool = False,
) -> None:
    """Serve an exported model in OpenAI's protocol: by vLLM if it is installed, else by transformers.

    It ends when it is told to, by Ctrl-C or TERM, and leaves nothing behind.

    Args:
        folder: Folder that `cxr export` wrote.
        *handed_on: What follows -- is handed to the engine as it is, such as: -- --gpu-memory-utilization 0.8
        host: Address to listen on; 0.0.0.0 lets other machines ask, and whoever reaches it may.
        port: Port to listen on; 0 picks a free one.
        name: What clients call the model; the folder's name if not given.
        engine: Which server: auto, vllm or transformers.
        api_key: What clients must know, vLLM only; CXR_API_KEY in the environment says it without showing it.
        images: Most images in a dialogue, vLLM only: room is made for so many.
        max_model_len: Longest dialogue in tokens, images included, vLLM only; less where the model knows fewer.
        verbose: Show the server's lines while it starts; once it answers they are shown anyway.
    """
    from cxr_lightning.serve.folder import image_size_of, require_export

    require_export(folder)
    chosen = choose(folder, engine)
    with _signals() as stop, tempfile.TemporaryDirectory(prefix="cxr-serve-") as scratch:
        service = Service(
            folder, served_name(folder, name), host, free_port(host, port), images, max_model_len,
            key(api_key), handed_on,
        )  # fmt: skip
        started = launch(chosen, service, Path(scratch))
        label = "vLLM" if chosen.name.startswith("vllm") else "transformers serve"
        print(f"Starting {label} ({chosen.why}):\n  {started.shown}", flush=True)
        if not is_loopback(host) and service.api_key is None:
            log.warning("%s: whoever reaches this machine may ask, unencrypted and without a key.", host)
        child = Child(started, Path(scratch), echo=verbose)
        try:
            url = f"http://{_shown_host(_ANYWHERE.get(host, host))}:{service.port}"
            if _wait(child, url, stop):
                print(how_to_call(url, service.name, image_size_of(folder), service.api_key), flush=True)
                child.echo = True
                _watch(child, stop)
        finally:
            child.echo = child.echo and child.ended is None
            child.stop(_GRACE_SECONDS)
    print("Stopped.", flush=True)


def free_port(host: str, port: int) -> int:
    """Returns a port that can be listened on.

    Args:
        host: The address.
        port: The port wanted; 0 for any.

    Raises:
        PortError: It is taken, or the address is not this machine's.
    """
    try:
        if not 0 <= port < 2**16:  # of a larger one the system would take the rest
            raise OverflowError("ports go from 0 to 65535")
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(found[0], found[1])) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            probe.bind(found[4])
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise PortError(
            f"nothing can listen on {host}, port {port} ({getattr(error, 'strerror', None) or error}). "
            "Remedy: name another --port; 0 picks a free one."
        ) from None


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Gives an event that is set when we are asked to end; asked twice, we end at once."""
    stop = threading.Event()

    def hear(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        print("Stopping. Once more ends it at once.", file=sys.stderr, flush=True)
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # What is ignored stays so: nohup means that the end of the terminal is not ours.
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, hear) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(child: Child, url: str, stop: threading.Event) -> bool:
    """Waits until the server answers; False if we are asked to end before."""
    console, begun, told = Console(stderr=True), time.monotonic(), 0.0
    with console.status("loading the model") as status:
        while not _answers(url):
            seconds = time.monotonic() - begun
            _require_alive(child)
            if stop.wait(_POLL_SECONDS):
                return False
            said = child.last[-1:] or [""]
            status.update(f"loading the model, {seconds:.0f} s  [dim]{said[0][:80]}", spinner="dots")
            if not console.is_terminal and seconds - told >= _TELL_SECONDS:
                told = seconds
                print(f"still loading after {seconds:.0f} s", file=sys.stderr, flush=True)
    stop.wait(_POLL_SECONDS)  # one that found its port taken ends in this moment, and a stranger answered
    _require_alive(child)
    return not stop.is_set()


def _watch(child: Child, stop: threading.Event) -> None:
    while not stop.wait(_POLL_SECONDS):
        _require_alive(child)


def _require_alive(child: Child) -> None:
    if child.ended is None:
        return
    last = child.last
    hint = next((remedy for sign, remedy in _HINTS.items() if sign in "\n".join(last).lower()), "")
    how = f"by signal {-child.ended}" if child.ended < 0 else f"with status {child.ended}"
    raise ServerDiedError(
        f"the server ended {how}. Its last lines:\n  "
        + "\n  ".join(last or ["(none)"])
        + f"\nRemedy: {hint}" * bool(hint)
    )


def _answers(url: str) -> bool:
    """Tells whether a server answers, whatever it says; without the key, for a stranger may hold the port."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy is for the world outside
    try:
        with opener.open(f"{url}/v1/models", timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500  # 401: it wants its key
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
