"""`cxr inspect`: exit statuses, options, sets of others, URLs, and what leaves for machines."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.cli import run
from cxr_lightning.shards import telling
from cxr_lightning.shards.indexing import index
from cxr_lightning.shards.inspection.checks import CHECKS
from tests.shards.inspection.planting import Set, bomb, png
from tests.shards.inspection.test_planted import a_name, cut_jpeg, found, no_text, one_word
from tests.shards.test_indexing import Members, write
from tests.shards.web import web

pytestmark = pytest.mark.quick


def inspect(*words: object) -> int:
    return run(["inspect", *map(str, words), "--workers", "1"])


def test_a_good_set_ends_with_0_and_a_page(good, tmp_path, capfd):
    folder = good.write(tmp_path / "set")
    assert inspect(folder) == 0
    assert (tmp_path / "set.inspection" / "index.html").stat().st_mode & 0o777 == 0o600
    told = capfd.readouterr().err
    assert "60 samples (51 train" in told
    assert "right: index, rows, shards" in told
    assert "set.inspection/index.html" in told.replace("\n", "")


def test_a_tar_where_a_folder_belongs_is_answered_with_its_folder(good, tmp_path, capfd):
    folder = good.write(tmp_path / "set")
    tar = next(folder.glob("*.tar"))
    assert inspect(tar) == 3
    assert f"{tar}: is a file; give the folder that holds it, {folder}" in capfd.readouterr().err


def test_a_folder_that_is_not_there_is_told_from_one_that_is_empty(tmp_path, capfd):
    assert inspect(tmp_path / "absent") == 3
    assert "no folder of this name" in capfd.readouterr().err
    (tmp_path / "empty").mkdir()
    assert inspect(tmp_path / "empty") == 3
    assert "there is no tar in this folder" in capfd.readouterr().err


def test_a_bad_set_ends_with_1_and_the_list(planted: Set, tmp_path, capfd):
    one, two = planted.of("train")[2], planted.of("train")[5]
    cut_jpeg(one)
    no_text(two)
    assert inspect(planted.write(tmp_path / "set"), "--page", "false") == 1
    told = capfd.readouterr().err
    assert "3 things are wrong" in told  # its answer is empty too
    assert f"decode: train-000000.tar, sample {one.key}" in told
    assert f"text: train-000000.tar, sample {two.key}" in told
    assert not (tmp_path / "set.inspection").exists()


def test_a_list_too_long_for_a_terminal_is_counted(planted: Set, tmp_path, capfd):
    for sample in planted.samples[:30]:
        no_text(sample)
    assert inspect(planted.write(tmp_path / "set"), "--page", "false") == 1
    assert "\n  and 40 more\nRemedy:" in capfd.readouterr().err  # an empty summary, and an empty answer each


def test_warnings_fail_only_where_asked(planted: Set, tmp_path, capfd):
    sample = planted.of("train")[2]
    one_word(sample)
    folder = planted.write(tmp_path / "set")
    assert inspect(folder, "--page", "false") == 0
    assert sample.key in capfd.readouterr().err
    assert inspect(folder, "--page", "false", "--strict", "true") == 1


def test_a_check_may_be_told_and_not_fail(planted: Set, tmp_path, inspected):
    sample = planted.of("train")[2]
    a_name(sample)
    folder = planted.write(tmp_path / "set")
    assert not inspected(folder)["good"]
    result = inspected(folder, warn="identifiers, duplicates")
    assert result["good"]
    assert found(result, "warning") == {("identifiers", "train-000000.tar", sample.key)}
    assert {each["name"]: each["warnings"] for each in result["checks"]}["identifiers"] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--warn", "identifier"], "no such check"),
        (["--workers", "0"], "at least 1"),
        (["--sample", "0"], "1 or more"),
        (["--films", "-1"], "0 or more"),
    ],
)
def test_options_that_cannot_be_are_refused(words, told, shards, capfd):
    assert run(["inspect", str(shards), "--page", "false", *words]) == 3
    assert told in capfd.readouterr().err


def test_a_folder_without_shards_is_refused_and_leaves_no_page(tmp_path, capfd):
    (tmp_path / "set").mkdir()
    assert inspect(tmp_path / "set", "--json", tmp_path / "new" / "found.json") == 3
    assert "no tar" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("option", ["--out", "--json"])
@pytest.mark.parametrize("place", ["file/page", "proc"])
def test_where_it_cannot_write_is_told_before_the_work(option, place, good, tmp_path, capfd):
    folder = good.write(tmp_path / "set")
    (tmp_path / "file").touch()
    where = "/proc/none/page" if place == "proc" else tmp_path / place
    where = f"{where}/found.json" if option == "--json" else where
    page = ("--page", "false") if option == "--json" else ()
    assert inspect(folder, *page, option, where) == 3
    told = capfd.readouterr().err
    assert "cannot be written to (" in told
    assert f"Remedy: name another {'file by --json' if option == '--json' else 'folder by --out'}" in told
    assert "samples/s" not in told


def test_the_set_in_a_folder_that_is_read_only_needs_another_place(good, tmp_path, capfd, monkeypatch):
    folder = good.write(tmp_path / "set")
    (tmp_path / "set.inspection").touch()  # as good as read-only, for root too
    assert inspect(folder) == 3
    assert "--page false" in capfd.readouterr().err
    assert inspect(folder, "--out", tmp_path / "page", "--json", tmp_path / "a" / "b" / "found.json") == 0
    assert json.loads((tmp_path / "a" / "b" / "found.json").read_text())["good"]


def test_a_folder_is_no_file_for_machines(shards, tmp_path, capfd):
    assert inspect(shards, "--page", "false", "--json", tmp_path) == 3
    assert "that is a folder" in capfd.readouterr().err


def test_what_is_wrong_is_told_even_if_the_page_cannot_be_written_at_the_end(planted: Set, tmp_path, capfd):
    (tmp_path / "page" / "index.html").mkdir(parents=True)
    good = planted.write(tmp_path / "good")
    assert inspect(good, "--out", tmp_path / "page") == 3
    assert "nothing is wrong with the shards, but" in capfd.readouterr().err
    no_text(planted.of("train")[5])
    assert inspect(planted.write(tmp_path / "bad"), "--out", tmp_path / "page") == 1
    told = capfd.readouterr().err
    assert "not written:" in told
    assert planted.of("train")[5].key in told


def test_a_pipe_takes_the_list_and_stays_a_pipe(shards, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(pipe.read_text)
        assert inspect(shards, "--page", "false", "--json", pipe) == 0
        assert json.loads(text.result())["good"]
    assert pipe.is_fifo()


def test_in_a_log_it_says_how_far_it_has_come(good, tmp_path, capfd, monkeypatch):
    folder = good.write(tmp_path / "set")
    monkeypatch.setattr(telling, "_LINE_EVERY_S", 0.0)
    assert inspect(folder, "--page", "false") == 0
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("inspecting: ")]
    assert len(lines) == len(list(folder.glob("*.tar")))
    assert all(re.fullmatch(r"inspecting: [\d.]+ kB of [\d.]+ kB, \d+ min left, [\d.]+ \wB/s", line) for line in lines)


def test_json_goes_to_standard_output(shards, capfd):
    assert inspect(shards, "--page", "false", "--json", "-") == 0
    result = json.loads(capfd.readouterr().out)
    assert result["schema"] == 1
    assert result["good"]
    assert [each["name"] for each in result["checks"]] == list(CHECKS)
    fields = "schema created_by good errors warnings set looked checks wrong wrong_not_listed held"
    assert list(result) == fields.split()


def test_docs_name_every_check_and_every_field(shards, inspected):
    page = (Path(__file__).parents[3] / "docs" / "inspect.md").read_text()
    result = inspected(shards)
    for name in (*CHECKS, *(result.keys() - {"raised"}), *result["looked"], *result["set"], *result["held"]):
        assert f"`{name}`" in page, name


def test_without_decoding_only_headers_are_read(planted: Set, tmp_path, inspected):
    cut_jpeg(planted.of("train")[2])
    planted.of("train")[3].images["jpg"] = bomb(60_000)
    result = inspected(planted.write(tmp_path / "set"), decode=False)
    assert {each["check"] for each in result["wrong"]} == {"images"}
    assert unlooked(result) == ["decode", "duplicates"]


def test_a_few_samples_are_the_same_ones_each_time(good, tmp_path, inspected):
    folder = good.write(tmp_path / "set")
    one, two = (inspected(folder, sample=7) for _ in range(2))
    assert one["looked"]["samples"] == 7
    assert one["looked"]["sampled"]
    assert one["looked"]["bytes"] < sum(path.stat().st_size for path in folder.glob("*.tar")) / 2
    assert one["held"] == two["held"]
    assert inspected(folder, sample=1000)["looked"]["samples"] == 60


def test_workers_change_nothing(planted: Set, tmp_path, inspected):
    cut_jpeg(planted.of("test")[0])
    folder = planted.write(tmp_path / "set")
    one, two = (inspected(folder, workers=number) for number in (1, 2))
    for each in (one, two):
        del each["looked"]["seconds"]
    assert one == two


def test_a_url_is_inspected(planted: Set, tmp_path, inspected):
    sample = planted.of("train")[2]
    no_text(sample)
    planted.write(tmp_path / "served" / "set")
    with web(tmp_path / "served") as server:
        result = inspected(f"{server.url}/set")
        assert found(result) == {("text", "train-000000.tar", sample.key)}
        (tmp_path / "served" / "set" / "test-000000.tar").unlink()
        assert ("shards", "test-000000.tar", "") in found(inspected(f"{server.url}/set"))


def unlooked(result: dict[str, Any]) -> list[str]:
    return [each["name"] for each in result["checks"] if not each["looked"]]


def foreign(tmp_path: Path, *samples: Members) -> Path:
    write(tmp_path / "tars" / "train-0.tar", *samples)
    index(str(tmp_path / "tars"), patient="json.patient", split="train", workers=1)
    return tmp_path / "tars"


def member(key: str, number: int, text: str = "Clear lungs.", image: bytes | None = None) -> Members:
    told = json.dumps({"patient": number}).encode()
    return [(f"{key}.jpg", image or png(64, 64, number)), (f"{key}.json", told), (f"{key}.txt", text.encode())]


def test_tars_of_others_pass(tmp_path, inspected):
    result = inspected(foreign(tmp_path, *(member(f"john_doe_{n}", n) for n in range(5))))
    assert found(result) == {("images", "train-0.tar", key) for _, _, key in found(result)}  # PNG, called jpg
    assert not result["set"]["packed"]
    assert result["looked"]["samples"] == 5


def test_of_texts_alone_no_film_is_said_to_be_good(tmp_path, inspected, capfd):
    samples: list[Members] = [[(f"{n:04d}.txt", b"Clear lungs.")] for n in range(5)]
    write(tmp_path / "tars" / "train-0.tar", *samples)
    index(str(tmp_path / "tars"), image="none", split="train", workers=1)
    result = inspected(tmp_path / "tars")
    assert result["looked"]["samples"] == 5
    assert unlooked(result) == ["records", "images", "decode", "duplicates", "alike", "conversation"]
    assert "not looked at: records, images, decode, duplicates, alike, conversation" in capfd.readouterr().err


def test_what_is_wrong_with_tars_of_others_is_told_by_hash(tmp_path, inspected):
    jpeg = write_jpeg(1)
    samples = [member(f"john_doe_{n}", n, image=write_jpeg(n)) for n in range(5)]
    samples[1] = member("john_doe_1", 1, "Seen by Dr. Fictitious on 3/14/2019.", write_jpeg(7))
    samples[2] = member("john_doe_2", 2, image=write_jpeg(2)[:900])
    samples[3] = member("john_doe_3", 3, image=jpeg)
    samples[4] = member("john_doe_4", 4, image=jpeg)
    result = inspected(foreign(tmp_path, *samples))
    assert {check for check, _, _ in found(result)} == {"identifiers", "decode"}
    assert {check for check, _, _ in found(result, "warning")} == {"duplicates"}  # others may mean to have it twice
    assert "john" not in json.dumps(result["wrong"])


def test_tars_of_others_that_number_their_samples_alike_pass(tmp_path, inspected):
    for name in (0, 5):
        samples = [member(f"{n:04d}", name + n, image=write_jpeg(name + n)) for n in range(5)]
        write(tmp_path / "tars" / f"train-{name}.tar", *samples)
    index(str(tmp_path / "tars"), patient="json.patient", split="train", workers=1)
    result = inspected(tmp_path / "tars", strict=True)
    assert result["good"]
    assert unlooked(result) == ["records", "conversation"]


def test_what_an_index_leaves_out_of_tars_of_others_is_a_warning(tmp_path, inspected):
    samples = [member(f"{n:04d}", n, image=write_jpeg(n)) for n in range(5)]
    samples[2] = samples[2][:2]  # no text
    result = inspected(foreign(tmp_path, *samples))
    assert result["good"]
    assert {check for check, _, _ in found(result, "warning")} == {"samples"}
    assert result["looked"]["samples"] == 4


def write_jpeg(number: int) -> bytes:
    import io

    from tests.shards.tables import picture

    buffer = io.BytesIO()
    picture(number, 64, 64).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def test_what_samples_hold_is_counted(good, tmp_path, inspected):
    held: dict[str, Any] = inspected(good.write(tmp_path / "set"))["held"]
    summaries = [sample.record["summary"] for sample in good.samples]
    assert held["samples"] == {"train": 51, "validate": 6, "test": 3}
    assert sum(count for _, count in held["words"]["counts"]) == 60
    assert held["words"]["most"] == max(len(summary.split()) for summary in summaries)
    assert held["summaries"]["different"] == len(set(summaries))
    assert held["labelled"] == 60
    assert dict(held["views"])["frontal"] == sum(len(sample.record["views"]) == 1 for sample in good.samples)
    stated = sum(each["present"] for each in held["observations"]["Pleural Effusion"].values())
    assert stated == sum(any("effusion" in label for label in sample.record["labels"]) for sample in good.samples)
