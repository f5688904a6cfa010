"""The report of a phantom: findings go in, sections worded as radiologists word them come out.

Every true finding is stated with its place in FINDINGS, in a sentence that refers to no earlier study: whoever drops
comparisons with priors loses nothing of the truth. Absent findings are denied or not mentioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxr_lightning.phantoms import phrases
from cxr_lightning.phantoms.anatomy import Exposure, Patient
from cxr_lightning.phantoms.catalogue import Finding
from cxr_lightning.study import Report

LUNG_NAMES = frozenset({"pleural_effusion", "pneumothorax", "nodule", "consolidation", "atelectasis"})
"""Findings that forbid to call the lung of their side clear."""
GRADE_WORDS = {"mild": "mildly", "moderate": "moderately", "marked": "markedly"}
LEAST_SENTENCES, MOST_SENTENCES, MOST_CONCLUSIONS = 4, 6, 3


@dataclass(frozen=True)
class _Writer:
    """A radiologist who picks phrases by chance."""

    rng: np.random.Generator

    def pick(self, choices: Sequence[str]) -> str:
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def shuffled(self, sentences: Sequence[str]) -> list[str]:
        return [sentences[i] for i in self.rng.permutation(len(sentences))]


def write_report(
    rng: np.random.Generator,
    patient: Patient,
    exposure: Exposure,
    findings: Sequence[Finding],
    *,
    visit: int = 0,
    lateral: bool = False,
) -> Report:
    """Words a report.

    Args:
        rng: Where the choice of words comes from.
        patient: Age and sex.
        exposure: How the film was taken.
        findings: What is true.
        visit: How many earlier studies of this patient there are.
        lateral: Whether there is a lateral view.

    Returns:
        The report's text and its sections.
    """
    writer = _Writer(rng)
    sections = {
        "indication": _indication(writer, patient),
        "technique": _technique(writer, exposure, lateral),
        "comparison": writer.pick(phrases.COMPARISONS[2:] if visit else phrases.COMPARISONS[:2]),
        "findings": " ".join(_findings(writer, patient, findings, visit)),
        "impression": " ".join(_impression(writer, findings)),
    }
    return Report(
        text=_lay_out(writer, sections),
        indication=sections["indication"],
        technique=sections["technique"],
        comparison=sections["comparison"],
        findings=sections["findings"],
        impression=sections["impression"],
    )


def _indication(writer: _Writer, patient: Patient) -> str:
    text = writer.pick(phrases.INDICATIONS).format(person="woman" if patient.sex == "F" else "man")
    return text[0].upper() + text[1:] + "."


def _technique(writer: _Writer, exposure: Exposure, lateral: bool) -> str:
    if lateral:
        return writer.pick(phrases.TECHNIQUES)
    return writer.pick(phrases.TECHNIQUES_PORTABLE if exposure.portable else phrases.TECHNIQUES_FRONTAL)


def _findings(writer: _Writer, patient: Patient, findings: Sequence[Finding], visit: int) -> list[str]:
    order = writer.rng.permutation(len(findings))
    stated = [_state(writer, findings[i], phrases.STATEMENTS) for i in order]
    wanted = int(writer.rng.integers(max(LEAST_SENTENCES, len(stated) + 1), MOST_SENTENCES + 1))
    extra = _reassurances(writer, patient, findings)[: wanted - len(stated)]
    if visit and writer.chance(0.5) and len(stated) + len(extra) < MOST_SENTENCES:
        extra.append(_prior(writer, findings))
    if writer.chance(0.6):
        return [*stated, *extra]
    return writer.shuffled([*stated, *extra])


def _reassurances(writer: _Writer, patient: Patient, findings: Sequence[Finding]) -> list[str]:
    """What is normal, the most useful first."""
    names = {finding.name for finding in findings}
    absent = writer.shuffled([name for name in phrases.DENIALS if name not in names])
    normal = [_deny(writer, absent[: int(writer.rng.integers(2, 4))])]
    if "cardiomegaly" not in names:
        normal.append(writer.pick(phrases.HEART_NORMAL))
    if not names & (LUNG_NAMES | {"interstitial_oedema"}):
        normal.append(writer.pick(phrases.LUNGS_CLEAR))
    elif "interstitial_oedema" not in names:
        normal += _other_side(writer, findings)
    normal = writer.shuffled(normal)
    bystanders = [*phrases.BYSTANDERS, *(phrases.OLD_AGE if patient.age > 60 else ())]
    return [*normal, *writer.shuffled(bystanders)[:2]]


def _other_side(writer: _Writer, findings: Sequence[Finding]) -> list[str]:
    """Clears the side that has nothing."""
    sides = {finding.side for finding in findings if finding.name in LUNG_NAMES}
    if len(sides) != 1:
        return []
    other = "left" if sides == {"right"} else "right"
    wet = any(finding.name == "pleural_effusion" for finding in findings)
    return [writer.pick(phrases.SIDE_DRY if wet and writer.chance(0.5) else phrases.SIDE_CLEAR).format(side=other)]


def _deny(writer: _Writer, names: Sequence[str]) -> str:
    words = [writer.pick(phrases.DENIALS[name]) for name in names]
    listed = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
    opening = writer.pick(("No {}.", "There is no {}.", "No evidence of {}.", "No definite {}.", "There is no {}."))
    return opening.format(listed)


def _prior(writer: _Writer, findings: Sequence[Finding]) -> str:
    told = [finding for finding in findings if finding.name in phrases.PRIORS_BY_NAME]
    if told and writer.chance(0.5):
        finding = told[int(writer.rng.integers(len(told)))]
        return phrases.PRIORS_BY_NAME[finding.name].format(kind=finding.kind)
    return writer.pick(phrases.PRIORS)


def _impression(writer: _Writer, findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return [writer.pick(phrases.NORMAL_CONCLUSIONS)]
    devices = [finding for finding in findings if finding.name in {"pacemaker", "line"}]
    diseases = [finding for finding in findings if finding not in devices]
    told = [_state(writer, diseases[i], phrases.CONCLUSIONS) for i in writer.rng.permutation(len(diseases))]
    told = told[:MOST_CONCLUSIONS]
    if not diseases:
        told = [writer.pick(phrases.NORMAL_CONCLUSIONS[:2])]
        told += [_state(writer, devices[0], phrases.CONCLUSIONS)] if writer.chance(0.5) else []
    return told


def _state(writer: _Writer, finding: Finding, table: Mapping[str, Sequence[str]]) -> str:
    """Fills one of a finding's phrases."""
    place = finding.place.replace("-", " ")
    words = {
        "side": finding.side,
        "place": place,
        "size": finding.size,
        "cm": f"{finding.centimetres:.1f}",
        "kind": finding.kind,
        "grade": GRADE_WORDS.get(finding.size, ""),
        "blunting": "blunting" if finding.size == "small" else "opacification",
        "apical": "apical " if finding.size == "small" else "",
        "leads": "leads in the right atrium and right ventricle"
        if finding.kind == "dual-lead"
        else "its lead in the right ventricle",
    }
    words |= {key.capitalize(): word[:1].upper() + word[1:] for key, word in words.items()}
    return writer.pick(table[finding.name]).format_map(words)


def _lay_out(writer: _Writer, sections: Mapping[str, str]) -> str:
    """Sets the sections under headings, as one hospital's system or another prints them."""
    gap = writer.pick(("\n\n", "\n"))
    parts = []
    for name, text in sections.items():
        if name in {"technique", "comparison"} and writer.chance(0.25):
            continue
        parts.append(f"{writer.pick(phrases.HEADINGS[name])}: {text}")
    return gap.join(parts)
