"""Ports that two jobs on one node do not share."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from cxr_lightning.cluster import port
from cxr_lightning.cluster.port import NoPortError, allowed, free_port

pytestmark = pytest.mark.quick


def test_a_port_is_free_and_the_kernel_does_not_hand_it_out():
    first, last = map(int, port._EPHEMERAL.read_text().split())
    chosen = free_port()
    assert not first <= chosen <= last
    with socket.socket() as probe:
        probe.bind(("", chosen))


def test_jobs_begin_at_places_of_their_own(monkeypatch):
    chosen = set()
    for job in range(4100, 4120):
        monkeypatch.setenv("SLURM_JOB_ID", str(job))
        chosen.add(free_port())
    assert len(chosen) == 20


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_that_something_listens_on_is_passed_over(family, address, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    wished = free_port()
    with socket.socket(family) as taken:
        try:
            taken.bind((address, wished))
        except OSError:
            pytest.skip(f"this host has no {address}")
        taken.listen()
        assert free_port() != wished


def test_when_all_are_taken_it_says_so(monkeypatch):
    monkeypatch.setattr(port, "_is_free", lambda _: False)
    with pytest.raises(NoPortError, match="MASTER_PORT"):
        free_port()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("32768 60999", range(20000, 32768)),
        ("15000 65000", range(20000, 32768)),
        ("1024 28000", range(28001, 32768)),
        ("25000 60999", range(20000, 25000)),
        ("?", range(20000, 32768)),
    ],
)
def test_the_kernels_own_range_is_left_to_it(told, expected, monkeypatch, tmp_path):
    (tmp_path / "range").write_text(told)
    monkeypatch.setattr(port, "_EPHEMERAL", tmp_path / "range")
    assert allowed() == expected


def test_the_command_prints_it():
    command = [sys.executable, "-m", "cxr_lightning.cluster.port"]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) in allowed()
