"""Where the configuration is read from: a commit through the executor's own git, or a person's folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Protocol

from ameide.infra.git import Git
from ameide.infra.repo_config.detecting import detect
from ameide.infra.repo_config.load import CONFIG_FILE, ConfigError, parse
from ameide.infra.repo_config.model import RepoConfig

IGNORED = frozenset({".git", ".ameide", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox"})


class Tree(Protocol):
    """The files of a repository: their paths from its root, and their bytes."""

    async def paths(self) -> list[str]: ...

    async def read(self, path: str) -> bytes | None: ...


class CommitTree:
    """The files of a commit, below `workdir`. Nothing in a working tree can change them."""

    def __init__(self, git: Git, commit_sha: str, workdir: str = "") -> None:
        self._git, self._commit, self._workdir = git, commit_sha, workdir.strip("/")

    async def paths(self) -> list[str]:
        """Sorted paths of the plain files."""
        where = f"{self._commit}:{self._workdir}" if self._workdir else self._commit
        listed = (await self._git.git("ls-tree", "-r", "-z", where)).stdout.decode("utf-8", "surrogateescape")
        entries = (entry.partition("\t") for entry in listed.split("\0") if entry)
        return sorted(path for mode, _, path in entries if mode.startswith("100"))

    async def read(self, path: str) -> bytes | None:
        """The bytes of a file, None when the commit doesn't have it."""
        return await self._git.show(self._commit, str(PurePosixPath(self._workdir) / path))


class FolderTree:
    """The files of a folder as they are now."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def paths(self) -> list[str]:
        """Sorted paths of the plain files, without what tools leave behind."""
        found: list[str] = []
        pending = [self._root]
        while pending:
            for entry in pending.pop().iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    if entry.name not in IGNORED:
                        pending.append(entry)
                elif entry.is_file():
                    found.append(entry.relative_to(self._root).as_posix())
        return sorted(found)

    async def read(self, path: str) -> bytes | None:
        """The bytes of a file, None when there is none."""
        file = self._root / path
        return file.read_bytes() if file.is_file() else None


async def configuration(tree: Tree) -> RepoConfig:
    """The tree's `ameide.yaml`, or what its project says.

    Raises `ConfigError` when it is malformed, or nothing is known.
    """
    text = await tree.read(CONFIG_FILE)
    if text is not None:
        try:
            return parse(text.decode())
        except UnicodeDecodeError as error:
            raise ConfigError("is not UTF-8 text", field=CONFIG_FILE, remedy="Save it as UTF-8.") from error
    found = await detect(await tree.paths(), tree.read)
    if found is None:
        raise ConfigError(
            "the repository has none, and no Python, Go, Node or Maven project with tests was found at its root",
            field=CONFIG_FILE,
            remedy="Add one with `version: 1` and `verify.suites.default` with `run` and `junit`.",
        )
    return found.config
