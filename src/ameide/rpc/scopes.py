"""What a token with scopes may be used for. A method that stands nowhere here is for tokens without scopes alone."""

from __future__ import annotations

from collections.abc import Collection

from ameide.errors import PermissionDenied
from ameide_core_proto.agent.transformation.v1.architect_service_pb import ConverseRequest

READ, PROPOSE = "read", "propose"
ALL = (READ, PROPOSE)
# A refusal for want of a scope, and not of a role.
REASON = "SCOPE"
WHO_AM_I = "WhoAmI"
# What is made from a token says no more than that one.
_ANY_OF_THEM = frozenset({WHO_AM_I, "DelegateToken"})
_READS = frozenset(
    {
        "ArchitectService/GetTranscript",
        "ArchitectService/GetArchitect",
        # What is left of a question: the agent records it for who asked. Both refuse whoever is no agent.
        "ConversationCommandService/OpenConversation",
        "ConversationCommandService/RecordConversationProgress",
    }
)
_PROPOSES = frozenset(
    {
        "GovernanceCommandService/OpenChange",
        "KnowledgeCommandService/ProposeArtifact",
        "KnowledgeCommandService/ReviseArtifact",
        "KnowledgeCommandService/SubmitArtifact",
    }
)


def scope_of(service: str, method: str, request: object) -> str:
    """The scope that admits a call; empty when none does."""
    service = service.rpartition(".")[2]
    name = f"{service}/{method}"
    if service.endswith("QueryService") or name in _READS:
        return READ
    if name in _PROPOSES:
        return PROPOSE
    # A turn that may have effects could start runs, too.
    return READ if isinstance(request, ConverseRequest) and request.read_only else ""


def need(scopes: Collection[str], service: str, method: str, request: object) -> None:
    """Raises PermissionDenied when a token with these scopes may not be used for the call."""
    if scopes and method not in _ANY_OF_THEM:
        admit(scopes, scope_of(service, method, request), method)


def admit(scopes: Collection[str], scope: str, act: str) -> None:
    """Raises PermissionDenied when the token's scopes leave out the one that an act needs; an empty one is in none."""
    if scopes and scope not in scopes:
        raise PermissionDenied(
            f"the token's scopes ({', '.join(sorted(scopes))}) do not admit {act}",
            remedy=f"Use a token with the scope `{scope}`: `ameide token create NAME --scope {scope}`"
            if scope
            else "Use a token without scopes",
            reason=REASON,
        )
