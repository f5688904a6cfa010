"""One word names the model: a folder on this machine, or the URL of a server that speaks OpenAI's protocol."""

from __future__ import annotations

from pathlib import Path

from cxr_lightning.serve.dialogue import Responder

_SCHEMES = ("http://", "https://")


def is_url(model: str) -> bool:
    """Tells whether a model is named by the URL of its server.

    Args:
        model: What the user wrote.
    """
    return model.lower().startswith(_SCHEMES)


def open_responder(
    model: str,
    *,
    device: str | None = None,
    served_model: str | None = None,
    api_key: str | None = None,
    image_size: int | None = None,
    tries: int | None = None,
    direct: bool = False,
) -> Responder:
    """Opens a model for answering.

    Args:
        model: A folder that `cxr export` wrote, or a URL beginning with http:// or https://.
        device: Where a folder's model computes; None takes a GPU if there is one.
        served_model: Which of a server's models; None takes the only one.
        api_key: What the server asks for, if it does; None takes CXR_API_KEY.
        image_size: Longest side of the films sent to a server, larger ones are shrunk. A folder knows it by itself.
        tries: Attempts at a request to a server: few where someone waits; None waits for one that restarts.
        direct: Never ask a server by way of a proxy that the environment names.

    Raises:
        NotAnExportError: If the folder is not a complete model.
        ServerError: If there is no such server, or it does not let us in.
    """
    if is_url(model):
        from cxr_lightning.endpoint.attempts import TRIES
        from cxr_lightning.serve.remote import Remote

        return Remote(
            model, model=served_model, api_key=api_key, image_size=image_size, tries=tries or TRIES, direct=direct
        )
    # Here, not above: torch is slow to load, and a URL needs none of it.
    from cxr_lightning.serve.local import Local

    return Local(Path(model), device)
