"""How git gets a credential: by variables and private files that are gone after the command, and only for its host.

A password is handed out by a program that looks at the question: a redirect or a submodule on another host gets none.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

from ameide.errors import InvalidArgument
from ameide.infra.credentials import Credential, Kind

_TOKEN_USER = "x-access-token"  # noqa: S105 -- the user that forges take with a token.
_SSH = (
    *("ssh", "-F", "/dev/null"),
    *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
    *("-o", "StrictHostKeyChecking=yes", "-o", "PasswordAuthentication=no"),
)


@contextlib.contextmanager
def logged_in(credential: Credential | None, url: str, folder: Path) -> Generator[dict[str, str]]:
    """The variables that let git commands use the credential at the URL's host; `folder` is private.

    Raises `InvalidArgument` when the credential is none for such a URL.
    """
    if credential is None:
        yield {}
        return
    check_fits(credential, url)
    files = {name: folder / name for name in ("credential", "askpass", "ssh-key", "known-hosts")}
    try:
        if credential.kind is Kind.KEY:
            yield _by_key(credential, files)
        else:
            _write_private(files["askpass"], _askpass(credential, url, files), 0o700)
            yield {"GIT_ASKPASS": str(files["askpass"])}
    finally:
        for file in files.values():
            file.unlink(missing_ok=True)


def check_fits(credential: Credential, url: str) -> None:
    """Raises `InvalidArgument` when the URL's protocol does not take such a credential."""
    over_http, local = url.startswith(("http://", "https://")), url.startswith(("file://", "/"))
    if local or over_http == (credential.kind is not Kind.KEY):
        return
    wanted = "a password, a token or an askpass program" if over_http else "a private SSH key"
    raise InvalidArgument(
        f"is a reference to an {credential.kind.value}, but {scheme_of(url)} takes {wanted}",
        field="credential_ref",
        remedy="Name another credential, or register the repository by its other URL",
    )


def scheme_of(url: str) -> str:
    """The protocol of a remote's URL."""
    return urlsplit(url).scheme if "://" in url else "file" if url.startswith(("/", ".")) else "ssh"


def _by_key(credential: Credential, files: dict[str, Path]) -> dict[str, str]:
    _write_private(files["ssh-key"], credential.secret)
    argv = [*_SSH, "-i", str(files["ssh-key"])]
    if credential.known_hosts:
        _write_private(files["known-hosts"], credential.known_hosts)
        argv += ["-o", f"UserKnownHostsFile={files['known-hosts']}", "-o", "GlobalKnownHostsFile=/dev/null"]
    return {"GIT_SSH_COMMAND": shlex.join(argv), "GIT_SSH_VARIANT": "ssh"}


def _askpass(credential: Credential, url: str, files: dict[str, Path]) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    place = f"{parts.scheme}://"
    # As git asks, and as git-lfs does.
    names = " | ".join(shlex.quote(f"Username for {asked}") for asked in (f"'{place}{host}': ", f'"{place}{host}"'))
    words = " | ".join(
        f"{shlex.quote(f'Password for {mark}{place}')}*{shlex.quote(f'@{host}{mark}{end}')}"
        for mark, end in (("'", ": "), ('"', ""))
    )
    if credential.program is not None:
        program = shlex.quote(str(credential.program))
        return f'#!/bin/sh\ncase "$1" in {names} | {words}) exec {program} "$1";; *) exit 1;; esac\n'
    _write_private(files["credential"], credential.secret)
    user, secret = shlex.quote(credential.user or _TOKEN_USER), shlex.quote(str(files["credential"]))
    return f'#!/bin/sh\ncase "$1" in {names}) echo {user};; {words}) cat {secret};; *) exit 1;; esac\n'


def _write_private(path: Path, text: str, mode: int = 0o600) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
