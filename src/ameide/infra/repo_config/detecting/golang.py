"""A Go module: `go test ./...`, whose JSON output is the report."""

from __future__ import annotations

from collections.abc import Sequence

from ameide.infra.repo_config.detecting.found import Found, Read
from ameide.infra.repo_config.model import Output, RepoConfig, Suite


async def detect(paths: Sequence[str], read: Read) -> Found | None:
    """The configuration of a Go module with tests at the root of `paths`; None for anything else."""
    tests = [path for path in paths if path.endswith("_test.go")]
    if "go.mod" not in paths or not tests:
        return None
    nested = [path for path in paths if path.endswith("/go.mod") and "/testdata/" not in path]
    vendored = "vendor/modules.txt" in paths
    sources = [await read(path) or b"" for path in paths if path.endswith(".go") and "/" not in path]
    cgo = any(b'import "C"' in source for source in sources)
    suite = Suite("default", ("go", "test", "-json", "./..."), output=Output.GO_JSON)
    return Found(
        "Go",
        RepoConfig(suites={"default": suite}, setup=() if vendored else (("go", "mod", "download"),), detected=True),
        [f"go.mod, and {len(tests)} files with tests"],
        [
            *(["Its dependencies are those in vendor/."] if vendored else []),
            *([f"The modules {', '.join(nested[:5])} have tests of their own, which are left out."] if nested else []),
            *(["It uses cgo, so a C compiler has to be on the executor's machine."] if cgo else []),
        ],
    )
