"""The page in a real browser, opened from a disk: judged by keys alone, windowed, closed, resumed, saved and loaded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.evaluation.experts.answers import read_answers

GRAY = """() => {
  const canvas = document.querySelector('.pane canvas'), { width, height } = canvas;
  return [...canvas.getContext('2d').getImageData(0, height >> 1, width, 1).data].filter((_, place) => place % 4 === 0);
}"""
STUDY = "document.querySelector('[data-stage]').dataset.study"


class Desk:
    """A radiologist at the page.

    Args:
        context: Their browser's profile.
        page: The file.
    """

    def __init__(self, context: Any, page: Path) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(page.as_uri())

    def start(self, reader: str, *, keep: bool = True) -> Desk:
        self.page.fill("#initials", reader)
        self.page.set_checked("#keep", keep)
        self.page.focus("#initials")
        self.page.keyboard.press("Enter")
        return self.ready()

    def ready(self) -> Desk:
        self.page.wait_for_selector("[data-stage][data-study] canvas")
        return self

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def judge(self, times: int) -> None:
        """Judges reports one after the other, by keys alone."""
        for number in range(times):
            self.press(*(("y", "5") if number % 2 else ("n", "2", "m", "p")), "Enter")

    def text(self, name: str) -> str:
        return self.page.text_content(f"[data-{name}]")

    def gray(self) -> list[int]:
        """The middle line of the first film, once it is painted anew."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.page.evaluate(GRAY)

    def until(self, holds: Callable[[], bool]) -> None:
        """Waits from outside: the page's policy lets nobody evaluate text in it."""
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end, "it took too long"
            self.page.wait_for_timeout(20)

    def save(self) -> dict[str, Any]:
        with self.page.expect_download() as download:
            self.press("Control+s")
        assert download.value.suggested_filename.startswith("reading-")
        return json.loads(Path(download.value.path()).read_text())


@pytest.fixture
def context(browser) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def sit(context, made) -> Iterator[Any]:
    desks: list[Desk] = []

    def sit(page: Path | None = None) -> Desk:
        desks.append(Desk(context, page or made[0]))
        return desks[-1]

    yield sit
    for desk in desks:
        assert desk.wrong == []
        assert all(url.startswith(("file:", "data:", "blob:")) for url in desk.asked)


def scores(answers: dict[str, Any]) -> dict[tuple[str, str], int]:
    """The scores that a file holds."""
    items = answers["items"].items()
    return {(item, label): one["score"] for item, said in items for label, one in said.items() if one["score"]}


def reports(key: dict[str, Any], seat: int = 0) -> int:
    return sum(len(key["items"][item]["reports"]) for item in key["seats"][seat])


def test_judged_by_keys_alone(sit, made, tmp_path):
    key = made[1]
    desk = sit().start("Ana  B.")
    desk.judge(reports(key))
    desk.page.wait_for_selector("[data-end][open]")
    assert "All 7 studies are read" in desk.text("end-title")
    answers = desk.save()
    assert (answers["page"], answers["reader"], answers["seat"]) == (key["page"], "Ana B.", 0)
    assert set(answers["items"]) == set(key["seats"][0])
    said = [said for item in answers["items"].values() for said in item.values()]
    assert len(said) == reports(key)
    assert {(one["accurate"], one["score"], tuple(one["errors"])) for one in said} == {
        (True, 5, ()),
        (False, 2, ("missed", "place")),
    }
    assert desk.text("kept") == "Saved to a file"
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(answers))
    (reader,) = read_answers([file], key)
    assert (reader.name, reader.finished, reader.begun, len(reader.judgements)) == ("Ana B.", 7, 0, reports(key))


def test_closed_and_resumed(sit):
    first = sit().start("AB")
    first.judge(4)
    first.press("y", "c")
    first.page.keyboard.type("1: small, 5 m and y are letters here")
    first.press("Escape")
    study, finished = first.page.evaluate(STUDY), first.text("finished")
    first.page.close()
    second = sit()
    assert second.page.is_visible("text=Go on as AB")
    second.page.click("text=Go on as AB")
    second.ready()
    assert (second.page.evaluate(STUDY), second.text("finished")) == (study, finished)
    assert second.page.input_value(".card.chosen textarea") == "1: small, 5 m and y are letters here"
    assert second.page.get_attribute(".card.chosen .yes", "aria-pressed") == "true"
    # Another reader of the same browser begins anew, and does not take what is kept.
    second.page.close()
    third = sit()
    third.page.fill("#initials", "ab")
    third.press("Enter")
    assert "is kept in this browser" in third.text("door-why")
    third.page.click("text=Remove from this browser")
    third.start("ab")
    assert third.text("finished") == "0 finished"


def test_nothing_is_kept_unless_wanted(sit):
    desk = sit().start("AB", keep=False)
    desk.judge(2)
    assert desk.page.evaluate("localStorage.length") == 0
    assert desk.text("kept") == "Not saved yet"


