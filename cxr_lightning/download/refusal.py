"""What to tell who is not let in: what must be signed and where, and by which way a program gets in."""

from __future__ import annotations

from cxr_lightning.download.catalogue import Collection
from cxr_lightning.download.trouble import AccessError, NotLetInError


def explained(error: NotLetInError, collection: Collection, host: str) -> AccessError:
    """Returns what to tell.

    Args:
        error: How the server refused.
        collection: Whose files were asked for.
        host: The server.
    """
    signed = (
        f"Access is granted on {collection.agreement}: log in, become a credentialed user (training in research with "
        "human subjects), and sign the data use agreement of this very data set and version; each has its own."
        if collection.agreement
        else "These files should be open to everybody: see whether a proxy stands between."
    )
    if error.status == 401 and not error.shown:
        return AccessError(
            f"{host} asks for a password, and none is known. Remedy: a line 'machine {host} login NAME password "
            f"PASSWORD' in ~/.netrc (chmod 600), or run this in a terminal, which asks. {signed}"
        )
    if error.status == 401:
        return AccessError(f"{host} does not take this user name and password (401). Remedy: see ~/.netrc. {signed}")
    if error.status == 302:
        return AccessError(f"{host} sends to its login page: the session has ended. Remedy: new --cookies. {signed}")
    if error.shown:
        return AccessError(f"{host} knows this user, who may not read {collection.path} (403). {signed}")
    return AccessError(
        f"{host} refuses {collection.path} without asking for a password (403). PhysioNet asks only programs that it "
        "knows: install wget, which is one and is then used, or give a browser's session as --cookies FILE "
        f"(docs/download.md). {signed}"
    )
