"""Names enter, hashed names leave: keys for samples, and patients that nobody can look up.

BLAKE2b with a key. The default key is public, so that two groups which pack the same public data get the same shards;
for a hospital's own patients, whose numbers can be tried one after the other, give a secret key.
"""

from __future__ import annotations

import hashlib

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
    return hashlib.blake2b(name.encode(), digest_size=12, key=key, person=purpose.encode()[:16]).hexdigest()
