"""TOOL_RUN ANALYZE: what a repository is made of, told by rules. Nothing of it is ever executed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.tools.analyze import analyze
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, WorkInputs, WorkResult
from tests.tools.conftest import PROJECT
from tests.tools.world import Remote, World

MARK = "touch analyze-was-executed"
FILES = {
    **PROJECT,
    "pyproject.toml": '[project]\nname = "calc"\ndependencies = ["httpx>=0.27", "rich"]\n',
    "setup.py": f"import os\nos.system({MARK!r})\n",
    "conftest.py": f"import os\nos.system({MARK!r})\n",
    ".gitattributes": "* filter=evil diff=evil\n*.py text eol=crlf\n",
    ".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch analyze-was-executed"\n',
    "web/package.json": f'{{"name": "shop", "dependencies": {{"react": "19"}}, "scripts": {{"test": "{MARK}"}}}}',
    "web/src/cart.test.ts": "// Cancel an order\nexport const cancel = 1;\n",
    "broken/package.json": "{not json",
    "proto/orders.proto": 'syntax = "proto3";\n',
    "CODEOWNERS": "# who\n*.py @core  @ada\n/web/ @front\n",
    "docs/notes.md": "Ask before you CANCEL an order.\r\nNot here.\n",
    "blob.bin": "\0\0cancel",
}


@pytest.fixture
def shop(state_dir: Path) -> Remote:
    return Remote.create(state_dir, "shop", FILES)


async def without_children(ctx: StepContext) -> WorkResult:
    """The step, with a runner of children that has none."""

    async def refuse(argv: Sequence[str], **_asked: object) -> NoReturn:
        raise AssertionError(f"{argv} was to be executed")

    return await analyze(replace(ctx, run=refuse))


async def report(world: World) -> dict[str, Any]:
    [artifact] = [one for one in world.bundle.artifacts if one.name == "analysis.json"]
    found: dict[str, Any] = json.loads(await world.store.get(artifact.uri))
    return found


async def test_it_tells_what_there_is_and_executes_nothing(world: World, shop: Remote) -> None:
    result = await world.run(without_children, world.work(ActionKind.ANALYZE, shop))
    told = await report(world)
    assert told["commit"] == shop.head()
    assert result.outputs
    assert result.outputs.commit_sha == shop.head()
    assert told["files"] == len(FILES)
    languages = {one["name"]: (one["files"], one["lines"]) for one in told["languages"]}
    assert languages["Python"] == (4, 2 + 6 + 2 + 2)
    assert languages["TypeScript"] == (1, 2)
    components = {one["path"]: one for one in told["components"]}
    assert components.keys() == {".", "web", "broken"}
    assert (components["."]["name"], components["."]["ecosystems"]) == ("calc", ["python"])
    assert (components["web"]["name"], components["web"]["files"], components["web"]["tests"]) == ("shop", 2, 1)
    manifests = {one["path"]: one for one in told["manifests"]}
    assert manifests["pyproject.toml"]["dependencies"] == ["httpx", "rich"]
    assert manifests["web/package.json"]["dependencies"] == ["react"]
    assert "cannot be read" in manifests["broken/package.json"]["problem"]
    assert told["commands"]["source"] == "ameide.yaml"
    assert told["commands"]["suites"]["default"][:3] == ["python", "-m", "pytest"]
    assert told["protos"] == {"files": 1, "paths": ["proto/orders.proto"]}
    assert "test_calc.py" in told["tests"]["paths"]
    assert told["owners"][0] == {"pattern": "*.py", "owners": ["@core", "@ada"], "path": "CODEOWNERS", "line": 2}
    assert told["terms"] == []
    assert world.bundle.tool_name == "ameide analyze"


async def test_words_are_found_with_their_lines_whatever_their_case(world: World, shop: Remote) -> None:
    inputs = WorkInputs(question='"cancel an order" frobnicate')
    result = await world.run(analyze, world.work(ActionKind.ANALYZE, shop, inputs=inputs))
    first, second = (await report(world))["terms"]
    places = [(hit["path"], hit["number"]) for hit in first["shown"]]
    assert (first["term"], first["lines"], first["files"]) == ("cancel an order", 2, 2)
    assert places == [("docs/notes.md", 1), ("web/src/cart.test.ts", 1)]
    assert (second["lines"], second["shown"]) == (0, [])
    assert "'frobnicate' stands in 0 lines of 0 files." in result.summary


async def test_the_same_commit_gives_the_same_report(world: World, shop: Remote) -> None:
    shop.commit({"later.py": "x = 1\n"}, branch="other")
    first = await world.run(analyze, world.work(ActionKind.ANALYZE, shop, commit=shop.head()))
    digests = {one.name: one.sha256 for one in world.bundle.artifacts}
    again = await world.run(analyze, world.work(ActionKind.ANALYZE, shop, commit=shop.head()))
    assert digests == {one.name: one.sha256 for one in world.bundle.artifacts}
    assert first.summary == again.summary


async def test_a_repository_that_says_nothing_is_told_as_far_as_it_goes(world: World, state_dir: Path) -> None:
    bare = Remote.create(state_dir, "bare", {"a|b.txt": "hello\n"})
    result = await world.run(analyze, world.work(ActionKind.ANALYZE, bare))
    assert "How it is verified is not known" in result.summary
    told = await report(world)
    assert told["components"] == []
    assert "ameide.yaml" in told["commands"]["problem"]


@pytest.mark.parametrize(
    ("question", "commit", "code", "why"),
    [
        (" ".join(f"word{n}" for n in range(11)), "", FailureCode.TOOL_FAILED, "at most 10 terms"),
        ("", "1" * 40, FailureCode.CHECKOUT_FAILED, "cannot check out"),
    ],
    ids=["too-many", "no-commit"],
)
async def test_what_cannot_be_done_is_said(
    world: World, shop: Remote, question: str, commit: str, code: FailureCode, why: str
) -> None:
    work = world.work(ActionKind.ANALYZE, shop, commit=commit, inputs=WorkInputs(question=question))
    with pytest.raises(StepFailed, match=why) as failed:
        await world.run(analyze, work)
    assert failed.value.code is code
