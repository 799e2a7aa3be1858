"""Tools over the real query services: a story that has been told, and somebody who reads about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ameide.architect.ports import Found, Listing
from ameide.architect.records import Record
from ameide.architect.tools.registry import call
from ameide.architect.tools.tool import ToolAnswer, ToolContext
from ameide.domain.commands import changes
from ameide.domain.decisions.default_policy import default_policy
from ameide.errors import NotFound
from ameide.rpc.clients import Clients
from ameide_core_proto.agent.transformation.v1.architect_service_pb import FileLines
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceArtifact
from tests.domain_work.world import World, caller, key

READER = frozenset({"viewer", "requester"})


class NoRepositories:
    """There is nothing to fetch."""

    async def head(self, repository: Repository) -> str:
        """Nothing."""
        raise NotFound("no commit")

    async def list_files(self, repository: Repository, commit_sha: str, folder: str = "", name: str = "") -> Listing:
        """Nothing."""
        raise NotFound("no commit")

    async def search(self, repository: Repository, commit_sha: str, text: str, folder: str = "") -> Found:
        """Nothing."""
        raise NotFound("no commit")

    async def read(
        self, repository: Repository, commit_sha: str, path: str, first_line: int = 1, last_line: int = 0
    ) -> FileLines:
        """Nothing."""
        raise NotFound("no commit")


@dataclass
class NoEvidence:
    """Bytes by uri; none at first."""

    stored: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def read(self, artifact: EvidenceArtifact, limit: int) -> bytes:
        """As they were put there."""
        if artifact.uri not in self.stored:
            raise NotFound(f"{artifact.uri} is not stored")
        return self.stored[artifact.uri][:limit]


@dataclass
class Desk:
    """Calls tools for one person."""

    ctx: ToolContext

    async def call(self, name: str, /, **arguments: object) -> ToolAnswer:
        """What a model would get."""
        return await call(self.ctx, name, arguments)

    async def raw(self, name: str, arguments: Mapping[str, object] | str) -> ToolAnswer:
        """With arguments that may be none."""
        return await call(self.ctx, name, arguments)

    def about(self, **changes: object) -> Desk:
        """Another conversation."""
        return Desk(replace(self.ctx, **changes))  # pyright: ignore[reportArgumentType]


def desk(clients: Clients, roles: frozenset[str] = READER) -> Desk:
    """A person's tools, with no repository and no evidence in reach."""
    return Desk(ToolContext(clients, Scope(), roles, NoRepositories(), NoEvidence()))


async def registered(world: World, name: str, url: str, policy: Policy | None = None) -> None:
    """A repository at that URL, with a policy or with the one that repositories begin with."""
    await world.service.execute(
        caller("olga", "operator"),
        "RegisterRepository",
        governance.RegisterRepositoryRequest(
            client_request_id=key(),
            name=name,
            url=url,
            default_branch="main",
            policy=policy or default_policy(name, gitops=False),
        ),
        governance.RegisterRepositoryResponse,
        changes.register_repository,
    )


def only(answer: ToolAnswer) -> Record:
    """The one record of an answer."""
    assert not answer.error, answer.error
    [record] = answer.records
    return record
