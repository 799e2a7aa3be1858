"""What a change does to the machinery that judges it. Findings for the acceptance gate, never red.

The suite runs in the same process as the code under test, so no report proves that nobody reached for it. What can be
seen in the difference is named: test configuration and whatever the configured commands read, compiled files, modules
that take the place of the standard library or the runner, and source that newly reaches into the interpreter.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from posixpath import basename, dirname, normpath

from ameide.infra.repo_config import RepoConfig, Suite
from ameide.infra.repo_config.tree import Tree
from ameide.infra.tools.findings import finding
from ameide.infra.tools.plain_reaches import plain_reaches
from ameide_core_proto.transformation.work.v1.work_pb import Finding, FindingClass, WhereToFix

CONFIGURATION = frozenset(
    {
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "tox.ini",
        "noxfile.py",
        "setup.cfg",
        "setup.py",
        "pyproject.toml",
        "uv.toml",
        "pip.conf",
        ".python-version",
        "sitecustomize.py",
        "usercustomize.py",
        "buf.yaml",
        "buf.gen.yaml",
        "buf.work.yaml",
        "go.mod",
        "go.sum",
        "go.work",
        "go.work.sum",
        "package.json",
        "package-lock.json",
        "npm-shrinkwrap.json",
        ".npmrc",
        ".nvmrc",
        ".node-version",
        ".taprc",
        "pom.xml",
        "maven.config",
        "jvm.config",
        "extensions.xml",
        "junit-platform.properties",
    }
)
_FAMILIES = (
    ".mocharc.*",
    "jest.config.*",
    "jest.setup.*",
    "vitest.config.*",
    "vitest.workspace.*",
    "vite.config.*",
    "ava.config.*",
    ".babelrc*",
    "babel.config.*",
    "tsconfig*.json",
    ".c8rc*",
    ".nycrc*",
)
_REQUIREMENTS = (
    "requirements*.txt",
    "constraints*.txt",
    "*requirements.txt",
    "requirements/*.txt",
    "requirements/*.in",
)
# Loaded instead of, or beside, a source that people read.
_COMPILED = (".pth", ".egg-link", ".pyc", ".pyo", ".so", ".pyd", ".dylib")
_OUR_FOLDER = ".ameide"
_RUNNER = frozenset({"pytest", "_pytest", "pluggy", "py", "iniconfig", "packaging", "pygments", "coverage", "xdist"})
_TAKEN = frozenset(sys.stdlib_module_names) | _RUNNER

_INTERPRETER = frozenset(
    {"_pytest", "pluggy", "builtins", "ctypes", "gc", "importlib", "inspect", "atexit", "site", "runpy", "marshal"}
)
_CALLS = frozenset(
    {"exec", "eval", "compile", "__import__", "globals", "vars", "_exit", "_getframe", "settrace", "setprofile"}
)
_ATTRIBUTES = frozenset({"modules", "meta_path", "path_hooks", "__globals__", "__code__", "__dict__", "__subclasses__"})
_NAMES = frozenset({"__test__", "__builtins__", "collect_ignore", "collect_ignore_glob", "pytest_plugins"})
_WORDS = ("pytest", "junit", "conftest", "site-packages", "sitecustomize", "test_", "tests/", _OUR_FOLDER)


async def tampering(
    base: Tree, head: Tree, changed: Mapping[str, str], suite: Suite, config: RepoConfig
) -> list[Finding]:
    """A finding for every changed path that may decide how the change is judged.

    `changed` maps changed paths to A, M, D or T; `config` is that of the base.
    """
    read_by_commands = await _read_by_commands(base, suite, config)
    packages = {dirname(path) for path in await head.paths() if basename(path) == "__init__.py"}
    findings: list[Finding] = []
    for path, status in sorted(changed.items()):
        if is_configuration(path) or normpath(path) in read_by_commands:
            findings.append(_configuration(path, status))
        elif status == "A" and (name := _takes_the_place_of(path, packages)):
            findings.append(_shadow(path, name))
        elif status != "D":
            is_test, reaches = suite.is_test(path), _reaches if path.endswith(".py") else partial(plain_reaches, path)
            if new := sorted(reaches(await head.read(path), is_test) - reaches(await base.read(path), is_test)):
                findings.append(_reaching(path, new))
    return findings


def is_configuration(path: str) -> bool:
    """Whether the path configures tests wherever it lies, or is loaded without anybody importing it."""
    name = basename(path)
    return (
        name in CONFIGURATION
        or name.endswith(_COMPILED)
        or path.split("/", 1)[0] == _OUR_FOLDER
        or any(fnmatchcase(name, pattern) for pattern in _FAMILIES)
        or any(fnmatchcase(name, pattern) or fnmatchcase(path, f"*{pattern}") for pattern in _REQUIREMENTS)
    )


async def _read_by_commands(base: Tree, suite: Suite, config: RepoConfig) -> set[str]:
    """The repository's files that set-up, generator and suite name as arguments."""
    commands = [*config.setup, *(config.generate.run if config.generate else ()), suite.run]
    known = set(await base.paths())
    return {normpath(word.partition("=")[2] or word) for argv in commands for word in argv} & known


