"""`cxr preflight`: everything a training needs is looked at on all its nodes before it begins; a bad node is named."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from cxr_lightning.cluster.preflight import devices, folders
from cxr_lightning.cluster.preflight.asking import Asked, ask
from cxr_lightning.cluster.preflight.finding import told
from cxr_lightning.cluster.preflight.gathering import Gathering
from cxr_lightning.cluster.preflight.meeting import Meeting, NobodyThereError
from cxr_lightning.cluster.preflight.place import Place
from cxr_lightning.cluster.preflight.session import LONG, Session
from cxr_lightning.cluster.preflight.verdict import Verdict
from cxr_lightning.cluster.preflight.voice import Voice
from cxr_lightning.training.fit import quiet

_BYE = 3.0
"""Seconds that rank 0 keeps the store for others to hear the verdict."""


def preflight(args: Sequence[str]) -> None:
    """Look at everything a training needs, on all its nodes, before it begins.

    Args:
        args: Command line after `cxr preflight`: that of a `cxr fit`.
    """
    place, begin = Place.here(), time.monotonic()
    quiet()
    asked = ask(args)
    if asked.why and place.ranks == 1:
        print(f"cxr preflight: {asked.why}", file=sys.stderr)
        _end(asked.code)
    voice = Voice(speaks=place.rank == 0)
    try:
        meeting = Meeting(place, asked.options.wait)
        code = _look(meeting, asked, voice, begin)
    except NobodyThereError as error:
        if place.leads:
            voice.cry(f"cxr preflight: {error}")
        code = 1
    _end(code)


def _look(meeting: Meeting, asked: Asked, voice: Voice, begin: float) -> int:
    """Takes part, and returns the exit status; the same on all ranks."""
    place = meeting.place
    session = Session(meeting, asked, voice)
    writes = place.leads and bool(asked.config)
    with folders.as_it_was(session.run, session.mark) if writes else nullcontext():
        if place.rank == 0:
            verdict = _judge(session, begin)
            verdict.print(Console())
            sys.stdout.flush()
            if asked.options.json is not None:
                verdict.write(Path(asked.options.json))
            code = 0 if verdict.ready else asked.code or 1
            meeting.tell("verdict", code)
        else:
            try:
                session.near(session.take_part())
                session.everyone()
            except Exception as error:  # whatever it is: rank 0 names this node
                meeting.tell(f"crash/{place.rank}", told(error))
            heard = meeting.hear("verdict", 4 * LONG)
            code = 1 if heard is None else int(heard)
    meeting.together("bye", place.ranks if place.rank == 0 else 0, _BYE)
    return code


def _judge(session: Session, begin: float) -> Verdict:
    """Rank 0's part: it looks like all others, gathers what they tell, and judges."""
    meeting, place = session.meeting, session.place
    roll = session.take_part()
    gathering = Gathering(meeting, roll, gpus=devices.wants_gpu(session.accelerator))
    gathering.nodes()
    gathering.decide()
    session.near(roll)
    gathering.near()
    session.everyone()
    gathering.everyone()
    seconds = time.monotonic() - begin
    return Verdict(gathering.findings, roll.missing, place.ranks, seconds, alone=place.launcher == "alone")


def _end(code: int) -> None:
    """Ends the process with a status, also where a check hangs that nothing can interrupt."""
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.name.startswith("preflight-") for thread in threading.enumerate()):
        os._exit(code)
    if code:
        raise SystemExit(code)
