"""What the model says, on its way to the person: citations and quotes are checked while the text streams.

A word goes on as soon as it is whole. A citation is held back until it closes, and quoted lines, with a `>` before
them or in a fence, until it is seen whether a file is cited for them. Numbers in brackets that the model writes
itself look like checked ones, so they are taken out wherever they are no code; so are characters that a terminal would
act on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ameide.architect.agent import Lines, Said, Speech
from ameide.architect.citations import KINDS, Cited, Citing
from ameide.architect.quotes import as_they_are
from ameide.architect.records import Ledger
from ameide.secret_shapes import masked
from ameide_core_proto.agent.transformation.v1.architect_service_pb import NoticeKind

_LONGEST_KEY = 1200
_UNCITED = 80
_CITATION = re.compile(rf"\[\[(?P<key>(?P<kind>[a-z_]+):(?!:)(?:(?!\[\[|\]\])[^\n]){{0,{_LONGEST_KEY}}})\]\]")
# What is not seen between brackets, or seen as emphasis alone.
_UNSEEN = (
    r"\s\\*_~^\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\U000e0000-\U000e0fff"
)
_OPENING, _CLOSING = "\\[\uff3b\u3010\u301a\u27e6", "\\]\uff3d\u3011\u301b\u27e7"
_NUMBER = (
    rf"[{_OPENING}][{_UNSEEN}]{{0,8}}\d{{1,3}}(?:[{_UNSEEN},;\u2013-]{{1,8}}\d{{1,3}}){{0,8}}"
    rf"[{_UNSEEN}]{{0,8}}[{_CLOSING}]"
)
_LONGEST_NUMBER = 128
_LONGEST_CODE = 1300
_CODE = r"(?<!`)(?P<tick>`{1,8})(?!`).{1,1200}?(?<!`)(?P=tick)(?!`)"
_SPAN, _TICKS = re.compile(_CODE), re.compile(r"`+")
_TOKEN = re.compile(rf"(?P<code>{_CODE})|(?P<number>{_NUMBER})|{_CITATION.pattern}")
_KNOWN = re.compile(KINDS)
_ITEM = r"(?:(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+)*"
_QUOTED = re.compile(rf"\s*{_ITEM}> ?(?P<text>.*)")
_FENCE = re.compile(rf"\s*{_ITEM}(?P<fence>`{{3,}}|~{{3,}})")
# The beginning of a line that may be one of these.
_HELD = re.compile(rf"{_ITEM}(?:[>`~]|(?:[-*+\u2022]|\d{{1,3}}[.)]?)?\s*\Z)")
_QUOTES_WITHIN = re.compile(rf"(?:\s*{_ITEM}>)+ ?")
_SOURCE = re.compile(r"\s*(?:[-\u2013\u2014(*_]\s*|(?:source|from|see)\b:?\s*)*(?=\[\[)", re.IGNORECASE)
_SPECIAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")
_FILE = "file_lines"
_KEY_BLOCK = "-----BEGIN"


def begin(ledger: Ledger, numbers: dict[str, int], lines: Lines, redact: Callable[[str], str] = masked) -> Speech:
    """A speech about what the ledger knows. `redact` takes secrets out of a line."""
    return _Speech(Citing(ledger, numbers, lines), redact)


@dataclass(slots=True)
class _Quote:
    """Quoted lines that wait for their source; `fence` are the lines around them when they stand in a fence."""

    lines: list[str] = field(default_factory=list[str])
    fence: list[str] = field(default_factory=list[str])
    blanks: int = 0


@dataclass(slots=True)
class _Line:
    """The line that is being said: what was heard of it, up to where it is checked, and what of it has gone on."""

    heard: str = ""
    checked: int = 0
    text: str = ""
    gone: str = ""


class _Speech:
    def __init__(self, citing: Citing, redact: Callable[[str], str]) -> None:
        self._citing = citing
        self._redact = redact
        self._line = _Line()
        self._quote: _Quote | None = None
        self._open = ""
        self._length = 0
        self._last = ""

    async def hear(self, text: str) -> Sequence[Said]:
        """A piece of the answer; what of it may be said by now."""
        for number, part in enumerate(_SPECIAL.sub("", text.replace("\r\n", "\n")).split("\n")):
            if number:
                await self._whole("\n")
            self._line.heard += part
        await self._begun()
        return self._taken()

    async def end(self) -> Sequence[Said]:
        """The answer is over; the rest of it."""
        if self._line.heard:
            await self._whole("")
        if self._open:
            self._open = ""
        await self._settle(None)
        read = self._citing.ledger.known or self._citing.ledger.files
        if read and not self._citing.held and self._length > _UNCITED and not self._last.endswith("?"):
            self._citing.notice(NoticeKind.UNCITED, "Nothing in this answer names the record that it rests on.")
        return self._taken()

    def _taken(self) -> list[Said]:
        said, self._citing.said = self._citing.said, []
        return said

    def _say(self, text: str) -> None:
        if text:
            self._length += len(text)
            self._last = text.strip() or self._last
            said = self._citing.said
            if said and isinstance(said[-1], str):
                text = f"{said.pop()}{text}"
            said.append(text)

    async def _begun(self) -> None:
        """Let go what is certain of a line that goes on."""
        line = self._line
        start = line.heard.lstrip()
        if self._open or self._quote or _HELD.match(start) or _KEY_BLOCK in line.heard:
            return
        cut = max(line.heard.rfind(" "), line.heard.rfind("\t"))
        opened = line.heard.find("[[", line.checked)
        while opened != -1 and (closed := line.heard.find("]]", opened)) != -1 and closed < cut:
            opened = line.heard.find("[[", closed)
        if opened != -1 and len(line.heard) - opened < _LONGEST_KEY:
            cut = min(cut, opened)
        if cut > line.checked:
            cut = _before_what_may_go_on(line.heard, line.checked, cut)
        if cut > line.checked:
            await self._check(cut)
            self._let_go("")

    async def _whole(self, ending: str) -> None:
        """A line is complete."""
        heard = self._line.heard
        fence = _FENCE.match(heard)
        quoted = _QUOTED.fullmatch(heard)
        if self._open:
            self._in_fence(heard, fence)
        elif fence:
            await self._settle(None)
            self._open = fence["fence"]
            self._quote = _Quote(fence=[heard])
        elif quoted and not self._line.checked:
            await self._quoted(quoted["text"])
        elif self._quote and not heard.strip():
            self._quote.blanks += 1
        else:
            await self._plain(ending)
            return
        self._line = _Line()

    def _in_fence(self, heard: str, fence: re.Match[str] | None) -> None:
        assert self._quote is not None
        if fence and fence["fence"].startswith(self._open) and not heard.strip().strip(self._open[0]):
            self._quote.fence.append(heard)
            self._open = ""
        else:
            self._quote.lines.append(heard)

    async def _quoted(self, text: str) -> None:
        if self._quote and self._quote.fence:
            await self._settle(None)
        self._quote = self._quote or _Quote()
        self._quote.lines += [""] * self._quote.blanks
        self._quote.blanks = 0
        cited = _CITATION.search(text)
        # Of other citations the quoted line may have been the author.
        if cited and cited["kind"] == _FILE and not text[cited.end() :].strip(" .)"):
            if before := text[: cited.start()].rstrip(" (\u2014\u2013-"):
                self._quote.lines.append(before)
            await self._settle(cited[0], shown=True)
        else:
            self._quote.lines.append(text)

    async def _plain(self, ending: str) -> None:
        heard = self._line.heard
        if self._quote:
            source = _SOURCE.match(heard)
            cited = _CITATION.match(heard, source.end()) if source else None
            await self._settle(cited[0] if cited else None)
        await self._check(len(self._line.heard))
        self._let_go(ending, whole=True)
        self._line = _Line()

    async def _check(self, end: int) -> None:
        """Check the line up to there; what it cites is told before its text."""
        line = self._line
        line.text = await self._checked(line.heard[line.checked : end], line.text)
        line.checked = end

    async def _checked(self, part: str, text: str = "") -> str:
        """The text, and the part behind it. In code stand the brackets of code, beside citations."""
        at = 0
        for match in _TOKEN.finditer(part):
            text += part[at : match.start()]
            at = match.end()
            if match["code"]:
                text = await self._code(match["code"], text)
            elif match["number"]:
                text = self._without(text, match[0])
            else:
                text = await self._cited(match, text)
        return text + part[at:]

    async def _code(self, part: str, text: str = "") -> str:
        at = 0
        for match in _CITATION.finditer(part):
            text += part[at : match.start()]
            at = match.end()
            text = await self._cited(match, text) if _KNOWN.fullmatch(match["kind"]) else text + match[0]
        return text + part[at:]

    async def _cited(self, match: re.Match[str], text: str) -> str:
        cited = await self._citing.cite(match["key"])
        return text + cited.mark if cited else text.rstrip(" ")

    def _without(self, text: str, number: str) -> str:
        self._citing.notice(NoticeKind.CITATION_REMOVED, f"A citation was taken out: {number} names no record.")
        return text.rstrip(" ")

    def _let_go(self, ending: str, *, whole: bool = False) -> None:
        line = self._line
        text = self._redact(line.text)
        if text.startswith(line.gone):
            self._say(text[len(line.gone) :] + ending)
            line.gone = text
        elif whole:
            # What looked like a word has turned out to be a part of a secret: the line is said again without it.
            self._say(f"\n{text}{ending}")

    async def _settle(self, citation: str | None, *, shown: bool = False) -> None:
        """The quote that waits, if one does, goes on as the bytes of what is cited for it, or not as a quote.

        `shown`: the citation stands in the quote itself, so that its mark follows here.
        """
        quote, self._quote = self._quote, None
        if quote is None:
            return
        match = _CITATION.fullmatch(citation) if citation else None
        cited: Cited | None = await self._citing.cite(match["key"]) if match else None
        if match and match["kind"] == _FILE:
            self._verbatim(quote, cited)
        elif quote.fence:
            for line in (quote.fence[0], *quote.lines, *quote.fence[1:]):
                self._say(f"{self._redact(await self._code(line))}\n")
        else:
            await self._unquoted(quote)
        if shown and cited:
            self._say(f"{cited.mark}\n")
        self._say("\n" * quote.blanks)

    def _verbatim(self, quote: _Quote, cited: Cited | None) -> None:
        found = as_they_are(quote.lines, cited.lines.text) if cited and cited.lines else None
        if found is None:
            where = (
                f" that are not in {cited.lines.path} there"
                if cited and cited.lines
                else " whose source was never read"
            )
            self._citing.notice(NoticeKind.QUOTE_REMOVED, f"Quoted lines{where} were taken out.")
            return
        lines = [quote.fence[0], *found, *quote.fence[1:]] if quote.fence else [f"> {line}".rstrip() for line in found]
        self._say(self._redact("".join(f"{line}\n" for line in lines)))

    async def _unquoted(self, quote: _Quote) -> None:
        """Words without lines of a file behind them are the model's own, whoever they are said to be from."""
        self._citing.notice(
            NoticeKind.UNCITED, "A quotation without lines of a file behind it stands here as plain text."
        )
        for line in quote.lines:
            self._say(f"{self._redact(await self._checked(_QUOTES_WITHIN.sub('', line, count=1)))}\n")


def _before_what_may_go_on(heard: str, checked: int, cut: int) -> int:
    """Where to cut instead, so that neither code nor a number in brackets is cut into two."""
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
    opened = max(heard.rfind(each, checked, cut) for each in "[\uff3b\u3010\u301a\u27e6")
    closed = max(heard.rfind(each, checked, cut) for each in "]\uff3d\u3011\u301b\u27e7")
    return opened if closed < opened and len(heard) - opened < _LONGEST_NUMBER else cut
