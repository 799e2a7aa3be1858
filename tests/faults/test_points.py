"""The matrix of crash points: that it leaves none out, and a handful of its rows; `make faults` plays all of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import ameide
from ameide.process import steps
from ameide.process.steps import Command
from tests.faults.oracle import examine
from tests.faults.rig.installation import rig
from tests.faults.rig.matrix import clients_of, play
from tests.faults.rig.points import ROWS
from tests.faults.rig.running import say

SOURCE = Path(ameide.__file__).parent
# Commands that write nothing: a process that dies in one of them has nothing to lose.
READS = {"ListTokens", "WhoAmI", "ReadInput", "ReadBudgets"}
# Not of a role that the rig runs: archive and rebuild are made by commands, the notifier tells nobody there, nobody
# talks with the Architect agent; each is tried by its own tests.
ELSEWHERE = ("archive.", "rebuild.", "notifier.", "architect.")
# Each is at home in another role.
HANDFUL = (
    "service.RequestWork.after_commit",
    "relay.move.before_commit",
    "projector.batch.after_commit",
    "executor.effect.after",
    "ingress.start.after",
)


def test_every_point_of_the_program_has_a_row() -> None:
    points = [row.point for row in ROWS]
    assert len(set(points)) == len(points)
    named = sorted(name for name in set(named_points()) if not name.startswith(ELSEWHERE))
    assert len(named) > 15, "the program names its points in another way"
    assert [name for name in named if not any(fnmatch(point, name) for point in points)] == []


def test_every_command_and_every_activity_has_its_rows() -> None:
    answered = {row.point.split(".")[1] for row in ROWS if row.point.startswith("service.")}
    assert answered == set(commands()) - READS
    sent = {row.point.split(".")[1] for row in ROWS if row.point.startswith("worker.")}
    named = {one.name for one in vars(steps).values() if isinstance(one, Command)}
    assert sent - {"process_facts"} == {*named, steps.PERFORM_READ}


async def test_a_process_killed_at_a_point_loses_and_doubles_nothing(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row.point in HANDFUL and not row.by_kafka]
    assert len(rows) == len(HANDFUL)
    async with rig(tmp_path, say) as installation:
        await installation.start_all()
        async with clients_of(installation) as client:
            results = [result async for result in play(installation, client, rows, lambda: examine(tmp_path))]
    assert [str(result) for result in results if not result.ok] == []
    assert len(results) == len(HANDFUL)


def named_points() -> Iterator[str]:
    """What the source gives to `reach` and to `point`, as patterns: a part that it computes is a star."""
    for node in _nodes():
        match node:
            case ast.Call(func=ast.Name(id="reach"), args=[text]):
                yield from _pattern(text, "")
            case ast.keyword(arg="point", value=text):
                yield from _pattern(text, ".*")
            case ast.Assign(targets=[ast.Attribute(attr="point")], value=text):
                yield from _pattern(text, ".*")
            case _:
                pass


def commands() -> Iterator[str]:
    """The commands that the service executes, by name."""
    for node in _nodes():
        match node:
            case ast.Call(func=ast.Attribute(attr="execute" | "perform"), args=[_, ast.Constant(value=str(name)), *_]):
                if name.isidentifier():
                    yield name
            case _:
                pass


def _nodes() -> Iterator[ast.AST]:
    for path in SOURCE.rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def _pattern(text: ast.expr, end: str) -> Iterator[str]:
    match text:
        case ast.Constant(value=str(said)) if said:
            yield said + end
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts) + end
        case ast.IfExp(body=said):
            yield from _pattern(said, end)
        case _:
            pass
