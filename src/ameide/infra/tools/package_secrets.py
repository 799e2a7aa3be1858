"""Lays the secret files that a repository's policy names into the HOME of a verification, and of nothing else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ameide.infra.dependency_cache import FOLDERS
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.tools.repository import Checkout
from ameide.infra.workspace import Workspace
from ameide.secret_shapes import entropy
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, PackageSecret

_LIMIT = 256 * 1024
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP
_WORD = re.compile(r"[^\s=\"'<>,;]{6,}")
_ADDRESS = re.compile(r"(?:[a-z+]+:)?/*[\w.-]+\.[a-z]{2,}(?::\d+)?(?:/[^@]*)?|/[\w./-]*")
_AFTER_A_NAME = re.compile(r"(?i)(?:passw(?:or)?d|token|_auth\w*|secret|key)\W{1,4}(\S{4,})")
_ENTROPY = 3.0


def with_secrets(ctx: StepContext, checkout: Checkout) -> Checkout:
    """The checkout whose commands find the files. Raises `StepFailed(MISSING_CREDENTIALS)` that names one that lacks.

    Call it once no command runs any more that must not read them.
    """
    environment = dict(checkout.environment)
    for secret in ctx.work.verify_secrets:
        data = _read(ctx.settings.credentials.folder or Path("credentials"), secret)
        ctx.redactor.learn(tuple(dict.fromkeys(tokens(data.decode("utf-8", "replace")))))
        place = secret.home_path or f".ameide-secrets/{secret.name}"
        if any(Path(place).is_relative_to(folder) for folder in FOLDERS):
            raise _missing(secret, f"home_path {place} lies where dependencies are kept", "Name another place")
        file = _lay(ctx.workspace, place, data, secret)
        if secret.variable:
            environment[secret.variable] = str(file)
        ctx.log(f"The tests get the secret file {secret.name}.")
    return replace(checkout, environment=environment)


def tokens(text: str) -> Iterator[str]:
    """What of a secret file must not be seen: every word that looks made up, and what a name such as password has."""
    for line in text.splitlines():
        yield from (found[1].strip("\"'<>") for found in _AFTER_A_NAME.finditer(line))
        for word in _WORD.findall(line):
            if not _ADDRESS.fullmatch(word) and entropy(word) >= _ENTROPY:
                yield word


def _read(folder: Path, secret: PackageSecret) -> bytes:
    path = folder / secret.name
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _missing(secret, f"{path} is no file", "Put the file itself there")
        if status.st_mode & _TOO_OPEN:
            raise _missing(secret, f"{path} is open to others", f"`chmod 600 {path}`")
        if status.st_size > _LIMIT:
            raise _missing(secret, f"{path} has more than {_LIMIT} bytes", "Keep in it what package managers read")
        return path.read_bytes()
    except OSError as error:
        raise _missing(
            secret, f"this executor has no file {path} ({error.strerror})", "Put it there (mode 0600)"
        ) from error


def _lay(workspace: Workspace, place: str, data: bytes, secret: PackageSecret) -> Path:
    """A new file below HOME, reached without following a link that a command of the work may have left."""
    *folders, name = place.split("/")
    where = os.open(workspace.home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    user = workspace.user
    try:
        for folder in folders:
            try:
                os.mkdir(folder, 0o700, dir_fd=where)
                if user is not None:
                    os.chown(folder, user.uid, user.gid, dir_fd=where, follow_symlinks=False)
            except FileExistsError:
                pass
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=where)
            os.close(where)
            where = inner
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400, dir_fd=where)
        with os.fdopen(file, "wb") as opened:
            opened.write(data)
            if user is not None:
                os.fchown(file, user.uid, user.gid)
    except OSError as error:
        raise StepFailed(
            FailureCode.TOOL_FAILED, f"verify_secrets {secret.name}: {place} cannot be written ({error.strerror})."
        ) from error
    finally:
        os.close(where)
    return workspace.home / place


def _missing(secret: PackageSecret, what: str, remedy: str) -> StepFailed:
    return StepFailed(
        FailureCode.MISSING_CREDENTIALS, f"policy.verify_secrets {secret.name}: {what}. {remedy}, or change the policy."
    )
