"""What the coder `codex` needs: the program, its sandbox, credentials for a model, and prices."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ameide import config
from ameide.cli.doctor_machine import Check
from ameide.cli.session import Session
from ameide.config import Settings
from ameide.config.prices import prices_of
from ameide.errors import InvalidArgument
from ameide.infra.coders.codex_home import CredentialsMissing, credentials
from ameide.infra.coders.codex_program import PINNED, check_version, find
from ameide.infra.roles import Role, codex_settings, codex_variables
from ameide.infra.settings import UnprivilegedUser

_WITHIN = 30
_PATH = "/usr/local/bin:/usr/bin:/bin"


def codex(session: Session) -> Sequence[Check]:
    """Program and sandbox always, since they come with ameide; the rest where Codex is set up."""
    settings = session.settings
    return [*_program(settings), _credentials(settings), *_prices(settings)]


def _program(settings: Settings) -> Sequence[Check]:
    """The program, and whether the agent's user may make the namespaces that it confines commands by."""
    name, user = f"Codex CLI {PINNED}", Role.AUTHOR.user(settings)
    with tempfile.TemporaryDirectory() as home:
        if user is not None:
            os.chown(home, user.uid, user.gid)
        try:
            program = find(settings.codex, user, _PATH)
            version = check_version(_said(user, str(program.path), "--version", home=home).stdout)
            confined = (str(program.path), "sandbox", "-P", ":workspace", "-C", home, "--", "true")
            tried = _said(user, *confined, home=home)
        except InvalidArgument as error:
            return [Check(name, False, error.message, error.remedy)]
        except (OSError, subprocess.SubprocessError) as error:
            return [Check(name, False, f"it does not run ({error})", "name another one in AMEIDE_CODEX")]
    return [
        Check(name, True, f"{version}, {program.path}"),
        Check(
            "Codex's sandbox",
            tried.returncode == 0,
            tried.stdout.strip()[-300:] if tried.returncode else "starts for the user that runs the agent",
            "allow unprivileged user namespaces (kernel.unprivileged_userns_clone, user.max_user_namespaces, AppArmor)",
        ),
    ]


def _credentials(settings: Settings) -> Check:
    name = "Codex's credentials"
    own = codex_settings(settings, config.passed_through(codex_variables(settings)))
    if own.home is None and not own.variables:
        return Check(name, True, "not set up; CODEX_HOME names the folder with auth.json and config.toml")
    try:
        given = credentials(own)
    except CredentialsMissing as error:
        return Check(name, False, error.message, error.remedy)
    source = "auth.json" if given.auth else ", ".join(given.environment) or "none, as its provider asks for none"
    return Check(name, True, f"{source}; {given.config.model or 'Codex chooses the model'}, asked at {given.endpoint}")


def _prices(settings: Settings) -> Sequence[Check]:
    if settings.prices == Path():
        return []
    try:
        known = prices_of(settings.prices)
    except InvalidArgument as error:
        return [Check("prices of models", False, error.message, error.remedy)]
    return [Check("prices of models", True, ", ".join(known) or "none")]


def _said(user: UnprivilegedUser | None, *argv: str, home: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": home, "CODEX_HOME": home, "TMPDIR": home},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_WITHIN,
        check=False,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
