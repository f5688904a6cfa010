"""A noun phrase enters, whether it names what is always there leaves: a heart has a size, a lung need not be opaque."""

from __future__ import annotations

from cxr_lightning.reports.earlier import any_of, pattern

_OVERALL = pattern(r"^(?:overall|otherwise|however|also|again|moreover|in addition|grossly|the|an?),? ")
_ABNORMAL = pattern(
    r"\b(?:enlarge|promine|widen|tortuo|calcif|dilat|ectati|bulg|low\b|elevat|collaps|hyper|fractur|abnormal|opacif"
    r"|deviat"
    r"|displac|flatten|distort|engorg|congest|shift|thicken|blunt|unfold|compress|metasta|sclero|destro|lytic|osteop"
    r"|degenerat|scolio|kypho|indistinct)\w*"
)
_HEAD_ENDS = pattern(
    r"\b(?:of|in|at|within|with|on|along|overlying|involving|from|for|to|under|above|below|behind|beneath|near|over"
    r"|around|between|throughout|projecting)\b|,"
)
_ALWAYS_THERE = any_of(
    """size|silhouettes?|contours?|appearance|positions?|hearts?|lungs?|mediastinum|volumes?|structures?|study|studies
    exam(?:ination)?|findings?|chest|hilum|hila|aorta|spine|bones?|vasculature|vascularity|trachea|diaphragms?|margins?
    hemidiaphragms?|remainder|aeration|inspiration|process|radiographs?|configuration|skeleton|thorax
    there|it|this|these|they|which|that"""
)
_NEUTRAL = pattern(
    rf"\b{_ALWAYS_THERE}$|^(?:(?:the|right|left|upper|lower|middle|mid|lung|both) )*"
    r"(?:left|right|others?|ones?|former|latter|both|sides?|rest|lobes?|bases?|zones?|fields?|tips?)$"
    r"|^(?:(?:the|lung|pulmonary|perihilar|bronchovascular|bronchial) )+markings?$"
    r"|^(?:(?:the|an?|right|left|small|smaller|tiny|trace|minimal|mild|moderate|large|larger|residual|apical|basal|basilar"
    r"|pleural|anterior|loculated) )*(?:ones?|components?|portions?)$"
)


def is_neutral(what: str) -> bool:
    """Tell whether a thing is always there, so that naming it says nothing: its head noun decides.

    Args:
        what: A noun phrase, without its article.
    """
    head = _HEAD_ENDS.split(_OVERALL.sub("", what), maxsplit=1)[0].strip()
    if not head or head.lower().startswith("no "):
        return True
    return _NEUTRAL.search(head) is not None and _ABNORMAL.search(head) is None
