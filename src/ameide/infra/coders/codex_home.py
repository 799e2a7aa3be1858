"""The operator's CODEX_HOME, and the private one that each attempt gets and that goes with its workspace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ameide.errors import InvalidArgument
from ameide.infra.coders.codex_auth import Auth, AuthUnusable, parse_auth, read_auth, write_back
from ameide.infra.coders.codex_config import CodexConfig, read_config
from ameide.infra.redaction import Redactor
from ameide.infra.settings import CodexSettings
from ameide.infra.workspace import Workspace, WorkspaceRefused

VARIABLE = "CODEX_HOME"
_HOW = "docs/how-to/codex.md tells how"


class CredentialsMissing(InvalidArgument):
    """Codex has no credentials that can be used. Put auth.json into CODEX_HOME, or mount the secret codex-auth."""


@dataclass(frozen=True)
class Credentials:
    """What Codex is to run with; `environment` holds the variables that its provider takes its key from."""

    home: Path | None
    config: CodexConfig
    auth: Auth | None
    environment: Mapping[str, str]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must not be shown."""
        return (*(self.auth.secrets if self.auth else ()), *self.config.secrets, *self.environment.values())

    @property
    def hosts(self) -> tuple[str, ...]:
        """``host:port`` that Codex has to reach."""
        return self.config.hosts(signed_in=self.auth is not None and self.auth.signed_in)

    @property
    def endpoint(self) -> str:
        """Where the model is asked, for people to read."""
        return self.config.endpoint or f"OpenAI ({self.hosts[0]})"


def credentials(settings: CodexSettings) -> Credentials:
    """What the operator gave Codex. Raises CredentialsMissing, with the remedy, when it cannot be used."""
    home, config = settings.home, config_of(settings.home)
    environment = {name: settings.variables[name] for name in config.variables if settings.variables.get(name)}
    auth = _auth(home) if config.needs_auth and not environment.get(config.key_variable) else None
    given = auth is not None or environment.get(config.key_variable)
    free = config.provider is not None and not config.needs_auth and not config.key_variable
    if not given and not free:
        raise _missing(home, config)
    return Credentials(home, config, auth, environment)


def config_of(home: Path | None) -> CodexConfig:
    """The operator's config.toml; an empty one when there is none. Raises CredentialsMissing when it is unusable."""
    file = home / "config.toml" if home else None
    if file is None or not file.exists():
        return read_config("", VARIABLE)
    try:
        return read_config(file.read_text(encoding="utf-8"), str(file))
    except InvalidArgument as error:
        raise CredentialsMissing(error.message, field=error.field, remedy=error.remedy) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsMissing(
            f"it cannot be read ({error})", field=str(file), remedy="Give the executor's user the right to read it"
        ) from error


def _auth(home: Path | None) -> Auth | None:
    if home is None:
        return None
    try:
        return read_auth(home / "auth.json")
    except FileNotFoundError:
        return None
    except AuthUnusable as error:
        raise CredentialsMissing(
            f"auth.json cannot be used: {error}",
            field=str(home / "auth.json"),
            remedy=f"Sign in again with `CODEX_HOME={home} codex login`; {_HOW}",
        ) from error


def _missing(home: Path | None, config: CodexConfig) -> CredentialsMissing:
    other = f", or set {config.key_variable} for `ameide up`" if config.key_variable else ""
    if config.provider is not None and not config.needs_auth:
        said, remedy = (
            f"{config.key_variable} is not set",
            f"Set {config.key_variable} and run `ameide up` again; {_HOW}",
        )
    elif home is None:
        said = "the coder has no credentials"
        remedy = f"Set CODEX_HOME to a folder with auth.json, or mount the secret codex-auth{other}; {_HOW}"
    else:
        said = f"the coder has no credentials, since {home} has no auth.json"
        remedy = f"Put auth.json into CODEX_HOME (`codex login`), or mount the secret codex-auth{other}; {_HOW}"
    return CredentialsMissing(said, field=VARIABLE, remedy=remedy)


@dataclass(frozen=True)
class PrivateHome:
    """The CODEX_HOME of one attempt: the children's, deleted with the workspace."""

    workspace: Workspace
    given: Credentials
    redactor: Redactor
    read_only: bool = False

    @property
    def folder(self) -> Path:
        """Beside the children's other folders, since the agent's commands may write some of those."""
        return self.workspace.root / "codex"

    def make(self) -> None:
        """Write it."""
        self.folder.mkdir(mode=0o700)
        tree, home = self.workspace.tree, self.workspace.home
        self._write("config.toml", self.given.config.for_attempt(tree, home, read_only=self.read_only).encode())
        if self.given.auth is not None:
            self._write("auth.json", self.given.auth.data)
        user = self.workspace.user
        if user is not None:
            os.chown(self.folder, user.uid, user.gid)

    def learn_refreshed(self) -> None:
        """Let the redactor know the tokens that Codex got meanwhile."""
        with contextlib.suppress(OSError, WorkspaceRefused, AuthUnusable):
            if self.given.auth is not None and (data := self._auth()) != self.given.auth.data:
                self.redactor.learn(parse_auth(data).secrets)

    def _auth(self) -> bytes:
        return self.workspace.read_file(self.folder / "auth.json", 1 << 20)

    def keep_refreshed(self) -> str:
        """Write a refreshed token back; what came of it, empty when there was nothing to do."""
        if self.given.auth is None or self.given.home is None:
            return ""
        try:
            refreshed = self._auth()
        except (OSError, WorkspaceRefused) as error:
            return f"auth.json is gone from the attempt: {error}."
        return write_back(self.given.home / "auth.json", self.given.auth, refreshed)

    def forget(self) -> None:
        """Take the credentials away as soon as Codex has ended."""
        (self.folder / "auth.json").unlink(missing_ok=True)

    def _write(self, name: str, data: bytes) -> None:
        file = self.folder / name
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(data)
        user = self.workspace.user
        if user is not None:
            os.chown(file, user.uid, user.gid)
