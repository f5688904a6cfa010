"""The page in a real browser, before a real exported model: what a radiologist does, and what can go wrong."""

from __future__ import annotations

import http.server
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Generator

import numpy as np
import pytest

from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.serve.dialogue import Dialogue, Responder
from cxr_lightning.serve.local import Local
from cxr_lightning.serve.web.film import read_film
from tests.fitting import ROOT, environment
from tests.serve.web.conftest import Visitor, await_true, huge_png, png, served

BUSY_PAGE = ".cxr.busy"

GRAY_AT_CENTRE = """() => {
  const canvas = document.querySelector('.pane canvas');
  return canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[0];
}"""

KEY_OF_PAGE = """() => new Promise(done => {
  const send = window.fetch;
  window.fetch = (url, more) => {
    if (more?.headers?.['x-cxr-key']) done(more.headers['x-cxr-key']);
    return send(url, more);
  };
  document.querySelector('[title=Remove]').click();
})"""


@pytest.fixture(scope="module")
def local(model):
    return Local(model)


class Held(Responder):
    """The real model, that can be held after its first word."""

    def __init__(self, local: Local) -> None:
        self.local, self.name, self.image_size = local, local.name, local.image_size
        self.asked: list[Dialogue] = []
        self.go = threading.Event()
        self.go.set()

    def stream(self, dialogue, *, max_new_tokens, stop) -> Generator[str, None, Reply]:
        self.asked.append(dialogue)
        pieces = self.local.stream(dialogue, max_new_tokens=max_new_tokens, stop=stop)
        while True:
            try:
                yield next(pieces)
            except StopIteration as end:
                return end.value
            while not (self.go.wait(0.02) or stop.is_set()):
                pass


@pytest.fixture(scope="module")
def held(local):
    return Held(local)


@pytest.fixture(scope="module")
def url(held):
    with served(held) as url:
        yield url


def test_the_whole_visit(model, browser, dicom, tmp_path, artefacts, request):
    """The verb itself, with a login: a DICOM file, two questions, a download, and nothing is left."""
    temporary, passwords = tmp_path / "tmp", tmp_path / "passwords"
    temporary.mkdir()
    passwords.write_text("anna:long enough\n")
    passwords.chmod(0o600)
    command = [sys.executable, "-m", "cxr_lightning", "web", str(model), "--port", "0"]
    command += ["--auth", str(passwords), "--max_new_tokens", "24"]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment(TMPDIR=str(temporary), COLUMNS="200")
    )
    local = request.getfixturevalue("local")  # loaded here while it is there
    try:
        url = next((found[0] for line in running.stderr if (found := re.search(r"http://\S+", line))), None)
        assert url, "the verb ended"
        visitor = Visitor(browser, url)
        sign_in(visitor)
        visitor.ready()
        visitor.bring(("MRN-4711_Person", dicom))
        film = read_film(dicom)
        assert abs(visitor.page.evaluate(GRAY_AT_CENTRE) - int(film.gray[256, 256])) <= 2
        questions = ["Describe this chest radiograph.", "Is there a left pneumothorax?"]
        visitor.page.get_by_role("button", name=questions[0]).click()
        visitor.page.wait_for_selector("article")
        answers = [visitor.answer(), visitor.ask(questions[1])]
        expected = local.answers([Dialogue.ask(film.gray)], max_new_tokens=24)
        turns = (("user", questions[0]), ("assistant", expected[0]), ("user", questions[1]))
        expected += local.answers([Dialogue((film.gray,), turns)], max_new_tokens=24)
        assert answers == expected
        with visitor.page.expect_download() as download:
            visitor.page.click("[data-do=download]")
        told = download.value.path().read_text()
        assert all(words in told for words in (*questions, *answers, "Not a medical device", "tiny-cxr"))
        shown = visitor.page.content() + told
        assert not re.search("MRN|4711|Person|Secret", shown)
        assert visitor.page.get_by_text("Not a medical device.").is_visible()
        visitor.page.screenshot(path=artefacts / "web.png")
        assert visitor.foreign == visitor.wrong == []
        visitor.context.close()
        assert [path for path in temporary.rglob("*") if path.is_file()] == []
    finally:
        running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 0, said
    assert not any(words in said for words in (*questions, *answers, "4711", "Person"))
    assert list(temporary.iterdir()) == []


