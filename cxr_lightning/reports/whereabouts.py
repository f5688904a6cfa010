"""How web addresses, streets, ZIP codes and ages over 89 are written: HIPAA's Safe Harbor wants them out of a text."""

from __future__ import annotations

import re

WEB = re.compile(r"(?<!\w)(?:https?://|ftp://|www\.)[^\s<>\"')\]]{3,300}", re.IGNORECASE)
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR"
    "|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY"
)
STREET = re.compile(
    rf"""
    (?<![\w.,/-])\d{{1,5}}\ (?:[NSEW]\.?\ )?(?:[A-Z][a-z]{{1,20}}\.?\ |\d{{1,3}}(?:st|nd|rd|th)\ ){{1,3}}
      (?:Street|St\b\.?|Avenue|Ave\b\.?|Road|Rd\b\.?|Boulevard|Blvd\b\.?|Lane|Ln\b\.?|Drive|Court|Place|Highway
      |Hwy\b\.?|Parkway|Pkwy\b|Square|Terrace)(?!\w)
    | \b[A-Z][a-z]{{2,20}},?\ (?:{_STATES}),?\ \d{{5}}(?:-\d{{4}})?(?![\w-]|\.\d)
    | \b(?i:zip)(?i:\ code)?:?\ ?\d{{5}}(?:-\d{{4}})?(?!\w)
    """,
    re.VERBOSE,
)
AGE = re.compile(
    r"""
    (?<![\w.,/-])(?:9\d|1[0-2]\d)(?:[- ]?(?:years?|yrs?)[- ](?:old|of\ age)|[- ]?y\.?/?o\b\.?|[- ]?yo[fm]?\b
      |[mf]\b(?!\ ?\d))
    | \b(?:aged|age)(?:\ is|:)?\ (?:9\d|1[0-2]\d)(?!\w|[.,/]\d|-\d|\ ?%)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""All ages over 89 are one there."""
