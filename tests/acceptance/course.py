"""What the Process said about a run's own course, without what differs between two runs of one story."""

from __future__ import annotations

import json
import re
import tomllib

import psycopg

from ameide.contracts import topics
from ameide_core_proto.process.transformation.v1.facts_pb import TransformationProcessFact
from tests.acceptance.installation import Installation

# Record ids, message ids, commits and digests: of the same form, and each another one in another run.
_ID = re.compile(
    r"\b(?:(?P<record>[a-z]{3})-[0-9a-f]{32}"
    r"|(?P<message>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"|(?P<digest>sha256:[0-9a-f]{64})|(?P<commit>[0-9a-f]{40}))\b"
)


def course_of(installation: Installation, change: str) -> list[str]:
    """The process facts of a change's newest run in the order of `(run_epoch, seq)`, each as JSON without envelope.

    The n-th id of its kind stands as `wrk#n`, `gat#n`, `message#n`…, so that who refers to what is compared as well.
    """
    instance = installation.run_of(change)["processInstanceId"]
    said = tomllib.loads((installation.state_dir / "run" / "control.toml").read_text(encoding="utf-8"))
    with psycopg.connect(said["database_url_ingress"]) as connection:
        rows = connection.execute(
            "SELECT payload FROM ameide.log WHERE topic = %s AND process_instance_id = %s",
            (topics.PROCESS_FACTS, instance),
        ).fetchall()
    facts = [TransformationProcessFact.from_binary(payload) for (payload,) in rows]
    names: dict[str, str] = {}
    return [_plain(fact, names) for fact in sorted(facts, key=lambda fact: (fact.run_epoch, fact.seq))]


def _plain(fact: TransformationProcessFact, names: dict[str, str]) -> str:
    body = json.loads(fact.to_json())
    del body["metadata"]

    def name(found: re.Match[str]) -> str:
        kind = found["record"] or found.lastgroup
        known = names.setdefault(found[0], f"{kind}#{1 + sum(one.startswith(f'{kind}#') for one in names.values())}")
        return str(known)

    return _ID.sub(name, json.dumps(body, sort_keys=True))
