"""What a signal does before there is anything to save, and in a process that was forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cxr_lightning.training.signals import WISHES, Listener

pytestmark = pytest.mark.quick

WAITS = """
import sys, time
from cxr_lightning.training.signals import listener
listener.listen()
print("listening", flush=True)
time.sleep({seconds})
print(listener.wishes(), flush=True)
"""


@pytest.fixture
def hears():
    """A listener, and the handlers of before put back."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    made = Listener()
    made.training = True
    made.listen()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def told(number: int, seconds: float, **environment: str) -> tuple[int, str]:
    """Sends a signal to a process that listens and has not begun to train."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS.format(seconds=seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**ours, **environment},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    process.send_signal(number)
    rest = process.stdout.read()
    return process.wait(30), rest


def test_before_training_a_process_of_its_own_ends_at_once():
    assert told(signal.SIGTERM, 30) == (143, "")
    assert told(signal.SIGINT, 30)[0] == -signal.SIGINT


def test_before_training_a_job_remembers_until_it_can_save():
    status, heard = told(signal.SIGTERM, 0.3, SLURM_JOB_ID="17")
    assert (status, heard) == (0, "[0.0, 1.0, 0.0, 0.0]\n")
    assert told(signal.SIGUSR2, 0.3) == (0, "[1.0, 0.0, 0.0, 0.0]\n")


def test_while_training_signals_are_wishes(hears):
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)
    assert dict(zip(WISHES, hears.wishes(), strict=True)) == {
        "requeue": 1.0, "terminate": 1.0, "interrupt": 0.0, "limit": 0.0,
    }  # fmt: skip


def test_a_second_interrupt_does_not_wait(hears):
    os.kill(os.getpid(), signal.SIGINT)
    assert hears.heard["interrupt"] == 1
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_forked_worker_hears_nothing(hears):
    child = os.fork()
    if child == 0:
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        os._exit(0 if not hears.heard else 1)
    assert os.waitpid(child, 0)[1] == 0
