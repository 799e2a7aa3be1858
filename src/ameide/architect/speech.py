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

from ameide.architect import wording
from ameide.architect.agent import Lines, Said, Speech
from ameide.architect.citations import Cited, Citing
from ameide.architect.quotes import as_they_are
from ameide.architect.records import Ledger
from ameide.secret_shapes import masked
from ameide_core_proto.agent.transformation.v1.architect_service_pb import NoticeKind

_UNCITED = 80
# Beyond any that is written by accident: what lies deeper is left out by its dots.
_ROUNDS = 16
_FILE = "file_lines"
_OWN_WORDS = "A quotation without lines of a file behind it stands here as plain text."


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
    """The line that is being said: what was heard of it, up to where it is checked, and what of it has gone on.

    `text` is what the checked part has come to, with marks as `wording.mark` makes them; of a long line, the end of it.
    """

    heard: str = ""
    checked: int = 0
    text: str = ""
    gone: str = ""
    long: bool = False


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
        # Only where a word ends is anything decided, so that it does not matter how the pieces are cut.
        for unit in wording.units(text):
            if unit[-1] == "\n":
                self._line.heard += unit[:-1]
                await self._whole("\n")
                continue
            self._line.heard += unit
            if unit[-1] in " \t":
                await self._begun()
        return self._taken()

    async def end(self) -> Sequence[Said]:
        """The answer is over; the rest of it."""
        if self._line.heard:
            await self._whole("")
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
        if self._open or self._quote or wording.may_become(line.heard):
            return
        cut = wording.cut_of(line.heard, line.checked)
        if cut > line.checked:
            await self._check(cut)
            self._let_go("")

    async def _whole(self, ending: str) -> None:
        """A line is complete."""
        heard = self._line.heard
        fence = wording.FENCE.match(heard)
        quoted = wording.QUOTED.fullmatch(heard)
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
        cited = wording.CITATION.search(text)
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
            await self._settle(wording.source_of(heard, _FILE))
        await self._check(len(heard))
        if not self._line.long:
            self._line.text = await self._led(self._line.text)
        self._line.text = wording.not_open(self._line.text)
        self._let_go(ending, whole=True)
        self._line = _Line()

    async def _check(self, end: int) -> None:
        """Check the line up to there; what it cites is told before its text."""
        line = self._line
        line.text = await self._checked(line.heard[line.checked : end], line.text)
        line.checked = end

    async def _checked(self, part: str, text: str = "") -> str:
        """The text, and the part behind it: again, until what is left looks like no citation either."""
        text += part
        for _ in range(_ROUNDS):
            before, text = text, await self._round(text)
            if text == before:
                return text
        return await self._round(text, gap="\u2026")

    async def _round(self, text: str, gap: str = "") -> str:
        """In code stand the brackets of code, beside citations."""
        found, at = "", 0
        for match in wording.TOKEN.finditer(text):
            found += text[at : match.start()]
            at = match.end()
            if match["code"]:
                found += await self._code(match["code"])
            elif match["number"]:
                self._citing.notice(
                    NoticeKind.CITATION_REMOVED, f"A citation was taken out: {match[0]} names no record."
                )
                found = wording.closed_up(found, text[at:]) + gap
            else:
                found = await self._cited(match, found, text[at:], gap)
        return found + text[at:]

    async def _code(self, part: str) -> str:
        found, at = "", 0
        for match in wording.CITATION.finditer(part):
            found += part[at : match.start()]
            at = match.end()
            known = wording.KNOWN.fullmatch(match["kind"])
            found = await self._cited(match, found, part[at:]) if known else found + match[0]
        return found + part[at:]

    async def _cited(self, match: re.Match[str], before: str, after: str, gap: str = "") -> str:
        cited = await self._citing.cite(match["key"])
        return before + wording.mark(cited.mark) if cited else wording.closed_up(before, after) + gap

    async def _led(self, text: str) -> str:
        """A checked line whose beginning looks like a quote, now that something before it was taken out, without that.

        What it is without may have been code, so it is checked again.
        """
        while (plain := wording.LEAD.sub("", text, count=1)) != text:
            self._citing.notice(NoticeKind.UNCITED, _OWN_WORDS)
            text = await self._checked(plain)
        return text

    def _let_go(self, ending: str, *, whole: bool = False) -> None:
        line = self._line
        text = self._masked(line.text if whole else wording.settled(line.text, begins=not line.long))
        if text.startswith(line.gone):
            self._say(text[len(line.gone) :] + ending)
            line.gone = text
        elif whole:
            # What looked like a word has turned out to be a part of a secret: the line is said again without it.
            self._say(f"\n{text}{ending}")
        if spare := 0 if whole else wording.spare(wording.settled(line.text, begins=not line.long)):
            line.text, line.long = line.text[spare:], True
            line.gone = self._masked(wording.settled(line.text, begins=False))

    def _masked(self, text: str) -> str:
        """The text as people see it."""
        safe = self._redact(text)
        # What is masked may have been the end of code.
        return wording.shown(text if safe == text else wording.without_numbers(safe))

    async def _settle(self, citation: str | None, *, shown: bool = False) -> None:
        """The quote that waits, if one does, goes on as the bytes of what is cited for it, or not as a quote.

        `shown`: the citation stands in the quote itself, so that its mark follows here.
        """
        quote, self._quote = self._quote, None
        if quote is None:
            return
        match = wording.CITATION.fullmatch(citation) if citation else None
        cited: Cited | None = await self._citing.cite(match["key"]) if match else None
        if match and match["kind"] == _FILE:
            self._verbatim(quote, cited)
        elif quote.fence:
            for line in (quote.fence[0], *quote.lines, *quote.fence[1:]):
                self._say(f"{self._redact(wording.shown(await self._code(line)))}\n")
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
        self._citing.notice(NoticeKind.UNCITED, _OWN_WORDS)
        for line in quote.lines:
            text = await self._led(await self._checked(wording.LEAD.sub("", line, count=1)))
            self._say(f"{self._masked(wording.not_open(text))}\n")
