"""Samples of others: what is taken for image and text, and what is refused with which reason."""

from __future__ import annotations

import io
import json
from contextlib import suppress

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_lightning.shards.contract import MembersRecord, ShardError
from cxr_lightning.shards.members import MemberError, assemble, field, key_and_suffix, take

from .tables import picture
from .test_tar import tar_of

pytestmark = pytest.mark.quick


def encoded(format: str = "JPEG", image: Image.Image | None = None) -> bytes:
    file = io.BytesIO()
    (image or picture(0)).save(file, format)
    return file.getvalue()


MEMBERS = MembersRecord(image=["jpg", "png"], text="txt")


@given(st.text(st.sampled_from("ab./XÄ "), max_size=12))
def test_names_are_taken_apart_as_webdataset_does(name):
    ours = key_and_suffix(name)
    while name.startswith("./"):
        name = name[2:]
    key, suffix = webdataset.tariterators.base_plus_ext(name)
    hidden = not key or not suffix or key.endswith("/")  # of a hidden file webdataset makes a sample called "folder/"
    assert ours == (None if hidden else (key, suffix.lower()))


@pytest.mark.parametrize(
    ("name", "told"),
    [("txt", "hello"), ("json.caption", "hello"), ("json.a.b", "deep"), ("json.n", "7"), ("meta.json.who", "x")],
)
def test_a_field_is_a_member_or_inside_one(name, told):
    files = {
        "txt": b"\xef\xbb\xbfhello",
        "json": json.dumps({"caption": "hello", "a": {"b": "deep"}, "n": 7}).encode(),
        "meta.json": b'{"who": "x"}',
    }
    assert field(files, name, "text") == told


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"[" * 100_000, "text is no JSON"),
        (b"{", "text is no JSON"),
        (b"[1]", "no text"),
        (b'{"other": 1}', "no text"),
        (b'{"caption": ["a"]}', "text is no text"),
        (b'{"caption": true}', "text is no text"),
        (b'{"caption": "\\ud800"}', "text is no text"),
        (b"\xff\xfe\xfd", "text is no"),
    ],
)
def test_json_that_does_not_say_it_is_refused(content, kind):
    with pytest.raises(MemberError) as caught:
        field({"json": content}, "json.caption", "text")
    assert caught.value.kind.startswith(kind)


@given(st.binary(max_size=300), st.sampled_from(["json", "json.a", "json.a.b"]))
def test_any_bytes_are_a_text_or_a_reason(content, name):
    with suppress(MemberError):
        assert isinstance(field({"json": content}, name, "text"), str)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"txt": b"a"}, "no image"),
        ({"jpg": b""}, "no text"),
        ({"jpg": b"", "txt": b" \n"}, "text empty"),
        ({"jpg": b"", "txt": b"see <image>"}, "text marks images"),
        ({"jpg": b"noise", "txt": b"a"}, "image unusable"),
        ({"jpg": encoded("GIF"), "txt": b"a"}, "image unusable"),
        ({"jpg": encoded("PNG", Image.new("L", (8001, 8000))), "txt": b"a"}, "image unusable"),
    ],
)
def test_samples_that_cannot_be_used_have_a_reason(files, kind):
    with pytest.raises(MemberError) as caught:
        take(files, MEMBERS)
    assert caught.value.kind == kind


def test_a_sample_of_others_is_read_like_one_of_ours():
    block = tar_of([("a/7.cls", b"1"), ("a/7.PNG", encoded("PNG")), ("a/7.txt", b" Clear lungs.\n")])
    sample = assemble(block, "here", members=MEMBERS, key="t/a/7", patient="p", split="test")
    assert (sample.key, list(sample.images)) == ("t/a/7", ["png"])
    assert sample.images["png"] == encoded("PNG")
    record = sample.record
    assert record["summary"] == "Clear lungs."
    assert record["conversation"][0]["content"].startswith("<image>\n")
    assert record["conversation"][1] == {"role": "assistant", "content": "Clear lungs."}
    assert record["views"] == [{"member": "png", "position": "unknown", "width": 48, "height": 40}]
    assert (record["split"], record["patient"], record["labels"]) == ("test", "p", None)


@given(st.binary(max_size=3000))
def test_noise_is_no_sample(block):
    with pytest.raises(ShardError, match=r"^here: "):
        assemble(block, "here", members=MEMBERS, key="k", patient="p", split="train")
