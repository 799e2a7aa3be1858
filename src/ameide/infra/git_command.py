"""Running the executor's own git.

Its git folder is out of every child's reach, and no file of a working tree configures it: no hooks, no system or user
configuration, no credential prompt, only the file, http, https and ssh transports, and no redirect: where git goes is
what an operator registered. A credential is given to git by a program that reads a private file, never in a URL, an
argument or a log line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ameide.delivery.git_process import OUTPUT_BYTES, run_git
from ameide.errors import InvalidArgument, LimitReached
from ameide.infra.credentials import Credential
from ameide.infra.git_login import logged_in

LISTING_BYTES = 64 << 20
"""Of what git lists by the entry: about 600,000 paths, which take many times their bytes once they are parted."""
PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
_CONFIG = """\
[core]
\thooksPath = /dev/null
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tfsmonitor = false
\tautocrlf = false
\tquotePath = false
\tprotectHFS = true
\tprotectNTFS = true
[safe]
\tdirectory = *
[gc]
\tauto = 0
[maintenance]
\tauto = false
[submodule]
\trecurse = false
[fetch]
\trecurseSubmodules = false
[commit]
\tgpgSign = false
[credential]
\thelper =
[init]
\tdefaultBranch = main
[advice]
\tdetachedHead = false
"""


class GitFailed(Exception):
    """Git said no; the message names the command and carries its last lines."""


class GitSaidTooMuch(GitFailed):
    """There is more in the repository than an executor takes in."""


@dataclass(frozen=True)
class GitResult:
    """The end of one git command."""

    exit_code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output without the last line break."""
        return self.stdout.decode("utf-8", "replace").strip()


@dataclass(frozen=True)
class GitCommand:
    """Git on one remote, with a private git folder `folder` and a working tree `tree`.

    `credential` is for the URL's host alone; `network` are proxy and CA variables; `guard` is called before every
    command and raises when the claim is gone. Methods raise `GitFailed`.
    """

    folder: Path
    tree: Path
    url: str = ""
    credential: Credential | None = None
    network: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    guard: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Create the private git folder."""
        self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        (self.folder / "config.global").write_text(_CONFIG)
        (self.folder / "template").mkdir(exist_ok=True)
        await self.git("init", "--quiet", f"--template={self.folder / 'template'}")
        # Stronger than the attributes of a tree: none of them makes a patch unreadable.
        (self.folder / "info").mkdir(exist_ok=True)
        (self.folder / "info" / "attributes").write_text("* !diff\n")

    async def git(
        self,
        *args: str,
        check: bool = True,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        most: int = OUTPUT_BYTES,
    ) -> GitResult:
        """Run one git command. With `check`, another exit code than 0 raises; more than `most` bytes raise always."""
        self.guard()
        try:
            exit_code, stdout, stderr = await run_git(
                *args, env={**self._environment(), **(env or {})}, cwd=cwd or self.folder, stdin=stdin, most=most
            )
        except FileNotFoundError as error:
            raise GitFailed(f"git was not found in {PATH}; install git 2.38 or later there") from error
        except LimitReached as error:
            raise GitSaidTooMuch(
                f"git {args[0]} said more than {most >> 20} MiB, which is all that is taken: the repository has too "
                "many files or too large ones"
            ) from error
        result = GitResult(exit_code, stdout, stderr.decode("utf-8", "replace"))
        if check and result.exit_code:
            raise GitFailed(f"git {args[0]} failed: {last_lines(result.stderr or result.text)}")
        return result

    async def entries(self, *args: str, cwd: Path | None = None) -> list[str]:
        """What a command lists with `-z`. Raises `GitSaidTooMuch` beyond `LISTING_BYTES`."""
        listed = (await self.git(*args, cwd=cwd, most=LISTING_BYTES)).stdout
        return [entry for entry in listed.decode("utf-8", "surrogateescape").split("\0") if entry]

    @contextlib.contextmanager
    def with_credential(self) -> Generator[dict[str, str]]:
        """The variables that let one command use the credential; its files are gone afterwards."""
        try:
            with logged_in(self.credential, self.url, self.folder) as variables:
                yield variables
        except InvalidArgument as error:
            raise GitFailed(str(error)) from error

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": PATH,
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(self.tree),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.folder / "config.global"),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_ALLOW_PROTOCOL": "file:https:ssh:http",
            # Not in the file, which a mirror keeps for as long as it lasts.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.followRedirects",
            "GIT_CONFIG_VALUE_0": "false",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
            **self.network,
        }


_SAYS_NOTHING = (
    "Please make sure you have the correct access",
    "and the repository exists",
    "fatal: Could not read from",
)


def last_lines(text: str) -> str:
    """The end of git's complaint, on one line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(_SAYS_NOTHING)]
    return " / ".join((lines or text.strip().splitlines())[-3:])[:600]
