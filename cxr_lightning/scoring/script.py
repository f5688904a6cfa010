"""In which script and language a text is written, and what in it is no text at all.

Enters any text; leaves names. Scripts are told by the names that Unicode gives letters, languages in Latin script by
their commonest small words: enough to see a model slip into Chinese (as ChatXRay's did) or answer in German, and no
guess about a text of few words.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

SCRIPTS = {
    "CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean", "CYRILLIC": "Cyrillic",
    "ARABIC": "Arabic", "HEBREW": "Hebrew", "GREEK": "Greek", "DEVANAGARI": "Devanagari", "BENGALI": "Bengali",
    "TAMIL": "Tamil", "TELUGU": "Telugu", "THAI": "Thai", "GEORGIAN": "Georgian", "ARMENIAN": "Armenian",
    "LATIN": "Latin",
}  # fmt: skip
"""From the first word of a letter's Unicode name to the script it stands for."""

# One character of these is a word; of the others one may be a symbol, as in "beta blocker" with its Greek letter.
_WHOLE_WORDS = {"Chinese", "Japanese", "Korean"}

SMALL_WORDS = {
    "English": "the of and is are there no with to in or not was has have been which this that from at by for on seen "
    "a an as be it we",
    "German": "der die das und ist sind nicht kein keine mit von im den dem des ein eine einer auf zu bei als nach",
    "French": "le la les de des du et est sont pas sans avec dans un une au aux sur pour il que qui ou en ne aucun",
    "Spanish": "el la los las de del y es son no sin con en un una al por para se que hay lo como ni",
    "Portuguese": "o a os as de do da dos das e em no na com sem um uma ao não são por para que se há nos nas",
    "Italian": "il lo la i gli le di del della dei delle e è sono non senza con in nel nella un una al per che si alla",
    "Dutch": "de het een en is zijn niet geen met van in op te bij als voor er aan dat die naar tot ook",
    "Polish": "i w na nie jest są z ze do się bez oraz po od o za to lub przy dla jak bądź",
    "Turkish": "ve bir bu ile da de için olarak yok var olan gibi her iki daha en çok değil izlendi",
    "Vietnamese": "và là của có không được trong với các cho một những này bên hai phải trái thấy phổi",
}
"""Small words of languages in Latin script, the commonest first."""

_LEXICON = {language: frozenset(words.split()) for language, words in SMALL_WORDS.items()}
_LETTERS = re.compile(r"[^\W\d_]+")
_LEFT_OVER = re.compile(r"<\|[^|<>]*\|>|</?s>|<(?:unk|pad|eos|bos|image)>|\[/?INST\]|###|[\u0120\u010a\u2581]")
# What the bytes of UTF-8 look like when they are read as Windows-1252 or Latin-1.
_AS_WINDOWS = "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0))
_MISREAD = re.compile(f"[\u0080-\u00ff{_AS_WINDOWS}]{{2,}}")


def scripts_of(text: str) -> set[str]:
    """Returns the scripts of a text: values of `SCRIPTS`. Single letters of most scripts are taken for symbols.

    Args:
        text: Any text.
    """
    if text.isascii():
        return {"Latin"} if any(letter.isalpha() for letter in text) else set()
    found, before = set(), ""
    for letter in text:
        script = _script(letter)
        if script and (script == before or script in _WHOLE_WORDS):
            found.add(script)
        before = script
    return found


def language_of(text: str) -> str | None:
    """Returns the language of a text in Latin script: a key of `SMALL_WORDS`.

    Args:
        text: Any text.

    Returns:
        The language with the most of its small words in the text; None if it has fewer than three different ones, or
        no more than another language.
    """
    words = set(_LETTERS.findall(text.lower()))
    counts = sorted(((len(words & lexicon), language) for language, lexicon in _LEXICON.items()), reverse=True)
    (most, language), (second, _) = counts[:2]
    return language if most >= 3 and most > second else None


def broken_in(text: str) -> set[str]:
    """Returns what is broken in a text.

    Args:
        text: Any text.

    Returns:
        Of "replacement" (U+FFFD, bytes that were no text), "surrogate" (half of a character), "control" (characters
        that cannot be seen), "private" (characters that mean nothing), "misread" (UTF-8 read as Latin-1: an accent
        becomes two letters) and "special token" (a token of the model that should have been taken out).
    """
    found = {"special token"} if _LEFT_OVER.search(text) else set()
    if not (text.isascii() and text.isprintable()):
        found |= {kind for kind in map(_broken, text) if kind}
        if any(_is_misread(run) for run in _MISREAD.findall(text)):
            found.add("misread")
    return found


@lru_cache(maxsize=2**12)
def _script(letter: str) -> str:
    return SCRIPTS.get(unicodedata.name(letter, "").split(" ")[0], "") if letter.isalpha() else ""


@lru_cache(maxsize=2**12)
def _broken(letter: str) -> str:
    if letter == "\ufffd":
        return "replacement"
    if letter in "\n\r\t":
        return ""
    return {"Cs": "surrogate", "Cc": "control", "Co": "private", "Cn": "private"}.get(unicodedata.category(letter), "")


def _is_misread(run: str) -> bool:
    """Says whether letters, taken for the bytes they were read from, hold a character of UTF-8."""
    read = b"".join(bytes([ord(letter)]) if ord(letter) < 256 else letter.encode("cp1252") for letter in run)
    return any(not letter.isascii() for letter in read.decode("utf-8", "ignore"))
