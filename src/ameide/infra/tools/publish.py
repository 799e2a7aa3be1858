"""PUBLISH: copies the image that BUILD left into the registry, blob by blob, each verified by its digest."""

from __future__ import annotations

import asyncio

from ameide.contracts.image_ref import ImageRef
from ameide.delivery.registry import open_registry
from ameide.delivery.registry.oci import Image, unpack
from ameide.errors import AmeideError
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.tools.repository import inputs_of
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Outputs, WorkResult


async def publish(ctx: StepContext) -> WorkResult:
    """`image_ref` by digest, tagged with the commit. An image that the registry already has is a success."""
    inputs = inputs_of(ctx)
    try:
        registry = open_registry(ctx.settings.registry)
        ref = ImageRef(f"{registry.name}/{inputs.component}", inputs.build_digest, ctx.work.commit_sha)
        outputs = Outputs(
            commit_sha=ctx.work.commit_sha,
            image_ref=str(ImageRef.parse(str(ref))),
            build_digest=inputs.build_digest,
            build_uri=inputs.build_uri,
        )
        if await registry.tagged(
            inputs.component, ctx.work.commit_sha
        ) == inputs.build_digest and await registry.has_blob(inputs.component, inputs.build_digest):
            outputs.unchanged = True
        built = await asyncio.to_thread(unpack, await ctx.store.get(inputs.build_uri), inputs.build_digest)
        await _copy(ctx, built)
    except AmeideError as error:
        raise StepFailed(FailureCode.TOOL_FAILED, str(error)) from error
    how = "was already there" if outputs.unchanged else "is published"
    return WorkResult(summary=f"{ref} {how}.", outputs=outputs)


async def _copy(ctx: StepContext, built: Image) -> None:
    registry, component = open_registry(ctx.settings.registry), inputs_of(ctx).component
    for digest, data in built.blobs.items():
        if not await registry.has_blob(component, digest):
            await registry.put_blob(component, digest, data)
            ctx.log(f"copied {digest} ({len(data)} bytes)")
    await registry.put_manifest(component, built.manifest, ctx.work.commit_sha)