def sign_in(visitor: Visitor) -> None:
    page = visitor.page
    assert page.url.endswith("/login")
    for password in ("wrong", "long enough"):
        page.fill("#name", "anna")
        page.fill("#password", password)
        page.click("button")
        if password == "wrong":
            page.get_by_text("do not go together").wait_for()


@pytest.fixture(scope="module")
def wordy(local, films):
    """A film and a question whose answer comes in many pieces."""

    def pieces(asked):
        dialogue = Dialogue.ask(asked[0], question=asked[1])
        return len(list(local.stream(dialogue, max_new_tokens=24, stop=threading.Event())))

    questions = ("What is seen?", "Is the heart enlarged?", "Describe.", "Why?")
    found = max(((film, question) for film in films for question in questions), key=pieces)
    assert pieces(found) > 4
    return found


def test_an_answer_can_be_stopped_asked_again_and_forgotten(url, visit, wordy, held):
    visitor = visit(url)
    visitor.bring(("film.png", png(wordy[0])))
    held.go.clear()
    visitor.ask(wordy[1], wait=False)
    visitor.page.wait_for_selector("article .answer:not([hidden])")
    visitor.page.click("[data-do=stop]")
    stopped = visitor.answer()
    visitor.page.get_by_text("Stopped.").wait_for()
    held.go.set()
    visitor.page.get_by_role("button", name="Ask again").click()
    whole = visitor.answer()
    assert whole.startswith(stopped)
    assert len(whole) > len(stopped)
    assert visitor.page.locator("article").count() == 1
    visitor.page.get_by_role("button", name="New study").click()
    visitor.page.get_by_role("button", name="Forget this one?").click()
    visitor.page.wait_for_function("!document.querySelector('article')")
    assert visitor.page.get_by_text("Drop a chest radiograph here").is_visible()


def test_both_views_are_shown_to_the_model_whatever_the_window(url, visit, held, films, dicom):
    visitor = visit(url)
    # The header says frontal, so the file that came first makes room.
    visitor.bring(("side.png", png(films[0])), ("front", dicom))
    page = visitor.page
    page.locator("[data-pane=lateral] [title^=Frontal]").click()
    page.wait_for_function("document.querySelector('[data-pane=frontal] .figures').textContent.includes('12 bit')")
    page.locator("[data-pane=frontal] canvas").click()
    before = page.evaluate(GRAY_AT_CENTRE)
    page.keyboard.press("i")
    page.wait_for_function(f"(({GRAY_AT_CENTRE})() - {255 - before}) ** 2 <= 4")
    page.select_option("[data-preset]", "lungs")
    for _ in range(4):
        page.keyboard.press("+")
    box = page.locator("[data-pane=frontal] canvas").bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 150)
    page.mouse.wheel(0, -200)
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + 200, box["y"] + 180)
    page.mouse.up(button="right")
    page.wait_for_function("document.querySelector('[data-preset]').value == 'own'")
    for expected in ([read_film(dicom).gray], [read_film(dicom).gray, films[0]]):  # the second only when it is said
        visitor.ask("What is seen?")
        assert all(map(np.array_equal, held.asked[-1].films, expected))
        assert len(held.asked[-1].films) == len(expected)
        page.get_by_role("checkbox", name="Model reads it").check()


def test_bad_files_are_told_in_words_and_the_page_goes_on(url, visit, films):
    from tests.shards.test_dicom import dicom

    visitor = visit(url)
    bad = {
        "notes.png": (b"Patient is well.", "Not a PNG, JPEG or DICOM file"),
        "huge.png": (huge_png(), "more pixels than any radiograph has"),
        "cine.dcm": (dicom(NumberOfFrames=200), "200 frames"),
        "hand.dcm": (dicom(BodyPartExamined="HAND"), "HAND, not chest"),
    }
    for name, (content, why) in bad.items():
        visitor.bring((name, content), films=0)
        fault = visitor.page.locator(".fault").last.inner_text()
        assert fault.startswith(f"{name} was not opened.")
        assert why in fault
        assert "PNG, JPEG or DICOM" in fault
    visitor.page.get_by_role("button", name="Open it all the same").click()
    visitor.page.locator(".pane .warned", has_text="HAND, not chest").wait_for()


