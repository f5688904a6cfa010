"""A study's texts enter, instruction turns leave: what stage 2 learns to answer.

`describe` asks once, in many wordings, and answers with the summary. `mixed` asks several things of one study, each
answered by what the report says about it and by nothing else; what it leaves open is never asked. All is drawn by
the study's key, and the questions about findings so that yes and no are about equally often for each of them: for that
the draw needs to know how common findings are in the archive, counted among its studies or taken from a table.
"""

from __future__ import annotations

from cxr_lightning.reports.conversations.converse import ask_all, converse
from cxr_lightning.reports.conversations.frequencies import Shares, shares_among
from cxr_lightning.reports.conversations.said import Context, Said, Style
from cxr_lightning.reports.conversations.shown import split_shown
from cxr_lightning.reports.conversations.turns import IMAGE_MARK, Asked, Turn
from cxr_lightning.reports.conversations.wordings import DESCRIBE, FINDINGS, IMPRESSION

__all__ = [
    "DESCRIBE",
    "FINDINGS",
    "IMAGE_MARK",
    "IMPRESSION",
    "Asked",
    "Context",
    "Said",
    "Shares",
    "Style",
    "Turn",
    "ask_all",
    "converse",
    "shares_among",
    "split_shown",
]
