"""Which coder a work names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ameide.infra.coders.codex import Codex
from ameide.infra.coders.command import Command
from ameide.infra.coders.patches import Patches
from ameide.infra.coders.port import Coder
from ameide.infra.steps import StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode

CODERS: Mapping[str, Callable[[], Coder]] = {"patches": Patches, "command": Command, "codex": Codex}
"""Coders by the name that a policy or `ameide change start --coder` gives."""


def coder_named(name: str) -> Coder:
    """The coder of that name. Raises `StepFailed` naming those that there are."""
    if name not in CODERS:
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"coder: this executor has no coder {name!r}. It has: {', '.join(CODERS)}; name one of them in the policy.",
        )
    return CODERS[name]()
