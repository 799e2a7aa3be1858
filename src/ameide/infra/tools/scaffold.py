"""SCAFFOLD: the commands of `scaffold.run` lay out what the requirement needs, before a coder starts."""

from __future__ import annotations

import json

from ameide.infra.checkout import check_out
from ameide.infra.steps import Profile, StepContext, StepFailed
from ameide.infra.tools.agent_branch import commit_and_push, pushed_before
from ameide.infra.tools.commands import run_all
from ameide.infra.tools.repository import checkout_of, config_at, inputs_of
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, WorkInputs, WorkResult

REQUIREMENT_FILE = "AMEIDE_REQUIREMENT_FILE"
CHANGE_ID = "AMEIDE_CHANGE_ID"


async def scaffold(ctx: StepContext) -> WorkResult:
    """Run the repository's scaffold commands and push what they wrote. Without any, `unchanged`."""
    start = await check_out(ctx, ctx.work.commit_sha)
    if done := await pushed_before(ctx, start):
        return done
    config = await config_at(ctx, ctx.work.base_sha or start)
    if config.scaffold:
        requirement = ctx.workspace.out / "requirement.json"
        requirement.write_text(requirement_json(ctx.work.change_id, inputs_of(ctx)))
        ctx.workspace.give_to_child(ctx.workspace.out)
        env = {REQUIREMENT_FILE: str(requirement), CHANGE_ID: ctx.work.change_id}
        failed = await run_all(checkout_of(ctx), config.scaffold, profile=Profile.TOOL, env=env)
        if failed is not None:
            raise StepFailed(
                FailureCode.TOOL_FAILED, f"ameide.yaml scaffold.run: {failed}", exit_code=failed.exit_code or 1
            )
    title = inputs_of(ctx).requirement_title
    return await commit_and_push(ctx, start, f"Scaffold {title}" if title else "Scaffold")


def requirement_json(change_id: str, inputs: WorkInputs) -> str:
    """What `AMEIDE_REQUIREMENT_FILE` holds: change_id, title, text, acceptance_criteria in their order."""
    return json.dumps(
        {
            "change_id": change_id,
            "title": inputs.requirement_title,
            "text": inputs.requirement_text,
            "acceptance_criteria": list(inputs.acceptance_criteria),
        },
        indent=2,
    )