def test_another_film_is_another_conversation_and_one_on_its_way_is_called_off(url, visit, held, films):
    visitor = visit(url)
    page, line = visitor.page, visitor.page.locator(".change:visible")
    visitor.bring(("A.png", png(films[0])))
    visitor.ask("What is seen?")
    assert line.count() == 0
    seen = page.locator("[data-zoom]").text_content()
    for place in ("frontal", "lateral"):  # there and back, and it still fills its pane
        page.locator(f"[data-pane={place}] [title^=Frontal]").click()
        page.wait_for_function(f"!document.querySelector('[data-pane={place}] canvas')")
        assert line.count() == 0
        page.wait_for_function(f"document.querySelector('[data-zoom]').textContent == '{seen}'")
    page.locator("[data-pane=frontal] [title=Remove]").click()
    page.wait_for_function("!document.querySelector('.pane canvas')")
    visitor.bring(("B.png", png(films[1])))
    assert line.count() == 1
    visitor.ask("Why?")
    assert [turn[1] for turn in held.asked[-1].turns] == ["Why?"]
    with page.expect_download() as download:
        page.click("[data-do=download]")
    told = download.value.path().read_text()
    assert told.index("What is seen?") < told.index("Films changed here") < told.index("Why?")
    # A film still on its way when the next study begins is nowhere.
    page.locator("[data-pane=frontal] [title=Remove]").click()
    page.wait_for_function("!document.querySelector('.pane canvas')")
    page.route("**/films?place=*", lambda route: None)
    page.set_input_files("[data-files]", [{"name": "A.png", "mimeType": "", "buffer": png(films[0])}])
    page.wait_for_selector(".loading")
    for _ in range(2):
        page.click("[data-do=clear]")
    page.wait_for_function("!document.querySelector('article, .loading, canvas')")
    page.unroute("**/films?place=*")
    visitor.bring(("B.png", png(films[1])))
    assert page.locator(".fault").count() == 0


def test_visitors_wait_in_line_and_see_their_own(url, visit, wordy, films, held):
    first, second = visit(url), visit(url)
    for visitor, film in ((first, wordy[0]), (second, films[0])):
        visitor.bring(("film.png", png(film)))
    held.go.clear()
    first.ask(wordy[1], wait=False)
    first.page.wait_for_selector("article .answer:not([hidden])")
    second.ask("Is it mine?", wait=False)
    second.page.get_by_text("One other question is before yours").wait_for()
    first.page.click("[data-do=stop]")
    held.go.set()
    assert second.answer()
    assert "Is it mine?" not in first.page.content()
    assert wordy[1] not in second.page.content()
    # A key is its page's alone: another, or none, gets no film.
    for key in ("", "guessed"):
        got = second.context.request.get(f"{url}/films/frontal", headers={"x-cxr-key": key})
        assert got.status == 422


class _Dying(http.server.BaseHTTPRequestHandler):
    """Says what it serves, and goes away when it is asked, once it may."""

    go = threading.Event()
    go.set()

    def do_GET(self) -> None:
        body = json.dumps({"object": "list", "data": [{"id": "far", "object": "model"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.go.wait(60)
        self.close_connection = True

    def log_message(self, *_: object) -> None: ...


def test_behind_a_proxys_path_when_the_models_server_goes_away_and_then_the_page_itself(visit, films):
    from cxr_lightning.serve.remote import Remote

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    remote = Remote(f"http://127.0.0.1:{server.server_port}", image_size=64, tries=2)
    with served(remote, root_path="/cxr", loopback=False) as url:
        visitor = visit(url + "/cxr/")
        visitor.bring(("film.png", png(films[0])))
        assert visitor.page.get_by_text("reduced to 64 pixels").count() == 2
        visitor.ask("What is seen?")
        assert "The model's server does not answer." in visitor.page.locator(".failed .state").inner_text()
        _Dying.go.clear()
        visitor.page.get_by_role("button", name="Ask again").click()
        visitor.page.wait_for_selector(BUSY_PAGE)
    visitor.page.get_by_text("The page's server does not answer.").wait_for()
    assert visitor.page.locator(BUSY_PAGE).count() == 0
    _Dying.go.set()
    server.shutdown()


def test_a_closed_page_is_forgotten_at_once(url, visit, films):
    visitor = visit(url)
    visitor.bring(("film.png", png(films[0])))
    key = visitor.page.evaluate(KEY_OF_PAGE)
    visitor.bring(("film.png", png(films[0])))
    assert visitor.context.request.get(f"{url}/films/frontal", headers={"x-cxr-key": key}).ok
    visitor.page.goto("about:blank")
    await_true(lambda: not visitor.context.request.get(f"{url}/films/frontal", headers={"x-cxr-key": key}).ok)
