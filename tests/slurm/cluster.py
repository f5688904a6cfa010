"""A real Slurm cluster on this machine: munged, slurmctld, and one slurmd a node, each node in a network of its own.

    python -m tests.slurm.cluster -- bash          # a shell with a two-node cluster; it is gone when the shell ends

Every node has its own network namespace, host name, /etc/hosts and /dev/shm, so a rendezvous on "localhost" instead of
the master's name fails here as on a real cluster. GPUs are pretended (links to /dev/null): Slurm counts them, jobs must
not use them. Nothing is written outside the cluster's folder; needs root and Debian's slurm-wlm, munge, iproute2.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.slurm.accounting import Accounting

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Daemons live where an ordinary user's PATH does not look."""

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "ip", "unshare")

# CgroupPlugin=disabled is unknown before Slurm 23.11: name v1 and give it an empty folder that nothing uses.
CGROUP = """\
CgroupPlugin=cgroup/v1
CgroupAutomount=no
CgroupMountpoint={folder}/cgroup
"""

# cred_expire holds back a requeued job, by default (and below 5) for two minutes; KillWait likewise delays every
# scancel, and SlurmdTimeout the news that a node is lost.
CONF = """\
ClusterName=tests
SlurmctldHost={host}({address})
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
ReturnToService=2
KillWait=5
SlurmdTimeout=10
MinJobAge=3600
JobRequeue=1
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=2
PlugStackConfig=/dev/null
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
"""

