"""A free port for ranks to meet at: `python -m cxr_lightning.cluster.port` prints one, on the host of rank 0.

Rank 0 binds it only after it has imported everything, many seconds later. So the port lies outside the range from which
the kernel gives ports to whoever connects somewhere, and two jobs on one node do not begin to look at the same place:
each begins at its own job id. Standard library only: it runs before anything heavy is imported.
"""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

FIRST, LAST = 20000, 32767
"""Above what services commonly listen on, below where Linux begins with ephemeral ports unless it is told otherwise."""

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


class NoPortError(OSError):
    """No port of the range is free on this host."""


def free_port() -> int:
    """Returns a port that nothing on this host listens on or talks through.

    Raises:
        NoPortError: If all are taken.
    """
    candidates = allowed()
    port = next((port for port in _order(candidates) if _is_free(port)), None)
    if port is None:
        raise NoPortError(
            f"{socket.gethostname()}: none of the {len(candidates)} ports from {candidates[0]} to {candidates[-1]} is "
            "free. Remedy: see what holds them (ss -tan), or set MASTER_PORT to a port that this site keeps for jobs."
        )
    return port


def allowed() -> range:
    """Returns the ports to choose from: those that the kernel hands out itself are left to it, where others remain."""
    try:
        first, last = map(int, _EPHEMERAL.read_text().split())
    except (OSError, ValueError):
        return range(FIRST, LAST + 1)
    below, above = range(FIRST, min(first, LAST + 1)), range(max(last + 1, FIRST), LAST + 1)
    return max(below, above, key=len) or range(FIRST, LAST + 1)


def _order(candidates: range) -> Iterator[int]:
    """Yields every port once: that of the job's or process's number first, which none nearby begins with, then any."""
    job = os.environ.get("SLURM_JOB_ID", "")
    mine = random.SystemRandom()
    first = candidates[(int(job) if job.isdigit() else os.getpid()) % len(candidates)]
    yield first
    yield from (port for port in mine.sample(candidates, len(candidates)) if port != first)


def _is_free(port: int) -> bool:
    """Binds a port as rank 0 will, on every address of either kind, and lets it go."""
    for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((everywhere, port))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # a host without IPv6
                return False
    return True


if __name__ == "__main__":
    print(free_port())
