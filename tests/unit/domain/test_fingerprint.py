"""What makes two commands the same intention: their business fields and who says them, and nothing else."""

from copy import deepcopy

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ameide.domain.service import fingerprint_of
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, Budget, RequestedBy, WorkInputs, WorkKind

TEXTS = st.text(max_size=8)
ENVELOPES = st.builds(
    lambda tenant, key, activity: {
        "scope": Scope(tenant_id=tenant),
        "client_request_id": key,
        "requested_by": RequestedBy(activity_id=activity, actor=Actor(on_behalf_of=activity)),
    },
    TEXTS,
    TEXTS,
    TEXTS,
)
COMMANDS = st.builds(
    lambda repository, commit, branch, tokens, action, criteria: RequestWorkRequest(
        repository_id=repository,
        commit_sha=commit,
        work_kind=WorkKind.TOOL_RUN,
        action_kind=action,
        inputs=WorkInputs(branch=branch, acceptance_criteria=criteria),
        budget=Budget(max_tokens=tokens),
    ),
    TEXTS,
    TEXTS,
    TEXTS,
    st.integers(0, 2**40),
    st.sampled_from([ActionKind.VERIFY, ActionKind.BUILD]),
    st.lists(TEXTS, max_size=3),
)
QUICK = settings(max_examples=100, derandomize=True, deadline=None)


def within(command: RequestWorkRequest, envelope: dict[str, Scope | str | RequestedBy]) -> RequestWorkRequest:
    """The same intention in another envelope."""
    sent = deepcopy(command)
    for name, value in envelope.items():
        setattr(sent, name, value)
    return sent


@QUICK
@given(COMMANDS, ENVELOPES, ENVELOPES)
def test_the_envelope_and_the_wire_do_not_count(
    command: RequestWorkRequest,
    one: dict[str, Scope | str | RequestedBy],
    other: dict[str, Scope | str | RequestedBy],
) -> None:
    first, second = within(command, one), within(command, other)
    again = RequestWorkRequest.from_binary(second.to_binary())
    assert fingerprint_of(first, "anna") == fingerprint_of(second, "anna") == fingerprint_of(again, "anna")


@QUICK
@given(COMMANDS, COMMANDS)
def test_another_intention_has_another_fingerprint(one: RequestWorkRequest, other: RequestWorkRequest) -> None:
    assume(one != other)
    assert fingerprint_of(one, "anna") != fingerprint_of(other, "anna")


@QUICK
@given(COMMANDS, TEXTS, TEXTS)
def test_nobody_is_answered_with_what_another_asked(command: RequestWorkRequest, one: str, other: str) -> None:
    assume(one != other)
    assert fingerprint_of(command, one) != fingerprint_of(command, other)
