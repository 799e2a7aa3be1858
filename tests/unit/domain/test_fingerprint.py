"""What makes two commands the same intention: their business fields and who says them, and nothing else."""

from copy import deepcopy

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ameide.domain.service import fingerprint_of
from ameide_core_proto.common.v1.metadata_pb import Actor, Scope
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, Budget, RequestedBy, WorkInputs, WorkKind

TEXTS = st.text(max_size=8)
Envelope = tuple[str, str, str]
ENVELOPES = st.tuples(TEXTS, TEXTS, TEXTS)


@st.composite
def commands(draw: st.DrawFn) -> RequestWorkRequest:
    """A request of some work, without an envelope."""
    return RequestWorkRequest(
        repository_id=draw(TEXTS),
        commit_sha=draw(TEXTS),
        work_kind=WorkKind.TOOL_RUN,
        action_kind=draw(st.sampled_from([ActionKind.VERIFY, ActionKind.BUILD])),
        inputs=WorkInputs(branch=draw(TEXTS), acceptance_criteria=draw(st.lists(TEXTS, max_size=3))),
        budget=Budget(max_tokens=draw(st.integers(0, 2**40))),
    )


QUICK = settings(max_examples=100, derandomize=True, deadline=None)


def within(command: RequestWorkRequest, envelope: Envelope) -> RequestWorkRequest:
    """The same intention in another envelope."""
    sent = deepcopy(command)
    sent.client_request_id = envelope[0]
    sent.scope = Scope(tenant_id=envelope[1])
    sent.requested_by = RequestedBy(activity_id=envelope[2], actor=Actor(on_behalf_of=envelope[2]))
    return sent


@QUICK
@given(commands(), ENVELOPES, ENVELOPES)
def test_the_envelope_and_the_wire_do_not_count(
    command: RequestWorkRequest,
    one: Envelope,
    other: Envelope,
) -> None:
    first, second = within(command, one), within(command, other)
    again = RequestWorkRequest.from_binary(second.to_binary())
    assert fingerprint_of(first, "anna") == fingerprint_of(second, "anna") == fingerprint_of(again, "anna")


@QUICK
@given(commands(), commands())
def test_another_intention_has_another_fingerprint(one: RequestWorkRequest, other: RequestWorkRequest) -> None:
    assume(one != other)
    assert fingerprint_of(one, "anna") != fingerprint_of(other, "anna")


@QUICK
@given(commands(), TEXTS, TEXTS)
def test_nobody_is_answered_with_what_another_asked(command: RequestWorkRequest, one: str, other: str) -> None:
    assume(one != other)
    assert fingerprint_of(command, one) != fingerprint_of(command, other)
