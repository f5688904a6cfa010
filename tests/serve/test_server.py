"""`cxr serve` starts a real server: openai's client and `cxr describe` get from it what the folder's model says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path

import openai
import pytest

from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.serve.calling import how_to_call
from cxr_lightning.serve.child import Child
from cxr_lightning.serve.describe import describe
from cxr_lightning.serve.dialogue import QUESTION, Dialogue
from cxr_lightning.serve.engine import Engine, EngineError, Launch, Service, choose, launch, served_name
from cxr_lightning.serve.films import open_film
from cxr_lightning.serve.local import Local
from cxr_lightning.serve.remote import Remote
from cxr_lightning.serve.server import PortError, ServerDiedError, _signals, _wait, free_port, serve
from tests.commands import ROOT

ENV = {**os.environ, "http_proxy": "http://127.0.0.1:9", "PYTHONUNBUFFERED": "1"}


def start(model: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cxr_lightning", "serve", str(model), "--engine", "transformers", "--port", "0"]
    return subprocess.Popen([*command, *options], cwd=ROOT, env=ENV, stdout=-1, stderr=subprocess.DEVNULL, text=True)


def processes(word: str) -> list[str]:
    """Returns the command lines of what runs with a word in it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            found += [line] if word in line else []
    return found


def until(holds, seconds=60.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def served(model):
    """A server, and what it printed; ended as a service is, it leaves nothing."""
    name = f"served-{os.getpid()}"
    process = start(model, "--name", name)
    printed, told = "", ""
    while "print(answer" not in told:
        told = process.stdout.readline()
        assert told or process.poll() is None, printed
        printed += told
    threading.Thread(target=process.stdout.read, daemon=True).start()
    yield re.search(r"http://127\.0\.0\.1:\d+", printed)[0], name, printed
    process.terminate()
    assert process.wait(30) == 0
    assert processes(name) == []
    assert not Path(re.search(r"HF_HUB_CACHE=(\S+)/hub", printed)[1]).exists()


@pytest.fixture(scope="module")
def film(phantoms):
    return min((phantoms / "images").glob("*.png"))


def test_openais_client_gets_what_the_folder_says(served, model, film):
    url, name, _ = served
    with openai.DefaultHttpxClient(trust_env=False) as http:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=http)
        assert [each.id for each in client.models.list()] == [name]
        image = "data:image/png;base64," + b64encode(film.read_bytes()).decode()
        parts = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": QUESTION}]
        turn = [{"role": "user", "content": parts}]
        answer = client.chat.completions.create(model=name, messages=turn, max_tokens=16, temperature=0)
    own = Local(model).replies([Dialogue.ask(open_film(film))], max_new_tokens=16)[0]
    said = answer.choices[0]
    assert (said.message.content.strip(), said.finish_reason, answer.usage.completion_tokens) == (
        own.text, own.finish, own.tokens,
    )  # fmt: skip


def test_describe_writes_the_same_rows_by_url(served, model, phantoms, tmp_path):
    table = tmp_path / "table.jsonl"
    names = sorted(path.name for path in (phantoms / "images").glob("*.png"))[:6]
    asked = [{"image": name, "question": f"What is seen, {name}?"} for name in names]
    table.write_text("".join(json.dumps(row) + "\n" for row in [*asked, {"image": names[0], "lateral": names[1]}]))
    told = []
    for number, source in enumerate((str(model), served[0])):
        out = tmp_path / f"{number}.jsonl"
        describe(source, str(table), root=phantoms / "images", out=out, max_new_tokens=12, image_size=64)
        told.append([json.loads(line) for line in out.read_text().splitlines()])
    for own, theirs in zip(*told, strict=True):
        assert {**own, "seconds": 0, "model": ""} == {**theirs, "seconds": 0, "model": ""}


def test_it_streams(served, model, films):
    remote = Remote(served[0])
    asked = Dialogue((films[0],), (("user", "What is seen?"), ("assistant", "Lungs."), ("user", "And else?")))
    pieces = list(remote.stream(asked, max_new_tokens=24, stop=threading.Event()))
    own = Local(model).answers([asked], max_new_tokens=24)[0]
    assert "".join(pieces).rstrip("\ufffd") == own.rstrip("\ufffd")  # the server keeps half a character to itself
    assert len(pieces) > 1
    remote.close()


def test_another_model_is_not_there(served, films):
    with pytest.raises(ServerError, match="does not serve 'other'"):
        Remote(served[0], model="other").answers([Dialogue.ask(films[0])], max_new_tokens=1)


def test_what_it_prints_can_be_pasted(served, model, film):
    _, _, printed = served
    own = Local(model).answers([Dialogue.ask(open_film(film))], max_new_tokens=256)[0]
    curl = printed[printed.index("  echo") : printed.index("By Python")].replace("IMAGE.png", str(film))
    said = subprocess.run(["bash", "-c", curl], env=ENV | {"no_proxy": "*"}, capture_output=True, check=True)
    assert json.loads(said.stdout)["choices"][0]["message"]["content"].strip() == own
    code = printed[printed.index("  from base64") :].replace("IMAGE.png", str(film)).partition("\n\n")[0]
    code = "\n".join(line.removeprefix("  ") for line in code.splitlines()).replace("print(", "said.append(")
    heard: list[str] = []
    exec(code, {"said": heard})
    assert heard[0].strip() == own