def test_a_file_is_loaded_where_it_was_saved_or_elsewhere(sit, tmp_path):
    first = sit().start("AB", keep=False)
    first.judge(5)
    file = tmp_path / "saved.json"
    answers = first.save()
    file.write_text(json.dumps(answers))
    second = sit()
    second.page.set_input_files("[data-file]", file)
    second.ready()
    assert second.text("who") == "AB"
    assert scores(second.save()) == scores(answers)
    for text, told in (
        ("{", "no file that a reading page saved"),
        (json.dumps({**answers, "page": "f" * 64}), "another reading page"),
        (json.dumps({**answers, "reader": "CD"}), "CD"),
    ):
        file.write_text(text)
        second.page.set_input_files("[data-file]", file)
        second.until(lambda told=told: told in second.text("hint"))


def test_window_and_level_change_what_is_seen(sit):
    desk = sit().start("AB")
    plain = desk.gray()
    assert plain[len(plain) // 4] < plain[len(plain) // 2] < plain[3 * len(plain) // 4]
    desk.press("i")
    assert desk.gray()[len(plain) // 4] == 255 - plain[len(plain) // 4]
    desk.press("r")
    assert desk.gray() == plain
    box = desk.page.locator(".pane canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    desk.page.mouse.move(x, y)
    desk.page.mouse.down(button="right")
    desk.page.mouse.move(x - 60, y + 40, steps=4)
    desk.page.mouse.up(button="right")
    windowed = desk.gray()
    assert windowed != plain
    assert desk.page.input_value("[data-preset]") == "own"
    desk.press("r", "q")
    assert desk.page.input_value("[data-preset]") == "lungs"
    assert desk.gray() != plain
    desk.press("r", "+", "+")
    assert desk.gray() != plain
    desk.press("0")
    assert desk.gray() == plain
    # The film has the focus now; digits judge all the same.
    desk.press("1")
    assert desk.page.get_attribute(".card.chosen .five button:nth-child(1)", "aria-pressed") == "true"


def test_frontal_and_lateral_side_by_side(sit, made):
    desk = sit().start("AB")
    seen = set()
    for _ in made[1]["seats"][0]:
        desk.page.wait_for_timeout(60)
        seen.add(tuple(desk.page.eval_on_selector_all(".pane .label", "all => all.map(each => each.textContent)")))
        desk.press("PageDown")
    assert seen <= {("Frontal",), ("Frontal", "Lateral")}
    assert ("Frontal", "Lateral") in seen


def test_going_on_asks_for_what_lacks_and_going_back_is_free(sit):
    desk = sit().start("AB")
    first = desk.page.evaluate(STUDY)
    desk.press("n", "3", "Enter")
    desk.until(lambda: "what is wrong" in desk.text("hint"))
    assert desk.page.evaluate(STUDY) == first
    desk.press("PageDown")
    desk.until(lambda: desk.page.evaluate(STUDY) != first)
    desk.press("PageUp")
    desk.until(lambda: desk.page.evaluate(STUDY) == first)
    assert desk.page.get_attribute(".card.chosen .no", "aria-pressed") == "true"
    desk.press("n")  # once more takes it back
    assert desk.page.get_attribute(".card.chosen .no", "aria-pressed") == "false"
    desk.press("?")
    assert desk.page.is_visible("[data-help]")
    desk.press("?")
    assert not desk.page.is_visible("[data-help]")


def test_seconds_are_those_in_front_of_the_report(sit):
    desk = sit().start("AB", keep=False)
    desk.page.wait_for_timeout(1200)
    desk.press("y")
    desk.press("?")
    desk.page.wait_for_timeout(1500)
    desk.press("?")
    (item,) = desk.save()["items"].values()
    assert 0.9 < max(said["seconds"] for said in item.values()) < 2.6


def test_pictures_for_eyes(sit, tmp_path):
    """Leaves screenshots in CXR_ARTIFACTS, in both lights; nothing is wider than the window."""
    folder = Path(os.environ.get("CXR_ARTIFACTS") or tmp_path)
    desk = sit()
    desk.page.screenshot(path=folder / "reading-door.png")
    desk.start("AB").judge(2)
    for light in ("dark", "light"):
        desk.page.screenshot(path=folder / f"reading-{light}.png")
        desk.press("t")
    for width in (1024, 800):
        desk.page.set_viewport_size({"width": width, "height": 700})
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_browser_that_alters_pictures_is_told_of(sit, context):
    context.add_init_script("""
      const read = CanvasRenderingContext2D.prototype.getImageData;
      CanvasRenderingContext2D.prototype.getImageData = function (...all) {
        const image = read.apply(this, all);
        image.data[0] ^= 1;
        return image;
      };
    """)
    assert "alters pictures" in sit().text("door-why")


def test_the_door_stays_shut_until_someone_says_who_they_are(sit):
    desk = sit()
    assert desk.text("door-why") == ""
    desk.press("Escape", "Escape")
    desk.page.wait_for_timeout(100)
    assert desk.page.is_visible("[data-door]")
    desk.page.fill("#initials", "  ")
    desk.press("Enter")
    assert desk.text("door-why") == "Please write your initials."
