"""Which reports are good enough to learn from: XrayGPT's published rules and two of ours, each of them an option.

Its authors kept reports with findings and impression, of at least 10 and 2 words (README-DATASET.md of XrayGPT,
arXiv:2306.07971). Words are what stands between spaces. Ours: what an addendum corrects in prose, no rule can mend, and
which of two examinations in one report shows what, none can tell.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cxr_lightning.reports.examinations import holds_several
from cxr_lightning.study import Report


@dataclass(frozen=True)
class Policy:
    """Rules for reports.

    Args:
        both: Leave out reports that lack findings or impression.
        findings_words: Fewest words of findings, where there are any.
        impression_words: Fewest words of an impression, where there is one.
        amended: Keep reports that an addendum corrects in prose; their sections still say what was corrected.
        several: Keep reports of several examinations under one number; their sections are joined.
    """

    both: bool = True
    findings_words: int = 10
    impression_words: int = 2
    amended: bool = False
    several: bool = False

    def __post_init__(self) -> None:
        for name in ("findings_words", "impression_words"):
            if getattr(self, name) < 0:
                raise ValueError(f"--policy.{name} {getattr(self, name)}: must be 0 or more")

    def reason(self, report: Report) -> str:
        """Says why a report is left out.

        Args:
            report: The report, in sections.

        Returns:
            A few words that equal reasons share; the empty string where it is kept.
        """
        findings, impression = report.findings.split(), report.impression.split()
        if self.both and not (findings and impression):
            missing = [name for name, words in (("findings", findings), ("impression", impression)) if not words]
            return f"{' and '.join(missing)} missing"
        if findings and len(findings) < self.findings_words:
            return f"findings shorter than {self.findings_words} words"
        if impression and len(impression) < self.impression_words:
            return f"impression shorter than {self.impression_words} words"
        if report.amended and not self.amended:
            return "amended in an addendum"
        return "several examinations" if not self.several and holds_several(report.text) else ""


LENIENT = Policy(both=False, findings_words=0, impression_words=0, amended=True, several=True)
"""Leaves nothing out: for captions, questions, and tables whose owner chose what is in them."""


@dataclass(frozen=True)
class Rules:
    """What a command line says of a policy, whose source decides the rest.

    Args:
        both: Leave out reports that lack findings or impression.
        findings_words: Fewest words of findings, where there are any.
        impression_words: Fewest words of an impression, where there is one.
        amended: Keep reports that an addendum corrects in prose; their sections still say what was corrected.
        several: Keep reports of several examinations under one number; their sections are joined.
    """

    both: bool | None = None
    findings_words: int | None = None
    impression_words: int | None = None
    amended: bool | None = None
    several: bool | None = None

    def settled(self, reports: bool) -> Policy:
        """Makes the policy.

        Args:
            reports: Whether the source is an archive of reports, to which XrayGPT's rules apply where nothing is said.

        Raises:
            ValueError: A number is below zero.
        """
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return Policy(**said) if said or reports else LENIENT