# Jobs of `high` send those of `low` away, who get their signal, then the grace time, and are requeued.
PARTITIONS = """\
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=5 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""

NODE = "NodeName={name} NodeHostname={name} NodeAddr={address} Port={port} CPUs=8 RealMemory=16000 Gres=gpu:{gpus}"

# A slurmd's own world; the daemon keeps it for as long as it lives.
BOOT = """\
hostname "$1" && mount --bind "$2/hosts" /etc/hosts && mount -t tmpfs -o mode=1777 tmpfs /dev/shm || exit 1
exec slurmd -D -N "$1" -f "$2/slurm.conf"
"""


def missing() -> str:
    """Returns why no cluster can be had here, or nothing."""
    absent = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (apt-get install slurm-wlm munge iproute2 util-linux)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = subprocess.run(["ip", "netns", "add", f"probe{os.getpid()}"], capture_output=True)
    if probe.returncode:
        return "this machine allows no network namespaces"
    subprocess.run(["ip", "netns", "del", f"probe{os.getpid()}"], check=True)
    return ""


@dataclass
class Cluster:
    """A running cluster; make one with `cluster`.

    Attributes:
        folder: Configuration, logs and state.
        nodes: Number of nodes, named node1, node2 ...
        gpus: Pretended GPUs of each node.
        accounting: Whether slurmdbd records its jobs.
    """

    folder: Path
    nodes: int = 2
    gpus: int = 8
    accounting: bool = False
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"cxr{os.getpid()}{'a' * self.accounting}"  # beside one without it, in one test session
        self.subnet = _free_subnet()
        self.names = [f"node{number}" for number in range(1, self.nodes + 1)]
        self._records: Accounting | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment in which sbatch, srun and their kin speak to this cluster."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        return {**ours, "PATH": PATH, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *command: str | Path, timeout: float = 30, check: bool = True) -> str:
        """Runs a command of Slurm's and returns what it printed."""
        words = [str(word) for word in command]
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """Returns what the controller knows about a job (JobState, NodeList, ExitCode ...)."""
        words = self.call("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def state(self, node: str) -> str:
        """Returns what the controller knows about a node (idle, allocated, down ...)."""
        return self.call("sinfo", "--noheader", "--partition=main", f"--nodes={node}", "--format=%T")

    def wait(self, number: str, timeout: float) -> dict[str, str]:
        """Waits for a job's end, whatever it is, and returns what is known about it."""
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}
        until(lambda: self.job(number)["JobState"] in over, timeout, f"job {number} did not end")
        return self.job(number)

    def up(self) -> None:
        """Starts everything and waits until every node is idle."""
        for name in ("munge", "state", "spool", "cgroup", "gpu", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munged refuses a socket under folders that others may write or nobody may enter
        self._configure()
        self._connect()
        key = self.folder / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        files = [f"--{name}={self.folder}/munge/{name}" for name in ("socket", "pid-file", "log-file", "seed-file")]
        self.start("munged", "munged", "--foreground", "--force", f"--key-file={key}", *files)
        until((self.folder / "munge" / "socket").exists, 10, "munged did not start")
        if self._records is not None:
            self._records.up(self)
        self.start("slurmctld", "slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        for name in self.names:
            self.boot(name)
        until(self._idle, 40, "the nodes did not come up")

    def boot(self, name: str) -> None:
        """Starts a node, or starts it again after it was lost."""
        (self.folder / "spool" / name).mkdir(exist_ok=True)
        own = ["ip", "netns", "exec", self._netns(name), "unshare", "--uts", "--mount", "--propagation", "slave"]
        self.start(name, *own, "sh", "-c", BOOT, "sh", name, str(self.folder))

    def lose(self, name: str) -> None:
        """Ends everything on a node at once, its slurmd first, as a power cut would."""
        for pid in sorted(self.processes(name)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self, name: str, *words: str) -> list[int]:
        """Returns the processes of a node whose command line has all of some words."""
        told = subprocess.run(["ip", "netns", "pids", self._netns(name)], capture_output=True, text=True).stdout
        found = []
        for pid in map(int, told.split()):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                if all(any(word in each for each in line) for word in words):
                    found.append(pid)
        return found

    def down(self) -> None:
        """Cancels what runs, stops everything that was started here, and takes the networks away."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            self.call("scancel", "--user=root", timeout=5)
            until(lambda: not self.call("squeue", "--noheader", timeout=5), 15, "jobs are left")
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(5)
            daemon.kill()
            daemon.wait()
        for name in self.names:  # slurmstepd outlives slurmd by design; whoever lives in our namespace is ours
            self.lose(name)
            subprocess.run(["ip", "netns", "del", self._netns(name)], capture_output=True)
        subprocess.run(["ip", "link", "del", self.name], capture_output=True)

    def _configure(self) -> None:
        address, port = f"{self.subnet}.1", _free_port()
        places = {name: f"{self.subnet}.{10 + number}" for number, name in enumerate(self.names)}
        lines = [NODE.format(name=n, address=a, port=port + 1, gpus=self.gpus) for n, a in places.items()]
        host = socket.gethostname().split(".")[0]
        self._records = Accounting(self.folder, address, _free_port(), _free_port()) if self.accounting else None
        records = "" if self._records is None else self._records.conf()
        conf = CONF.format(host=host, address=address, port=port, folder=self.folder) + records
        self._write("slurm.conf", conf + "\n".join(lines) + "\n" + PARTITIONS)
        self._write("cgroup.conf", CGROUP.format(folder=self.folder))
        for number in range(self.gpus):  # Slurm 22.05 ignores GPUs that are no character device each
            (self.folder / "gpu" / str(number)).symlink_to("/dev/null")
        gpus = f"NodeName={','.join(self.names)} Name=gpu File={self.folder}/gpu/[0-{self.gpus - 1}]"
        self._write("gres.conf", f"AutoDetect=off\n{gpus}\n")
        hosts = {"localhost": "127.0.0.1", host: address, **places}
        self._write("hosts", "".join(f"{address} {name}\n" for name, address in hosts.items()))

    def _connect(self) -> None:
        """Joins the nodes' networks by a bridge, on which the controller has an address too."""
        _ip(f"link add {self.name} type bridge")
        _ip(f"addr add {self.subnet}.1/24 dev {self.name}")
        _ip(f"link set {self.name} up")
        for number, name in enumerate(self.names):
            netns, cable = self._netns(name), f"{self.name}v{number}"
            _ip(f"netns add {netns}")
            _ip(f"link add {cable} type veth peer name eth0 netns {netns}")
            _ip(f"link set {cable} master {self.name} up")
            _ip(f"-n {netns} addr add {self.subnet}.{10 + number}/24 dev eth0")
            _ip(f"-n {netns} link set eth0 up")
            _ip(f"-n {netns} link set lo up")

    def start(self, name: str, *command: str) -> None:
        """Starts a daemon that ends with the cluster."""
        with (self.folder / "log" / name).open("wb") as log:
            daemon = subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.daemons.append(daemon)

    def _idle(self) -> bool:
        dead = [" ".join(map(str, daemon.args)) for daemon in self.daemons if daemon.poll() is not None]
        if dead:
            raise RuntimeError(f"ended at once: {dead[0]}\n{self.logs()}")
        states = self.call("sinfo", "--noheader", "--partition=main", "--Node", "--format=%T", check=False).split()
        return states == ["idle"] * self.nodes

    def logs(self) -> str:
        """Returns the last lines of every daemon's log."""
        tails = [(path.name, path.read_text().splitlines()[-8:]) for path in sorted((self.folder / "log").iterdir())]
        return "\n".join(f"{name}: {line}" for name, lines in tails for line in lines)

    def _netns(self, name: str) -> str:
        return f"{self.name}-{name}"

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


@contextlib.contextmanager
def cluster(folder: Path, nodes: int = 2, gpus: int = 8, *, accounting: bool = False) -> Iterator[Cluster]:
    """Runs a cluster for as long as the context is open."""
    made = Cluster(folder, nodes, gpus, accounting)
    try:
        try:
            made.up()
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{made.logs()}") from error
        yield made
    finally:
        made.down()


def until(ready: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Waits for something to come true."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError(f"{otherwise} within {seconds:g} s")
        time.sleep(0.1)


def _ip(words: str) -> None:
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {words}: {done.stderr}")


def _free_subnet() -> str:
    taken = subprocess.run(["ip", "-4", "-oneline", "addr"], capture_output=True, text=True).stdout
    return next(net for number in range(250) if f" {(net := f'10.213.{(os.getpid() + number) % 250}')}." not in taken)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def main(command: list[str]) -> int:
    """Runs a command with a cluster around it."""
    if why := missing():
        sys.exit(f"no cluster here: {why}")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, cluster(Path(folder)) as made:
        return subprocess.run(command or ["bash"], env=made.env).returncode


if __name__ == "__main__":
    sys.exit(main([word for word in sys.argv[1:] if word != "--"]))
