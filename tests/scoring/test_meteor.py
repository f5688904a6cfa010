"""METEOR is nltk's without synonyms, its stems are nltk's, and synonyms are another score."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.scoring.meteor import meteor, meteor_statistics, with_synonyms
from cxr_lightning.scoring.porter import stem
from cxr_lightning.scoring.scorer import Texts
from cxr_lightning.scoring.words import words_of
from tests.scoring.openi import needs_reports, pairs
from tests.scoring.wild import ANY

# Endings enough that every rule of the stemmer is met, on stems of every measure.
ENDINGS = """
s es ies sses ss ied ed eed ing y ational tional enci anci izer bli alli entli eli ousli ization ation ator
alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence
er ic able ible ant ement ment ent ion tion sion ou ism ate iti ous ive ize e ll lle at bl iz
""".split()  # noqa: SIM905
STEMS = st.text("aeioubcdhlnrstwxyz", max_size=6)


class NoSynonyms:
    def synsets(self, word: str) -> list[object]:
        return []


def theirs(reference: str, answer: str) -> float:
    from nltk.translate.meteor_score import single_meteor_score

    return single_meteor_score(words_of(reference), words_of(answer), wordnet=NoSynonyms())


@needs_reports
@pytest.mark.real
def test_real_reports_score_as_nltk_has_it():
    for reference, answer in zip(*pairs(500), strict=True):
        assert meteor(reference, answer) == pytest.approx(theirs(reference, answer), abs=1e-6)


@needs_reports
@pytest.mark.real
def test_stems_of_real_words_are_those_of_nltk():
    from nltk.stem.porter import PorterStemmer

    words = {word for side in pairs(3000) for text in side for word in words_of(text)}
    assert len(words) > 1000
    assert {word: stem(word) for word in words} == {word: PorterStemmer().stem(word) for word in words}


@settings(deadline=None, max_examples=60)
@given(ANY, ANY)
def test_any_text_scores_as_nltk_has_it(reference, answer):
    assert meteor(reference, answer) == pytest.approx(theirs(reference, answer), abs=1e-9)


@settings(deadline=None, max_examples=300)
@given(STEMS, st.lists(st.sampled_from(ENDINGS), max_size=3))
def test_any_word_has_the_stem_that_nltk_gives_it(start, endings):
    from nltk.stem.porter import PorterStemmer

    word = "".join((start, *endings))
    assert stem(word) == PorterStemmer().stem(word)


def test_odd_words_have_the_stem_that_nltk_gives_them():
    from nltk.stem.porter import PorterStemmer

    odd = [*string.ascii_lowercase, "", "sky", "skies", "dying", "news", "howe", "yyyy", "oed", "aing", "ies", "2nd"]
    assert [stem(word) for word in odd] == [PorterStemmer().stem(word) for word in odd]


def test_broken_order_costs():
    assert meteor("no effusion is seen", "no effusion is seen") > meteor("no effusion is seen", "seen is effusion no")


def write_wordnet(folder: Path) -> Path:
    """Writes three nouns in WordNet's own format, two of them synonyms."""
    licence = "  1 This is a WordNet of three words, made for a test.\n"
    folder.mkdir(parents=True)
    first, second = len(licence), 0
    synset = f"{first:08d} 00 n 02 heart 0 ticker 0 000 | what beats  \n"
    second = first + len(synset)
    (folder / "data.noun").write_text(licence + synset + f"{second:08d} 00 n 01 lung 0 000 | what breathes  \n")
    entries = {"heart": first, "lung": second, "ticker": first}
    lines = [f"{word} n 1 0 1 0 {offset:08d}  \n" for word, offset in entries.items()]
    (folder / "index.noun").write_text(licence + "".join(lines))
    for part in ("verb", "adj", "adv"):
        (folder / f"data.{part}").write_text(licence)
        (folder / f"index.{part}").write_text(licence)
    for name in ("lexnames", "index.sense", "noun.exc", "verb.exc", "adj.exc", "adv.exc"):
        (folder / name).write_text("00\tnoun.Tops\t1\n" if name == "lexnames" else "")
    return folder


@pytest.mark.filterwarnings("ignore:The multilingual functions")
def test_synonyms_are_a_score_of_their_own_and_equal_to_nltk(tmp_path):
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.translate.meteor_score import single_meteor_score

    folder = write_wordnet(tmp_path / "corpora" / "wordnet")
    scorer = with_synonyms(tmp_path)
    reference, answer = "the heart is large and the lung is clear", "the ticker is large and the lungs are clear"
    rows = scorer.statistics(Texts([reference], [answer], [frozenset()]))
    reader = WordNetCorpusReader(str(folder), None)
    expected = single_meteor_score(words_of(reference), words_of(answer), wordnet=reader)
    assert rows[0, 0] == pytest.approx(expected, abs=1e-9)
    assert rows[0, 0] > meteor_statistics([reference], [answer])[0, 0]
    assert scorer.name != "meteor"


def test_a_folder_without_wordnet_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"data\.noun.*Remedy"):
        with_synonyms(tmp_path)
