"""The key of the hashes: taken from its file, and where that is not there, how to make it."""

from __future__ import annotations

import pytest

from cxr_lightning.shards.identity import DEFAULT_KEY, secret_of

pytestmark = pytest.mark.quick


def test_a_key_is_the_first_line_of_its_file(tmp_path, caplog):
    file = tmp_path / "key"
    file.write_text("  of mine \nand more\n")
    file.chmod(0o600)
    assert secret_of(DEFAULT_KEY, file) == "of mine"
    assert not caplog.records
    file.chmod(0o644)
    assert secret_of(DEFAULT_KEY, file) == "of mine"
    assert f"chmod 600 {file}" in caplog.text


def test_a_key_that_is_not_there_is_answered_with_how_to_make_it(tmp_path):
    file = tmp_path / "absent"
    making = rf"there is no such file; make one by: openssl rand -hex 24 > {file}; chmod 600 {file}"
    with pytest.raises(ValueError, match=making):
        secret_of(DEFAULT_KEY, file)
    with pytest.raises(ValueError, match="IsADirectory"):
        secret_of(DEFAULT_KEY, tmp_path)


@pytest.mark.parametrize("text", ["", "\n", "  \nsecond", "x" * 65])
def test_a_file_without_a_key_is_refused(tmp_path, text):
    (tmp_path / "key").write_text(text)
    with pytest.raises(ValueError, match="key of 1 to 64 bytes; make one by: openssl"):
        secret_of(DEFAULT_KEY, tmp_path / "key")


def test_two_keys_are_one_too_many(tmp_path):
    (tmp_path / "key").write_text("mine")
    with pytest.raises(ValueError, match="give one of them"):
        secret_of("another", tmp_path / "key")
