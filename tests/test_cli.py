"""The table of verbs: quick to ask, whole, and plain about mistakes."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from cxr_lightning.cli import VERBS, run

pytestmark = pytest.mark.quick

HEAVY = ("torch", "transformers", "lightning", "deepspeed", "peft", "numpy", "PIL", "jsonargparse")


def test_help_imports_nothing_heavy():
    # What makes `cxr --help` take seconds instead of a tenth of one is imports, and those can be counted.
    code = "import sys; from cxr_lightning.cli import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & set(HEAVY)
    assert all(name in done.stdout for name in VERBS)


@pytest.mark.parametrize("name", [name for name in VERBS if name != "fit"])
def test_every_verb_explains_itself(name, capsys):
    verb = VERBS[name]
    function = getattr(importlib.import_module(verb.module), verb.function)
    assert function.__doc__
    with pytest.raises(SystemExit) as stop:
        run([name, "--help"])
    assert stop.value.code == 0
    assert function.__doc__.strip().splitlines()[0] in " ".join(capsys.readouterr().out.split())


def test_a_verb_that_is_none(capsys):
    assert run(["fly"]) == 2
    assert "there is no verb 'fly'" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--help", "pack --help"])
def test_who_reads_a_part_and_leaves_sees_no_error(words):
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m cxr_lightning {words} | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode in (0, 141), "141 is what the shell calls the end by a closed pipe"


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.quick
def test_options_may_be_spelled_with_dashes():
    from cxr_lightning.cli import _underscored

    given = ["x-y", "--max-shard-size", "5-GB", "--out=a-b", "--", "--served-model-name", "a-b"]
    taken = ["x-y", "--max_shard_size", "5-GB", "--out=a-b", "--", "--served-model-name", "a-b"]
    assert _underscored(given) == taken
    assert _underscored([]) == []


@pytest.mark.parametrize(("typed", "meant"), [(["exprot"], "export"), (["export", "run", "--uot", "m"], "--out")])
def test_what_was_nearly_typed_is_named(typed, meant, capsys):
    try:
        status = run(typed)
    except SystemExit as leaving:
        status = leaving.code
    assert status == 2
    assert f"Did you mean {meant}?" in capsys.readouterr().err
