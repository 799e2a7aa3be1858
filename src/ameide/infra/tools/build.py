"""BUILD: an OCI image from a commit, without a daemon; the same commit gives the same digest.

The source layer comes from git objects, never from a working tree; the requirements layer from hashed requirements,
installed as wheels by the unprivileged child. How it must answer once started travels in labels, so that smoke needs
no repository.
"""

from __future__ import annotations

import platform
from pathlib import PurePosixPath

from ameide.delivery.registry.oci import REVISION, Entry, Image, Layer, image, layer, pack
from ameide.infra.checkout import check_out
from ameide.infra.repo_config import Build, CommitTree, RepoConfig
from ameide.infra.steps import Profile, StepContext, StepFailed
from ameide.infra.tools.commands import run_all
from ameide.infra.tools.repository import Checkout, checkout_of, config_at, inputs_of
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Outputs, WorkResult

WORKDIR = "app"
VENDOR = "vendor"
ARTIFACT = "image.oci.tar"
MEDIA_TYPE = "application/vnd.oci.image.layout.v1.tar"
COMMIT_VARIABLE = "SOURCE_COMMIT"
SMOKE_PATH, SMOKE_EXPECT, SMOKE_TIMEOUT = "ameide.smoke.path", "ameide.smoke.expect", "ameide.smoke.timeout"

_NOT_REPRODUCIBLE = frozenset({"RECORD", "direct_url.json", "INSTALLER", "REQUESTED"})


async def build(ctx: StepContext) -> WorkResult:
    """The image as one artifact:

    `build_uri`, and `build_digest`, the digest of its manifest. Raises `StepFailed(TOOL_FAILED)`.
    """
    commit = await check_out(ctx, ctx.work.commit_sha)
    config = await config_at(ctx, ctx.work.base_sha or commit)
    if config.build is None:
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            "ameide.yaml build: is missing, so nothing can be released. Add `build:` with include and entrypoint.",
            exit_code=2,
        )
    time = int((await ctx.git.git("show", "-s", "--format=%ct", commit)).text)
    layers: list[Layer] = []
    if config.build.requirements:
        layers.append(layer(await _vendored(ctx, checkout_of(ctx), config.build), time))
    layers.append(layer(await _source(ctx, commit, config.build), time))
    built = _image(ctx, commit, config, config.build, layers, time)
    artifact = ctx.evidence.add_bytes(ARTIFACT, pack(built), MEDIA_TYPE)
    ctx.evidence.add_bytes("manifest.json", built.manifest, "application/json")
    ctx.log(f"built {built.digest} from {commit}")
    return WorkResult(
        summary=f"Built {built.digest} from {commit[:12]}: {len(layers)} layers, {artifact.bytes} bytes.",
        outputs=Outputs(commit_sha=commit, build_uri=artifact.uri, build_digest=built.digest),
    )


async def _source(ctx: StepContext, commit: str, wanted: Build) -> dict[str, Entry]:
    where = f"{commit}:{ctx.work.workdir.strip('/')}" if ctx.work.workdir.strip("/") else commit
    tree = CommitTree(ctx.git, commit, ctx.work.workdir)
    entries: dict[str, Entry] = {}
    for line in await ctx.git.entries("ls-tree", "-r", "-z", where):
        mode, path = line.split(" ")[0], line.partition("\t")[2]
        if not wanted.includes(path) or mode == "160000":
            continue
        data = await tree.read(path) or b""
        if mode == "120000":
            entries[f"{WORKDIR}/{path}"] = Entry(link=data.decode("utf-8", "surrogateescape"))
        else:
            entries[f"{WORKDIR}/{path}"] = Entry(data, executable=mode == "100755")
    if not entries:
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"ameide.yaml build.include: no file of {commit[:12]} matches. Correct the patterns.",
            exit_code=2,
        )
    return entries


async def _vendored(ctx: StepContext, checkout: Checkout, wanted: Build) -> dict[str, Entry]:
    """The requirements, hashed and as wheels only, so that no code of theirs runs here."""
    target = ctx.workspace.out / VENDOR
    argv = (
        "uv",
        "pip",
        "install",
        "--quiet",
        "--target",
        str(target),
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--no-compile",
        "-r",
        wanted.requirements,
    )
    failed = await run_all(checkout, [argv], profile=Profile.VERIFY)
    if failed is not None:
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"ameide.yaml build.requirements: {failed} Every package needs a wheel and a hash."
            " `uv pip compile --generate-hashes` writes them.",
            exit_code=failed.exit_code or 1,
        )
    entries: dict[str, Entry] = {}
    for path, file in ctx.workspace.files(target):
        name = PurePosixPath(path)
        if name.suffix == ".pyc" or name.name in _NOT_REPRODUCIBLE or name.name == ".lock":
            continue
        executable = bool(file.lstat().st_mode & 0o100)
        entries[f"{WORKDIR}/{VENDOR}/{path}"] = Entry(
            ctx.workspace.read_file(file, limit=1 << 30), executable=executable
        )
    return entries


def _image(ctx: StepContext, commit: str, config: RepoConfig, wanted: Build, layers: list[Layer], time: int) -> Image:
    python_path = [f"/{WORKDIR}/{path.strip('/')}" for path in wanted.python_path]
    if wanted.requirements:
        python_path.append(f"/{WORKDIR}/{VENDOR}")
    env = {"PORT": str(wanted.port), "HOST": "0.0.0.0", **wanted.env, COMMIT_VARIABLE: commit}  # noqa: S104 inside a container all interfaces are its own
    if python_path:
        env["PYTHONPATH"] = ":".join(python_path)
    labels = {REVISION: commit, "org.opencontainers.image.title": inputs_of(ctx).component or config.component}
    if config.smoke is not None:
        labels |= {
            SMOKE_PATH: config.smoke.path,
            SMOKE_EXPECT: config.smoke.expect,
            SMOKE_TIMEOUT: str(config.smoke.timeout),
        }
    return image(
        layers,
        time=time,
        machine=platform.machine(),
        entrypoint=wanted.entrypoint,
        env=env,
        workdir=f"/{WORKDIR}",
        port=wanted.port,
        labels={name: value for name, value in labels.items() if value},
    )
