"""A rank with other code or another configuration is named before anything is loaded or written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxr_lightning.training.agreement import Facts, _other_code, _other_configuration, leaves, source
from tests.training.undisturbed import arguments

ONE = Facts("node1", "abc", (("python", "3.11"), ("torch", "2.8")), "1", "none")


@pytest.mark.quick
def test_the_one_that_differs_is_named_and_not_the_many():
    flats = [{"data.seed": "0", "run": "r"}] * 5
    flats[3] = {"data.seed": "1", "run": "r", "model.extra": "2"}
    everyones = [replace(ONE, host=f"node{rank // 2}") for rank in range(5)]
    told = _other_configuration(everyones, flats)
    assert "Rank 3 on node1: --data.seed 1, --model.extra 2." in told
    assert "Rank 0 on node0, as most: --data.seed 0, --model.extra not set." in told
    assert "run" not in told.partition("Remedy")[0].replace("runs", "")


@pytest.mark.quick
def test_of_two_rank_0_is_taken_for_right():
    other = replace(ONE, host="node2", code="def", versions=(("python", "3.11"), ("torch", "2.9")))
    told = _other_code([ONE, other], ["12345", None])
    assert (
        "Rank 1 on node2: commit None, files def, torch 2.9. Rank 0 on node1: commit 12345, files abc, torch 2.8."
        in told
    )


@pytest.mark.quick
def test_options_are_named_as_one_gives_them():
    tree = {"data": {"seed": 0, "shards": ["a", "b"]}, "model": {"init_args": {"lora": {}}}, "run": None}
    assert dict(leaves(tree)) == {
        "data.seed": "0", "data.shards": "['a', 'b']", "model.init_args.lora": "{}", "run": "None"
    }  # fmt: skip
    assert source() == source()


@pytest.mark.ranks
@pytest.mark.parametrize("what", ["configuration", "code"])
def test_a_rank_apart_ends_all_before_anything_is_there(zygote, place, what):
    log = place[0] / f"other {what}.log"
    more = {
        "configuration": {"apart": {"1": ["--model.optim.lr", "0.5"]}},
        "code": {"faults": [["age", {"on": 1}]]},
    }[what]
    assert zygote.wait(zygote.start(arguments(place, f"other {what}", 4), 2, log, **more)) == [1, 1]
    told = log.read_text()
    assert "RanksDisagreeError" in told
    assert {"configuration": "--model.init_args.optim.lr 0.5", "code": "files of-yesterday"}[what] in told
    assert "What learns" not in told  # the model was not loaded
    assert not (place[0] / f"other {what}").exists()
