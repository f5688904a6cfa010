"""A source enters, an ordered list of jobs leaves: every study with its key, hashed patient, split and place.

Jobs stand in the order of their keys, which are hashes: shards are mixed however a table was sorted, and the same
studies give the same tars in whatever order their rows came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cxr_lightning.reports.sources import Flaw, Found
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.preparation import Job
from cxr_lightning.shards.splits import Fractions, Prescribed, assign_splits
from cxr_lightning.study import SPLITS


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be packed.

    Attributes:
        jobs: The studies, split by split, in order.
        flaws: What the source could not make a study of.
    """

    jobs: list[Job]
    flaws: list[Flaw]


def plan(stream: Iterable[Found | Flaw], fractions: Fractions, secret: str) -> Plan:
    """Give every study its key, patient, split and place.

    Args:
        stream: What a source found.
        fractions: Shares of patients where the source prescribes no split.
        secret: Key of the patients' and studies' hashes.

    Raises:
        SplitConflict: The source puts one patient into two splits.
        ValueError: The key cannot be used.
    """
    found: list[Found] = []
    flaws: list[Flaw] = []
    for item in stream:
        if isinstance(item, Flaw):
            flaws.append(item)
        else:
            found.append(item)
    patients = [hashed(item.study.patient_id, "patient", secret) for item in found]
    prescribed = (
        Prescribed(patient, item.study.split, item.where) for patient, item in zip(patients, found, strict=True)
    )
    splits = assign_splits(prescribed, fractions)
    jobs = [
        Job(
            study=item.study,
            where=item.where,
            key=hashed(f"{item.study.source}\n{item.study.study_id}", "study", secret),
            patient=patient,
            split=splits[patient],
        )
        for patient, item in zip(patients, found, strict=True)
    ]
    jobs.sort(key=lambda job: (SPLITS.index(job.split), job.key))
    assert len({job.key for job in jobs}) == len(jobs), "two studies share a key"
    return Plan(jobs, flaws)
