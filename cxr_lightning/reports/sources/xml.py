"""XML from strangers enters, a tree of elements leaves, or a named error: no document type, so no entities to expand.

An entity can stand for a file of this machine, or for a billion others; Open-i's reports need none.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from cxr_lightning.reports.sources.found import StudyError

DEEPEST = 100
"""Elements within elements; Open-i has ten."""


def parse_xml(raw: bytes) -> Element:
    """Parse a document.

    Args:
        raw: Its bytes, in the encoding that it declares.

    Returns:
        Its root element.

    Raises:
        StudyError: It is not well-formed, too deep, or declares a document type or entities.
    """
    builder, depth = TreeBuilder(), 0
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise StudyError("XML unreadable", f"more than {DEEPEST} elements within each other")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(raw, True)
        return builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, StudyError):
            raise
        # Of the parser's own message only the place: it may quote what stands there.
        line = getattr(error, "lineno", 1)
        raise StudyError("XML unreadable", f"not well-formed XML (line {line})") from None


def _refuse(*_: object) -> None:
    raise StudyError("XML with entities", "declares a document type or entities, which are not expanded; remove them")
