"""Getting a repository into a workspace.

Trusted git folder outside, working tree and a plain ``.git`` of its own for the child.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace

from ameide.errors import InvalidArgument
from ameide.infra import lfs
from ameide.infra.credentials import Credential
from ameide.infra.git import Git, GitFailed, Identity
from ameide.infra.reading.paths import local_path
from ameide.infra.settings import ExecutorSettings
from ameide.infra.steps import StepContext, StepFailed
from ameide.infra.submodules import check_out_submodules
from ameide_core_proto.transformation.work.v1.work_pb import (
    CheckoutRules,
    CommitIdentity,
    FailureCode,
    WorkInputs,
    WorkRequest,
)

_GIT_NETWORK = {"SSL_CERT_FILE": "GIT_SSL_CAINFO", "SSL_CERT_DIR": "GIT_SSL_CAPATH"}
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")


def network(settings: ExecutorSettings) -> dict[str, str]:
    """Proxy and CA variables for the executor's own git, from the operator's settings."""
    return git_network(settings.operator_environment)


def git_network(operator: Mapping[str, str]) -> dict[str, str]:
    """Those of these variables by which git finds proxies and certificates."""
    proxies = {name: operator[name] for name in _PROXIES if name in operator}
    return proxies | {git: operator[name] for name, git in _GIT_NETWORK.items() if name in operator}


def identity(work: WorkRequest) -> Identity:
    """Who the work's commits are by, as the policy says."""
    asked, own = work.commit_identity or CommitIdentity(), Identity()
    return Identity(
        (asked.committer_name, asked.committer_email) if asked.committer_name else own.committer,
        (asked.author_name, asked.author_email) if asked.author_name else own.coder,
        asked.sign_off,
    )


def credential(settings: ExecutorSettings, reference: str) -> Credential | None:
    """The credential behind a reference, as it is now.

    None for no reference. Raises `StepFailed(MISSING_CREDENTIALS)` when this executor has none that it could use.
    """
    if not reference:
        return None
    try:
        return settings.credentials.find(reference)
    except InvalidArgument as error:
        raise StepFailed(FailureCode.MISSING_CREDENTIALS, f"{error} and request the work again.") from error


def check_place(settings: ExecutorSettings, url: str, field: str) -> None:
    """Raises `StepFailed` for a path of this machine, which may be another tenant's, when works are of several."""
    if settings.apart and url and local_path(url) is not None:
        raise StepFailed(
            FailureCode.CHECKOUT_FAILED,
            f"{field}: it is a path, and this executor works for several tenants. Name the repository by a URL, or "
            "give the tenant an executor of its own.",
        )


async def check_out(ctx: StepContext, commit_sha: str) -> str:
    """Fetch the work's repository, make the working tree that commit (empty: the default branch's head), and give it
    to the child.

    Returns the full commit id. Raises `StepFailed` with CHECKOUT_FAILED or MISSING_CREDENTIALS.
    """
    sha = await fetch_commit(ctx, commit_sha)
    try:
        await lfs.check_out(ctx.git, ctx.settings.git_lfs, sha)
        await check_out_submodules(ctx, sha)
        await _give_own_git(ctx, sha)
    except GitFailed as error:
        raise _failed(commit_sha, error) from error
    ctx.log(f"checked out {sha}")
    return sha


async def fetch_commit(ctx: StepContext, commit_sha: str) -> str:
    """Have the commit (empty: the default branch's head) in the executor's own git, without a working tree.

    Returns and raises as `check_out`.
    """
    try:
        await ctx.git.open()
        await fetch_branches(ctx)
        sha = commit_sha or await ctx.git.remote_head(await ctx.git.default_branch())
        # The base is what the change and its configuration are compared with.
        for wanted in filter(None, (ctx.work.base_sha, sha)):
            await have(ctx, wanted)
        return await ctx.git.resolve(sha)
    except GitFailed as error:
        raise _failed(commit_sha, error) from error


def _failed(commit_sha: str, error: GitFailed) -> StepFailed:
    return StepFailed(
        FailureCode.CHECKOUT_FAILED,
        f"repo_url: cannot check out {commit_sha or 'the default branch'}: {error}. `ameide repo check` tests the "
        f"rights.",
    )


async def fetch_branches(ctx: StepContext) -> None:
    """All branches, or with a bounded history those that the work names. Raises `GitFailed`."""
    depth = (ctx.work.checkout or CheckoutRules()).history_depth
    if not depth:
        await ctx.git.fetch()
        return
    inputs, heads = ctx.work.inputs or WorkInputs(), await ctx.git.remote_heads()
    target = inputs.target_branch or await ctx.git.default_branch()
    names = [name for name in dict.fromkeys((target, inputs.branch, inputs.agent_branch)) if name in heads]
    if not names:
        raise GitFailed(f"the remote has no branch {target}; push it, or register another")
    await ctx.git.fetch(*(f"+refs/heads/{name}:refs/remotes/origin/{name}" for name in names), depth=depth)


async def have(ctx: StepContext, sha: str) -> None:
    """Fetch a commit that is not here: one that no branch holds any more may still be served by its id.

    Raises `GitFailed`.
    """
    if await ctx.git.exists(sha):
        return
    depth = (ctx.work.checkout or CheckoutRules()).history_depth
    try:
        await ctx.git.fetch(sha, depth=depth)
    except GitFailed:
        # Some servers give no commit by its id, and with a bounded history not all branches are here.
        if not depth:
            raise
        await ctx.git.fetch()


async def open_repository(ctx: StepContext, url: str, name: str) -> Git:
    """Another repository, such as the gitops one.

    Fetched, its git folder and its working tree (empty) both out of a child's reach.
    """
    check_place(ctx.settings, url, f"{name}_url")
    folder = ctx.workspace.private / "repositories" / name
    tree = folder / "tree"
    tree.mkdir(parents=True)
    git = replace(ctx.git, folder=folder / "git", tree=tree, url=url)
    try:
        await git.open()
        await git.fetch()
    except GitFailed as error:
        raise StepFailed(
            FailureCode.CHECKOUT_FAILED, f"cannot fetch {name}: {error}. `ameide repo check` tests the rights."
        ) from error
    return git


async def _give_own_git(ctx: StepContext, sha: str) -> None:
    """A clone for the child: it may do with it what it likes, nobody reads it back."""
    target = ctx.workspace.tree / ".git"
    if target.is_symlink() or target.is_file():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    staging = ctx.workspace.private / "child.git"
    shutil.rmtree(staging, ignore_errors=True)
    await ctx.git.git("clone", "--quiet", "--bare", "--no-local", "--template=", str(ctx.git.folder), str(staging))
    own = Git(staging, ctx.workspace.tree, guard=ctx.git.guard)
    (staging / "config.global").write_text("")
    await own.git("config", "core.bare", "false")
    await own.git("config", "--remove-section", "remote.origin", check=False)
    branch = (ctx.work.inputs or WorkInputs()).target_branch
    if branch and await ctx.git.exists(f"refs/remotes/origin/{branch}"):
        # Where a conflict is with what has been merged meanwhile, it can be read there.
        await own.git(
            "fetch",
            "--quiet",
            "--no-tags",
            str(ctx.git.folder),
            f"+refs/remotes/origin/{branch}:refs/remotes/origin/{branch}",
        )
    await own.git("update-ref", "--no-deref", "HEAD", sha)
    await own.git("read-tree", sha)
    (staging / "config.global").unlink()
    shutil.move(staging, target)
    ctx.workspace.give_to_child()
