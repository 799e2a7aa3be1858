"""DEPLOY: one commit in the gitops repository that copies the digest into one environment's file.

Proposed and merged as a PR.
"""

from __future__ import annotations

from ameide.contracts.image_ref import ImageRef
from ameide.delivery.forge import Forge, MergeRefused, PullRequest, forge_of
from ameide.delivery.gitops import image_ref_in, with_image_ref
from ameide.errors import AmeideError
from ameide.infra.checkout import open_repository
from ameide.infra.coding import CHANGE_TRAILER
from ameide.infra.git import Git, GitFailed
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.tools.repository import inputs_of
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, Outputs, WorkInputs, WorkResult

RELEASE_TRAILER = "Ameide-Release"
_TRIES = 5


async def deploy(ctx: StepContext) -> WorkResult:
    """`pr_url`, `gitops_commit_sha`, and whether it is `merged` (false where a person has to).

    Already there is a success.
    """
    inputs = inputs_of(ctx)
    gitops = await open_repository(ctx, inputs.gitops_url, "gitops")
    try:
        forge, ref = forge_of(inputs.gitops_url), ImageRef.parse(inputs.image_ref)
        for _ in range(_TRIES):
            if (result := await _deploy_once(ctx, gitops, forge, ref)) is not None:
                return result
            await gitops.fetch()
    except AmeideError as error:
        raise StepFailed(FailureCode.TOOL_FAILED, str(error)) from error
    except GitFailed as error:
        raise StepFailed(
            FailureCode.CHECKOUT_FAILED, f"gitops_url: {error}. `ameide repo check` tests the rights."
        ) from error
    raise StepFailed(
        FailureCode.CONFLICT, f"{_branch(inputs)} of the gitops repository moved {_TRIES} times meanwhile; try again."
    )


async def _deploy_once(ctx: StepContext, gitops: Git, forge: Forge, ref: ImageRef) -> WorkResult | None:
    """None when the branch moved in between, and it has to be done again on the new commit."""
    inputs = inputs_of(ctx)
    main = await gitops.remote_head(_branch(inputs))
    data = await gitops.show(main, inputs.image_ref_path) if main else None
    if data is None:
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"image_ref_path: {_branch(inputs)} of the gitops repository has no {inputs.image_ref_path}."
            ' Add it with `image: {ref: ""}`.',
        )
    text = data.decode()
    if image_ref_in(text, inputs.image_ref_path) == str(ref):
        return await _already_there(ctx, gitops, forge, main)
    commit = await _promotion(ctx, gitops, main, with_image_ref(text, ref, inputs.image_ref_path).encode())
    await gitops.push_with_lease(commit, _head(inputs), await gitops.remote_head(_head(inputs)))
    pull = await forge.open_pull(
        inputs.gitops_url, head=_head(inputs), target=_branch(inputs), title=_title(inputs), body=_body(ctx)
    )
    outputs = Outputs(pr_url=pull.url, branch=_head(inputs), gitops_commit_sha=commit, image_ref=str(ref))
    try:
        await forge.merge_pull(inputs.gitops_url, pull.number, head_sha=commit)
    except MergeRefused as refused:
        if refused.reason in {"MOVED", "CONFLICT"}:
            return None
        return WorkResult(summary=f"Proposed as {pull.url}; {refused}", outputs=outputs)
    outputs.merged = True
    ctx.log(f"merged {commit} into {_branch(inputs)}")
    return WorkResult(summary=f"{inputs.environment} now has {ref} ({pull.url}).", outputs=outputs)


async def _promotion(ctx: StepContext, gitops: Git, main: str, data: bytes) -> str:
    """A commit on `main` that changes one line of one file.

    The same one again when an earlier attempt left it on the branch.
    """
    inputs = inputs_of(ctx)
    path = inputs.image_ref_path
    mode = (await gitops.git("ls-tree", main, "--", path)).text.split(" ")[0]
    blob = (await gitops.git("hash-object", "-w", "--stdin", stdin=data)).text
    await gitops.git("read-tree", main)
    await gitops.git("update-index", "--cacheinfo", f"{mode},{blob},{path}")
    tree = (await gitops.git("write-tree")).text
    numstat = (await gitops.git("diff-tree", "-r", "--numstat", main, tree)).text
    if numstat != f"1\t1\t{path}":
        raise StepFailed(
            FailureCode.POLICY_VIOLATION,
            f"{path}: the promotion would change more than image.ref ({numstat!r}). Keep it on one line of its own.",
        )
    earlier = await gitops.remote_head(_head(inputs))
    if earlier and (await gitops.git("show", "-s", "--format=%P %T", earlier)).text == f"{main} {tree}":
        return earlier
    trailers = {CHANGE_TRAILER: ctx.work.change_id, RELEASE_TRAILER: inputs.release_id}
    return await gitops.commit_tree(
        tree, [main], _title(inputs), {key: value for key, value in trailers.items() if value}
    )


async def _already_there(ctx: StepContext, gitops: Git, forge: Forge, main: str) -> WorkResult:
    inputs = inputs_of(ctx)
    commit = (await gitops.git("log", "-1", "--format=%H", main, "--", inputs.image_ref_path)).text
    pulls = await forge.find_pulls(inputs.gitops_url, head=_head(inputs))
    pull: PullRequest | None = pulls[0] if pulls else None
    return WorkResult(
        summary=f"{inputs.environment} already has {inputs.image_ref}.",
        outputs=Outputs(
            pr_url=pull.url if pull else "",
            gitops_commit_sha=commit,
            merged=True,
            unchanged=True,
            image_ref=inputs.image_ref,
            branch=_head(inputs),
        ),
    )


def _branch(inputs: WorkInputs) -> str:
    return inputs.gitops_branch or "main"


def _head(inputs: WorkInputs) -> str:
    return f"ameide/promote/{inputs.release_id or ImageRef.parse(inputs.image_ref).digest[7:19]}/{inputs.environment}"


def _title(inputs: WorkInputs) -> str:
    ref = ImageRef.parse(inputs.image_ref)
    return f"Promote {ref.repository.rpartition('/')[2]} {ref.commit[:12] or ref.digest[7:19]} to {inputs.environment}"


def _body(ctx: StepContext) -> str:
    inputs = inputs_of(ctx)
    head = f"Release {inputs.release_id} of change {ctx.work.change_id}."
    return f"{head}\n\nCopies {inputs.image_ref} into {inputs.image_ref_path} and changes nothing else.\n"
