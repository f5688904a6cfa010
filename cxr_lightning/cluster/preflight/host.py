"""The node itself: whether it finds the others by name, and whether its limits leave a training room."""

from __future__ import annotations

import resource
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from cxr_lightning.cluster.preflight.finding import Finding

NAMES, LIMITS = "names", "limits"
_FILES = 4096
"""Open files that a rank may need: shards, connections, libraries."""
_SHM = 256 << 20
"""Bytes of /dev/shm for each rank of a node that uses GPUs; NCCL passes messages between them there."""


def look_at_names(nodes: Sequence[str], node: str, backend: str) -> Finding:
    """Looks the other nodes' names up.

    Args:
        nodes: All nodes.
        node: This one.
        backend: gloo listens on the address that the node's own name has.
    """
    lost = [each for each in nodes if each != node and not _address(each)]
    if lost:
        few = ", ".join(lost[:4]) + (f" and {len(lost) - 4} more" if len(lost) > 4 else "")
        return Finding(
            NAMES,
            f"{len(lost)} unknown",
            "failed",
            f"names that do not resolve here: {few}",
            "have them added to the node's /etc/hosts or name service, or leave the node out",
        )
    own = _address(socket.gethostname())
    if len(nodes) > 1 and own.startswith("127.") and backend == "gloo":
        why = f"its own name, {socket.gethostname()}, means {own} here, where no other node reaches it"
        return Finding(NAMES, own, "warning", why, "name the interface: GLOO_SOCKET_IFNAME in slurm/site.sh")
    return Finding(NAMES, f"{len(nodes) - 1} found", figures={"own": own})


def look_at_limits(per_node: int, *, cuda: bool, nodes: int) -> Finding:
    """Looks at open files, locked memory and shared memory.

    Args:
        per_node: Ranks of the node.
        cuda: Whether they use GPUs.
        nodes: How many nodes there are.
    """
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    shm = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0
    figures = {"open_files": files, "locked_memory": locked, "shm": shm}
    told = f"{files} files, /dev/shm {shm / 1e9:.1f} GB"
    if files < _FILES:
        why, remedy = f"a process may open {files} files", f"ulimit -n {min(_FILES, most)} in slurm/site.sh"
        return Finding(LIMITS, told, "warning", why, remedy, figures)
    if cuda and shm < _SHM * per_node:
        why = f"/dev/shm has {shm / 1e6:.0f} MB free, and {per_node} ranks on GPUs may need {_SHM * per_node / 1e6:.0f}"
        remedy = "delete what former jobs left there, or start the container with more (--shm-size)"
        return Finding(LIMITS, told, "warning", why, remedy, figures)
    if cuda and nodes > 1 and locked != resource.RLIM_INFINITY:
        why = f"a process may lock {locked >> 10} kB of memory, and InfiniBand needs much more"
        return Finding(LIMITS, told, "warning", why, "ulimit -l unlimited for Slurm's daemons on the node", figures)
    return Finding(LIMITS, told, figures=figures)


def _address(name: str) -> str:
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return ""
