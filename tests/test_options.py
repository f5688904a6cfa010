"""A mistyped option: a line that says what is wrong and what was meant, and nothing of the parser's own."""

from __future__ import annotations

import pytest

from cxr_lightning.cli import run

PACK = ["pack", "table", "x", "--out", "y"]
pytestmark = pytest.mark.quick


def said(words, capsys):
    with pytest.raises(SystemExit) as leaving:
        run(words)
    assert leaving.value.code == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 2, told
    assert told.splitlines()[1] == f"(cxr {words[0]} --help lists its options.)"
    assert "usage" not in told
    assert "NestedArg" not in told
    return told.splitlines()[0]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--columns.study", "--columns.study_id"),
        ("--columns.reprot", "--columns.report"),
        ("--column.report", "--columns.report"),
        ("--study_id", "--columns.study_id"),
        ("--policy.Findings_words", "--policy.findings_words"),
        ("--findings_words", "--policy.findings_words"),
        ("--split.tran=0.5", "--split.train"),
        ("--over-write", "--overwrite"),
        ("--samples", "--samples_per_shard"),
    ],
)
def test_a_near_name_is_named_within_its_group_too(typed, meant, capsys):
    assert said([*PACK, typed, "5"], capsys).endswith(f"there is no option {_spelt(typed)}. Did you mean {meant}?")


def _spelt(typed):
    return "--" + typed[2:].partition("=")[0].replace("-", "_")


def test_what_is_near_nothing_is_not_guessed_at(capsys):
    assert said([*PACK, "--zebra", "20"], capsys) == "cxr pack: there is no option --zebra."
    assert said([*PACK, "--split.zzz", "1"], capsys).endswith("--split has salt, test, train, validate.")
    told = said(["compare", "a", "b", "--out", "c", "--radeval.zzz", "1"], capsys)
    assert told.endswith("--radeval has python, scores, weights.")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--overwrite", "--overwrite needs a value: true or false"),
        ("--fit", "--fit needs a value: one of keep, pad, crop"),
        ("--size big", "--size big: must be a whole number"),
        ("--fit wide", "--fit wide: must be one of keep, pad, crop"),
        ("--max_bad none", "--max_bad none: must be a number"),
        ("--workers few", "--workers few: must be a whole number, or null"),
        ("--policy.both maybe", "--policy.both maybe: must be true or false, or null"),
        ("--split.train most", "--split.train most: must be a number"),
    ],
)
def test_a_value_that_cannot_be_is_answered_with_what_can(typed, told, capsys):
    assert said([*PACK, *typed.split()], capsys) == f"cxr pack: {told}"


def test_what_lacks_is_named_as_it_is_typed(capsys):
    assert said(["pack", "table"], capsys) == "cxr pack: these are needed: ROOT, --out"
    assert said([*PACK, "z"], capsys) == "cxr pack: unrecognized arguments: z"


def test_a_file_of_options_that_is_not_there_is_named(capsys):
    assert "--config: File does not exist" in said([*PACK, "--config", "nothere.yaml"], capsys)


@pytest.mark.parametrize("verb", ["pack", "reports"])
def test_the_rules_for_reports_are_in_the_help(verb, capsys):
    with pytest.raises(SystemExit):
        run([verb, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"--policy.{rule}" in told for rule in ("both", "findings_words", "impression_words", "amended"))
    assert "(both sections, findings of 10 words, impression of 2, none amended)" in told
