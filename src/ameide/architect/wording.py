"""How citations, numbers, code and quotes look in what a model says, and up to where a line of it is certain."""

from __future__ import annotations

import re

from ameide.architect.citations import KINDS

_LONGEST_KEY = 1200
_LONGEST_NUMBER = 128
_LONGEST_CODE = 1300
# Marks of checked citations while their line is checked: no characters of any text, so none that a model can write.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_INVISIBLE = (
    r"\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\U000e0000-\U000e0fff"
)
# What is not seen between brackets, or seen as emphasis alone.
_UNSEEN = rf"\s\\*_~^{_INVISIBLE}"
_OPENINGS, _CLOSINGS = "[\uff3b\u3010\u301a\u27e6", "]\uff3d\u3011\u301b\u27e7"
_OPENING, _CLOSING = f"\\{_OPENINGS}", f"\\{_CLOSINGS}"
_NUMBER = (
    rf"[{_OPENING}][{_UNSEEN}]{{0,8}}\d{{1,3}}(?:[{_UNSEEN},;\u2013-]{{1,8}}\d{{1,3}}){{0,8}}"
    rf"[{_UNSEEN}]{{0,8}}[{_CLOSING}]"
)
_OPEN_NUMBER = re.compile(rf"[{_OPENING}][{_UNSEEN}\d,;\u2013-]{{0,{_LONGEST_NUMBER}}}\Z")
CITATION = re.compile(rf"\[\[(?P<key>(?P<kind>[a-z_]+):(?!:)(?:(?!\[\[|\]\])[^\n{_OPEN}]){{0,{_LONGEST_KEY}}})\]\]")
_CODE = r"(?<!`)(?P<tick>`{1,8})(?!`).{1,1200}?(?<!`)(?P=tick)(?!`)"
_SPAN, _TICKS = re.compile(_CODE), re.compile(r"`+")
TOKEN = re.compile(rf"(?P<code>{_CODE})|(?P<number>{_NUMBER})|{CITATION.pattern}")
KNOWN = re.compile(KINDS)
_BLANK = rf"[\s{_INVISIBLE}]"
_ITEM = rf"{_BLANK}*(?:(?:[-*+\u2022]|\d{{1,3}}[.)]){_BLANK}+)*"
QUOTED = re.compile(rf"{_ITEM}> ?(?P<text>.*)")
FENCE = re.compile(rf"{_ITEM}(?P<fence>`{{3,}}|~{{3,}})")
LEAD = re.compile(rf"\A(?:{_ITEM}(?:>|`{{3,}}|~{{3,}}))+ ?")
# The beginning of a line that may be one of these.
_HELD = re.compile(rf"{_ITEM}(?:[>`~]|(?:[-*+\u2022]|\d{{1,3}}[.)]?)?{_BLANK}*\Z)")
_KEY_BLOCK = "-----BEGIN"
_SOURCE = re.compile(
    rf"(?:{_BLANK}|[-\u2013\u2014()*_,;:.&]|(?:source|from|see|and)\b|{_NUMBER}|{CITATION.pattern})*+", re.IGNORECASE
)
_UNIT = re.compile(r"[^ \t\n]*[ \t\n]|[^ \t\n]+")
_SPECIAL = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069{_OPEN}{_CLOSE}]"
)
_ENDS = frozenset(" \t.,;:!?)]}\u2026")


def units(text: str) -> list[str]:
    """The text in words, each with the one space or line break behind it; without what a terminal acts on."""
    return _UNIT.findall(_SPECIAL.sub("", text.replace("\r\n", "\n")))


def mark(shown_as: str) -> str:
    """The mark of a checked citation, so that none of the model's looks like it."""
    return f"{_OPEN}{shown_as[1:-1]}{_CLOSE}"


def shown(text: str) -> str:
    """The text with its marks as people see them."""
    return text.replace(_OPEN, "[").replace(_CLOSE, "]")


def closed_up(before: str, after: str) -> str:
    """What stood before something that was taken out; its space goes where no word follows at once."""
    return before.rstrip(" ") if not after or after[0] in _ENDS else before


def may_become(heard: str) -> bool:
    """Whether a line that begins so may be a quote or a fence, or holds a key that goes over lines."""
    return _HELD.match(heard) is not None or _KEY_BLOCK in heard


def source_of(heard: str, kind: str) -> str | None:
    """The citation that a line begins with, of this kind if one is: what stands above is from there."""
    begun = _SOURCE.match(heard)
    cited = list(CITATION.finditer(heard, 0, begun.end() if begun else 0))
    return next((one[0] for one in cited if one["kind"] == kind), cited[0][0] if cited else None)


def cut_of(heard: str, checked: int) -> int:
    """Up to where a line that goes on can be checked: to a space, and into no citation, code or number in brackets."""
    cut = _space_before(heard, len(heard))
    opened = heard.find("[[", checked)
    while opened != -1 and (closed := heard.find("]]", opened)) != -1 and closed < cut:
        opened = heard.find("[[", closed)
    if opened != -1 and len(heard) - opened < _LONGEST_KEY:
        cut = min(cut, opened)
    if cut > checked:
        cut = _before_what_may_go_on(heard, checked, cut)
    # A word goes on as a whole, for what a secret is like shows at its end.
    return _space_before(heard, cut + 1)


def without_numbers(text: str) -> str:
    """The text without numbers in brackets that a change to the text has brought out of code."""
    return TOKEN.sub(lambda match: "\u2026" if match["number"] else match[0], text)


def not_open(text: str) -> str:
    """A whole line without the bracket at its end that would make a number of the next line look like a checked one."""
    number = _OPEN_NUMBER.search(text)
    return f"{text[: number.start()]}({text[number.start() + 1 :]}" if number else text


def spare(text: str) -> int:
    """How much of a long line's beginning matters no more for what follows: to a space, outside of code."""
    if len(text) < 2 * _LONGEST_CODE:
        return 0
    cut = _space_before(text, len(text) - _LONGEST_CODE) + 1
    inside = next((span.start() for span in _SPAN.finditer(text) if span.start() < cut < span.end()), cut)
    return cut if inside == cut else _space_before(text, inside) + 1


def settled(text: str, *, begins: bool = True) -> str:
    """What of a line's checked beginning, or of what follows it, stays as it is, whatever comes."""
    if begins and _HELD.match(text):
        return ""
    end = len(text)
    if number := _OPEN_NUMBER.search(text):
        end = number.start()
    opened = text.find("[[", text.rfind("]]") + 1)
    if opened != -1 and len(text) - opened < _LONGEST_KEY:
        end = min(end, opened)
    if end < len(text):
        end = max(0, _space_before(text, end))
    return text[:end].rstrip(" ")


def _space_before(text: str, end: int) -> int:
    return max(text.rfind(" ", 0, end), text.rfind("\t", 0, end))


def _before_what_may_go_on(heard: str, checked: int, cut: int) -> int:
    at = checked
    while ticks := _TICKS.search(heard, at, cut):
        span = _SPAN.match(heard, ticks.start())
        if span is not None and span.end() <= cut:
            at = span.end()
        elif span is not None or len(heard) - ticks.start() < _LONGEST_CODE:
            cut = ticks.start()
            break
        else:
            at = ticks.end()
    opened = max(heard.rfind(each, checked, cut) for each in _OPENINGS)
    closed = max(heard.rfind(each, checked, cut) for each in _CLOSINGS)
    return opened if closed < opened and len(heard) - opened < _LONGEST_NUMBER else cut
