"""Accounting for the test cluster: slurmdbd, and a MariaDB of its own in the cluster's folder.

So that sacct answers as on a cluster of a site, and nothing is tested against a stand-in for it. Debian's slurmdbd and
mariadb-server.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.slurm.cluster import Cluster

_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacctmgr", "sacct")
NAME, SECRET = "slurm_acct_db", "tests"

CONF = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={address}
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/socket
JobAcctGatherType=jobacct_gather/linux
"""

DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={host}
DbdAddr={address}
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage}
StorageUser=slurm
StoragePass={secret}
StorageLoc={name}
"""


def missing(path: str) -> str:
    """Returns what is not installed, or nothing."""
    absent = [program for program in _PROGRAMS if shutil.which(program, path=path) is None]
    return f"no accounting: not installed: {', '.join(absent)} (apt-get install slurmdbd mariadb-server)" * bool(absent)


class Accounting:
    """What records the jobs of a cluster.

    Args:
        folder: The cluster's.
        address: The controller's.
        port: Of slurmdbd.
        storage: Port of its database, which listens on this machine alone.
    """

    def __init__(self, folder: Path, address: str, port: int, storage: int) -> None:
        self.folder, self.address, self.port, self.storage = folder, address, port, storage

    def conf(self) -> str:
        """Returns what slurm.conf says about it."""
        return CONF.format(folder=self.folder, address=self.address, port=self.port)

    def up(self, cluster: Cluster) -> None:
        """Starts both, once munged is there and before slurmctld is."""
        from tests.slurm.cluster import until

        data, place = self.folder / "database", self.folder / "database.socket"
        quiet = ["--skip-test-db", "--auth-root-authentication-method=normal"]
        own = ["--no-defaults", "--user=root", f"--datadir={data}"]
        cluster.call("mariadb-install-db", *own, *quiet, timeout=120)
        small = ["--innodb-buffer-pool-size=32M", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"]
        here = [f"--socket={place}", "--bind-address=127.0.0.1", f"--port={self.storage}"]
        cluster.start("mariadbd", "mariadbd", *own, *here, *small, f"--pid-file={self.folder}/mariadbd.pid")
        ask = ["mariadb", "--no-defaults", "--user=root", f"--socket={place}"]
        until(lambda: _answers(cluster, *ask, "--execute=select 1"), 60, "mariadbd did not start")
        who = [f"slurm@{host}" for host in ("localhost", "127.0.0.1")]
        users = "; ".join(
            f"create user {each} identified by '{SECRET}'; grant all on {NAME}.* to {each}" for each in who
        )
        cluster.call(*ask, f"--execute=create database {NAME}; {users}")
        conf = self.folder / "slurmdbd.conf"
        conf.touch(0o600)
        told = {"folder": self.folder, "address": self.address, "port": self.port, "storage": self.storage}
        host = socket.gethostname().split(".")[0]
        conf.write_text(DAEMON.format(host=host, secret=SECRET, name=NAME, **told))
        cluster.start("slurmdbd", "slurmdbd", "-D")
        until(lambda: _answers(cluster, "sacctmgr", "--noheader", "show", "cluster"), 60, "slurmdbd did not start")
        cluster.call("sacctmgr", "--immediate", "add", "cluster", "tests")


def _answers(cluster: Cluster, *command: str) -> bool:
    with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
        cluster.call(*command, timeout=10)
        return True
    return False
