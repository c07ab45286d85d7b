"""Texts from data, made fit to be drawn: cleaned, measured, shortened. Escaping is left to who writes the markup."""

import unicodedata
from functools import cache

ELLIPSIS = "…"
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[]{}/\\ `-"), frozenset("mwMW@%—")
TIP_LENGTH = 120
"""How much of a name is told where there is room for all of it, in characters."""


def plain(text: str) -> str:
    """A text on one line, without what would break markup or turn the text around it.

    What XML cannot hold becomes U+FFFD; line breaks and other controls become spaces.
    """
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if character in _BIDI:
            continue
        if category in ("Cc", "Zl", "Zp"):
            kept.append(" ")
        elif category == "Cs" or ord(character) & 0xFFFE == 0xFFFE:
            kept.append("\ufffd")
        else:
            kept.append(character)
    return " ".join("".join(kept).split()) or "(empty)"


@cache
def _em(character: str) -> float:
    """A character's width as a share of the font's size, rather too wide than too narrow."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if character in _NARROW:
        return 0.4
    if character in _WIDE:
        return 1.0
    return 0.72 if character.isupper() else 0.62


def width_of(text: str, size: float) -> float:
    """About how wide a text is, in the units of its size."""
    return size * sum(_em(character) for character in text)


def shortened(text: str, width: float, size: float) -> str:
    """A plain text that fits, cut in the middle: pages tell themselves apart by how they begin and end."""
    text = plain(text)
    if width_of(text, size) <= width:
        return text
    room = width - width_of(ELLIPSIS, size)
    head, tail = _cut(text, room * 0.6, size), _cut(text[::-1], room * 0.4, size)[::-1]
    return f"{head.rstrip()}{ELLIPSIS}{tail.lstrip()}"


def tip(text: str) -> str:
    """A plain text for a tooltip or an alternative text, whole unless it is very long."""
    text = plain(text)
    return text if len(text) <= TIP_LENGTH else text[: TIP_LENGTH - 1] + ELLIPSIS


def _cut(text: str, room: float, size: float) -> str:
    """As much of a text's beginning as there is room for."""
    used = 0.0
    for place, character in enumerate(text):
        used += size * _em(character)
        if used > room:
            return text[:place]
    return text


def counted(number: float) -> str:
    """A number of things; whole ones without a point."""
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def short_number(number: float) -> str:
    """A number for an axis: 950, 1.2k, 35M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def percent(share: float | None) -> str:
    """A share in per cent, with a decimal below ten."""
    if share is None:
        return "-"
    return f"{share:.1%}" if abs(share) < 0.0995 and share else f"{share:.0%}"


def lasting(seconds: float | None) -> str:
    """A time span in its largest fitting unit, or none."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
