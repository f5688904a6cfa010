"""Work is shared among processes however they can start; none stays when the one they work for is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

_WORKING = """
import os, sys, time
from cxr_lightning.parallel import in_order

def work(path):
    open(f"{path}/{os.getpid()}", "w").close()
    time.sleep(0.2)

if __name__ == "__main__":
    for _ in in_order(work, [sys.argv[1]] * 1000, 2):
        pass
"""


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("temporary", ["short", "far/" + "x" * 100], ids=["forked", "spawned"])
def test_workers_end_with_the_process_that_they_work_for(tmp_path, temporary):
    (tmp_path / "seen").mkdir()
    (tmp_path / temporary).mkdir(parents=True)
    (tmp_path / "working.py").write_text(_WORKING)
    # The temporary files of these processes are theirs, and none of them stays.
    folder = tmp_path / temporary if temporary != "short" else Path(tempfile.mkdtemp(prefix="s-", dir="/tmp"))
    where = {**os.environ, "TMPDIR": str(folder)}
    process = subprocess.Popen([sys.executable, tmp_path / "working.py", tmp_path / "seen"], env=where)
    try:
        assert until(lambda: len(os.listdir(tmp_path / "seen")) == 2)
        workers = [int(name) for name in os.listdir(tmp_path / "seen")]
        assert process.pid not in workers
        assert all(map(is_running, workers))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert until(lambda: not any(map(is_running, workers)))
    assert until(lambda: not list(folder.iterdir()))
    folder.rmdir()


def test_workers_import_nothing_from_where_they_happen_to_start(tmp_path):
    for name in ("seen", "there", "here"):
        (tmp_path / name).mkdir()
    work, begun = _WORKING.replace("* 1000", "* 4").split("if __name__", 1)
    (tmp_path / "there" / "worked.py").write_text(work)
    (tmp_path / "there" / "working.py").write_text(f"from worked import *\nif __name__{begun}")
    (tmp_path / "here" / "worked.py").write_text(f"open({str(tmp_path / 'wrong')!r}, 'w')")
    command = [sys.executable, tmp_path / "there" / "working.py", tmp_path / "seen"]
    subprocess.run(command, cwd=tmp_path / "here", check=True)
    assert os.listdir(tmp_path / "seen")
    assert not (tmp_path / "wrong").exists()


_UNGUARDED = """
import sys
from glob import escape
from cxr_lightning.parallel import in_order

print("ran", *in_order(escape, ["a", "[", "c"], 2))
"""


@pytest.mark.parametrize("temporary", ["short", "x" * 100], ids=["forked", "spawned"])
@pytest.mark.parametrize("how", ["a file", "standard input", "a word"])
def test_workers_do_not_run_the_script_again_that_they_work_for(tmp_path, temporary, how):
    (tmp_path / temporary).mkdir()
    (tmp_path / "un guarded.py").write_text(_UNGUARDED)
    words = {"a file": [tmp_path / "un guarded.py"], "standard input": ["-"], "a word": ["-c", _UNGUARDED]}[how]
    where = {**os.environ, "TMPDIR": str(tmp_path / temporary)} if temporary != "short" else None
    given = _UNGUARDED if how == "standard input" else ""
    done = subprocess.run([sys.executable, *words], input=given, env=where, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ran a [[] c\n"), done.stderr


def test_workers_say_that_they_cannot_start_in_a_folder_that_is_gone(tmp_path):
    (tmp_path / "gone").mkdir()
    words = f"import os; os.rmdir({str(tmp_path / 'gone')!r})\n{_UNGUARDED}"
    done = subprocess.run([sys.executable, "-c", words], cwd=tmp_path / "gone", capture_output=True, text=True)
    assert done.returncode == 1
    assert "started in is gone. Remedy: cd to one that is there" in done.stderr
