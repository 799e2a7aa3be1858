"""All tools by name: which a person's roles grant, and one door for every call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from ameide.architect.tools import (
    artifacts,
    changes,
    evidence,
    files,
    gates,
    glossary,
    proposals,
    releases,
    repositories,
    status,
    timeline,
    works,
)
from ameide.architect.tools.arguments import checked
from ameide.architect.tools.rendering import bounded, clipped, one_line
from ameide.architect.tools.tool import Grant, Tool, ToolAnswer, ToolContext
from ameide.errors import AmeideError, NotFound
from ameide.secret_shapes import masked
from ameide.telemetry import tracing

logger = logging.getLogger(__name__)

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        *repositories.TOOLS,
        *changes.TOOLS,
        *artifacts.TOOLS,
        *timeline.TOOLS,
        *works.TOOLS,
        *evidence.TOOLS,
        *gates.TOOLS,
        *releases.TOOLS,
        *status.TOOLS,
        *glossary.TOOLS,
        *files.TOOLS,
        *proposals.TOOLS,
    )
}
_ASKED, _ERROR = 160, 2_000


def granted(roles: frozenset[str], *, read_only: bool = False) -> list[Tool]:
    """The tools of somebody with these roles; in a read-only turn only those that read."""
    return [
        tool for tool in TOOLS.values() if tool.grant.admits(roles) and not (read_only and tool.grant is Grant.PROPOSE)
    ]


async def call(ctx: ToolContext, name: str, arguments: Mapping[str, object] | str) -> ToolAnswer:
    """Call a tool as a model asked for it. What goes wrong is an answer that says so; only cancellation is raised."""
    tool = TOOLS.get(name)
    may_use = granted(ctx.roles, read_only=ctx.read_only)
    if tool is None or tool not in may_use:
        return ToolAnswer(error=_no_such(name, known=tool is not None, may_use=may_use), asked=asked({}))
    about = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.type": "function"}
    with tracing.span(f"execute_tool {name}", attributes=about):
        return await _called(ctx, tool, arguments)


async def _called(ctx: ToolContext, tool: Tool, arguments: Mapping[str, object] | str) -> ToolAnswer:
    name = tool.name
    given: Mapping[str, object] = {} if isinstance(arguments, str) else arguments
    try:
        values = checked(arguments, tool.parameters)
        given = values.values
        async with asyncio.timeout(tool.seconds):
            answer = bounded(await tool.run(ctx, values))
    except NotFound as error:
        answer = ToolAnswer(not_found=(one_line(str(error)),))
    except TimeoutError:
        answer = ToolAnswer(error=f"{name} took longer than {tool.seconds:.0f} seconds; ask for less")
    except AmeideError as error:
        answer = ToolAnswer(error=clipped(masked(one_line(str(error))), _ERROR))
    except Exception:
        logger.exception("a tool failed", extra={"tool": name})
        answer = ToolAnswer(error=f"{name} failed by a fault of its own; the log has it. Go on without it, and say so")
    if answer.error:
        tracing.fail("tool_error")
    return replace(answer, asked=asked(given))


def asked(given: Mapping[str, object]) -> str:
    """What a call asked for in a few words, without secrets."""
    words = [f"{key}={one_line(str(value))}" for key, value in given.items() if value not in ("", None)]
    return clipped(masked(" ".join(words)), _ASKED)


def _no_such(name: str, *, known: bool, may_use: list[Tool]) -> str:
    names = ", ".join(tool.name for tool in may_use) or "none"
    if known:
        return f"{one_line(name)} is not granted here: the roles or the turn allow reading only. Granted: {names}"
    return f"there is no tool {one_line(clipped(name, 80))!r}. There are: {names}"
