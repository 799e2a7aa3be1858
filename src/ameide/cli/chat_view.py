"""The events of a turn for a person: text as it comes, what was read dimmed, what it rests on, and the mark.

Answers go to standard output; what only tells how things go is on standard error. Nothing can steer the terminal.
"""

from __future__ import annotations

import json
import sys
from typing import Protocol

import click

from ameide.cli.chat_content import print_content, print_diff
from ameide.cli.cost_view import money
from ameide.cli.output import harmless, heading, say, word
from ameide_core_proto.agent.transformation.v1.architect_service_pb import (
    CitedRecord,
    ConverseResponse,
    Drafted,
    Effected,
    Notice,
    NoticeKind,
    ToolUsed,
    TurnBegan,
    TurnEnded,
    Voided,
)

_LINES, _FEW = 12, 3
_GOOD_NEWS = frozenset({NoticeKind.WAITING})


class View(Protocol):
    """Where the events of a turn go."""

    def show(self, event: ConverseResponse) -> None:
        """One event, in its order."""
        ...

    def quiet(self, seconds: float) -> None:
        """Nothing has come for so long."""
        ...

    def again(self, why: str) -> None:
        """The turn is sent again, and says again what it had said."""
        ...


class JsonLines:
    """Each event as one line of ProtoJSON."""

    def show(self, event: ConverseResponse) -> None:
        """One event."""
        # Escaped beyond ASCII, so that a terminal has nothing to obey here either.
        click.echo(json.dumps(json.loads(event.to_json())))

    def quiet(self, seconds: float) -> None:
        """A program needs no consolation."""

    def again(self, why: str) -> None:
        """On standard error."""
        say(why)


class Terminal:
    """For a person."""

    def __init__(self) -> None:
        self._at_line_start, self._drawn, self._told = True, False, 0.0
        self._cited: list[tuple[int, CitedRecord]] = []
        self._model: str | None = None
        self._conversation = ""

    def show(self, event: ConverseResponse) -> None:
        """One event, in its order."""
        self._clear()
        happened = event.event
        if happened is None:
            return
        if happened.field == "text":
            self._text(happened.value)
            return
        self._end_line()
        match happened.value:
            case TurnBegan() as began:
                self._began(began)
            case Notice() as notice:
                colour = None if notice.kind in _GOOD_NEWS else "yellow"
                click.echo(click.style(f"! {harmless(notice.text)}", fg=colour))
            case ToolUsed() as used:
                self._tool(used)
            case CitedRecord() as cited:
                self._cited.append((event.seq, cited))
            case Voided() as voided:
                # The notice before it has said so.
                self._cited = [one for one in self._cited if one[0] < voided.from_seq]
            case Drafted() as drafted:
                self._drafted(drafted)
            case Effected() as effected:
                self._effected(effected)
            case TurnEnded() as ended:
                self._ended(ended)
            case _:
                # A consent is shown by who asks for it.
                pass

    def quiet(self, seconds: float) -> None:
        """A line that is written over on a terminal, a line now and then elsewhere."""
        if not self._at_line_start:
            return
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K… {seconds:.0f} s", err=True, nl=False)
            self._drawn = True
        elif seconds - self._told >= 10 or not self._told:
            say(f"The agent is at it, for {seconds:.0f} s now.")
            self._told = seconds

    def again(self, why: str) -> None:
        """Says why, and that it begins anew."""
        self._clear()
        self._end_line()
        self._cited.clear()
        say(why)

    def _began(self, began: TurnBegan) -> None:
        if began.conversation_id != self._conversation:
            self._conversation = began.conversation_id
            about = f", about {began.change_id}" if began.change_id else ""
            say(click.style(f"{began.conversation_id}{about}, {harmless(began.model) or 'no model'}", dim=True))

    def _text(self, text: str) -> None:
        shown = "\n".join(harmless(line) for line in text.split("\n"))
        click.echo(shown, nl=False)
        self._at_line_start = shown.endswith("\n") if shown else self._at_line_start

    def _tool(self, used: ToolUsed) -> None:
        came = f"failed: {harmless(used.error)}" if used.error else f"{used.found} found"
        say(click.style(f"· {harmless(used.name)} {harmless(used.asked)}: {came}", dim=True))

    def _drafted(self, drafted: Drafted) -> None:
        if drafted.diff:
            heading(
                f"Draft of {word(drafted.kind.name)} {drafted.artifact_id}, against version {drafted.against_number}"
            )
            print_diff(drafted.diff)
        else:
            heading(f"Draft of {word(drafted.kind.name)}")
            if drafted.content is not None:
                print_content(drafted.content)

    def _effected(self, effected: Effected) -> None:
        refs = (effected.change_id, effected.artifact_ref, effected.work_request_id, effected.process_instance_id)
        again = " (it was done before)" if effected.idempotent_replay else ""
        did = f"Done: {word(effected.action.name)}: {', '.join(ref for ref in refs if ref)}{again}"
        click.echo(click.style(harmless(did), fg="green"))

    def _ended(self, ended: TurnEnded) -> None:
        if self._cited:
            heading("It rests on")
            # Of many the places are enough: an answer without a model has quoted the lines already.
            lines = _LINES if len(self._cited) <= _FEW else 0
            for _, cited in self._cited:
                _print_cited(cited, lines)
            self._cited.clear()
        for missing in ended.not_found:
            click.echo(f"Not found: {harmless(missing)}")
        if ended.untrusted_count:
            click.echo(
                click.style(
                    f"Mark: this conversation has read {ended.untrusted_count} texts that anybody may have written; "
                    "it shows at the gates of its change.",
                    fg="yellow",
                )
            )
        usage = ended.usage
        cost = f", {money(usage.cost_micros)}" if usage and usage.cost_micros else ""
        tokens = f"{usage.input_tokens} tokens in, {usage.output_tokens} out{cost}; " if usage and usage.model else ""
        say(click.style(f"{tokens}read up to position {ended.read_position}", dim=True))

    def _end_line(self) -> None:
        if not self._at_line_start:
            click.echo()
            self._at_line_start = True

    def _clear(self) -> None:
        self._told = 0.0
        if self._drawn:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._drawn = False


def _print_cited(cited: CitedRecord, most: int) -> None:
    citation, lines = cited.citation, cited.lines
    ref = f"{word(citation.kind.name)} {citation.ref}" if citation else ""
    label = f"{harmless(cited.label)}, " if cited.label and lines is None else ""
    click.echo(f"[{cited.number}] {label}{harmless(ref)}")
    if lines is None or not most:
        return
    shown = lines.text.rstrip("\n").split("\n")
    for number, line in enumerate(shown[:most], start=lines.first_line):
        click.echo(click.style(f"    {number:>5}  {harmless(line)}", dim=True))
    if len(shown) > most:
        click.echo(click.style(f"           {len(shown) - most} more lines", dim=True))
