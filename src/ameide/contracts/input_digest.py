"""What a delegated step was asked for, as one hash: the same digest asks for the same, in whichever run it is asked.

The Domain hashes the work that it records, the Process the one that it is about to request. An input that this program
does not know of is hashed like any other, so that what cannot be compared is done anew.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ameide_core_proto.transformation.governance.v1.governance_pb import Repository
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import PathRules, WorkInputs, WorkKind, WorkRequest

# Where the result goes is another place in each run, and says nothing about what it is.
_PLACES = frozenset({"changeId", "runNumber", "branch", "expectedBranchSha"})
# A tool run reads the repository at a commit: for which version of the requirement, and which try it is, is no input.
_OF_AGENTS = frozenset({"artifactRefs", "iteration"})


def digest_of(work: WorkRequest) -> str:
    """SHA-256 of what a recorded work was asked for: its kind, its commits, its inputs, and by which rules."""
    inputs: dict[str, Any] = json.loads((work.inputs or WorkInputs()).to_json())
    left_out = _PLACES if work.work_kind == WorkKind.AGENT_WORK else _PLACES | _OF_AGENTS
    asked = [
        work.work_kind.name,
        work.action_kind.name,
        work.repo_url,
        work.workdir,
        work.base_sha,
        work.commit_sha,
        work.verification_suite_ref,
        work.coder,
        {name: value for name, value in inputs.items() if name not in left_out},
        json.loads((work.path_rules or PathRules()).to_json()),
        json.loads(work.checkout.to_json()) if work.checkout else {},
    ]
    text = json.dumps(asked, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_order(order: RequestWorkRequest, repository: Repository, policy: Policy) -> str:
    """The digest of the work that this order would become."""
    return digest_of(
        WorkRequest(
            work_kind=order.work_kind,
            action_kind=order.action_kind,
            repo_url=repository.url,
            workdir=order.workdir or repository.workdir,
            base_sha=order.base_sha,
            commit_sha=order.commit_sha,
            verification_suite_ref=order.verification_suite_ref,
            coder=order.coder,
            inputs=order.inputs,
            path_rules=policy.paths,
            checkout=policy.checkout,
        )
    )
