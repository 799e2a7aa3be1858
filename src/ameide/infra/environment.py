"""The environment of a child, built from nothing by allowlist: a variable that isn't named here does not reach it.

TOOL and CODER: PATH, HOME, TMPDIR, LANG, USER, LOGNAME, PYTHONDONTWRITEBYTECODE, AMEIDE_WORKSPACE, and what the step
itself adds. VERIFY: those, UV_SYSTEM_CERTS, MAVEN_OPTS, and the operator's proxy, CA and package-index settings
(`settings.OPERATOR_VARIABLES`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ameide.infra.settings import OPERATOR_VARIABLES, ExecutorSettings
from ameide.infra.steps import Profile
from ameide.infra.workspace import Workspace

MARKER = "AMEIDE_WORKSPACE"
"""Every child carries its workspace's folder in this variable, so that leftovers of a killed executor can be told
from others.
"""


def environment(
    profile: Profile, workspace: Workspace, settings: ExecutorSettings, extra: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of a child of this profile.

    `extra` comes from the step and wins over the operator's settings.
    """
    user = f"ameide-{workspace.user.uid}" if workspace.user else "ameide"
    base = {
        "PATH": ":".join(str(folder) for folder in settings.search_path),
        "HOME": str(workspace.home),
        "TMPDIR": str(workspace.tmp),
        "LANG": "C.UTF-8",
        "USER": user,
        "LOGNAME": user,
        "PYTHONDONTWRITEBYTECODE": "1",
        MARKER: str(workspace.root),
    }
    if profile is Profile.VERIFY:
        # Java takes its user's folder from the system's list of users, where the children's user is not.
        java = f"{settings.operator_environment.get('MAVEN_OPTS', '')} -Duser.home={workspace.home}".strip()
        allowed = {name: value for name, value in settings.operator_environment.items() if name in OPERATOR_VARIABLES}
        # The machine's own trust store: an operator's CA counts without further settings.
        return {"UV_SYSTEM_CERTS": "true", **allowed, "MAVEN_OPTS": java, **base, **extra, MARKER: base[MARKER]}
    return {**base, **extra, MARKER: base[MARKER]}
