"""Consents: a person's word that an agent may send one command for them, which it binds and which is used once."""

from __future__ import annotations

from ameide.errors import PermissionDenied
from ameide_core_proto.transformation.governance.v1.governance_pb import ConsentAction

# What an agent may do for a person with that person's consent, by the command's name.
ACTIONS = {
    "OpenChange": ConsentAction.OPEN_CHANGE,
    "ProposeArtifact": ConsentAction.PROPOSE_ARTIFACT,
    "ReviseArtifact": ConsentAction.REVISE_ARTIFACT,
    "SubmitArtifact": ConsentAction.SUBMIT_ARTIFACT,
    "RequestWork": ConsentAction.REQUEST_WORK,
    "StartRun": ConsentAction.START_RUN,
}
# What it says for a person without one: of the conversation itself. Queries are no commands.
_OF_ITSELF = frozenset({"OpenConversation", "RecordConversationProgress", "ReadBudgets", "AskConsent", "WhoAmI"})


def need_for_others(on_behalf_of: str, name: str) -> None:
    """Raises PermissionDenied(NOT_FOR_OTHERS) for what a person says alone: whatever is not listed here."""
    if on_behalf_of and name not in ACTIONS and name not in _OF_ITSELF:
        raise PermissionDenied(
            f"{name} is said by nobody for another one",
            remedy=f"{on_behalf_of} says it by a token of their own",
            reason="NOT_FOR_OTHERS",
        )