def test_killed_it_leaves_no_process(model):
    name = f"killed-{os.getpid()}"
    process = start(model, "--name", name)
    until(lambda: any("transformers" in line for line in processes(f"serve {name}")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not processes(name))


def test_a_server_that_dies_is_told_with_its_last_lines(model):
    command = [sys.executable, "-m", "cxr_lightning", "serve", str(model), "--port", "0", "--engine", "transformers"]
    ended = subprocess.run([*command, "--", "--no-such-flag"], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "the server ended with status 2" in ended.stderr
    assert "--no-such-flag" in ended.stderr
    assert "Remedy: what follows -- is for the engine" in ended.stderr


def test_a_taken_port_is_told_before_anything_starts(model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=rf"port {port} \(Address already in use\).*--port; 0 picks"):
            serve(model, port=port, engine="transformers")


@pytest.mark.quick
def test_an_address_of_another_machine_is_told():
    with pytest.raises(PortError, match=r"203\.0\.113\.1"):
        free_port("203.0.113.1", 0)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("folder", "wish", "name"),
    [("model", None, "model"), ("my model (2)", None, "my-model-2"), ("x", "clinic/cxr-7b", "clinic/cxr-7b")],
)
def test_a_model_gets_a_name(folder, wish, name):
    assert served_name(Path("/models", folder), wish) == name


@pytest.mark.quick
@pytest.mark.parametrize("wish", ["a b", "a/b/c", "-a", "a@b", "../a", "a--b"])
def test_a_name_that_no_engine_takes_is_refused(wish):
    with pytest.raises(EngineError, match="--name"):
        served_name(Path("model"), wish)


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    """Something called vllm on the PATH."""
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return program


def test_vllm_is_taken_where_it_is_installed_and_its_flags_are_set(vllm, model, tmp_path):
    engine = choose(model, "auto")
    assert engine.name.startswith("vllm")
    service = Service(model, "cxr", "127.0.0.1", 8000, 2, 100_000, "secret", ("--enforce-eager",))
    started = launch(engine, service, tmp_path)
    words = " ".join(started.command)
    assert words.startswith(
        f"{vllm} serve {model} --host 127.0.0.1 --port 8000 --served-model-name cxr --max-model-len "
    )
    assert '--limit-mm-per-prompt {"image": 2}' in words
    assert words.endswith(" --enforce-eager")
    own = json.loads((model / "config.json").read_text())["text_config"]["max_position_embeddings"]
    assert f"--max-model-len {own} " in words  # not more than the model knows
    assert "trust" not in words
    assert "secret" not in started.shown
    assert started.secrets == {"VLLM_API_KEY": "secret"}
    assert {"VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"} < set(started.env)
    assert shlex.split(started.shown)[-len(started.command) :] == list(started.command)


def test_without_vllm_it_is_said_why_transformers_serves(model, monkeypatch, tmp_path):
    monkeypatch.setattr("cxr_lightning.serve.engine._vllm", lambda: None)
    assert choose(model, "auto") == Engine("transformers", "vLLM is not installed")
    with pytest.raises(EngineError, match="pip install vllm"):
        choose(model, "vllm")
    service = Service(model, "cxr", "127.0.0.1", 8000, 2, 8192, "secret", ())
    with pytest.raises(EngineError, match="asks for no key"):
        launch(choose(model, "auto"), service, tmp_path)


def test_no_key_is_shown_or_among_the_words_of_a_command():
    started = Launch(("vllm", "--api-key", "one", "two", "--hf-token=three", "--max-tokens", "5"), {}, {})
    assert started.shown == "vllm --api-key '***' '***' '--hf-token=***' --max-tokens 5"
    printed = how_to_call("http://127.0.0.1:1", "cxr", 384, "secret")
    assert "secret" not in printed
    assert "--api_key" not in printed
    assert '-H @<(echo "Authorization: Bearer $CXR_API_KEY")' in printed
    assert "cxr web http://127.0.0.1:1 --image_size 384" in printed


def test_a_stranger_on_the_port_is_not_the_server(monkeypatch, tmp_path):
    monkeypatch.setattr("cxr_lightning.serve.server._answers", lambda *_: True)
    child = Child(Launch((sys.executable, "-c", "raise SystemExit('port in use')"), {}, {}), tmp_path, echo=False)
    until(lambda: child.ended is not None)
    with pytest.raises(ServerDiedError, match="port in use"):
        _wait(child, "http://127.0.0.1:9", threading.Event())


def test_nohup_holds():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.quick
@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_is_none_is_not_another(port):
    with pytest.raises(PortError, match="nothing can listen"):
        free_port("127.0.0.1", port)
