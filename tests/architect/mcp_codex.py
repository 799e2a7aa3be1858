"""The real Codex CLI with the control plane as one of its servers; only the model behind it is scripted."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from ameide.infra.codex_package import codex_package
from tests.architect.mcp_world import McpWorld
from tests.infra.responses_endpoint import Call, Endpoint, Reply, Say, Search, Use

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "mcp.md"
OVER_HTTP, OVER_STDIO = re.findall(r"^```toml\n(.*?)^```", HOW_TO.read_text(encoding="utf-8"), re.S | re.M)
# `codex exec` can ask nobody.
UNASKED = 'default_tools_approval_mode = "approve"\n'


class Story:
    """What the model does: look for tools, ask, open a change, propose its requirement, say so."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.answers: list[str] = []

    def __call__(self, call: Call) -> Reply:
        """The next step; what Codex brought of those before is kept."""
        items: list[dict[str, Any]] = call.body["input"]
        searched = [item for item in items if item["type"] == "tool_search_output"]
        if not searched:
            return Search("ameide ask change artifact repository")
        self.found = [tool["name"] for server in searched[-1]["tools"] for tool in server["tools"]]
        self.answers = [str(item["output"]) for item in items if item["type"] == "function_call_output"]
        content = {"title": "Cancel orders", "text": "As a buyer …", "acceptance_criteria": ["It can be canceled."]}
        match call.number:
            case 0:
                return Use("ameide", "ask", {"question": "What is open?"})
            case 1:
                return Use("ameide", "open_change", {"repository_id": "orders", "title": "Cancel orders"})
            case 2 if change_id := re.search(r"chg-[0-9a-f]{32}", self.answers[-1]):
                requirement = {"change_id": change_id[0], "kind": "requirement", **content}
                return Use("ameide", "propose_artifact", requirement)
            case _:
                return Say("That is all.")


async def codex(world: McpWorld, folder: Path, endpoint: Endpoint, server: str, bearer: str) -> list[dict[str, Any]]:
    """Run Codex once with this server; the events that it tells."""
    home = endpoint.write_home(folder / "home")
    with (home / "config.toml").open("a", encoding="utf-8") as config:
        config.write(server.replace("http://127.0.0.1:8580/mcp", world.url) + UNASKED)
    package, work = codex_package(None), folder / "work"
    assert package is not None
    work.mkdir()
    arguments = ("exec", "--json", "-s", "read-only", "--skip-git-repo-check", "-C", str(work), "Propose it.")
    program = await asyncio.create_subprocess_exec(
        str(package / "bin" / "codex"),
        *arguments,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "CODEX_HOME": str(home),
            "AMEIDE_TOKEN": bearer,
            "AMEIDE_ARCHITECT_ADDRESS": world.url.removesuffix("/mcp"),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        out, errors = await program.communicate()
    assert program.returncode == 0, errors.decode()
    return [json.loads(line) for line in out.decode().splitlines()]


def called(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The tools that Codex called, and what became of each call."""
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    return [(item["tool"], item["status"]) for item in items if item["type"] == "mcp_tool_call"]
