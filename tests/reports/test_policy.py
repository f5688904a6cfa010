"""The policy keeps what XrayGPT's rules keep, says why not in words that can be counted, and each rule is an option."""

from __future__ import annotations

from dataclasses import fields

import pytest

from cxr_lightning.reports.policy import LENIENT, Policy, Rules
from cxr_lightning.study import Report

pytestmark = pytest.mark.quick
TEN = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("findings", "impression", "reason"),
    [
        (TEN, "Normal chest.", ""),
        (TEN[:-4], "Normal chest.", "findings shorter than 10 words"),
        (TEN, "Normal.", "impression shorter than 2 words"),
        ("", "Normal chest.", "findings missing"),
        (TEN, " ", "impression missing"),
        ("", "", "findings and impression missing"),
    ],
)
def test_the_published_rules(findings, impression, reason):
    assert Policy().reason(Report(findings=findings, impression=impression)) == reason


def test_each_rule_is_an_option():
    short = Report(findings="Clear lungs.", impression="Normal.")
    assert Policy(findings_words=2).reason(short) == "impression shorter than 2 words"
    assert Policy(findings_words=2, impression_words=1).reason(short) == ""
    assert Policy(both=False).reason(Report(findings=TEN)) == ""
    assert LENIENT.reason(Report(findings="Clear.")) == ""


def test_what_an_addendum_corrects_in_prose_is_left_out_unless_it_is_asked_for():
    report = Report(findings=TEN, impression="Normal chest.", amended=True)
    assert Policy().reason(report) == "amended in an addendum"
    assert Policy(amended=True).reason(report) == ""
    assert LENIENT.reason(report) == ""


def test_a_rule_below_nothing_is_refused():
    with pytest.raises(ValueError, match="findings_words -1"):
        Policy(findings_words=-1)


def test_every_rule_is_an_option():
    assert [field.name for field in fields(Rules)] == [field.name for field in fields(Policy)]
    assert all(field.default is None for field in fields(Rules))


def test_where_nothing_is_said_the_source_decides_and_else_the_rest_is_xraygpts():
    assert Rules().settled(reports=True) == Policy()
    assert Rules().settled(reports=False) == LENIENT
    for reports in (True, False):
        assert Rules(findings_words=10).settled(reports) == Policy(), "said, though it is what XrayGPT says too"
        assert Rules(both=False, amended=True).settled(reports) == Policy(both=False, amended=True)
    with pytest.raises(ValueError, match=r"--policy.impression_words -1"):
        Rules(impression_words=-1).settled(reports=True)
