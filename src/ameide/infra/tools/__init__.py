"""Tool runs: one step, one file."""

from collections.abc import Mapping
from types import MappingProxyType

from ameide.infra.steps import Step
from ameide.infra.tools.analyze import analyze
from ameide.infra.tools.build import build
from ameide.infra.tools.deploy import deploy
from ameide.infra.tools.generate import generate
from ameide.infra.tools.generated import regenerate_if_needed
from ameide.infra.tools.merge import merge
from ameide.infra.tools.preflight import preflight
from ameide.infra.tools.publish import publish
from ameide.infra.tools.scaffold import scaffold
from ameide.infra.tools.smoke import smoke
from ameide.infra.tools.verify import verify
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind

STEPS: Mapping[ActionKind, Step] = MappingProxyType(
    {
        ActionKind.PREFLIGHT: preflight,
        ActionKind.SCAFFOLD: scaffold,
        ActionKind.GENERATE: generate,
        ActionKind.ANALYZE: analyze,
        ActionKind.VERIFY: verify,
        ActionKind.MERGE: merge,
        ActionKind.BUILD: build,
        ActionKind.PUBLISH: publish,
        ActionKind.DEPLOY: deploy,
        ActionKind.SMOKE: smoke,
    }
)
"""What this executor's tool runs can do."""

__all__ = ["STEPS", "regenerate_if_needed"]
