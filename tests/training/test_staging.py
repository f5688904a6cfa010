"""A fit from staged shards is the fit from where they lie; an error on one node ends all ranks before any step."""

from __future__ import annotations

import shutil

import pytest

from cxr_lightning.stream.staging import Staging
from tests.training.undisturbed import arguments, assert_same_end, run_whole

pytestmark = pytest.mark.ranks


def test_a_fit_from_staged_shards_is_the_same_to_the_bit(zygote, place, tmp_path):
    whole = run_whole(zygote, place, "where they lie", 2)
    staged = run_whole(zygote, place, "staged", 2, "--data.stage_to", str(tmp_path))
    assert_same_end(place, whole, staged, 2)
    log = (place[0] / "staged.log").read_text()
    assert log.count("Staged ") == 1
    assert str(Staging(str(tmp_path)).folder) in log


def test_a_node_that_cannot_stage_ends_all_ranks(zygote, place, tmp_path):
    root, log = place[0], place[0] / "refused.log"
    file = tmp_path / "file"
    file.write_text("")
    fit = arguments(place, "refused", 2, "--data.stage_to", str(file))
    group = zygote.start(fit, 2, log)
    assert 0 not in zygote.wait(group)
    assert "name a folder on the node's own disk by --data.stage_to" in log.read_text()
    assert not (root / "refused" / "checkpoints").exists()
    shutil.rmtree(root / "refused", ignore_errors=True)
