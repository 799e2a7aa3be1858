"""Temporal's sandbox for workflows: what the tests run them in, and what production does without (see decisions)."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

# Shared instead of imported again. Re-importing a native extension fails, and a message class imported twice is two
# classes, as a registry of metrics would be two.
_PASSTHROUGH = (
    "protobuf",
    "protobuf_ext",
    "protovalidate",
    "ameide_core_proto",
    "ameide.contracts",
    "ameide.errors",
    "ameide.telemetry",
)


def sandbox() -> SandboxedWorkflowRunner:
    """The runner that stops a workflow which asks the machine for anything, e.g. the time; ours are imported anew."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*_PASSTHROUGH))