def _takes_the_place_of(path: str, packages: Iterable[str]) -> str:
    """The module of the standard library or the runner that the file hides from whoever imports it; else empty."""
    module = dirname(path) if basename(path) == "__init__.py" else path.removesuffix(".py")
    name = basename(module)
    if not path.endswith(".py") or name not in _TAKEN or dirname(module) in set(packages):
        return ""
    return name


def _reaches(source: bytes | None, is_test: bool) -> Counter[str]:
    """How often a source names each thing by which it could reach the tests' runner or change what others run."""
    try:
        module = ast.parse(source or b"")
    except (SyntaxError, ValueError, RecursionError):
        return Counter()
    imported: set[str] = set()
    tests: set[str] = set()
    found: Counter[str] = Counter()
    forbidden = _INTERPRETER if is_test else _INTERPRETER | {"pytest", "unittest"}
    documentation = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            imported |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            modules = names
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
                found.update(name for name in names if name in _CALLS | _ATTRIBUTES)
            found.update(f"import {root}" for root in {name.partition(".")[0] for name in modules} & forbidden)
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            # Bound anew, a test is another one, or none.
            imported.add(node.name)
            tests.add(node.name)
    for node in ast.walk(module):
        found.update(_named_in(node, imported, is_test, documentation))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del) and node.id in tests:
            found[f"{node.id} ="] += 1
    return found


def _root(node: ast.expr) -> str:
    """The name that a dotted expression begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _named_in(node: ast.AST, imported: set[str], is_test: bool, documentation: set[int]) -> list[str]:
    match node:
        case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del(), value=owner) if _root(owner) in imported:
            return [f"{ast.unparse(owner)}.{name} ="]
        case ast.Attribute(attr=name) if name in _ATTRIBUTES or name in _CALLS - {"compile"}:
            return [name]
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(), *_]):
            return []
        case ast.Call(func=ast.Name(id="getattr" | "setattr" | "delattr" as name), args=[owner, *_]) if (
            _root(owner) in imported
        ):
            return [f"{name} of {ast.unparse(owner)}"]
        case ast.Name(id=name) if name in _CALLS | _NAMES:
            return [name]
        case ast.FunctionDef(name=name) if name.startswith("pytest_"):
            return [name]
        case ast.Constant(value=str(text)) if not is_test and id(node) not in documentation:
            return [f"the word {word}" for word in _WORDS if word in text.casefold()]
        case _:
            return []


def _configuration(path: str, status: str) -> Finding:
    verb = {"A": "added", "D": "deleted"}.get(status, "changed")
    return finding(
        FindingClass.POLICY_VIOLATION,
        f"test-configuration:{path}",
        f"{path}, which decides how tests are set up and run, was {verb}.",
        why="Configuration decides which tests run and what they see.",
        where=WhereToFix.GUARDRAIL,
        steps=["Read its difference before accepting."],
        location=path,
    )


def _shadow(path: str, name: str) -> Finding:
    return finding(
        FindingClass.POLICY_VIOLATION,
        f"shadowing:{path}",
        f"{path} was added and may be imported in the place of {name}.",
        why="A runner that is replaced reports what it likes.",
        where=WhereToFix.GUARDRAIL,
        steps=["Give the module another name, or move it into a package."],
        location=path,
    )


def rewritten(paths: Iterable[str]) -> list[Finding]:
    """Findings for test files that are not what was committed any more once the suite has run."""
    return [
        finding(
            FindingClass.POLICY_VIOLATION,
            f"rewritten:{path}",
            f"{path} was changed while the suite ran.",
            why="Tests that are changed before they are read do not ask what the commit says.",
            where=WhereToFix.GUARDRAIL,
            steps=["Find what writes to it, and have it write elsewhere."],
            location=path,
        )
        for path in paths
    ]


def _reaching(path: str, names: list[str]) -> Finding:
    return finding(
        FindingClass.POLICY_VIOLATION,
        f"reaching-out:{path}",
        f"{path} newly reaches beyond itself: {', '.join(names[:10])}.",
        why="Code that changes other modules or the interpreter can make any test pass.",
        where=WhereToFix.GUARDRAIL,
        steps=["Read what it does there before accepting, or do without it."],
        location=path,
    )
