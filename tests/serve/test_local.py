"""A folder's model answers alike alone and in a batch, at once and piece by piece, and says what a folder lacks."""

from __future__ import annotations

import shutil
import threading

import pytest
import torch

from cxr_lightning.serve.dialogue import Dialogue, trimmed
from cxr_lightning.serve.folder import NotAnExportError, require_export
from cxr_lightning.serve.local import Local
from cxr_lightning.serve.opening import open_responder


@pytest.fixture(scope="module")
def local(model):
    opened = open_responder(str(model))
    assert isinstance(opened, Local)
    return opened


def test_it_knows_its_name_and_how_large_images_were(local):
    assert (local.name, local.image_size) == ("tiny-cxr", 64)


def test_a_batch_answers_as_one_at_a_time(local, films):
    questions = ["What is seen?", "Is the heart enlarged? Are the lungs clear? Is there fluid?", "Describe.", "Why?"]
    asked = [Dialogue.ask(film, question=question) for film, question in zip(films, questions, strict=True)]
    asked.append(Dialogue.ask(films[0], films[3], question="Two films."))
    alone = [local.replies([dialogue], max_new_tokens=24)[0] for dialogue in asked]
    assert local.replies(asked, max_new_tokens=24) == alone
    assert len({reply.text for reply in alone}) > 3
    assert {reply.finish for reply in alone} <= {"stop", "length"}
    assert all(reply.tokens == 24 for reply in alone if reply.finish == "length")


def test_a_batch_that_does_not_fit_is_halved(local, films, monkeypatch):
    whole, sizes = local._replies, []

    def small(dialogues, max_new_tokens):
        sizes.append(len(dialogues))
        if len(dialogues) > 1:
            raise torch.OutOfMemoryError
        return whole(dialogues, max_new_tokens)

    asked = [Dialogue.ask(film) for film in films[:3]]
    expected = local.replies(asked, max_new_tokens=8)
    monkeypatch.setattr(local, "_replies", small)
    assert local.replies(asked, max_new_tokens=8) == expected
    assert sizes == [3, 1, 2, 1, 1]


def ended(pieces):
    """Reads a stream to its end."""
    told = []
    while True:
        try:
            told.append(next(pieces))
        except StopIteration as end:
            return "".join(told), end.value


def test_pieces_are_the_answer(local, films):
    dialogue = Dialogue((films[0],), (("user", "What is seen?"), ("assistant", "Lungs."), ("user", "And else?")))
    pieces = list(local.stream(dialogue, max_new_tokens=24, stop=threading.Event()))
    assert "".join(pieces) == local.answers([dialogue], max_new_tokens=24)[0]
    assert len(pieces) > 1


def test_a_stopped_answer_ends(local, films):
    stop = threading.Event()
    pieces = local.stream(Dialogue.ask(films[0]), max_new_tokens=1500, stop=stop)
    next(pieces)
    stop.set()
    assert ended(pieces)[1].finish == "stopped"


def test_a_stream_tells_how_it_ended(local, films):
    dialogue = Dialogue.ask(films[0])
    for most in (3, 400):
        expected = local.replies([dialogue], max_new_tokens=most)[0]
        assert ended(local.stream(dialogue, max_new_tokens=most, stop=threading.Event()))[1] == expected


def test_who_leaves_ends_the_answer(local, films):
    pieces = local.stream(Dialogue.ask(films[0]), max_new_tokens=1500, stop=threading.Event())
    next(pieces)
    pieces.close()
    assert not any(thread.name == "answer" for thread in threading.enumerate())


def test_an_error_while_answering_comes_out(local, films):
    with pytest.raises(ValueError, match="max_new_tokens"):
        list(local.stream(Dialogue.ask(films[0]), max_new_tokens=-1, stop=threading.Event()))


@pytest.mark.parametrize("turns", [(), (("assistant", "a"),), (("user", "a"), ("user", "b"), ("user", "c"))])
def test_turns_that_no_template_writes_are_refused(turns):
    with pytest.raises(ValueError, match="in turn"):
        Dialogue((), turns)


def test_white_space_around_pieces_goes():
    assert list(trimmed(iter(["", " ", "\n a", " ", " b ", "\n"]))) == ["a", "  b"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotAnExportError, match="no such folder"):
        open_responder(str(tmp_path / "gone"))


def test_a_run_is_not_yet_a_model(runs):
    with pytest.raises(NotAnExportError, match="cxr export"):
        require_export(runs["stage2"])


@pytest.mark.parametrize(("name", "told"), [("model.partial", "never finished"), ("adapter", "is an adapter")])
def test_what_is_not_yet_a_model_is_told(tmp_path, name, told):
    (tmp_path / name).mkdir()
    (tmp_path / name / "adapter_config.json").touch()
    with pytest.raises(NotAnExportError, match=told):
        open_responder(str(tmp_path / name))


@pytest.mark.parametrize("lost", ["processor_config.json", "model.safetensors"])
def test_half_an_export_is_refused(model, tmp_path, lost):
    half = shutil.copytree(model, tmp_path / "half", ignore=shutil.ignore_patterns(lost))
    with pytest.raises(NotAnExportError, match=lost.replace(".", r"\.")):
        Local(half)


def test_weights_that_are_cut_off_are_refused(model, tmp_path):
    half = shutil.copytree(model, tmp_path / "half")
    weights = half / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(NotAnExportError, match="export the run again"):
        Local(half)
