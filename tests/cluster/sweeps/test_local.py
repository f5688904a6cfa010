"""A sweep on this machine: at most so many at once, none sunk by another, and a start again goes on."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
import yaml

from cxr_lightning.cli import run as cli
from cxr_lightning.cluster.sweeps.folder import SweepBusyError, SweepFolder
from cxr_lightning.cluster.sweeps.space import Trial
from cxr_lightning.cluster.sweeps.standing import look
from cxr_lightning.cluster.sweeps.sweep import SweepError
from cxr_lightning.cluster.sweeps.verb import sweep
from cxr_lightning.durable import json_lines
from tests.cluster.sweeps.conftest import LR
from tests.commands import parse_fit


def at_once(folder) -> int:
    """The most trials that ran at the same time, by what their jobs wrote down."""
    events = [event for file in folder.glob("jobs/*/rank-0.jsonl") for event in json_lines(file)]
    most = now = 0
    for event in sorted(events, key=lambda event: event["at"]):
        now += 1 if event["event"] == "began" else -1
        most = max(most, now)
    return most


def report(folder) -> dict:
    return json.loads((folder / "report.json").read_text())


def states(folder) -> dict[str, str]:
    return {each["name"]: each["state"] for each in report(folder)["trials"]}


def test_a_failed_trial_is_named_and_the_others_finish(begun, monkeypatch, capsys):
    monkeypatch.setenv("PRETEND_SECONDS", "0.02")
    begun.write(parameters={LR: {"grid": [1e-3, -1.0, 13.0, 2.0, 1e-2]}})
    begun.run()
    assert states(begun.folder) == {
        "lr=0.001": "done", "lr=0.01": "done", "lr=2": "done", "lr=-1": "failed", "lr=13": "failed",
    }  # fmt: skip
    assert at_once(begun.folder) == 2
    told = report(begun.folder)
    assert told["trials"][0]["name"] == told["best"] == "lr=0.001"
    reasons = {each["name"]: each["reason"] for each in told["trials"]}
    assert reasons["lr=-1"] == "exit code 1: ValueError: Invalid learning rate: -1.0"
    assert reasons["lr=13"].startswith("SIGKILL, perhaps for memory")
    printed = " ".join(capsys.readouterr().out.split())
    assert "lr=-1 failed: exit code 1: ValueError: Invalid learning rate: -1.0" in printed
    assert "Best: lr=0.001" in printed
    best = begun.folder / "best.yaml"
    command = best.read_text().splitlines()[2].strip("# ")
    assert command.startswith(f"cxr fit --config {best} --run ")
    assert parse_fit(command.split()[2:]).model.init_args.optim.lr == 1e-3
    assert (begun.folder / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert oct((begun.folder / "jobs" / "submitit").stat().st_mode)[-3:] == "700"


def test_the_same_command_repeats_nothing_and_retries_only_when_asked(begun, capsys):
    begun.write(parameters={LR: {"grid": [1e-3, -1.0]}})
    begun.run()
    once = begun.starts()
    begun.run()
    assert begun.starts() == once
    begun.run("--retry_failed")
    assert begun.starts() == {"lr=0.001": 1, "lr=-1": 2}
    begun.write(parameters={LR: {"grid": [1e-3, 1e-2]}})
    begun.run()
    assert begun.starts() == {"lr=0.001": 1, "lr=-1": 2, "lr=0.01": 1}, "a sweep that is made larger goes on"
    assert states(begun.folder) == {"lr=0.001": "done", "lr=0.01": "done"}
    for what in ("status", "report"):
        capsys.readouterr()
        assert cli(["sweep", what, str(begun.folder)]) == 0
        assert "2 done" in capsys.readouterr().out


def test_a_killed_sweep_takes_over_what_runs(begun, monkeypatch):
    monkeypatch.setenv("PRETEND_SECONDS", "0.1")
    process = os.fork()
    if process == 0:
        begun.run()
        os._exit(0)
    logs = [begun.folder / "jobs" / name / "rank-0.log" for name in ("lr=0.0001", "lr=0.001")]
    end = time.monotonic() + 60
    while not all(log.exists() and "first step" in log.read_text() for log in logs):
        assert time.monotonic() < end
        time.sleep(0.05)
    with pytest.raises(SweepBusyError, match=f"process {process}"):
        begun.run()
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    begun.run()
    assert set(states(begun.folder).values()) == {"done"}
    assert begun.starts() == {"lr=0.0001": 1, "lr=0.001": 1, "lr=0.01": 1}
    assert at_once(begun.folder) == 2


def test_a_sweep_that_was_killed_while_it_submitted_starts_no_trial_twice(begun, monkeypatch):
    """It had written down what it meant to submit, not yet which job that became; the job says itself whose it is."""
    monkeypatch.setenv("PRETEND_SECONDS", "0.1")
    begun.write(parameters={LR: {"grid": [1e-3]}})
    begun.run("--wait", "false")
    name = "lr=0.001"
    file = begun.folder / "jobs" / name / "submitted.jsonl"
    intended = [line for line in json_lines(file) if "until" in line]
    file.write_text("".join(json.dumps(line) + "\n" for line in intended))  # the job's number was not written any more
    events = begun.folder / "jobs" / name / "rank-0.jsonl"
    while not events.exists():
        time.sleep(0.02)
    begun.run()
    assert states(begun.folder)[name] == "done"
    told = [event["event"] for event in json_lines(begun.folder / "jobs" / name / "rank-0.jsonl")]
    assert told.count("began") == 1
    assert len([line for line in json_lines(file) if "until" in line]) == 1


def test_ctrl_c_ends_the_trials_with_a_checkpoint_and_they_go_on(begun, monkeypatch):
    monkeypatch.setenv("PRETEND_SECONDS", "0.4")
    begun.write(parallel=3)
    process = os.fork()
    if process == 0:
        os._exit(cli(["sweep", str(begun.file), "--poll", "0.1"]))
    end = time.monotonic() + 60
    while len(list(begun.folder.glob("lr=*/checkpoints/step-0000003"))) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(process, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    folder, trials = SweepFolder(begun.folder), [Trial(name, {}) for name in ("lr=0.0001", "lr=0.001", "lr=0.01")]
    while any(each.live for each in look(folder, trials)):
        time.sleep(0.05)
    stopped = look(folder, trials)
    assert [each.state for each in stopped] == ["cancelled"] * 3
    monkeypatch.delenv("PRETEND_SECONDS")
    begun.run()
    assert set(states(begun.folder).values()) == {"done"}
    for each in stopped:
        assert begun.said(each.name).count("first step 0\n") == 1
        assert f"first step {each.step}\n" in begun.said(each.name)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_halving_sends_the_best_on_from_their_own_checkpoints(begun, asynchronous):
    begun.write(
        parameters={LR: {"grid": [1e-6, 1e-4, 1e-3, 5.0]}},
        halving={"first": 4, "factor": 2, "asynchronous": asynchronous},
        parallel=1 if asynchronous else 3,  # without waiting, who arrives first goes on: one at a time it is settled
    )
    begun.run()
    told = report(begun.folder)
    assert told["best"] == "lr=0.001"
    assert states(begun.folder) == {
        "lr=0.001": "done", "lr=0.0001": "stopped", "lr=1e-6": "stopped", "lr=5": "stopped",
    }  # fmt: skip
    assert at_once(begun.folder) <= 3
    reached = {each["name"]: each["step"] for each in told["trials"]}
    assert reached["lr=5"] == 4, "a loss that is no number goes nowhere"
    if not asynchronous:
        assert reached == {"lr=0.001": 18, "lr=0.0001": 8, "lr=1e-6": 4, "lr=5": 4}
        firsts = [line for line in begun.said("lr=0.001").splitlines() if line.startswith("first step")]
        assert firsts == ["first step 0", "first step 4", "first step 8"]
    before = begun.starts()
    begun.run()
    assert begun.starts() == before
    begun.write(halving={"first": 5})
    with pytest.raises(SweepError, match="other settings of halving"):
        begun.run()


def test_what_cxr_fit_would_refuse_is_refused_before_anything_is_submitted(begun, tmp_path, capsys):
    begun.write(parameters={"model.init_args.optim.lrr": {"grid": [1e-3]}})
    assert cli(["sweep", str(begun.file)]) == 1
    assert "--optim.lrr" in capsys.readouterr().err
    begun.write(parameters={LR: {"grid": [1e-3]}})
    for option, said in [
        (["--data.shards", str(tmp_path)], "index.json"),
        (["--data.micro_batch", "3"], "multiple of"),
        (["--data.shard", "x"], "unrecognized arguments: --data.shard"),
        (["--data.validate_samples", "0"], "validation loss"),
    ]:
        assert cli(["sweep", str(begun.file), *option]) == 1
        assert said in capsys.readouterr().err
    begun.write(halving={"first": 500})
    assert cli(["sweep", str(begun.file)]) == 1
    assert "none would be stopped" in capsys.readouterr().err
    assert not begun.folder.exists()


def test_a_dry_run_prints_the_trials_and_does_nothing(begun, capsys):
    begun.run("--dry_run")
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("lr=0.0001", "lr=0.001", "lr=0.01", "3 trials, 2 at once"))
    assert not begun.folder.exists()


def test_other_settings_do_not_go_into_the_same_sweep(begun):
    begun.write(parameters={LR: {"grid": [1e-2]}})
    begun.run()
    kept = yaml.safe_load((begun.folder / "jobs" / "lr=0.01" / "config.yaml").read_text())
    assert (kept["model"]["init_args"]["optim"]["lr"], kept["data"]["global_batch"]) == (0.01, 8), "as it was checked"
    with pytest.raises(SweepError, match=r"data.max_tokens was 1024, now 512"):
        begun.run("--data.max_tokens", "512")
    begun.write(jobs={"executor": "local", "tasks_per_node": 2})  # what changes no result may change
    begun.run()
    assert set(begun.starts().values()) == {1}


def test_a_sweep_none_of_whose_trials_finishes_ends_with_an_error(begun, capsys):
    begun.write(parameters={LR: {"grid": [-2.0]}})
    assert cli(["sweep", str(begun.file), "--poll", "0.1"]) == 1
    told = capsys.readouterr()
    assert "no trial came to its end" in told.err
    assert "Invalid learning rate: -2.0" in told.out


def test_no_sweep_to_look_at(tmp_path, capsys):
    assert cli(["sweep", "status", str(tmp_path)]) == 1
    assert "holds no sweep" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        sweep(["status"])
