"""Repositories, and what their policies allow."""

from __future__ import annotations

from ameide.architect.tools.arguments import PAGE, Arguments, schema, string
from ameide.architect.tools.citing import Cited, page
from ameide.architect.tools.rendering import facts, listed, moment, word
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.governance.v1.policy_pb import Environment, GateRule, Policy
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetRepositoryRequest,
    ListRepositoriesRequest,
)


async def named(ctx: ToolContext, repository_id: str) -> Repository:
    """The repository of that id, else the one that the conversation is about.

    Raises `NotFound` for one that is not this tenant's, `InvalidArgument` when none is meant.
    """
    if not (wanted := repository_id or ctx.repository_id):
        raise InvalidArgument(
            "is needed, since the conversation is about no repository",
            field="repository_id",
            remedy="list_repositories names them",
        )
    answer = await ctx.clients.queries.get_repository(
        GetRepositoryRequest(scope=ctx.scope, repository_id=wanted, min_position=ctx.min_position)
    )
    assert answer.repository is not None
    return answer.repository


async def _list(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.list_repositories(
        ListRepositoriesRequest(scope=ctx.scope, min_position=ctx.min_position, page=page(arguments.text("page")))
    )
    cited = Cited(answer.read_context, answer.citations)
    for repository in answer.repositories:
        _add(cited, repository)
    return cited.answer(answer.next_page_token, empty="any repository")


async def _get(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    answer = await ctx.clients.queries.get_repository(
        GetRepositoryRequest(
            scope=ctx.scope,
            min_position=ctx.min_position,
            repository_id=arguments.text("repository_id", ctx.repository_id),
        )
    )
    cited = Cited(answer.read_context, answer.citations)
    if answer.repository is not None:
        _add(cited, answer.repository)
    if (policy := answer.policy) is not None:
        cited.fact(f"policy:{policy.repository_id}", f"policy of {policy.repository_id}", policy_text(policy))
    return cited.answer()


def _add(cited: Cited, repository: Repository) -> None:
    text = facts(
        ("url", repository.url),
        ("default branch", repository.default_branch),
        ("workdir", repository.workdir),
        ("gitops", repository.gitops.url if repository.gitops else "none: a change ends at its merge"),
        ("registered", moment(repository.registered_at)),
    )
    cited.fact(
        f"repository:{repository.repository_id}", f"repository {repository.repository_id} {repository.name}", text
    )


def policy_text(policy: Policy) -> str:
    """What a policy allows, in lines."""
    paths, bounds = policy.paths, policy.bounds
    lines = [
        facts(("version", policy.version), ("coder", policy.coder)),
        *(_gate(rule) for rule in policy.gates),
        facts(
            ("paths allowed", listed(paths.allowed) if paths else ""),
            ("paths denied", listed(paths.denied) if paths else ""),
        ),
        facts(("environments", listed(_environment(one) for one in policy.environments))),
        facts(
            ("coder iterations", bounds.max_iterations if bounds else 0),
            ("open runs at most", policy.max_open_runs),
            ("tokens a change", policy.change_budget.max_tokens if policy.change_budget else 0),
            ("cost a change in millionths", policy.change_budget.max_cost_micros if policy.change_budget else 0),
        ),
        facts(("reads declared", listed(f"{one.query} {one.deadline_seconds} s" for one in policy.declared_reads))),
    ]
    return "\n".join(line for line in lines if line)


def _environment(environment: Environment) -> str:
    return f"{environment.name} (gate)" if environment.gate_required else environment.name


def _gate(rule: GateRule) -> str:
    if not rule.required:
        return f"gate {word(rule.kind.name)}: not required"
    return f"gate {word(rule.kind.name)}: " + facts(
        ("decided by", listed(rule.decider_roles)),
        ("voices", rule.quorum),
        ("expires after seconds", rule.expires_after_seconds),
        ("the requester", "may decide" if rule.requester_may_decide else "may not decide"),
        ("agents", "may decide" if rule.agents_may_decide else "may not decide"),
    )


TOOLS = (
    Tool("list_repositories", "The repositories that are registered.", schema(page=PAGE), _list),
    Tool(
        "get_repository",
        "One repository with its policy: gates and who decides them, paths, environments, bounds, budgets.",
        schema(repository_id=string("Default: the conversation's.", most=63)),
        _get,
    ),
)
