"""Names enter, hashed names leave: keys for samples, and patients that nobody can look up.

BLAKE2b with a key. The default key is public, so that two groups which pack the same public data get the same shards;
for a hospital's own patients, whose numbers can be tried one after the other, give a secret key.
"""

from __future__ import annotations

import hashlib
import logging
import unicodedata
from functools import lru_cache
from pathlib import Path

from cxr_lightning.reports.identifiers import Kind, kinds_in

log = logging.getLogger(__name__)

_MAKE_ONE = "make one by: openssl rand -hex 24 > {file}; chmod 600 {file}"

DEFAULT_KEY = "cxr-lightning"


def hashed(name: str, purpose: str, secret: str = DEFAULT_KEY) -> str:
    """Hash a name.

    Args:
        name: A study's or a patient's name.
        purpose: What the hash is for; the same name has unrelated hashes for different purposes.
        secret: The key.

    Returns:
        24 hexadecimal digits: with 10 million names, two share a hash with a chance of about one in 10**15.

    Raises:
        ValueError: The key is empty or longer than the 64 bytes that BLAKE2b takes.
    """
    key = secret.encode()
    if not 0 < len(key) <= 64:
        raise ValueError(f"--patient_key has {len(key)} bytes; it must have 1 to 64")
    if not name.isascii():  # one name, whether its letters bear their accents or are followed by them
        name = unicodedata.normalize("NFC", name)
    return hashlib.blake2b(name.encode(), digest_size=12, key=key, person=purpose.encode()[:16]).hexdigest()


def kinds_in_name(study: str) -> frozenset[Kind]:
    """Say what kinds of words that may name someone are in a study's own name; a number is what such names are.

    Args:
        study: Its name in its source.
    """
    kinds = kinds_in(study) - {"record number"}
    return kinds | {"name"} if "^" in study else kinds  # as DICOM parts a person's name


@lru_cache(maxsize=1024)
def kinds_in_origin(source: str, licence: str) -> frozenset[Kind]:
    """Say what kinds of words that may name someone are in where a study is from: a table's columns hold anything.

    Args:
        source: The study's source.
        licence: Its licence, which may well be a web address. All studies of an archive share both.
    """
    return kinds_in(f"{source} {licence}") - {"web address"}


def secret_of(given: str, file: Path | None) -> str:
    """Takes the key of the hashes from where the user keeps it.

    Args:
        given: What the command line says.
        file: A file whose first line is the key: other users of a machine can read its command lines.

    Raises:
        ValueError: Both are given, or the file holds no key.
    """
    if file is None:
        hashed("", "check", given)
        return given
    if given != DEFAULT_KEY:
        raise ValueError("--patient_key and --patient_key_file: give one of them")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        told = _MAKE_ONE.format(file=file)
        raise ValueError(f"--patient_key_file {file}: there is no such file; {told}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--patient_key_file {file}: cannot be read as text ({type(error).__name__})") from None
    secret = lines[0].strip() if lines else ""
    if file.stat().st_mode & 0o077:
        log.warning("%s: others on this machine may read it; chmod 600 %s", file, file)
    if not 0 < len(secret.encode()) <= 64:
        raise ValueError(
            f"--patient_key_file {file}: its first line must be a key of 1 to 64 bytes; "
            + _MAKE_ONE.format(file="FILE")
        )
    return secret
