"""SMOKE: does what was published start and answer?

From the registry alone: no repository, no workspace of an earlier work.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ameide.contracts.image_ref import ImageRef
from ameide.delivery.registry import Registry, RegistryError, open_registry
from ameide.delivery.registry.oci import REVISION, references
from ameide.delivery.registry.rootfs import unpack_layers
from ameide.errors import AmeideError
from ameide.infra.steps import CommandResult, Reach, StepContext, StepFailed
from ameide.infra.tools.build import SMOKE_EXPECT, SMOKE_PATH, SMOKE_TIMEOUT
from ameide.infra.tools.repository import inputs_of
from ameide_core_proto.transformation.work.v1.work_pb import CheckResult, CheckStatus, FailureCode, Outputs, WorkResult

if TYPE_CHECKING:
    import httpx

_POLL = 0.05
_ANSWER = 4096
_PATIENCE = 2.0


@dataclass(frozen=True)
class Published:
    """An image as the registry has it: its config, and its layers in order, all verified."""

    config: Mapping[str, Any]
    layers: tuple[bytes, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that BUILD gave it."""
        return cast(Mapping[str, str], self.config["config"].get("Labels") or {})


async def smoke(ctx: StepContext) -> WorkResult:
    """Pull by digest, verify every byte, unpack, start, ask.

    Raises `StepFailed(VERIFICATION_FAILED)` for what does not hold.
    """
    rootfs = ctx.workspace.tmp / "rootfs"
    rootfs.mkdir()
    try:
        ref = ImageRef.parse(inputs_of(ctx).image_ref)
        published = await pull(open_registry(ctx.settings.registry), ref)
        await asyncio.to_thread(unpack_layers, published.layers, published.config["rootfs"]["diff_ids"], rootfs)
    except AmeideError as error:
        raise _unhealthy(ctx, "digest", str(error)) from error
    ctx.evidence.add_check(CheckResult(id="smoke:digest", status=CheckStatus.PASSED, message=ref.digest))
    revision = published.labels.get(REVISION, "")
    if ctx.work.commit_sha and revision != ctx.work.commit_sha:
        raise _unhealthy(
            ctx, "revision", f"{ref.digest} was built from {revision or 'no commit'}, not from {ctx.work.commit_sha}"
        )
    ctx.workspace.give_to_child(rootfs)
    answer = await _started_and_asked(ctx, published, rootfs, revision)
    ctx.evidence.add_check(CheckResult(id="smoke:answer", status=CheckStatus.PASSED, message=answer[:2000]))
    path = published.labels.get(SMOKE_PATH, "/")
    return WorkResult(
        summary=f"{ref.digest} was unpacked and started; {path} answered {answer[:200]}.",
        outputs=Outputs(commit_sha=revision, image_ref=str(ref)),
    )


async def pull(registry: Registry, ref: ImageRef) -> Published:
    """The image behind a reference of this registry.

    Raises `RegistryError`, `DigestMismatch` naming the digest of damaged bytes.
    """
    prefix = f"{registry.name}/"
    if not ref.repository.startswith(prefix):
        raise RegistryError(
            f"{ref} is not in the registry {registry.name!r}", field="image_ref", remedy="Publish it there first."
        )
    repository = ref.repository.removeprefix(prefix)
    manifest = await registry.get_blob(repository, ref.digest)
    config, *layers = [await registry.get_blob(repository, digest) for digest in references(manifest)]
    return Published(cast(dict[str, Any], json.loads(config)), tuple(layers))


async def _started_and_asked(ctx: StepContext, published: Published, rootfs: Path, revision: str) -> str:
    port, labels = _free_port(), published.labels
    url = f"http://127.0.0.1:{port}{labels.get(SMOKE_PATH, '/')}"
    workdir = rootfs / str(published.config["config"].get("WorkingDir", "/")).strip("/")
    env = _environment(published, rootfs) | {"PORT": str(port), "HOST": "127.0.0.1"}
    entrypoint = published.config["config"]["Entrypoint"]
    service = asyncio.create_task(ctx.run(entrypoint, cwd=workdir, env=env, reach=Reach(serves=(port,))))
    try:
        return await _answer(ctx, service, url, labels, revision)
    finally:
        # Cancelled, `run` ends the service and all that came from it.
        service.cancel()
        await asyncio.wait([service])


async def _answer(
    ctx: StepContext, service: asyncio.Task[CommandResult], url: str, labels: Mapping[str, str], revision: str
) -> str:
    # Imported here: it takes a tenth of what an executor loads, and few works need it.
    import httpx

    seconds = int(labels.get(SMOKE_TIMEOUT, "30"))
    deadline, last = time.monotonic() + seconds, "no answer"
    async with httpx.AsyncClient(trust_env=False, timeout=_PATIENCE) as client:
        while time.monotonic() < deadline:
            if service.done():
                ended = service.result()
                raise _unhealthy(
                    ctx,
                    "answer",
                    f"the service exited {ended.exit_code} before it answered: {ended.output_tail[-1500:]}",
                )
            try:
                status, text = await ask(client, url)
            except (httpx.HTTPError, TimeoutError) as error:
                last = str(error) or type(error).__name__
            else:
                last = f"{status} {text}"
                if 200 <= status < 300 and (labels.get(SMOKE_EXPECT) != "commit" or revision in text):
                    return last
            await asyncio.sleep(_POLL)
    expected = f"the commit {revision}" if labels.get(SMOKE_EXPECT) == "commit" else "a success"
    raise _unhealthy(ctx, "answer", f"{url} did not answer {expected} within {seconds} s; the last answer was {last}")


async def ask(client: httpx.AsyncClient, url: str) -> tuple[int, str]:
    """Status and beginning of the answer; one without an end neither fills the memory nor takes longer."""
    begin = b""
    async with asyncio.timeout(_PATIENCE), client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
        async for part in answer.aiter_raw():
            begin += part
            if len(begin) >= _ANSWER:
                break
    return answer.status_code, begin[:_ANSWER].decode("utf-8", "replace")


def _environment(published: Published, rootfs: Path) -> dict[str, str]:
    """The image's variables.

    Entries of search paths that start at its working directory are found where it was unpacked.
    """
    root = str(published.config["config"].get("WorkingDir", "/"))
    pairs = (line.partition("=") for line in cast(list[str], published.config["config"].get("Env") or []))
    return {
        name: ":".join(_moved(part, root, rootfs) for part in value.split(":"))
        for name, _, value in pairs
        if name != "PATH"
    }


def _moved(part: str, root: str, rootfs: Path) -> str:
    inside = part == root or part.startswith(root.rstrip("/") + "/")
    return f"{rootfs}{part}" if inside and part.startswith("/") else part


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast(int, probe.getsockname()[1])


def _unhealthy(ctx: StepContext, check: str, what: str) -> StepFailed:
    ctx.evidence.add_check(CheckResult(id=f"smoke:{check}", status=CheckStatus.FAILED, message=what[:2000]))
    return StepFailed(
        FailureCode.VERIFICATION_FAILED, f"Smoke failed: {what}", outputs=Outputs(image_ref=inputs_of(ctx).image_ref)
    )
