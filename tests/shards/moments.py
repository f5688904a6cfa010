"""Packs that stop, die or find the disk full at a given moment: when they touch a file of a given name."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PAUSE = """
import os, sys, time
event, word, paused, go = sys.argv[1:5]
del sys.argv[1:5]

def at(name, args):
    if name == event and word in str(args[0]) and not os.path.exists(paused):
        open(paused, "w").close()
        while not os.path.exists(go):
            time.sleep(0.01)

sys.addaudithook(at)
from cxr_lightning.__main__ import main
main()
"""

PLANNED, MADE, JOINS = ("os.rename", "studies.jsonl."), ("os.rename", ".tar."), ("os.link", ".tar")
"""Moments: the plan is about to stand, a shard is about to, shards are being joined."""

Moment = tuple[int, dict[str, str], int, dict[str, str]]


class Paused:
    """A pack that stands still until it is told to go on."""

    def __init__(self, process: subprocess.Popen[str], go: Path) -> None:
        self.process, self._go = process, go

    def end(self) -> str:
        """Lets it go on to its end, and returns what it said."""
        self._go.touch()
        return " ".join(self.process.communicate(timeout=120)[1].split())


def command(table: Path, out: Path, *options: str) -> list[str]:
    return ["pack", "table", str(table), "--out", str(out), "--samples_per_shard", "5", "--workers", "1", *options]


@contextlib.contextmanager
def paused(moment: tuple[str, str], table: Path, out: Path, *options: str) -> Iterator[Paused]:
    """Starts a pack and waits until it stands still."""
    here, go = (out.with_name(name) for name in ("paused", "go"))
    words = [sys.executable, "-c", _PAUSE, *moment, str(here), str(go), *command(table, out, *options)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    try:
        while not here.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert here.exists(), process.communicate(timeout=60)[1]
        yield Paused(process, go)
    finally:
        go.touch()
        process.communicate(timeout=120)
        for path in (here, go):
            path.unlink(missing_ok=True)


_KILLS = """
import contextlib, json, os, shutil, signal, sys
from pathlib import Path
from cxr_lightning.shards.packing import pack

table, out, start, options = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
os.fsync = lambda file: None  # no power cut is tried, and hundreds of packs are
TOUCH = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "open")

def packs(kill_at):
    seen = 0
    def at(event, args):
        nonlocal seen
        if event not in TOUCH or (event == "open" and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
            return
        if seen or (event == "os.mkdir" and "joined." in str(args[0])):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
    if kill_at:
        sys.addaudithook(at)
    pack("table", table, out=out, samples_per_shard=5, workers=1, max_bad=0.2, **options)

def child(kill_at):
    sys.stderr.flush()
    number = os.fork()
    if not number:
        status = 0
        try:
            packs(kill_at)
        except ValueError as error:
            status = 3 if "is not empty" in str(error) else 4
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            status = 5
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

moments, kill_at, status = [], 0, -9
while status == -9:
    kill_at += 1
    for path in list(out.parent.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(start, out.parent, dirs_exist_ok=True)
    status = child(kill_at)
    before = {path.name: path.read_bytes().hex() for path in out.glob("*")}
    again = child(0)
    left = {path.relative_to(out.parent).as_posix(): path.read_bytes().hex()
            for path in out.parent.rglob("*") if path.is_file()}
    moments.append((status, before, again, left))
print(json.dumps(moments))
"""


def killed_everywhere(table: Path, out: Path, start: Path, **options: object) -> list[Moment]:
    """Kills a pack at each file that it touches from the moment it joins on, and gives the same command again.

    Args:
        table: What is packed.
        out: Where to.
        start: A folder with what lies beside OUT, and in it, before each of the runs.
        options: Of the pack.

    Returns:
        Of each moment: the first run's status, OUT as it left it, the second one's status, and all that then stands.
    """
    out.parent.mkdir()
    words = [sys.executable, "-c", _KILLS, str(table), str(out), str(start), json.dumps(options)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    moments: list[Moment] = [tuple(each) for each in json.loads(done.stdout)]
    assert moments[-1][0] == 0, done.stderr
    return moments


_FULL = """
import errno, os, sys
from pathlib import Path
from cxr_lightning.shards.packing import pack

table, out = Path(sys.argv[1]), Path(sys.argv[2])
word = ""

def at(event, args):
    if word and event == "open" and word in str(args[0]) and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        raise OSError(errno.ENOSPC, "No space left on device")

sys.addaudithook(at)
for word in ("studies.jsonl.", "order.npy.", "plan.json.", "000000.npy.", "000000.json.", "published."):
    try:
        pack("table", table, out=out, samples_per_shard=5, workers=1)
    except OSError as error:
        print(word, error)
    print(word, sorted(path.name for path in out.parent.rglob("*.jsonl.*")))
word = ""
pack("table", table, out=out, samples_per_shard=5, workers=1)
"""


def full_at_each_file(table: Path, out: Path) -> list[str]:
    """Packs on a disk that is full when one file after another is to be written, then on one with room.

    Returns:
        What was told at each, and what copies of reports lay there then.
    """
    words = [sys.executable, "-c", _FULL, str(table), str(out)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
