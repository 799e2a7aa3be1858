"""GENERATE: code from contracts, only when an input changed since the base commit, or when forced."""

from __future__ import annotations

from ameide.infra.checkout import check_out
from ameide.infra.steps import StepContext
from ameide.infra.tools.agent_branch import commit_and_push, pushed_before
from ameide.infra.tools.generated import inputs_among, run_generate
from ameide.infra.tools.repository import checkout_of, config_at, inputs_of
from ameide_core_proto.transformation.work.v1.work_pb import Outputs, WorkResult


async def generate(ctx: StepContext) -> WorkResult:
    """Generate and push what changed; `unchanged` when no input asks for it, or the outputs are what they should be."""
    start = await check_out(ctx, ctx.work.commit_sha)
    if done := await pushed_before(ctx, start):
        return done
    base = ctx.work.base_sha or start
    config = await config_at(ctx, base)
    unchanged = Outputs(commit_sha=start, branch=inputs_of(ctx).branch, base_sha=base, unchanged=True)
    if config.generate is None:
        return WorkResult(summary="The repository generates nothing.", outputs=unchanged)
    changed = [change.path for change in await ctx.git.changed_paths(base, start)]
    if not inputs_of(ctx).force_generate and not inputs_among(config.generate, ctx.work.workdir, changed):
        return WorkResult(summary="No input of code generation changed.", outputs=unchanged)
    await run_generate(checkout_of(ctx), config.generate)
    return await commit_and_push(ctx, start, "Generate code")
