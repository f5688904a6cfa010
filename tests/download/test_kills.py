"""Killed at any moment, a download goes on: the tree is equal in the end, and nothing that was kept comes twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from cxr_lightning.download.partial import WORTH_KEEPING
from tests.download.conftest import published, tree

BOTH = ("mimic-cxr-jpg/2.1.0", "mimic-cxr/2.1.0")


def start(archive, out, *words):
    command = [sys.executable, "-m", "cxr_lightning", "download", "mimic-cxr-jpg", "--out", str(out)]
    return subprocess.Popen(
        [*command, "--base_url", archive.url, "--parallel", "4", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(archive, sent, process):
    until = time.monotonic() + 60
    while archive.sent < sent and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)


def test_kill_9_in_the_middle_and_go_on(archive, tmp_path):
    """Six kills, each of which costs no more than the small files under way and a large one's first part."""
    big = random.Random(1).randbytes(24_000_000)
    archive.publish("mimic-cxr/2.1.0", {"mimic-cxr-reports.zip": big})
    out, archive.pace, chance = tmp_path / "out", 0.001, random.Random(7)
    total = sum(map(len, archive.files.values()))
    kills = 0
    for share in sorted(chance.uniform(0.05, 0.9) for _ in range(6)):
        process = start(archive, out)
        wait_for(archive, share * total, process)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.communicate()
    archive.pace = 0.0
    process = start(archive, out)
    assert process.communicate()[1]
    assert process.returncode == 0
    assert tree(out) == published(archive, *BOTH)
    assert kills >= 3
    unread = 4 * 200_000  # what the buffers of the connections took
    assert archive.sent <= total + kills * (WORTH_KEEPING + 4 * 60_000 + unread)
    assert [each["range"] for each in archive.requests("reports.zip") if "range" in each], "the large file went on"
    assert not list((out / ".download" / "partial").iterdir())


def test_ctrl_c_ends_at_once_and_keeps_what_came(archive, tmp_path):
    out, archive.pace = tmp_path / "out", 0.02
    process = start(archive, out)
    wait_for(archive, 300_000, process)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert time.monotonic() - begun < 8
    assert process.returncode == 130
    assert "Traceback" not in told
    assert "received" in told
    kept, archive.pace = tree(out), 0.0
    assert kept
    assert all(published(archive, *BOTH)[name] == data for name, data in kept.items())
    process = start(archive, out)
    process.communicate()
    assert process.returncode == 0
    assert tree(out) == published(archive, *BOTH)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full(archive, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no mount here")
    try:
        # Such files are thought to be small, so that the look at the free space before does not see it coming.
        archive.publish("mimic-cxr-jpg/2.1.0", {f"t{n}.txt": os.urandom(90_000) for n in range(9)})
        process = start(archive, disk, "--tables_only", "true")
        told = process.communicate()[1]
        assert process.returncode == 1
        assert "No space left on device; about" in told
        assert "Remedy: make room" in told
        whole = published(archive)
        assert all(whole[name] == data for name, data in tree(disk).items())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
