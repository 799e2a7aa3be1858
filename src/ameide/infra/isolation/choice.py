"""Which sandbox the operator chose."""

from __future__ import annotations

import sys

from ameide.infra.isolation.bubblewrap import REMEDY, Bubblewrap, find_bubblewrap
from ameide.infra.isolation.sandbox import Sandbox, Unconfined
from ameide.infra.isolation.traffic import Traffic
from ameide.infra.settings import NO_SANDBOX, ExecutorSettings
from ameide.infra.steps import StepFailed
from ameide.infra.workspace import Workspace
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode


def sandbox_for(workspace: Workspace, settings: ExecutorSettings, traffic: Traffic) -> Sandbox:
    """The sandbox of a workspace's children. Raises `StepFailed(SANDBOX_UNAVAILABLE)` when there is none to be had."""
    if settings.isolation.sandbox == NO_SANDBOX:
        return Unconfined()
    if sys.platform != "linux":
        raise StepFailed(
            FailureCode.SANDBOX_UNAVAILABLE,
            f"There is no sandbox on {sys.platform}. Run executors on Linux, or set AMEIDE_SANDBOX=none, knowing that "
            "the programs of a work then see this machine and its network.",
        )
    program = find_bubblewrap(workspace.user)
    if program is None:
        raise StepFailed(FailureCode.SANDBOX_UNAVAILABLE, f"There is no bubblewrap on this machine. {REMEDY}")
    return Bubblewrap(program, workspace, settings, traffic)
