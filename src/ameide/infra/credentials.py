"""Credentials by reference: where an executor finds one and of which kind it is.

A reference is the name of a file in the credentials folder, or ``env:NAME``. It is looked up anew whenever it is
needed, so that a credential that was exchanged counts without a restart.

| what lies there | what it is |
| --- | --- |
| ``<ref>`` with ``user:password`` or a token | password for http and https |
| ``<ref>`` or ``<ref>.key`` with a private key, and perhaps ``<ref>.known_hosts`` | SSH |
| ``<ref>.askpass``, executable | a program that is asked as git asks for user and password |
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ameide.errors import InvalidArgument

VARIABLE = "env:"
_KEY, _KNOWN_HOSTS, _ASKPASS = ".key", ".known_hosts", ".askpass"
_BEGIN, _PRIVATE = "-----BEGIN ", "PRIVATE KEY-----"
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP
_FIELD = "credential_ref"


class Kind(Enum):
    """What a credential is; the value is how people call it."""

    PASSWORD = "password or token"  # noqa: S105 -- the name of a kind.
    KEY = "SSH key"
    PROGRAM = "askpass program"


@dataclass(frozen=True)
class Credential:
    """One credential. `secret` is a password or a private key; `program` is set for an askpass program alone."""

    kind: Kind
    user: str = ""
    secret: str = field(default="", repr=False)
    known_hosts: str = field(default="", repr=False)
    program: Path | None = None

    def secrets(self) -> tuple[str, ...]:
        """The values that must not be seen anywhere."""
        if self.kind is Kind.KEY:
            return tuple(line for line in self.secret.splitlines() if len(line) >= 16 and not line.startswith("-----"))
        return (f"{self.user}:{self.secret}", self.secret) if self.user else (self.secret,)


@dataclass(frozen=True)
class Credentials:
    """The credentials of this executor: the files of `folder`, and `variables` by their names.

    `apart` says that they are those of one tenant among several, which get no variables.
    """

    folder: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    apart: bool = False

    def find(self, reference: str) -> Credential:
        """The credential behind a reference. Raises `InvalidArgument` that names file or variable, and remedy."""
        if reference.startswith(VARIABLE):
            return self._variable(reference.removeprefix(VARIABLE))
        folder = self.folder or Path("credentials")
        if Path(reference).name != reference or reference.endswith(_KNOWN_HOSTS):
            raise _unusable(f"{reference!r} is no name of a credential", f"Name a file in {folder}, or env:NAME")
        paths = [folder / f"{reference}{end}" for end in ("", _KEY, _ASKPASS)]
        found = [path for path in paths if path.is_file()]
        if not found:
            raise _unusable(
                f"this executor knows no credential {reference!r}",
                f"Put `user:password`, a token or a private SSH key into {paths[0]} (mode 0600) in its credentials"
                " folder (AMEIDE_CREDENTIALS_DIR)",
            )
        if len(found) > 1:
            raise _unusable(f"{' and '.join(map(str, found))} are there together", "Leave the one that is meant")
        return _of_file(found[0], folder / f"{reference}{_KNOWN_HOSTS}")

    def of_tenant(self, tenant_id: str) -> Credentials:
        """Those of one tenant among several: the files of a folder of its name, and no variables."""
        if tenant_id in ("", "..") or Path(tenant_id).name != tenant_id:
            raise _unusable(f"{tenant_id!r} is no name of a tenant", "Name the tenant that the repository is of")
        return Credentials((self.folder or Path("credentials")) / tenant_id, apart=True)

    def secrets(self) -> tuple[str, ...]:
        """The values of all that can be read now. What cannot be read is used by nobody."""
        found = [_of_text(value, "") for value in self.variables.values()]
        for path in sorted(self.folder.iterdir()) if self.folder is not None and self.folder.is_dir() else ():
            with contextlib.suppress(InvalidArgument, OSError, UnicodeDecodeError):
                if path.is_file() and path.suffix not in (_ASKPASS, _KNOWN_HOSTS):
                    found.append(_of_text(path.read_text(encoding="utf-8"), ""))
        return tuple(secret for credential in found for secret in credential.secrets() if secret)

    def _variable(self, name: str) -> Credential:
        if self.apart:
            raise _unusable(
                "a variable is for every tenant, and this program serves several",
                f"Put the credential into a file in {self.folder}, and register the repository with its name",
            )
        if not self.variables.get(name):
            raise _unusable(
                f"this executor has no variable {name!r}",
                "Set it for the executor, and name it in AMEIDE_CREDENTIAL_VARIABLES; `ameide up` then passes it on",
            )
        return _of_text(self.variables[name], "")


def _of_file(path: Path, known_hosts: Path) -> Credential:
    mode = path.stat().st_mode
    if mode & _TOO_OPEN:
        raise _unusable(f"{path} is open to others (mode {stat.S_IMODE(mode):04o})", f"`chmod 600 {path}`")
    if path.suffix == _ASKPASS:
        if not os.access(path, os.X_OK):
            raise _unusable(f"{path} is not executable", f"`chmod 700 {path}`")
        return Credential(Kind.PROGRAM, program=path.absolute())
    try:
        text = path.read_text(encoding="utf-8")
        found = _of_text(text, known_hosts.read_text(encoding="utf-8") if known_hosts.is_file() else "")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise _unusable(f"{path} cannot be read ({reason})", "Let the executor's user read it") from error
    if not found.secret:
        raise _unusable(f"{path} is empty", "Put `user:password`, a token or a private SSH key into it")
    if path.suffix == _KEY and found.kind is not Kind.KEY:
        raise _unusable(f"{path} holds no private SSH key", "Put the private key itself there, not the public one")
    if found.kind is Kind.KEY and _has_passphrase(found.secret):
        raise _unusable(
            f"{path} is locked by a passphrase, and nobody is there to type it",
            "Make a key of its own without one: `ssh-keygen -t ed25519 -N ''`",
        )
    return found


def _of_text(text: str, known_hosts: str) -> Credential:
    text = text.strip()
    if text.startswith(_BEGIN) and _PRIVATE in text.splitlines()[0]:
        return Credential(Kind.KEY, secret=f"{text}\n", known_hosts=known_hosts)
    user, _, secret = text.rpartition(":")
    return Credential(Kind.PASSWORD, user, secret)


def _has_passphrase(key: str) -> bool:
    if "ENCRYPTED" in key:
        return True
    lines = key.splitlines()
    if "OPENSSH" not in lines[0]:
        return False
    try:
        data = base64.b64decode("".join(lines[1:-1]))
    except binascii.Error:
        return False
    # After the magic word comes the cipher's name with its length in four bytes.
    magic = b"openssh-key-v1\0"
    return data.startswith(magic) and data[len(magic) + 4 :][:4] != b"none"


def _unusable(what: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(what, field=_FIELD, remedy=remedy)
